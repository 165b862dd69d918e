// The events of a long recording: tag, from, to; a press plays that part.

import { clock, element } from "../shared/dom.js"

export const MIN_SECONDS = 15
const MAX_SHOWN = 12

export class EventList {
  constructor(box, playPart) {
    Object.assign(this, { box, list: box.querySelector(".list"), more: box.querySelector(".more"), playPart })
    this.more.onclick = () => {
      this.isOpen = !this.isOpen
      this.#draw()
    }
  }

  // `rows` are those of the activations.
  show(rows, { seconds, title, rows: data }) {
    this.title = title
    const events = seconds <= MIN_SECONDS ? [] : rows.flatMap(({ levels, threshold, state }, place) =>
      state === "above" ? levels.events(threshold).map(([from, to]) => ({ tag: data[place][0], from, to })) : [])
    this.events = events.sort((a, b) => a.from - b.from || a.to - b.to)
    this.#draw()
  }

  #draw() {
    const count = this.events.length
    this.box.hidden = !count
    this.list.replaceChildren(...this.events.slice(0, this.isOpen ? count : MAX_SHOWN).map(event => this.#button(event)))
    this.more.hidden = count <= MAX_SHOWN
    this.more.textContent = this.isOpen ? "Show fewer events" : `Show all ${count} events`
    this.more.setAttribute("aria-expanded", String(!!this.isOpen))
    this.more.setAttribute("aria-label", `${this.more.textContent} of ${this.title}`)
  }

  #button({ tag, from, to }) {
    const item = element("li")
    const span = `${clock(from)} – ${clock(to)}`
    const button = element("button", "event", "", { type: "button", "aria-label": `${tag} ${span}, play it in ${this.title}` })
    button.append(element("b", "", tag), element("span", "", " " + span))
    button.onclick = () => this.playPart(from, to)
    item.append(button)
    return item
  }
}
