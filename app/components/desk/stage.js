// The sound in focus: spectrogram with axes, playhead, zoom and pan, selection and loop, controls.

import { clock, element } from "../shared/dom.js"

const SPEEDS = [0.25, 0.5, 0.75, 1, 1.25, 1.5, 2]
const STEP_S = 1, DRAG_PX = 5, MAX_TICKS = 9, SHORTEST_VIEW_S = 0.2, SHORTEST_LOOP_S = 0.05
const TICK_STEPS = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800]
const PLAY = "M8 5v14l11-7z", PAUSE = "M6 5h4v14H6zm8 0h4v14h-4z"

export class Stage {
  // `media` gives a sound's audio and picture; `onView` is told of each change of zoom and pan.
  constructor(root, media, say) {
    const find = selector => root.querySelector(selector)
    Object.assign(this, {
      media, say, box: find(".stage"), screen: find(".screen"), film: find(".film"), playhead: find(".playhead"), area: find(".area"),
      axis: find(".axis"), ticks: find(".ticks"), clock: find(".clock"), playButton: find(".play"), icon: find(".icon"), loopButton: find(".loop"),
      volume: find(".volume input"), speedText: find(".speed"), failure: find(".failure"), range: find(".range"),
    })
    this.speed = 1
    this.loop = false
    this.view = [0, 1]
    this.playButton.onclick = () => this.toggle()
    this.loopButton.onclick = () => this.toggleLoop()
    this.volume.oninput = () => this.audio && (this.audio.volume = Number(this.volume.value))
    for (const [name, act] of Object.entries({
      slower: () => this.changeSpeed(-1), faster: () => this.changeSpeed(1), "zoom-in": () => this.zoom(2), "zoom-out": () => this.zoom(0.5),
      "pan-left": () => this.pan(-0.5), "pan-right": () => this.pan(0.5),
    })) find(`.${name}`).onclick = act
    this.screen.onkeydown = event => this.key(event)
    this.screen.onpointerdown = event => this.press(event)
    this.screen.ondblclick = () => this.select(null)
    this.box.addEventListener("wheel", event => this.wheel(event), { passive: false })
  }

  show(sound) {
    if (this.sound?.id === sound.id && this.sound.audio === sound.audio) return
    this.leave()
    this.sound = sound
    this.seconds = sound.seconds || 0.001
    this.selection = null
    this.until = null
    const { audio, picture } = this.media.get(sound)
    this.audio = audio
    this.picture = picture
    picture.className = "picture"
    picture.alt = `Spectrogram of ${sound.title}`
    picture.draggable = false
    this.film.querySelector(".picture")?.remove()
    this.film.prepend(picture)
    this.film.hidden = !sound.picture
    this.listen()
    this.axis.replaceChildren(...sound.axis.map(([text, height]) => {
      const label = element("span", "", text)
      label.style.bottom = `${100 * height}%`
      return label
    }))
    this.screen.setAttribute("aria-label", `Position in ${sound.title}`)
    this.screen.setAttribute("aria-valuemax", this.seconds.toFixed(1))
    this.failure.hidden = !sound.missing
    this.failure.textContent = sound.missing
    picture.onerror = () => this.sayNoPicture()
    if (sound.picture && picture.complete && !picture.naturalWidth) this.sayNoPicture()
    this.setView(0, this.seconds)
    this.draw()
  }

  listen() {
    const { audio } = this
    audio.playbackRate = this.speed
    audio.volume = Number(this.volume.value)
    audio.onplay = () => {
      window.earmarkPlaying?.audio !== audio && window.earmarkPlaying?.audio.pause() // one sound at a time, on the whole page
      window.earmarkPlaying = { audio }
      this.follow()
    }
    audio.onpause = audio.onseeked = audio.onloadedmetadata = () => this.draw()
    audio.ontimeupdate = () => this.keepInside()
    audio.onended = () => this.ended()
    audio.onerror = () => {
      this.failure.textContent = "This sound cannot be played: its file is missing, or this browser does not know its format."
      this.failure.hidden = false
    }
  }

  sayNoPicture() {
    if (!this.sound?.picture) return
    this.film.hidden = true
    this.failure.textContent ||= "The spectrogram of this sound is missing."
    this.failure.hidden = false
  }

  leave() {
    if (!this.audio) return
    this.picture.onerror = null
    this.audio.pause()
    for (const event of ["play", "pause", "seeked", "loadedmetadata", "timeupdate", "ended", "error"]) this.audio[`on${event}`] = null
    this.audio = this.sound = null // shown again, the sound is listened to again
  }

  // From the beginning of the sound.
  start() {
    if (!this.sound.audio) return
    if (this.audio.readyState) this.audio.currentTime = 0
    this.media.get(this.sound).play()
  }

  toggle() {
    if (!this.audio.paused) return this.audio.pause()
    const [from, to] = this.selection ?? [0, this.seconds], at = this.audio.currentTime
    this.until = null
    if (at < from || at >= to - 0.01) this.seek(from)
    this.media.get(this.sound).play()
  }

  // Plays from `from` to `to` once.
  playPart(from, to) {
    this.seek(from)
    this.until = to
    this.media.get(this.sound).play()
  }

  keepInside() {
    const at = this.audio.currentTime, end = this.until ?? this.selection?.[1]
    if (end != null && at >= end && !this.audio.paused) {
      if (this.loop && this.until === null) this.audio.currentTime = this.selection[0]
      else {
        this.audio.pause()
        this.until = null
      }
    }
    this.draw()
  }

  ended() {
    if (this.loop && this.until === null) {
      this.audio.currentTime = this.selection?.[0] ?? 0
      this.media.get(this.sound).play()
    }
    this.draw()
  }

  follow() {
    if (!this.audio || this.audio.paused || !this.box.isConnected) return
    this.keepInside()
    requestAnimationFrame(() => this.follow())
  }

  seek(seconds) {
    this.until = null
    const at = Math.min(this.seconds, Math.max(0, seconds))
    this.audio.currentTime = at
    this.reveal(at)
    this.draw()
  }

  toggleLoop() {
    this.loop = !this.loop
    this.loopButton.setAttribute("aria-pressed", this.loop)
    this.say(this.loop ? "Loop on" : "Loop off")
  }

  changeSpeed(step) {
    this.speed = SPEEDS[Math.min(SPEEDS.length - 1, Math.max(0, SPEEDS.indexOf(this.speed) + step))]
    this.speedText.textContent = `${this.speed}×`
    if (this.audio) this.audio.playbackRate = this.speed
    this.say(`Speed ${this.speed}`)
  }

  // Selection: what the loop repeats and playing is limited to.

  select(part) {
    this.selection = part && part[1] - part[0] >= SHORTEST_LOOP_S ? part : null
    if (this.selection && !this.loop) this.toggleLoop()
    this.draw()
  }

  selectEdge(isEnd) {
    const at = this.audio.currentTime, [from, to] = this.selection ?? [0, this.seconds]
    this.select(isEnd ? [Math.min(from, at), at] : [at, Math.max(to, at)])
  }

  press(event) {
    if (event.button || event.pointerType === "touch" || !this.sound) return this.touch(event)
    const x = event.clientX, origin = this.time(event)
    let isDrawing = false
    this.screen.setPointerCapture(event.pointerId)
    this.screen.onpointermove = moved => {
      isDrawing ||= Math.abs(moved.clientX - x) > DRAG_PX
      if (isDrawing) {
        this.selection = [origin, this.time(moved)].sort((one, other) => one - other)
        this.draw()
      }
    }
    this.screen.onpointerup = this.screen.onpointercancel = () => {
      this.screen.onpointermove = this.screen.onpointerup = this.screen.onpointercancel = null
      if (isDrawing) this.select(this.selection)
      else this.seek(origin)
    }
  }

  touch(event) {
    if (!event.button) this.seek(this.time(event))
  }

  time(event) {
    const box = this.screen.getBoundingClientRect(), share = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width))
    return this.view[0] + share * (this.view[1] - this.view[0])
  }

  key(event) {
    const steps = { ArrowLeft: -STEP_S, ArrowRight: STEP_S, ArrowDown: -STEP_S, ArrowUp: STEP_S }
    if (event.key in steps) this.seek(this.audio.currentTime + steps[event.key])
    else if (event.key === "Home") this.seek(0)
    else if (event.key === "End") this.seek(this.seconds)
    else return
    event.preventDefault()
    event.stopPropagation()
  }

  // View: the stretch of time that is shown.

  setView(from, to) {
    const width = Math.min(this.seconds, Math.max(Math.min(SHORTEST_VIEW_S, this.seconds), to - from))
    const start = Math.min(this.seconds - width, Math.max(0, from))
    this.view = [start, start + width]
    this.box.style.setProperty("--zoom", this.seconds / width)
    this.box.style.setProperty("--start", start / this.seconds)
    this.range.textContent = width < this.seconds ? `${clock(start)} to ${clock(start + width)}` : "Whole sound"
    this.drawTicks()
  }

  zoom(factor, at = this.centre()) {
    const [from, to] = this.view, width = (to - from) / factor, share = (at - from) / (to - from)
    this.setView(at - share * width, at + (1 - share) * width)
  }

  centre() {
    const at = this.audio?.currentTime ?? 0, [from, to] = this.view
    return at >= from && at <= to && at > 0 ? at : (from + to) / 2
  }

  pan(share) {
    const [from, to] = this.view
    this.setView(from + share * (to - from), to + share * (to - from))
  }

  // Moves the view along where the playhead has left it.
  reveal(at) {
    const [from, to] = this.view
    if (at < from || at > to) this.setView(at - 0.1 * (to - from), at + 0.9 * (to - from))
  }

  wheel(event) {
    if (!this.sound) return
    const isZoomed = this.view[1] - this.view[0] < this.seconds - 0.001
    const isSideways = event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)
    if (!isZoomed && (isSideways || event.deltaY > 0)) return // the page scrolls
    event.preventDefault()
    if (isSideways) this.pan(Math.sign(event.deltaX || event.deltaY) * 0.15)
    else this.zoom(event.deltaY < 0 ? 1.25 : 0.8, this.time(event))
  }

  drawTicks() {
    const [from, to] = this.view, step = TICK_STEPS.find(each => (to - from) / each <= MAX_TICKS) ?? 3600
    const digits = step < 0.1 ? 2 : step < 1 ? 1 : 0
    const first = Math.ceil(from / step - 1e-6), count = Math.floor((to - from) / step + 1e-6) + 1
    this.ticks.replaceChildren(...Array.from({ length: count }, (_, place) => (first + place) * step).filter(at => at <= to + 1e-6).map(at => {
      const tick = element("span", "", at >= 60 ? clock(at) : `${at.toFixed(digits)} s`)
      tick.style.left = `${100 * (at - from) / (to - from)}%`
      return tick
    }))
  }

  draw() {
    if (!this.audio) return
    const at = this.audio.currentTime, isPlaying = !this.audio.paused, [from, to] = this.selection ?? [0, 0]
    if (isPlaying) this.reveal(at)
    this.icon.setAttribute("d", isPlaying ? PAUSE : PLAY)
    this.playButton.setAttribute("aria-label", `${isPlaying ? "Pause" : "Play"} ${this.sound.title}`)
    this.box.style.setProperty("--at", Math.min(1, at / this.seconds))
    this.area.hidden = !this.selection
    this.area.style.left = `${100 * from / this.seconds}%`
    this.area.style.width = `${100 * (to - from) / this.seconds}%`
    this.clock.textContent = `${clock(at)} of ${clock(this.seconds)}`
    this.screen.setAttribute("aria-valuenow", at.toFixed(1))
    this.screen.setAttribute("aria-valuetext", `${at.toFixed(1)} seconds`)
  }
}
