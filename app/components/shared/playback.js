// An audio element that plays a sound or a part of it; one sound at a time on the whole page.

export const SPEEDS = [0.25, 0.5, 0.75, 1, 1.25, 1.5, 2]
const MAX_TRIES = 4
const RETRY_MS = 1500

// Chosen once for all players of the page.
const preferences = { volume: 1 }

// Returns the address of a sound that this browser can play: its AAC twin where that is not Ogg.
export function playable(url) {
  const playsOgg = document.createElement("audio").canPlayType('audio/ogg; codecs="vorbis"')
  return playsOgg ? url : url.replace(/\.ogg$/, ".m4a")
}

export class Playback {
  // `onChange` is called when something to be drawn has changed, `onFailure` with a sentence or "".
  constructor(audio, onChange, onFailure) {
    Object.assign(this, { audio, onChange, onFailure, looping: false, chosen: null, event: null })
    audio.onplay = () => this.#started()
    audio.onpause = () => onChange()
    audio.onended = audio.ontimeupdate = () => {
      this.#keepInside()
      onChange()
    }
    audio.onerror = () => this.#failed()
  }

  open(url, seconds) {
    this.seconds = seconds
    if (this.url === url) return
    this.url = url
    this.tries = 0
    this.event = null
    this.audio.src = playable(url)
  }

  // The part that is played: an event that was pressed, else the chosen one, else the whole.
  get part() {
    return this.event ?? this.chosen
  }

  get isPlaying() {
    return !this.audio.paused
  }

  choose(part) {
    this.chosen = part
    this.event = null
    this.#setLoop()
    if (this.isPlaying && this.#isOutside(part)) this.audio.pause()
  }

  toggle() {
    if (this.isPlaying) return this.audio.pause()
    if (this.#isOutside(this.part)) this.event = null
    if (this.chosen && this.#isOutside(this.chosen)) this.seek(this.chosen[0])
    this.play()
  }

  // Plays from `from` to `to`; then the whole sound is open again.
  playPart(from, to) {
    this.event = [from, to]
    this.#setLoop()
    this.seek(from)
    this.play()
  }

  play() {
    this.audio.play().catch(() => {})
  }

  seek(seconds) {
    const target = Math.min(this.seconds, Math.max(0, seconds))
    if (this.event && (target < this.event[0] || target >= this.event[1])) this.event = null
    if (this.audio.readyState) this.audio.currentTime = target
    else {
      this.audio.addEventListener("loadedmetadata", () => { this.audio.currentTime = target }, { once: true })
      this.audio.load()
    }
    this.onChange(target)
  }

  setLooping(looping) {
    this.looping = looping
    this.#setLoop()
  }

  setSpeed(speed) {
    this.audio.defaultPlaybackRate = this.audio.playbackRate = speed
  }

  get volume() {
    return preferences.volume
  }

  setVolume(volume) {
    preferences.volume = this.audio.volume = volume
  }

  #setLoop() {
    this.audio.loop = this.looping && !this.part
  }

  #isOutside(part) {
    const at = this.audio.currentTime
    return !!part && (at < part[0] || at >= part[1] || this.audio.ended)
  }

  #started() {
    if (window.earmarkPlaying?.audio !== this.audio) window.earmarkPlaying?.audio.pause()
    window.earmarkPlaying = this
    this.audio.volume = preferences.volume
    this.onFailure("")
    this.#follow()
  }

  // Until it stops: the playhead moves with each frame, not four times a second.
  #follow() {
    if (!this.isPlaying) return
    this.#keepInside()
    this.onChange()
    requestAnimationFrame(() => this.#follow())
  }

  // With a part, playing ends where it ends, or begins anew there.
  #keepInside() {
    const { audio, part } = this
    if (!part || (audio.paused && !audio.ended) || (audio.currentTime < part[1] && !audio.ended)) return
    if (!this.looping) {
      audio.pause()
      this.event = null
    }
    if (this.looping || this.chosen) audio.currentTime = part[0]
    if (this.looping && audio.paused) this.play()
  }

  // A twin that is still being made, or a server that starts again, is asked a few times.
  #failed() {
    const isMissing = this.audio.error?.code === MediaError.MEDIA_ERR_SRC_NOT_SUPPORTED || this.audio.error?.code === MediaError.MEDIA_ERR_NETWORK
    if (isMissing && playable(this.url) !== this.url && ++this.tries < MAX_TRIES) {
      setTimeout(() => this.audio.load(), RETRY_MS)
      return
    }
    this.onFailure("This sound cannot be played: its file is missing, or this browser does not know its format.")
    this.onChange()
  }
}
