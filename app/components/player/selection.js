// A part of the sound, chosen with two handles over the picture, by mouse, finger or keys. Where Python
// does not ask for one, a mouse can still draw a part, to hear it again and again.

const STEP_S = 1
const FINE_STEP_S = 0.1
const DRAG_PX = 5
const SHORTEST_S = 0.05

// `onSelect` is called when a person lets go, not on the way.
export class Selection {
  constructor(root, player) {
    const find = selector => root.querySelector(selector)
    Object.assign(this, {
      player, box: find(".selection"), before: find(".before"), after: find(".after"), summary: find(".summary"), line: find(".part"),
      whole: find(".whole"), handles: [find(".start"), find(".end")], part: [0, 0], seconds: 0,
    })
    this.handles.forEach((handle, which) => {
      handle.onpointerdown = event => this.drag(event, which)
      handle.onkeydown = event => this.key(event, which)
      handle.onkeyup = handle.onblur = () => this.commit()
      handle.ondblclick = () => this.clear()
    })
    this.whole.onclick = () => this.clear()
  }

  show({ selectable, seconds, audio }, onSelect) {
    this.onSelect = onSelect
    this.isLocal = !selectable
    this.player.screen.onpointerdown = event => this.drawNew(event)
    this.player.screen.ondblclick = () => this.clear()
    this.seconds = seconds
    this.shortest = selectable?.shortest ?? SHORTEST_S
    const shown = JSON.stringify([audio, selectable?.start])
    if (this.shown !== shown) {
      this.shown = shown
      this.start = selectable?.start
      this.audio = audio
      this.part = this.last = selectable?.current ?? [0, seconds]
      this.player.playback.choose(this.selectedPart)
    }
    this.draw()
  }

  get selectedPart() {
    const [from, to] = this.part
    return from > 0 || to < this.seconds ? this.part : null
  }

  put(which, at) {
    const [from, to] = this.part
    const rounded = value => Math.round(value * 1000) / 1000
    this.part = which === 0
      ? [Math.max(0, Math.min(rounded(at), to - this.shortest)), to]
      : [from, at >= this.seconds ? this.seconds : Math.min(this.seconds, Math.max(rounded(at), from + this.shortest))]
    this.draw()
  }

  commit() {
    const [from, to] = this.part
    if (this.dragging || (from === this.last[0] && to === this.last[1])) return
    this.last = this.part
    this.player.playback.choose(this.selectedPart)
    if (!this.isLocal) this.onSelect({ audio: this.audio, start: this.start, part: this.selectedPart })
  }

  clear() {
    this.part = [0, this.seconds]
    this.draw()
    this.commit()
  }

  drag(event, which) {
    if (event.button) return
    event.preventDefault()
    const handle = this.handles[which]
    handle.focus({ preventScroll: true })
    this.follow(handle, event, moved => this.put(which, this.player.share(moved) * this.seconds))
  }

  // A mouse may also draw a new part over the picture; a finger there scrolls the page.
  drawNew(event) {
    this.player.ignoreClick = false
    if (event.button || event.pointerType === "touch") return
    const origin = this.player.share(event) * this.seconds, x = event.clientX
    let drawing = false
    this.follow(this.player.screen, event, moved => {
      drawing ||= Math.abs(moved.clientX - x) > DRAG_PX
      if (!drawing) return
      this.player.ignoreClick = true
      const ends = [origin, this.player.share(moved) * this.seconds].sort((a, b) => a - b)
      this.part = [0, this.seconds]
      this.put(0, ends[0])
      this.put(1, ends[1])
    })
  }

  follow(element, event, move) {
    this.dragging = true
    element.setPointerCapture(event.pointerId)
    element.addEventListener("pointermove", move)
    const done = () => {
      element.removeEventListener("pointermove", move)
      element.removeEventListener("pointerup", done)
      element.removeEventListener("pointercancel", done)
      this.dragging = false
      this.commit()
    }
    element.addEventListener("pointerup", done)
    element.addEventListener("pointercancel", done)
  }

  key(event, which) {
    const step = event.shiftKey ? STEP_S : FINE_STEP_S
    const steps = { ArrowLeft: -step, ArrowDown: -step, ArrowRight: step, ArrowUp: step, PageDown: -STEP_S, PageUp: STEP_S }
    if (event.key in steps) this.put(which, this.part[which] + steps[event.key])
    else if (event.key === "Home") this.put(which, 0)
    else if (event.key === "End") this.put(which, this.seconds)
    else if (event.key === "Escape" || event.key === "Delete") this.clear()
    else if (event.key === " ") this.player.playback.toggle()
    else return
    event.preventDefault()
  }

  draw() {
    this.box.hidden = this.line.hidden = this.isLocal && !this.selectedPart
    const [from, to] = this.part, share = at => 100 * at / this.seconds + "%"
    this.handles[0].style.left = this.before.style.width = share(from)
    this.handles[1].style.left = share(to)
    this.after.style.width = share(this.seconds - to)
    this.handles.forEach((handle, which) => {
      const low = which ? from + this.shortest : 0, high = which ? this.seconds : to - this.shortest
      handle.setAttribute("aria-valuemin", low.toFixed(2))
      handle.setAttribute("aria-valuemax", high.toFixed(2))
      handle.setAttribute("aria-valuenow", this.part[which].toFixed(2))
      handle.setAttribute("aria-valuetext", this.part[which].toFixed(2) + " seconds")
    })
    this.whole.hidden = !this.selectedPart
    this.summary.textContent = this.selectedPart
      ? `Part from ${from.toFixed(2)} s to ${to.toFixed(2)} s (${(to - from).toFixed(2)} s)`
      : "Whole sound; drag a handle to choose a part"
  }
}
