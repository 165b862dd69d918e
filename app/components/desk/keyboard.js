// Keys work wherever the focus is, except in text fields, menus and dialogs.

import { isTextField } from "../shared/dom.js"

const NATIVE = "button, a[href], summary, [role=button], [role=menuitem], [role=option], [role=tab], input"
const ELSEWHERE = "dialog, [role=dialog], [role=menu], [role=listbox]"
const REPEATED = ["next", "previous", "panLeft", "panRight"]

export class Keyboard {
  // `on` has: number(digit), act(action), escape() which returns true where it has ended something, and isGone().
  constructor(keys, on) {
    Object.assign(this, { keys, on, listener: event => this.press(event) })
  }

  attach() {
    window.addEventListener("keydown", this.listener, true) // before Streamlit's own keys, such as R
  }

  leave() {
    window.removeEventListener("keydown", this.listener, true)
  }

  press(event) {
    if (this.on.isGone() || event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return
    const target = event.composedPath()[0]
    if (isTextField(target) || target.closest?.(ELSEWHERE) || belongsTo(target, event.key)) return
    if (!this.take(event)) return
    event.preventDefault()
    event.stopImmediatePropagation()
  }

  // Returns true for a key of the desk.
  take({ key, repeat }) {
    if (key === "Escape") return this.on.escape()
    if (/^[1-9]$/.test(key)) {
      this.on.number(Number(key))
      return true
    }
    const action = this.keys.action(key)
    if (action && (!repeat || REPEATED.includes(action))) this.on.act(action)
    return !!action
  }
}

// A control that was reached with Tab takes its own keys.
function belongsTo(target, key) {
  if (target.closest?.("[role=slider], input[type=range]") && key.startsWith("Arrow")) return true
  return (key === "Enter" || key === " ") && !!target.closest?.(NATIVE) && target.matches(":focus-visible")
}
