// The field that adds a tag, or writes another one in the place of a tag that was chosen.

import { TagEntry } from "../shared/tag_entry.js"

export class TagField {
  // `on` has what TagEntry needs, and: tags() of the sound now, replace(old, tags), add(tags), typed(text), redraw(), say(text) and focus().
  constructor(find, on) {
    Object.assign(this, { on, label: find(".entry label"), replaced: null, isPicking: false })
    this.entry = new TagEntry(find("#tag-entry"), find("#tag-options"), {
      ...on, take: tags => this.take(tags), typed: text => this.on.typed(this.replaced ? "" : text), leave: () => this.leave(),
    })
  }

  show(sound, draft, isDisabled) {
    if (!this.replaced) this.entry.set(draft.typed)
    this.entry.input.disabled = isDisabled
    this.label.textContent = this.replaced ? `Replace ${this.replaced} by` : "Add a tag"
    this.entry.input.setAttribute("aria-label", `${this.label.textContent}: ${sound.title}`)
  }

  reset() {
    this.replaced = null
    this.isPicking = false
  }

  focus() {
    this.entry.input.focus()
  }

  take(tags) {
    const { replaced } = this
    this.replaced = null
    if (!replaced) return this.on.add(tags)
    this.on.replace(replaced, tags)
    this.on.focus()
  }

  leave() {
    this.replaced = null
    this.on.focus()
    this.on.redraw()
  }

  // Lets the person choose the tag to replace, by its number or with the mouse.
  replace() {
    const tags = this.on.tags()
    if (!tags.length) return this.on.say("There is no tag to replace.")
    if (tags.length === 1) return this.pick(tags[0])
    this.isPicking = true
    this.on.redraw()
    this.on.say("Press the number of the tag to replace.")
  }

  pick(tag) {
    if (!tag) return
    this.isPicking = false
    this.replaced = tag
    this.on.redraw()
    this.focus()
  }

  // Returns true where a choice was under way.
  stopPicking() {
    const wasPicking = this.isPicking
    this.isPicking = false
    if (wasPicking) this.on.redraw()
    return wasPicking
  }
}
