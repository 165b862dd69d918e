// Elements with text. Titles and tags are other people's text: they are never markup.

export function element(kind, className = "", text = "", attributes = {}) {
  const node = document.createElement(kind)
  node.className = className
  node.textContent = text
  Object.entries(attributes).forEach(([name, value]) => node.setAttribute(name, value))
  return node
}

// Returns a point of time: 3.4 s, and 1:05 from a minute on.
export function clock(seconds) {
  const whole = Math.floor(seconds)
  return seconds < 60 ? seconds.toFixed(1) + " s" : Math.floor(whole / 60) + ":" + String(whole % 60).padStart(2, "0")
}
