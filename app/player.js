const PLAY = "M8 5v14l11-7z", PAUSE = "M6 5h4v14H6zm8 0h4v14h-4z"
const SPEEDS = [1, 1.5, 2, 0.5, 0.75]
const STEP_S = 1
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

class Player {
  constructor(root) {
    const find = selector => root.querySelector(selector)
    Object.assign(this, {
      audio: find("audio"), screen: find(".screen"), playhead: find(".playhead"), hover: find(".hover"), clock: find(".clock"),
      picture: find(".picture"), title: find(".title"), facts: find(".facts"), rows: find(".rows"), axis: find(".axis"),
      playButton: find(".play"), icon: find(".icon"), loop: find(".loop"), speed: find(".speed"), failure: find(".failure"),
    })
    this.playButton.onclick = () => this.toggle()
    this.loop.onclick = () => {
      this.audio.loop = !this.audio.loop
      this.loop.setAttribute("aria-pressed", this.audio.loop)
    }
    this.speed.onclick = () => {
      this.audio.playbackRate = SPEEDS[(SPEEDS.indexOf(this.audio.playbackRate) + 1) % SPEEDS.length]
      this.speed.textContent = this.audio.playbackRate + "×"
    }
    this.screen.onpointermove = event => { this.hover.style.left = 100 * this.share(event) + "%" }
    this.screen.onclick = event => this.seek(this.share(event) * this.seconds)
    this.screen.onkeydown = event => this.key(event)
    this.audio.onplay = () => {
      window.earmarkPlaying?.audio !== this.audio && window.earmarkPlaying?.audio.pause()
      window.earmarkPlaying = this
      this.failure.hidden = true
      this.draw()
      this.follow()
    }
    this.audio.onpause = this.audio.onended = () => this.draw()
    this.audio.ontimeupdate = () => this.draw()
    this.audio.onerror = () => {
      this.failure.textContent = "This sound cannot be played in this browser."
      this.failure.hidden = false
      this.draw()
    }
  }

  show(data) {
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
    this.draw()
  }

  share(event) {
    const box = this.screen.getBoundingClientRect()
    return Math.min(1, Math.max(0, (event.clientX - box.left) / box.width))
  }

  toggle() {
    this.audio.paused ? this.audio.play().catch(() => {}) : this.audio.pause()
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

export default function ({ data, parentElement }) {
  if (!players.has(parentElement)) players.set(parentElement, new Player(parentElement))
  const player = players.get(parentElement)
  player.show(data)
  // Streamlit also calls this when two reruns follow each other closely: only a player that is really gone falls silent.
  return () => setTimeout(() => player.audio.isConnected || player.audio.pause())
}
