// Review mode: one sound in focus. The page goes on at once; the server is told, and answers later.

import { load } from "../shared/mount.js"
import { Vocabulary } from "../shared/vocabulary.js"
import { activationRows, eventItems } from "./activations.js"
import { KeysDialog, SearchDialog } from "./dialogs.js"
import { button, element, isTextField, plural } from "./dom.js"
import { Editor, offered } from "./editor.js"
import { TagEntry } from "./entry.js"
import { Keys } from "./keys.js"
import { MediaPool } from "./media.js"
import { Session } from "./session.js"
import { Stage } from "./stage.js"

const SHOWN_NEXT = 5, REMIND_MS = 1000, LOADED_BEHIND = 1
const mount = await load(import.meta.url)
const desks = new WeakMap()
const BUTTONS = [["confirm", "Confirm"], ["save", "Save changes"], ["unsure", "Not sure"], ["untaggable", "Cannot be tagged"], ["replace", "Replace"], ["search", "Search tags"], ["undo", "Undo"]]
const NATIVE = "button, a[href], summary, [role=button], [role=menuitem], [role=option], [role=tab], input"

class Desk {
  constructor(root, data) {
    const find = selector => root.querySelector(selector)
    Object.assign(this, {
      root: find(".desk"), live: find(".live"), alert: find(".alert"), progress: find(".progress"), bar: find("progress"), pending: find(".pending"), columns: find(".columns"),
      finished: find(".finished"), waiting: find(".waiting"), title: find(".title"), facts: find(".facts"), rows: find(".rows"), timed: find(".timed"), note: find(".note"), list: find(".queue ol"), actions: find(".actions"),
    })
    this.session = new Session(data.owner)
    this.media = new MediaPool()
    this.keys = new Keys()
    this.vocabulary = new Vocabulary()
    this.stage = new Stage(root, this.media, text => this.say(text))
    this.editor = new Editor(find(".editor"), { toggle: tag => this.edit(() => this.session.toggle(tag)), pick: tag => this.pick(tag) })
    const shared = { vocabulary: () => this.vocabulary, without: () => this.without() }
    this.entry = new TagEntry(find("#tag-entry"), find("#tag-options"), {
      ...shared, take: tags => this.take(tags), typed: text => this.typed(text), empty: () => this.act("confirm"), leave: () => this.leaveEntry(),
    })
    this.label = find(".entry label")
    this.keysDialog = new KeysDialog(find(".keys-dialog"), this.keys, () => this.drawActions(), () => this.root.focus({ preventScroll: true }))
    this.search = new SearchDialog(find(".search-dialog"), { ...shared, take: tags => this.edit(() => this.session.add(tags)), ask: tag => this.ask(tag), closed: () => this.root.focus({ preventScroll: true }) })
    find(".keys").onclick = () => this.keysDialog.open()
    find(".more").onclick = () => this.lookForMore()
    // After a press with the mouse the focus goes back, so that Enter confirms and does not press again.
    this.root.addEventListener("click", event => event.detail && event.composedPath()[0].closest?.("button") && this.root.focus({ preventScroll: true }))
    this.onKey = event => this.key(event)
    this.onUnload = event => (this.session.outbox.size || this.session.unsaved) && event.preventDefault()
    this.drawActions()
  }

  attach() {
    if (this.timer) return
    window.addEventListener("keydown", this.onKey, true) // before Streamlit's own keys, such as R
    window.addEventListener("beforeunload", this.onUnload)
    this.timer = setInterval(() => this.session.outbox.remind(() => this.send()), REMIND_MS)
  }

  leave() {
    window.removeEventListener("keydown", this.onKey, true)
    window.removeEventListener("beforeunload", this.onUnload)
    clearInterval(this.timer)
    this.timer = null
    this.stage.leave()
  }

  show(data, sender) {
    this.attach()
    this.sender = sender
    this.disabled = data.disabled
    if (data.vocabulary) this.vocabulary = new Vocabulary(data.vocabulary.version, data.vocabulary.tags)
    if (data.examples) this.search.show(data.examples)
    const wasWaiting = this.hasStarted && !this.session.current, before = this.session.current
    const settled = this.session.settle(data.answers)
    this.session.merge(data)
    this.announce(settled)
    if (wasWaiting && this.session.current) this.arrive()
    else this.draw()
    if (before && this.session.current !== before && this.session.conflicts.has(this.session.current?.id)) this.root.focus({ preventScroll: true })
    if (!this.hasStarted && this.session.outbox.size) this.send() // from before a reload
    this.hasStarted = true
  }

  announce(settled) {
    const title = action => this.session.sounds.get(action.sound)?.title ?? "a sound"
    const saved = settled.filter(([, answer]) => answer.state === "saved").map(([action]) => `${action.kind === "undo" ? "Undone" : "Saved"}: ${title(action)}`)
    const lost = settled.filter(([action, answer]) => answer.state !== "saved" && action.kind === "undo").map(([, answer]) => answer.sentence)
    if (saved.length || lost.length) this.say([...saved, ...lost].join(". "))
  }

  say(text) {
    this.live.textContent = this.live.textContent === text ? `${text}\u00a0` : text // the same again is said again
  }

  send(extra = {}) {
    this.session.outbox.noteSent()
    this.attempt = (this.attempt ?? 0) + 1
    this.sender({ ...this.session.request(), vocabulary: this.vocabulary.version, examples: this.asked ?? "", attempt: this.attempt, ...extra })
  }

  ask(tag) {
    this.asked = tag
    this.send()
  }

  // Keys

  key(event) {
    if (!this.root.isConnected) return this.leave()
    if (event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return
    const target = event.composedPath()[0]
    if (isTextField(target) || target.closest?.("dialog, [role=dialog], [role=menu], [role=listbox]")) return
    const digit = /^[1-9]$/.test(event.key) ? Number(event.key) : 0
    const action = digit ? "" : this.keys.action(event.key)
    if ((!digit && !action && !(event.key === "Escape" && this.picking)) || this.belongsTo(target, event.key)) return
    event.preventDefault()
    event.stopImmediatePropagation()
    if (event.key === "Escape") this.stopPicking()
    else if (digit) this.number(digit)
    else if (!event.repeat || ["next", "previous", "panLeft", "panRight"].includes(action)) this.act(action)
  }

  // A control that was reached with Tab takes its own keys.
  belongsTo(target, key) {
    if (target.closest?.("[role=slider], input[type=range]") && key.startsWith("Arrow")) return true
    return (key === "Enter" || key === " ") && !!target.closest?.(NATIVE) && target.matches(":focus-visible")
  }

  number(digit) {
    const sound = this.session.current
    if (!sound) return
    if (this.picking) return this.pick(this.session.drafts.of(sound).tags[digit - 1])
    const row = offered(sound)[digit - 1]
    if (row) this.edit(() => this.session.toggle(row.tag), () => `${row.tag} ${this.session.drafts.of(sound).tags.includes(row.tag) ? "on" : "off"}`)
  }

  act(action) {
    const { session, stage } = this
    if (action === "undo") return this.undo()
    if (action === "help") return this.keysDialog.open()
    if (action === "previous") return this.go(-1)
    if (!session.current) return action === "confirm" && session.isFinished ? this.lookForMore() : undefined
    const acts = {
      confirm: () => this.judge("confirm"), save: () => this.judge("save"), unsure: () => this.judge("not sure"), untaggable: () => this.judge("untaggable"),
      next: () => this.go(1), type: () => this.type(), replace: () => this.replace(), search: () => this.search.open(),
      play: () => stage.toggle(), loop: () => stage.toggleLoop(), start: () => stage.selectEdge(false), end: () => stage.selectEdge(true),
      zoomIn: () => stage.zoom(2), zoomOut: () => stage.zoom(0.5), panLeft: () => stage.pan(-0.5), panRight: () => stage.pan(0.5), slower: () => stage.changeSpeed(-1), faster: () => stage.changeSpeed(1),
    }
    acts[action]()
  }

  go(step) {
    this.session.move(step)
    this.arrive()
    if (this.session.next(SHOWN_NEXT).length < SHOWN_NEXT && this.session.queue.length < this.session.total) this.send()
  }

  // Shows and plays the sound that is now in focus.
  arrive() {
    this.replaced = null
    this.picking = false
    this.draw()
    this.root.focus({ preventScroll: true })
    if (!this.session.current) return
    this.stage.start()
    this.say(this.session.current.title)
  }

  judge(kind) {
    if (this.disabled) return this.say(this.disabled)
    if (!this.session.judge(kind)) return this.say("Nothing was changed, so nothing was saved.")
    this.send()
    this.arrive()
  }

  undo() {
    if (this.disabled) return this.say(this.disabled)
    const undone = this.session.undo()
    if (!undone) return this.say("Nothing to undo")
    if (undone === "change") return this.draw()
    this.send()
    this.arrive()
  }

  lookForMore() {
    this.session.lookForMore()
    this.send()
    this.say("Looking for more sounds")
  }

  // Editing

  edit(change, text) {
    if (this.disabled) return this.say(this.disabled)
    if (!this.session.current) return
    change()
    this.draw()
    if (text) this.say(text())
    if (this.session.request().typed.length) this.send()
  }

  take(tags) {
    const { replaced } = this
    this.replaced = null
    this.edit(() => (replaced ? this.session.replace(replaced, tags) : this.session.add(tags)))
    if (replaced) this.root.focus({ preventScroll: true })
  }

  typed(text) {
    if (!this.session.current || this.disabled) return
    this.session.drafts.type(this.session.current, this.replaced ? "" : text)
    this.drawEditor()
    this.drawBar()
  }

  type() {
    if (this.disabled) return this.say(this.disabled)
    this.entry.input.focus()
  }

  leaveEntry() {
    this.replaced = null
    this.root.focus({ preventScroll: true })
    this.draw()
  }

  replace() {
    if (this.disabled) return this.say(this.disabled)
    const { tags } = this.session.drafts.of(this.session.current)
    if (!tags.length) return this.say("There is no tag to replace")
    if (tags.length === 1) return this.pick(tags[0])
    this.picking = true
    this.say("Press the number of the tag to replace")
    this.draw()
  }

  pick(tag) {
    if (!tag) return
    this.picking = false
    this.replaced = tag
    this.draw()
    this.entry.input.focus()
  }

  stopPicking() {
    this.picking = false
    this.draw()
  }

  without() {
    const sound = this.session.current
    return sound ? [...this.session.drafts.of(sound).tags, ...Object.keys(sound.decisions).filter(tag => sound.decisions[tag] === "removed")] : []
  }

  // Drawing

  draw() {
    const sound = this.session.current
    this.columns.hidden = !sound
    this.finished.hidden = !this.session.isFinished
    this.waiting.hidden = !!sound || this.session.isFinished
    this.drawBar()
    if (!sound) {
      this.stage.leave()
      this.finished.querySelector(".summary").textContent = this.session.total ? `You have been through ${plural(this.session.total, "sound")}.` : "No sound fits this view."
      return
    }
    const { queue, at } = this.session
    this.media.keep([...queue.slice(Math.max(0, at - LOADED_BEHIND), at + 1 + SHOWN_NEXT).map(id => this.session.sounds.get(id)), sound])
    this.stage.show(sound)
    this.drawSound(sound)
    this.drawEditor()
    this.drawConflict(sound)
  }

  drawSound(sound) {
    const next = this.session.next(SHOWN_NEXT)
    this.list.replaceChildren(...(next.length ? next.map(({ title, facts }) => {
      const item = element("li")
      item.append(element("span", "name", title), element("span", "why", facts))
      return item
    }) : [element("li", "none", "This is the last sound.")]))
    if (this.drawn === sound) return
    this.drawn = sound
    this.title.textContent = sound.title
    this.facts.textContent = sound.facts
    this.note.textContent = sound.note
    this.note.hidden = !sound.note
    const play = (from, to) => this.stage.playPart(from, to)
    this.rows.replaceChildren(...activationRows(sound, play))
    const events = sound.isLong ? eventItems(sound, play) : []
    this.timed.hidden = !events.length
    this.timed.querySelector("summary").textContent = plural(events.length, "event")
    this.timed.querySelector("ol").replaceChildren(...events)
  }

  drawEditor() {
    const sound = this.session.current, draft = this.session.drafts.of(sound)
    const focus = this.focusedButton()
    this.editor.show(sound, draft, { disabled: !!this.disabled, picking: this.picking, known: this.session.known })
    focus()
    if (!this.replaced) this.entry.set(draft.typed)
    this.entry.input.disabled = !!this.disabled
    this.label.textContent = this.replaced ? `Replace ${this.replaced} by` : `Add a tag`
    this.entry.input.setAttribute("aria-label", `${this.label.textContent}: ${sound.title}`)
    this.drawEmphasis()
  }

  // Where something is unsaved, saving it looks as important as confirming.
  drawEmphasis() {
    const { current, drafts } = this.session
    this.actions.querySelector(".save").classList.toggle("primary", !!current && drafts.isUnsaved(current))
  }

  // Returns a function that gives the focus back to the button that had it before the lists were drawn anew.
  focusedButton() {
    const active = this.root.getRootNode().activeElement, list = active?.closest?.(".editor ul")
    if (!list) return () => {}
    const place = [...list.querySelectorAll("button")].indexOf(active)
    return () => (list.querySelectorAll("button")[place] ?? this.root).focus({ preventScroll: true })
  }

  drawConflict(sound) {
    const conflict = this.session.conflicts.get(sound.id)
    if (this.shownConflict === conflict && !this.alert.hidden === !!conflict) return
    this.shownConflict = conflict
    this.alert.hidden = !conflict
    if (!conflict) return this.alert.replaceChildren()
    const then = act => () => {
      act()
      this.draw()
    }
    const choices = conflict.state !== "conflict" ? [] : [
      button("merge", "Merge both", "", then(() => this.session.mergeConflict())),
      button("theirs", "Take theirs", "", then(() => this.session.takeTheirs())),
      button("mine", "Keep mine", "", then(() => this.session.conflicts.delete(sound.id))),
    ]
    this.alert.replaceChildren(element("p", "", conflict.sentence), ...choices)
  }

  drawBar() {
    const { session } = this, { current, total } = session
    const seconds = session.secondsLeft()
    const left = seconds === null ? "" : `, ${seconds < 60 ? "less than a minute" : `${Math.round(seconds / 60)} min`} left at this pace`
    const place = current ? current.place + 1 : session.isFinished ? total : session.queue.length
    this.progress.textContent = total ? `${current ? place : `All ${place}`} of ${total}${left}` : ""
    this.bar.value = total ? (current ? place - 1 : place) / total : 0
    const pending = [session.outbox.size ? `${session.outbox.size} saving…` : "", session.unsaved ? `${session.unsaved} unsaved` : ""].filter(Boolean)
    this.pending.textContent = pending.join(", ")
    this.pending.hidden = !pending.length
  }

  drawActions() {
    this.actions?.replaceChildren(...BUTTONS.map(([action, text]) => {
      const press = button(action === "confirm" ? "confirm primary" : action, text, "", () => this.act(action))
      const hint = element("kbd", "", this.keys.hint(action))
      hint.setAttribute("aria-hidden", "true")
      press.append(" ", hint)
      return press
    }))
    this.drawEmphasis()
  }
}

export default function ({ data: [data], parentElement, setStateValue }) {
  if (!desks.has(parentElement)) {
    mount(parentElement)
    desks.set(parentElement, new Desk(parentElement, data))
  }
  const desk = desks.get(parentElement)
  desk.show(data, request => setStateValue("request", request))
  // Streamlit also calls this when two reruns follow each other closely: only a desk that is really gone is left.
  return () => setTimeout(() => desk.root.isConnected || desk.leave())
}
