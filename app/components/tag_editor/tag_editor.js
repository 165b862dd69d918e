import { TagEntry } from "../shared/tag_entry.js"
import { element } from "../shared/dom.js"
import { load } from "../shared/mount.js"
import { Vocabulary } from "../shared/vocabulary.js"
import { whenPressEnds } from "../shared/press.js"

const SEPARATOR = /[,;\n]/
const MAX_VOCABULARIES = 3
const editors = new WeakMap()
const vocabularies = new Map()
const mount = await load(import.meta.url)

// Fetches a vocabulary once for all editors of the page; without it, tags can still be typed. Counts
// change all day: older ones are let go.
function fetched(url) {
  if (!vocabularies.has(url)) {
    if (vocabularies.size >= MAX_VOCABULARIES) vocabularies.delete(vocabularies.keys().next().value)
    vocabularies.set(url, fetch(url).then(answer => answer.ok ? answer.json() : []).then(entries => new Vocabulary(url, entries)).catch(() => {
      vocabularies.delete(url)
      return new Vocabulary()
    }))
  }
  return vocabularies.get(url)
}

class Editor {
  constructor(root) {
    const find = selector => root.querySelector(selector)
    Object.assign(this, { root: find(".editor"), field: find(".field"), chips: find(".chips"), input: find("input"), options: find(".options"), guesses: find(".guesses"), vocabulary: new Vocabulary(), tags: [] })
    this.entry = new TagEntry(this.input, this.options, {
      take: tags => this.add(tags),
      typed: () => {},
      empty: () => {},
      leave: () => this.entry.set(""),
      without: () => [...this.tags, ...this.rejected],
      vocabulary: () => this.vocabulary,
    })
    this.field.onclick = event => event.target === this.field && this.input.focus()
    this.input.onkeydown = event => this.key(event)
    this.input.onblur = () => this.leave()
  }

  show(data, send) {
    this.send = send
    if (this.version !== data.version) {
      this.version = data.version
      this.before = data.tags
      this.tags = [...data.current]
      if (!this.input.matches(":focus")) this.entry.set("") // what is being typed is kept
    }
    Object.assign(this, { suggested: data.guesses, rejected: data.rejected, title: data.title })
    fetched(data.vocabulary).then(vocabulary => {
      if (this.vocabulary === vocabulary) return
      this.vocabulary = vocabulary
      if (this.input.value && this.input.matches(":focus")) this.entry.changed()
    })
    this.root.classList.toggle("disabled", data.disabled)
    this.name()
    this.draw()
  }

  // Names differ from editor to editor: a page has many of them.
  name() {
    this.of = this.title ? ` of ${this.title}` : ""
    this.input.setAttribute("aria-label", "Tags" + this.of)
    this.chips.setAttribute("aria-label", "Current tags" + this.of)
    this.options.setAttribute("aria-label", "Tags to add" + this.of)
  }

  draw() {
    this.chips.replaceChildren(...this.tags.map(tag => this.chip(tag)))
    this.guesses.replaceChildren(...this.suggested.filter(([tag]) => !this.tags.includes(tag)).map(([tag, percent]) => {
      const name = `Add ${tag} ${percent}` + (this.title ? ` to ${this.title}` : "")
      const guess = element("button", "guess", `${tag} ${percent}`, { type: "button", "aria-label": name })
      guess.onclick = () => this.add([tag])
      return guess
    }))
  }

  chip(tag) {
    const chip = element("span", this.before.includes(tag) ? "chip" : "chip fresh", "", { role: "listitem" })
    const name = `Remove ${tag}` + (this.title ? ` from ${this.title}` : "")
    const remove = element("button", "remove", "", { type: "button", "aria-label": name, title: "Remove" })
    remove.onclick = () => this.remove(tag)
    chip.append(element("b", "", tag), remove)
    return chip
  }

  add(tags) {
    this.change(this.with(tags))
    this.draw()
  }

  remove(tag) {
    this.change(this.tags.filter(other => other !== tag))
    this.draw()
    this.input.focus()
  }

  with(tags) {
    const fresh = tags.map(tag => tag.trim()).filter(tag => tag && !this.tags.includes(tag))
    return [...this.tags, ...new Set(fresh)]
  }

  change(tags) {
    if (tags.length === this.tags.length) return
    this.tags = tags
    this.send({ version: this.version, tags })
  }

  // Text that was typed but not confirmed counts. Where the field is left by a press, on Save for
  // instance, nothing may move before the press has ended: a button that moves away is not pressed.
  leave() {
    const version = this.version
    whenPressEnds(() => {
      if (version !== this.version) return
      this.change(this.with(this.input.value.split(SEPARATOR)))
    }, () => {
      if (this.input.matches(":focus")) return
      this.entry.set("")
      this.entry.close()
      this.draw()
    })
  }

  key(event) {
    if (event.key === "Backspace" && !this.input.value && this.tags.length && !event.isComposing) {
      event.preventDefault()
      return this.remove(this.tags.at(-1))
    }
    this.entry.key(event)
  }
}

export default function ({ data: [data], parentElement, setStateValue }) {
  // No clean-up is returned: Streamlit also calls it when two reruns follow each other closely, and what is being typed would be lost.
  if (!editors.has(parentElement)) {
    mount(parentElement)
    editors.set(parentElement, new Editor(parentElement))
  }
  editors.get(parentElement).show(data, edit => setStateValue("edit", edit))
}
