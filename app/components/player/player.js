import { clock, element } from "../shared/dom.js"
import { load } from "../shared/mount.js"
import { Playback, SPEEDS } from "../shared/playback.js"
import { Activations } from "./activations.js"
import { EventList } from "./event_list.js"
import { Selection } from "./selection.js"
import { silenceIn } from "./silence.js"
import { Timeline } from "./timeline.js"

const PLAY = "M8 5v14l11-7z", PAUSE = "M6 5h4v14H6zm8 0h4v14h-4z"
const STEP_S = 1
const players = new WeakMap()
const mount = await load(import.meta.url)

class Player {
  constructor(root) {
    const find = selector => root.querySelector(selector)
    Object.assign(this, {
      root: find(".player"), screen: find(".screen"), playhead: find(".playhead"), hover: find(".hover"), clock: find(".clock"), picture: find(".picture"),
      title: find(".title"), facts: find(".facts"), axis: find(".axis"), playButton: find(".play"), icon: find(".icon"), controls: find(".controls"), frame: find(".frame"),
      loop: find(".loop"), speed: find(".speed"), volume: find(".volume"), failure: find(".failure"), rows: find(".rows"), at: 0,
    })
    this.playback = new Playback(find("audio"), at => this.draw(at), reason => this.fail(reason))
    const playPart = (from, to) => this.playPart(from, to)
    this.activations = new Activations(this.rows, playPart)
    this.events = new EventList(find(".events"), playPart)
    this.timeline = new Timeline(root, view => this.activations.setView(view))
    this.selection = new Selection(root, this)
    this.#connectControls()
    this.#connectScreen()
  }

  #connectControls() {
    this.playButton.onclick = () => this.playback.toggle()
    this.loop.onclick = () => {
      this.playback.setLooping(!this.playback.looping)
      this.loop.setAttribute("aria-pressed", this.playback.looping)
    }
    this.speed.replaceChildren(...SPEEDS.map(speed => element("option", "", speed + "×", { value: speed })))
    this.speed.value = 1
    this.speed.onchange = () => this.playback.setSpeed(Number(this.speed.value))
    this.volume.value = this.playback.volume
    this.volume.oninput = () => this.playback.setVolume(Number(this.volume.value))
  }

  #connectScreen() {
    this.screen.onpointermove = event => { this.hover.style.left = 100 * this.share(event) + "%" }
    this.screen.onclick = event => {
      if (!this.ignoreClick) this.playback.seek(this.share(event) * this.seconds)
      this.ignoreClick = false
    }
    this.screen.onkeydown = event => this.key(event)
    this.picture.onload = () => {
      this.picture.style.visibility = ""
      this.activations.setSilence(silenceIn(this.picture))
    }
    this.picture.onerror = () => {
      this.picture.style.visibility = "hidden"
      this.fail("The spectrogram of this sound is missing.")
    }
  }

  show(data, onSelect) {
    this.seconds = data.seconds || 0.001
    this.root.classList.toggle("compact", !!data.compact)
    this.playback.open(data.audio, this.seconds)
    this.#showPicture(data)
    this.#showTexts(data)
    this.activations.show({ ...data, seconds: this.seconds })
    this.events.show(this.activations.rows, { ...data, seconds: this.seconds })
    this.timeline.show(this.seconds)
    this.selection.show({ ...data, seconds: this.seconds }, onSelect)
    this.draw()
    if (data.plays) this.playback.play()
  }

  #showPicture({ picture, axis }) {
    if (this.picture.getAttribute("src") !== picture) this.picture.src = picture
    this.axis.replaceChildren(...axis.map(([text, height]) => {
      const label = element("span", "", text)
      label.style.bottom = 100 * height + "%"
      return label
    }))
  }

  #showTexts({ title, facts }) {
    this.picture.alt = "Spectrogram of " + title
    this.title.textContent = this.title.title = title
    this.facts.textContent = facts
    this.name = title
    const names = [[this.controls, "Playback of"], [this.loop, "Repeat"], [this.speed, "Speed of"], [this.volume, "Volume of"], [this.screen, "Position in"], [this.rows, "Suggested tags of"]]
    names.forEach(([node, words]) => node.setAttribute("aria-label", `${words} ${title}`))
    this.timeline.closer.setAttribute("aria-label", "Zoom in on " + title)
    this.timeline.wider.setAttribute("aria-label", "Zoom out of " + title)
    this.screen.setAttribute("aria-valuemax", this.seconds.toFixed(1))
  }

  // The share of the sound under the pointer.
  share(event) {
    const box = this.screen.getBoundingClientRect()
    return Math.min(1, Math.max(0, (event.clientX - box.left) / box.width))
  }

  playPart(from, to) {
    this.timeline.reveal(from)
    this.playback.playPart(from, to)
  }

  fail(reason) {
    this.failure.textContent = reason
    this.failure.hidden = !reason
  }

  key(event) {
    const zooms = { "+": 2, "=": 2, "-": 0.5 }
    const at = this.playback.audio.currentTime
    const targets = { ArrowLeft: at - STEP_S, ArrowRight: at + STEP_S, Home: 0, End: this.seconds }
    if (event.ctrlKey || event.metaKey || event.altKey) return
    if (event.key === " ") this.playback.toggle()
    else if (event.key in zooms) this.timeline.zoomTo(this.timeline.zoom * zooms[event.key])
    else if (event.key in targets) {
      this.playback.seek(targets[event.key])
      this.timeline.reveal(targets[event.key])
    } else return
    event.preventDefault()
  }

  draw(at = this.playback.audio.currentTime) {
    const { isPlaying } = this.playback
    this.icon.setAttribute("d", isPlaying ? PAUSE : PLAY)
    this.playButton.setAttribute("aria-label", `${isPlaying ? "Pause" : "Play"} ${this.name}`)
    this.playhead.style.left = 100 * Math.min(1, at / this.seconds) + "%"
    this.clock.textContent = `${clock(at)} / ${clock(this.seconds)}`
    this.screen.setAttribute("aria-valuenow", at.toFixed(1))
    this.screen.setAttribute("aria-valuetext", `${at.toFixed(1)} of ${this.seconds.toFixed(1)} seconds`)
    if (isPlaying) this.timeline.follow(this.at, at)
    this.at = at
  }
}

export default function ({ data: [data], parentElement, setStateValue }) {
  if (!players.has(parentElement)) {
    mount(parentElement)
    players.set(parentElement, new Player(parentElement))
  }
  const player = players.get(parentElement)
  player.show(data, part => setStateValue("selection", part))
  // Streamlit also calls this when two reruns follow each other closely: only a player that is really gone falls silent.
  return () => setTimeout(() => player.root.isConnected || player.playback.audio.pause())
}
