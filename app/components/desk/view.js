// What the desk shows beside the stage and the tags: progress, notices, the sound's text, the queue, the buttons.

import { button, element, plural } from "../shared/dom.js"
import { activationRows, eventItems } from "./activations.js"

const BUTTONS = [
  ["confirm", "Confirm"], ["save", "Save changes"], ["unsure", "Not sure"], ["untaggable", "Cannot be tagged"], ["replace", "Replace"],
  ["search", "Search tags"], ["undo", "Undo"], ["previous", "Previous"], ["next", "Next"],
]
const BLIND = "Second opinion: another curator's decisions on this sound are hidden."
const ALWAYS = ["previous", "next"] // for those who may not change anything, too

export class DeskView {
  // `on` has: act(action), playPart(from, to), and merge(), takeTheirs(), dismiss() for a decision that was not saved.
  constructor(find, on) {
    Object.assign(this, {
      on, live: find(".live"), alert: find(".alert"), message: find(".message"), restriction: find(".restriction"), progress: find(".progress"), bar: find("progress"), pending: find(".pending"),
      columns: find(".columns"), finished: find(".finished"), waiting: find(".waiting"), title: find(".title"), facts: find(".facts"), rows: find(".rows"), timed: find(".timed"),
      note: find(".note"), list: find(".queue ol"), actions: find(".actions"),
    })
  }

  // To a screen reader only: what the page shows anyway.
  say(text) {
    this.live.textContent = this.live.textContent === text ? `${text}\u00a0` : text // the same again is said again
  }

  // To everybody.
  tell(text) {
    this.say(text)
    this.message.textContent = text
    this.message.hidden = !text
  }

  clearMessage() {
    this.message.hidden = true
  }

  restrict(reason) {
    this.restriction.textContent = reason
    this.restriction.hidden = !reason
  }

  showBar(session) {
    const { current, total } = session, seconds = session.secondsLeft()
    const left = seconds === null ? "" : `, ${seconds < 60 ? "less than a minute" : `${Math.round(seconds / 60)} min`} left at this pace`
    const isDone = total && session.isFinished
    this.progress.textContent = current ? `${current.place + 1} of ${total}${left}` : isDone ? `All ${total} of ${total}` : ""
    this.bar.value = current ? current.place / total : isDone ? 1 : 0
    const pending = [session.outbox.size ? `${session.outbox.size} saving…` : "", session.unsaved ? `${session.unsaved} unsaved` : ""].filter(Boolean)
    this.pending.textContent = pending.join(", ")
    this.pending.hidden = !pending.length
  }

  // Returns false where there is no sound to be shown.
  showPlace(session) {
    const { current, isFinished, total } = session
    this.columns.hidden = !current
    this.finished.hidden = !isFinished
    this.waiting.hidden = !!current || isFinished
    this.finished.querySelector(".summary").textContent = total ? `You have been through ${plural(total, "sound")}.` : "No sound fits this view."
    return !!current
  }

  showQueue(sounds) {
    const items = sounds.map(({ title, facts }) => {
      const item = element("li")
      item.append(element("span", "name", title), element("span", "why", facts))
      return item
    })
    this.list.replaceChildren(...(items.length ? items : [element("li", "none", "This is the last sound.")]))
  }

  showSound(sound) {
    if (this.drawn === sound) return
    this.drawn = sound
    this.title.textContent = sound.title
    this.facts.textContent = sound.facts
    this.note.textContent = [sound.blind ? BLIND : "", sound.note].filter(Boolean).join(" ")
    this.note.hidden = !this.note.textContent
    this.rows.replaceChildren(...activationRows(sound, this.on.playPart))
    const events = sound.isLong ? eventItems(sound, this.on.playPart) : []
    this.timed.hidden = !events.length
    this.timed.querySelector("summary").textContent = plural(events.length, "event")
    this.timed.querySelector("ol").replaceChildren(...events)
  }

  // Why a decision about this sound was not saved, and what can be done about it.
  showRefusal(refusal) {
    if (this.refusal === refusal && this.alert.hidden === !refusal) return
    this.refusal = refusal
    this.alert.hidden = !refusal
    if (!refusal) return this.alert.replaceChildren()
    const choices = refusal.state === "conflict"
      ? [button("merge", "Merge both", "", this.on.merge), button("theirs", "Take theirs", "", this.on.takeTheirs), button("mine", "Keep mine", "", this.on.dismiss)]
      : [button("dismiss", "Close", "", this.on.dismiss)]
    this.alert.replaceChildren(element("p", "", refusal.sentence), ...choices)
  }

  showActions(keys, isDisabled) {
    this.actions.replaceChildren(...BUTTONS.map(([action, text]) => {
      const press = button(action === "confirm" ? "confirm primary" : action, text, "", () => this.on.act(action))
      press.disabled = isDisabled && !ALWAYS.includes(action)
      const hint = element("kbd", "", keys.hint(action))
      hint.setAttribute("aria-hidden", "true")
      press.append(" ", hint)
      return press
    }))
  }

  // Where something is unsaved, saving it looks as important as confirming.
  emphasizeSave(isUnsaved) {
    this.actions.querySelector(".save").classList.toggle("primary", isUnsaved)
  }
}
