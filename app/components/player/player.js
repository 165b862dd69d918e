const PLAY = "M8 5v14l11-7z", PAUSE = "M6 5h4v14H6zm8 0h4v14h-4z"
const SPEEDS = [1, 1.5, 2, 0.5, 0.75]
const STEP_S = 1
const FINE_STEP_S = 0.1
const DRAG_PX = 5
const players = new WeakMap()

function format(seconds) {
  const whole = Math.floor(seconds)
  return seconds < 60 ? seconds.toFixed(1) + " s" : Math.floor(whole / 60) + ":" + String(whole % 60).padStart(2, "0")
}

function strip(stops) {
  // Stops are [share of the clip, level]; between window centres the level is interpolated.
  if (!stops.length) return ""
  const colour = level => `color-mix(in srgb, var(--st-primary-color) ${Math.round(level * 100)}%, transparent)`
  const points = stops.length === 1 ? [[0, stops[0][1]], [1, stops[0][1]]] : stops
  return `linear-gradient(to right, ${points.map(([at, level]) => `${colour(level)} ${at * 100}%`).join(", ")})`
}

function rowElement({ tag, probability, above, stops }) {
  const row = document.createElement("div")
  row.className = "row " + (above ? "above" : "below")
  const name = document.createElement("span")
  name.className = "tag"
  name.textContent = name.title = tag
  const bar = document.createElement("span")
  bar.className = "strip"
  bar.style.backgroundImage = strip(stops)
  const number = document.createElement("span")
  number.className = "number"
  number.textContent = Math.round(probability * 100) + "%"
  row.title = above ? "Suggested: above this tag's threshold" : "Not suggested: below this tag's threshold"
  row.append(name, bar, number)
  return row
}

// Two handles over the picture. `onSelect` is called when a person lets go, not on the way.
class Selection {
  constructor(root, player) {
    const find = selector => root.querySelector(selector)
    Object.assign(this, {
      player, box: find(".selection"), before: find(".before"), after: find(".after"), summary: find(".summary"), line: find(".part"),
      whole: find(".whole"), handles: [find(".start"), find(".end")], part: [0, 0], active: false,
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
    this.active = !!selectable
    this.box.hidden = this.line.hidden = !this.active
    this.player.screen.onpointerdown = this.active ? event => this.drawNew(event) : null
    this.player.screen.ondblclick = this.active ? () => this.clear() : null
    if (!this.active) return
    this.seconds = seconds
    this.shortest = selectable.shortest
    const shown = JSON.stringify([audio, selectable.start])
    if (this.shown !== shown) {
      this.shown = shown
      this.start = selectable.start
      this.audio = audio
      this.part = this.last = selectable.current ?? [0, seconds]
    }
    this.draw()
  }

  get selectedPart() {
    const [from, to] = this.part
    return this.active && (from > 0 || to < this.seconds) ? this.part : null
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
    this.player.pauseOutside()
    this.onSelect({ audio: this.audio, start: this.start, part: this.selectedPart })
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
    else if (event.key === " ") this.player.toggle()
    else return
    event.preventDefault()
  }

  draw() {
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

class Player {
  constructor(root) {
    const find = selector => root.querySelector(selector)
    Object.assign(this, {
      audio: find("audio"), screen: find(".screen"), playhead: find(".playhead"), hover: find(".hover"), clock: find(".clock"),
      picture: find(".picture"), title: find(".title"), facts: find(".facts"), rows: find(".rows"), axis: find(".axis"),
      playButton: find(".play"), icon: find(".icon"), loop: find(".loop"), speed: find(".speed"), failure: find(".failure"),
    })
    this.looping = false
    this.selection = new Selection(root, this)
    this.playButton.onclick = () => this.toggle()
    this.loop.onclick = () => {
      this.looping = !this.looping
      this.loop.setAttribute("aria-pressed", this.looping)
      this.audio.loop = this.looping && !this.selection.selectedPart
    }
    this.speed.onclick = () => {
      this.audio.playbackRate = SPEEDS[(SPEEDS.indexOf(this.audio.playbackRate) + 1) % SPEEDS.length]
      this.speed.textContent = this.audio.playbackRate + "×"
    }
    this.screen.onpointermove = event => { this.hover.style.left = 100 * this.share(event) + "%" }
    this.screen.onclick = event => {
      if (!this.ignoreClick) this.seek(this.share(event) * this.seconds)
      this.ignoreClick = false
    }
    this.screen.onkeydown = event => this.key(event)
    this.audio.onplay = () => {
      window.earmarkPlaying?.audio !== this.audio && window.earmarkPlaying?.audio.pause()
      window.earmarkPlaying = this
      this.failure.hidden = true
      this.draw()
      this.follow()
    }
    this.audio.onpause = () => this.draw()
    this.audio.onended = () => {
      this.keepInside()
      this.draw()
    }
    this.audio.ontimeupdate = () => {
      this.keepInside()
      this.draw()
    }
    this.audio.onerror = () => {
      this.failure.textContent = "This sound cannot be played in this browser."
      this.failure.hidden = false
      this.draw()
    }
  }

  show(data, onSelect) {
    this.seconds = data.seconds || 0.001
    if (this.source !== data.audio) {
      this.source = this.audio.src = data.audio
      this.position = 0
    }
    this.picture.src = data.picture
    this.picture.alt = "Spectrogram of " + data.title
    this.title.textContent = data.title
    this.facts.textContent = data.facts
    this.playLabel = data.title
    this.screen.setAttribute("aria-label", "Position in " + data.title)
    this.screen.setAttribute("aria-valuemax", this.seconds.toFixed(1))
    this.rows.replaceChildren(...data.rows.map(rowElement))
    this.axis.replaceChildren(...data.axis.map(([text, height]) => {
      const label = document.createElement("span")
      label.textContent = text
      label.style.bottom = 100 * height + "%"
      return label
    }))
    this.selection.show({ ...data, seconds: this.seconds }, onSelect)
    this.audio.loop = this.looping && !this.selection.selectedPart
    this.draw()
  }

  share(event) {
    const box = this.screen.getBoundingClientRect()
    return Math.min(1, Math.max(0, (event.clientX - box.left) / box.width))
  }

  toggle() {
    if (!this.audio.paused) return this.audio.pause()
    const part = this.selection.selectedPart, at = this.audio.currentTime
    if (part && (at < part[0] || at >= part[1] || this.audio.ended)) this.seek(part[0])
    this.audio.play().catch(() => {})
  }

  // With a part chosen, playing ends where it ends, or begins anew there.
  keepInside() {
    const part = this.selection.selectedPart
    if (!part || (this.audio.paused && !this.audio.ended) || (this.audio.currentTime < part[1] && !this.audio.ended)) return
    if (!this.looping) this.audio.pause()
    this.audio.currentTime = part[0]
    if (this.looping && this.audio.paused) this.audio.play().catch(() => {})
  }

  pauseOutside() {
    const part = this.selection.selectedPart, at = this.audio.currentTime
    this.audio.loop = this.looping && !part
    if (part && (at < part[0] || at >= part[1])) this.audio.pause()
  }

  seek(seconds) {
    const target = Math.min(this.seconds, Math.max(0, seconds))
    if (this.audio.readyState) this.audio.currentTime = target
    else {
      this.audio.addEventListener("loadedmetadata", () => { this.audio.currentTime = target }, { once: true })
      this.audio.load()
    }
    this.draw(target)
  }

  key(event) {
    const steps = { ArrowLeft: -STEP_S, ArrowRight: STEP_S }
    if (event.key === " ") this.toggle()
    else if (event.key === "Home") this.seek(0)
    else if (event.key in steps) this.seek(this.audio.currentTime + steps[event.key])
    else return
    event.preventDefault()
  }

  follow() {
    if (this.audio.paused) return
    this.keepInside()
    this.draw()
    requestAnimationFrame(() => this.follow())
  }

  draw(at = this.audio.currentTime) {
    const playing = !this.audio.paused
    this.icon.setAttribute("d", playing ? PAUSE : PLAY)
    this.playButton.setAttribute("aria-label", (playing ? "Pause " : "Play ") + this.playLabel)
    this.playhead.style.left = 100 * Math.min(1, at / this.seconds) + "%"
    this.clock.textContent = format(at) + "\n" + format(this.seconds)
    this.screen.setAttribute("aria-valuenow", at.toFixed(1))
  }
}

export default function ({ data: [data], parentElement, setStateValue }) {
  if (!players.has(parentElement)) players.set(parentElement, new Player(parentElement))
  const player = players.get(parentElement)
  player.show(data, part => setStateValue("selection", part))
  // Streamlit also calls this when two reruns follow each other closely: only a player that is really gone falls silent.
  return () => setTimeout(() => player.audio.isConnected || player.audio.pause())
}
