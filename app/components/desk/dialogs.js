// The list of keys, which can be changed there; the search of tags with examples to hear; the person's name.

import { playable } from "../shared/playback.js"
import { button, element } from "../shared/dom.js"
import { TagEntry } from "../shared/tag_entry.js"
import { ACTIONS, keyName } from "./keys.js"

const EXAMPLES_AFTER_MS = 250

export class KeysDialog {
  constructor(dialog, keys, changed, closed) {
    Object.assign(this, { dialog, keys, changed, list: dialog.querySelector("dl"), message: dialog.querySelector(".message"), waiting: null })
    dialog.querySelector(".close").onclick = () => dialog.close()
    dialog.onclose = () => {
      this.waiting = null
      closed()
    }
    dialog.querySelector(".reset").onclick = () => {
      keys.reset()
      this.draw("The keys are as they came.")
    }
    dialog.onkeydown = event => this.key(event)
  }

  open() {
    this.draw("")
    this.dialog.showModal()
  }

  draw(message) {
    this.message.textContent = message
    const numbers = [element("dt", "", "Toggle a suggestion"), element("dd", "", "1–9")]
    this.list.replaceChildren(...numbers, ...ACTIONS.flatMap(([action, text]) => [element("dt", "", text), this.definition(action, text)]))
    this.changed()
  }

  definition(action, text) {
    const box = element("dd"), isWaiting = this.waiting === action
    const shown = isWaiting ? "Press a key" : this.keys.of(action).map(keyName).join(" ")
    const change = button("change", shown, `${shown}: change the key for ${text}`, () => {
      this.waiting = action
      this.draw("")
      this.list.querySelector(".waiting").focus()
    })
    if (isWaiting) change.classList.add("waiting")
    box.append(change)
    return box
  }

  key(event) {
    event.stopPropagation()
    if (!this.waiting || ["Shift", "Control", "Alt", "Meta", "Tab"].includes(event.key)) return
    event.preventDefault()
    const action = this.waiting
    this.waiting = null
    this.draw(event.key === "Escape" ? "" : this.keys.change(action, event.key))
    this.list.querySelectorAll(".change")[ACTIONS.findIndex(([name]) => name === action)].focus()
  }
}

export class SearchDialog {
  // `on` has: take(tags), without(), vocabulary(), ask(tag) for examples.
  constructor(dialog, on) {
    Object.assign(this, { dialog, on, examples: dialog.querySelector(".examples"), audio: new Audio(), tag: "" })
    this.entry = new TagEntry(dialog.querySelector("input"), dialog.querySelector(".options"), {
      ...on, onlyKnown: true, typed: () => {}, empty: () => dialog.close(), leave: () => dialog.close(), highlight: tag => this.highlight(tag),
      take: tags => {
        dialog.close()
        on.take(tags)
      },
    })
    this.entry.input.onblur = null // the examples can be reached without the rows going away
    dialog.querySelector(".close").onclick = () => dialog.close()
    dialog.onclose = () => {
      this.audio.pause()
      on.closed()
    }
    dialog.onkeydown = event => this.key(event)
  }

  open() {
    this.entry.set("")
    this.dialog.showModal()
    this.entry.input.focus()
  }

  highlight(tag) {
    if (tag === this.tag) return
    this.tag = tag
    clearTimeout(this.timer)
    this.examples.replaceChildren()
    if (tag) this.timer = setTimeout(() => this.on.ask(tag), EXAMPLES_AFTER_MS)
  }

  show({ tag, sounds }) {
    if (tag !== this.tag || !this.dialog.open) return
    const shown = sounds.map(({ title, audio }, place) => button("example", `${place + 1} ${title}`, `${place + 1} ${title}: play this example of ${tag}`, () => this.play(audio)))
    this.sounds = sounds
    this.examples.replaceChildren(element("p", "", sounds.length ? `Sounds tagged ${tag} (Alt+1 to Alt+${sounds.length})` : `No sound is tagged ${tag} yet.`), ...shown)
  }

  play(audio) {
    window.earmarkPlaying?.audio !== this.audio && window.earmarkPlaying?.audio.pause()
    window.earmarkPlaying = { audio: this.audio }
    this.audio.src = playable(audio)
    this.audio.play().catch(() => {})
  }

  key(event) {
    event.stopPropagation()
    const example = event.altKey && /^Digit[1-3]$/.test(event.code) ? this.sounds?.[Number(event.code.at(-1)) - 1] : null
    if (!example) return
    event.preventDefault()
    this.play(example.audio)
  }
}

export class NameDialog {
  // `take` gets the name.
  constructor(dialog, take, closed) {
    Object.assign(this, { dialog, input: dialog.querySelector("input"), message: dialog.querySelector(".message") })
    dialog.querySelector("form").onsubmit = event => {
      event.preventDefault()
      const name = this.input.value.trim()
      if (!name) return
      dialog.close()
      take(name)
    }
    dialog.querySelector(".close").onclick = () => dialog.close()
    dialog.onclose = closed
    dialog.onkeydown = event => event.stopPropagation()
  }

  open(problem) {
    this.message.textContent = problem
    if (!this.dialog.open) this.dialog.showModal()
    this.input.focus()
  }
}
