// Side by side: what the model suggests, what the uploader wrote, and the tags to save.

import { button, element, percent, plural } from "../shared/dom.js"
import { asStored, isCertain, MAX_TAGS, MIN_TAGS, pieces } from "../shared/tags.js"

const MAX_NUMBERED = 9

// Rejected tags are not offered again: they have no number and no button.
export const offered = sound => sound.rows.filter(row => sound.decisions[row.tag] !== "removed")

export class Editor {
  // `on` has toggle(tag), and pick(tag) while a tag is to be chosen that another one shall replace.
  constructor(root, on) {
    const find = selector => root.querySelector(selector)
    Object.assign(this, {
      on, suggested: find(".suggested ul"), model: find(".suggested .by"), uploader: find(".uploader ul"), current: find(".current ul"), stored: find(".stored"),
      state: find(".current .by"), rejected: find(".rejected"), words: find(".words"),
    })
  }

  // `picking` is true while the person chooses the tag to replace, `known` what the server made of typed texts.
  show(sound, draft, { disabled, picking, known }) {
    const tags = draft.tags, uploaders = new Set(sound.uploader)
    this.disabled = disabled
    this.model.textContent = sound.model
    this.state.textContent = sound.status
    this.words.textContent = sound.description
    this.words.hidden = !sound.description
    const rows = offered(sound)
    fill(this.suggested, rows.map((row, place) => this.suggestion(row, place, tags, uploaders)), "No suggestions")
    fill(this.uploader, sound.uploader.map(tag => this.toggle(tag, tags, `${tag}`, "")), "No tags")
    const removed = sound.tags.filter(tag => !tags.includes(tag))
    const items = [...tags.map((tag, place) => this.chip(tag, place, sound, uploaders, picking)), ...removed.map(tag => this.putBack(tag))]
    fill(this.current, items, "No tags")
    const rejected = Object.keys(sound.decisions).filter(tag => sound.decisions[tag] === "removed" && !tags.includes(tag))
    this.rejected.textContent = rejected.length ? `Rejected: ${rejected.join(", ")}` : ""
    this.showStored([...tags, ...pieces(draft.typed)], sound.tags, known)
  }

  suggestion(row, place, tags, uploaders) {
    const number = place < MAX_NUMBERED ? String(place + 1) : ""
    const item = this.toggle(row.tag, tags, row.tag, number)
    item.firstChild.append(element("span", "number", percent(row.probability)))
    if (uploaders.has(row.tag)) item.append(element("span", "mark", "same"))
    return item
  }

  toggle(tag, tags, text, number) {
    const item = element("li"), isOn = tags.includes(tag)
    const press = button(isOn ? "toggle on" : "toggle", "", "", () => this.on.toggle(tag))
    if (number) press.append(element("kbd", "", number))
    press.append(element("span", "name", text))
    press.setAttribute("aria-pressed", String(isOn))
    press.disabled = this.disabled
    item.append(press)
    return item
  }

  chip(tag, place, sound, uploaders, picking) {
    const item = element("li", "chip")
    if (picking) {
      const pick = button("name", "", "", () => this.on.pick(tag))
      pick.append(element("kbd", "", String(place + 1)), element("span", "", `Replace ${tag}`))
      item.append(pick)
      return item
    }
    item.append(element("span", "name", tag))
    const isNew = !sound.tags.includes(tag)
    if (isNew) item.append(element("span", "mark new", "new"))
    else if (uploaders.has(tag)) item.append(element("span", "mark", "same"))
    if (!this.disabled) item.append(button("remove", "×", `× Remove ${tag}`, () => this.on.toggle(tag)))
    return item
  }

  putBack(tag) {
    const item = element("li", "chip gone")
    item.append(element("s", "name", tag), element("span", "mark", "removed"))
    if (!this.disabled) item.append(button("remove", "↺", `↺ Put back ${tag}`, () => this.on.toggle(tag)))
    return item
  }

  showStored(tags, present, known) {
    const stored = asStored(tags, present, known)
    const isOpen = tags.some(tag => !present.includes(tag) && !isCertain(tag) && !known.has(tag))
    const rule = stored.length < MIN_TAGS || stored.length > MAX_TAGS ? ` (Freesound requires ${MIN_TAGS}–${MAX_TAGS})` : ""
    this.stored.replaceChildren(
      element("span", "", `Freesound would store ${plural(stored.length, "tag")}${rule}: `),
      element("b", "", `${stored.join(" ") || "none"}${isOpen ? " …" : ""}`),
    )
  }
}

function fill(list, items, otherwise) {
  list.replaceChildren(...(items.length ? items : [element("li", "none", otherwise)]))
}
