// Elements of the page. Tags, titles and names are other people's text: always text, never markup.

import { element } from "../shared/dom.js"

export { clock, element } from "../shared/dom.js"

// A button with a visible text; `label` says more to a screen reader and contains that text.
export function button(className, text, label, onclick) {
  const node = element("button", className, text)
  node.type = "button"
  if (label && label !== text) node.setAttribute("aria-label", label)
  node.onclick = onclick
  return node
}

export function svg(kind, attributes) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", kind)
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value)
  return node
}

export const percent = share => `${Math.round(share * 100)}%`

export const plural = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`

// Thirty-two hexadecimal digits that nobody can guess.
export function newId() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map(byte => byte.toString(16).padStart(2, "0")).join("")
}

export function isTextField(node) {
  if (!(node instanceof HTMLElement)) return false
  if (node.isContentEditable || node.tagName === "TEXTAREA" || node.tagName === "SELECT") return true
  return node.tagName === "INPUT" && !["range", "checkbox", "radio", "button"].includes(node.type)
}
