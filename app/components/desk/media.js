// Sounds and pictures of this sound and the next few, in the browser before they are needed.

import { playable } from "../shared/playback.js"

const MAX_WHOLE_S = 180 // longer sounds are not loaded whole; the browser streams them

export class MediaPool {
  constructor() {
    this.items = new Map()
  }

  // Loads the media of these sounds and forgets all others'.
  keep(sounds) {
    const wanted = new Set(sounds.map(sound => sound.id))
    for (const [id, item] of this.items) {
      if (wanted.has(id)) continue
      this.items.delete(id)
      item.free()
    }
    sounds.forEach(sound => this.get(sound))
  }

  get(sound) {
    if (!this.items.has(sound.id)) this.items.set(sound.id, new Medium(sound))
    return this.items.get(sound.id)
  }

  free() {
    this.keep([])
  }
}

class Medium {
  constructor({ audio, picture, seconds }) {
    this.audio = new Audio()
    this.audio.preload = "auto"
    this.audio.preservesPitch = true
    this.picture = new Image()
    this.picture.src = picture
    this.isLoaded = this.load(audio && playable(audio), seconds)
  }

  async load(address, seconds) {
    if (!address) return
    try {
      if (seconds > MAX_WHOLE_S) throw new Error("too long to be loaded whole")
      const answer = await fetch(address)
      if (!answer.ok) throw new Error(answer.statusText)
      this.blob = URL.createObjectURL(await answer.blob())
      if (!this.isFreed) this.audio.src = this.blob
    } catch {
      if (!this.isFreed) this.audio.src = address // the element says what is wrong, if it still is
    }
    if (this.isFreed) this.revoke()
  }

  async play() {
    await this.isLoaded
    await this.audio.play().catch(() => {}) // no press yet in this page: browsers wait for one
  }

  free() {
    this.isFreed = true
    this.audio.pause()
    this.audio.removeAttribute("src")
    this.revoke()
  }

  revoke() {
    if (this.blob) URL.revokeObjectURL(this.blob)
    this.blob = null
  }
}
