// Elements with text. Titles and tags are other people's text: they are never markup.

export function element(kind, className = "", text = "", attributes = {}) {
  const node = document.createElement(kind)
  node.className = className
  node.textContent = text
  Object.entries(attributes).forEach(([name, value]) => node.setAttribute(name, value))
  return node
}

// A button with a visible text; `label` says more to a screen reader and contains that text.
export function button(className, text, label, onclick) {
  const node = element("button", className, text, { type: "button" })
  if (label && label !== text) node.setAttribute("aria-label", label)
  node.onclick = onclick
  return node
}

export function svg(kind, attributes) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", kind)
  Object.entries(attributes).forEach(([name, value]) => node.setAttribute(name, value))
  return node
}

// Returns a point of time: 3.4 s, and 1:05 from a minute on.
export function clock(seconds) {
  const whole = Math.floor(seconds)
  return seconds < 60 ? seconds.toFixed(1) + " s" : Math.floor(whole / 60) + ":" + String(whole % 60).padStart(2, "0")
}

export const percent = share => `${Math.round(share * 100)}%`

export const plural = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`

export function isTextField(node) {
  if (!(node instanceof HTMLElement)) return false
  if (node.isContentEditable || node.tagName === "TEXTAREA" || node.tagName === "SELECT") return true
  return node.tagName === "INPUT" && !["range", "checkbox", "radio", "button"].includes(node.type)
}
