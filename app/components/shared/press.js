// Where a press of a mouse button or a finger is under way, what would move the page waits for its end.

let isDown = false
window.addEventListener("pointerdown", () => { isDown = true }, true)
for (const end of ["pointerup", "pointercancel"]) window.addEventListener(end, () => { isDown = false }, true)

// Calls `before` when the press ends, before its click; and `after` when the click was dispatched.
export function whenPressEnds(before, after) {
  if (!isDown) {
    before()
    return after()
  }
  const ends = ["pointerup", "pointercancel"]
  const ended = () => {
    ends.forEach(end => window.removeEventListener(end, ended, true))
    before()
    setTimeout(after)
  }
  ends.forEach(end => window.addEventListener(end, ended, true))
}
