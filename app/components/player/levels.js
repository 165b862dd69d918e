// The levels of a tag over time, as Python writes them in levels.py, and its events in them.

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
const DEFAULT_THRESHOLD = 0.5

export class Levels {
  // `steps` is [start of the first step, length of each] in seconds.
  constructor(text, [first, step], seconds) {
    const written = text.replace(/\((\d+)\)(.)/g, (_, count, letter) => letter.repeat(Number(count)))
    this.values = [...written].map(letter => ALPHABET.indexOf(letter) / (ALPHABET.length - 1))
    Object.assign(this, { first, step, seconds })
  }

  get isKnown() {
    return this.values.length > 0
  }

  // Before the first step and behind the last one their levels hold: windows begin late.
  at(seconds) {
    const place = Math.floor((seconds - this.first) / this.step)
    return this.values[Math.min(this.values.length - 1, Math.max(0, place))] ?? 0
  }

  // Returns [from, to] for each stretch in which the level reaches the threshold.
  events(threshold = DEFAULT_THRESHOLD) {
    const found = []
    this.values.forEach((value, place) => {
      if (value < threshold) return
      const last = found.at(-1)
      if (last && last.to === place) last.to++
      else found.push({ from: place, to: place + 1 })
    })
    return found.map(({ from, to }) => this.#times(from, to))
  }

  // Returns the stretch around a time where the tag is heard: its event, or where it is half as strong.
  around(seconds, threshold = DEFAULT_THRESHOLD) {
    const inside = this.events(threshold).find(([from, to]) => from <= seconds && seconds < to)
    if (inside) return inside
    const limit = this.at(seconds) / 2
    const place = Math.min(this.values.length - 1, Math.max(0, Math.floor((seconds - this.first) / this.step)))
    let from = place, to = place + 1
    while (from > 0 && this.values[from - 1] > limit) from--
    while (to < this.values.length && this.values[to] > limit) to++
    return this.#times(from, to)
  }

  get strongest() {
    const place = this.values.indexOf(Math.max(...this.values))
    return this.#times(place, place + 1)
  }

  #times(from, to) {
    const last = this.values.length
    const start = from === 0 ? 0 : this.first + from * this.step
    const end = to === last ? this.seconds : this.first + to * this.step
    return [Math.max(0, start), Math.min(this.seconds, end)]
  }
}
