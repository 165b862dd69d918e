// The html and css of a component, fetched once however many instances of it there are.

// Returns a function that puts them into an instance's root. `module` is the component's own
// import.meta.url; the files lie beside it and have its name.
export async function load(module) {
  const [html, css] = await Promise.all([".html", ".css"].map(suffix => text(module.replace(/\.js$/, suffix))))
  const template = document.createElement("template")
  template.innerHTML = `<style>${css}</style>${html}`
  return root => root.append(template.content.cloneNode(true))
}

async function text(address) {
  const answer = await fetch(address)
  if (!answer.ok) throw new Error(`${address} cannot be loaded (${answer.status})`)
  return answer.text()
}
