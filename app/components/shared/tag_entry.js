// A field that searches the vocabulary while a person types. Enter takes the highlighted row.

import { element } from "./dom.js"
import { cleaned, pieces } from "./tags.js"

export class TagEntry {
  // `on` has: take(tags), typed(text), empty() for Enter without text, leave(), highlight(tag), without() and vocabulary().
  constructor(input, options, on) {
    Object.assign(this, { input, options, on, rows: [], at: -1 })
    input.oninput = () => this.changed()
    input.onkeydown = event => this.key(event)
    input.onblur = () => this.close()
    input.onfocus = () => input.value && this.changed()
  }

  get text() {
    return this.input.value
  }

  set(text) {
    if (this.input.value !== text) this.input.value = text
    if (!text) this.close()
  }

  changed() {
    this.on.typed(this.text)
    if (/[,;]\s*$/.test(this.text)) return this.take(pieces(this.text))
    const last = this.text.split(/[,;]/).at(-1).trim()
    const found = last ? this.on.vocabulary().search(last, this.on.without()) : []
    const tags = cleaned([last])
    const isNew = last && !found.some(({ tag }) => tag === tags[0])
    this.rows = [...found, ...(isNew && !this.on.onlyKnown ? [{ create: last, tag: tags[0] ?? last }] : [])]
    // A near spelling is offered, but a word that is meant as it is typed needs no way around it.
    this.at = this.rows.length ? (found.length && !found[0].isNear ? 0 : this.on.onlyKnown ? 0 : found.length) : -1
    this.draw()
  }

  draw() {
    this.options.replaceChildren(...this.rows.map((row, place) => this.option(row, place)))
    this.options.hidden = !this.rows.length
    this.input.setAttribute("aria-expanded", String(!!this.rows.length))
    if (this.at < 0) this.input.removeAttribute("aria-activedescendant")
    else this.input.setAttribute("aria-activedescendant", this.options.children[this.at].id)
    this.on.highlight?.(this.rows[this.at]?.create ? "" : this.rows[this.at]?.tag ?? "")
  }

  option(row, place) {
    const option = element("div", row.create ? "option create" : "option")
    option.id = `${this.options.id}-${place}`
    option.setAttribute("role", "option")
    option.setAttribute("aria-selected", String(place === this.at))
    option.append(element("span", "name", row.create ? `Create “${row.tag}”` : row.tag))
    if (row.alias || row.isNear) option.append(element("span", "why", row.alias || "similar spelling"))
    if (!row.create) option.append(element("span", "count", row.count.toLocaleString("en")))
    option.onpointerdown = event => {
      event.preventDefault() // keeps the focus
      this.choose(row)
    }
    return option
  }

  choose(row) {
    const before = pieces(this.text).slice(0, -1) // others may stand before the last comma
    this.take([...before, row.create ?? row.tag])
  }

  take(tags) {
    this.set("")
    this.on.typed("")
    this.rows = []
    this.at = -1
    this.draw()
    this.on.take(tags)
  }

  close() {
    this.rows = []
    this.at = -1
    this.draw()
  }

  key(event) {
    if (event.isComposing) return
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.on.empty()
    else if (event.key === "Enter" && this.rows[this.at]) this.choose(this.rows[this.at])
    else if (event.key === "Enter" && this.text.trim()) this.take(pieces(this.text))
    else if (event.key === "Enter") this.on.empty()
    else if (event.key === "ArrowDown" && this.rows.length) this.move(1)
    else if (event.key === "ArrowUp" && this.rows.length) this.move(-1)
    else if (event.key === "Escape") this.on.leave()
    else return
    event.preventDefault()
    event.stopPropagation()
  }

  move(step) {
    this.at = (this.at + step + this.rows.length) % this.rows.length
    this.draw()
  }
}
