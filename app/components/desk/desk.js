// Review mode: one sound in focus. The page goes on at once; the server is told, and answers later.

import { load } from "../shared/mount.js"
import { Vocabulary } from "../shared/vocabulary.js"
import { KeysDialog, NameDialog, SearchDialog } from "./dialogs.js"
import { Editor, offered } from "./editor.js"
import { Keyboard } from "./keyboard.js"
import { Keys } from "./keys.js"
import { MediaPool } from "./media.js"
import { keepPlace } from "./place.js"
import { Session } from "./session.js"
import { Stage } from "./stage.js"
import { TagField } from "./tag_field.js"
import { DeskView } from "./view.js"

const SHOWN_NEXT = 5, REMIND_MS = 1000, LOADED_BEHIND = 1
const mount = await load(import.meta.url)
const desks = new WeakMap()

class Desk {
  constructor(root, data) {
    const find = selector => root.querySelector(selector)
    this.root = find(".desk")
    this.owner = data.owner
    this.session = new Session(data.owner)
    this.media = new MediaPool()
    this.keys = new Keys()
    this.vocabulary = new Vocabulary()
    this.view = new DeskView(find, {
      act: action => this.act(action), playPart: (from, to) => this.stage.playPart(from, to),
      merge: this.settled(() => this.session.mergeConflict()), takeTheirs: this.settled(() => this.session.takeTheirs()), dismiss: this.settled(() => this.session.dismiss()),
    })
    this.stage = new Stage(root, this.media, text => this.view.say(text))
    this.editor = new Editor(find(".editor"), { toggle: tag => this.edit(() => this.session.toggle(tag)), pick: tag => this.field.pick(tag) })
    const shared = { vocabulary: () => this.vocabulary, without: () => this.session.without() }
    this.field = new TagField(find, {
      ...shared, empty: () => this.act("confirm"), typed: text => this.typed(text), tags: () => this.session.tags, focus: () => this.focus(), redraw: () => this.draw(), say: text => this.view.tell(text),
      add: tags => this.edit(() => this.session.add(tags)), replace: (old, tags) => this.edit(() => this.session.replace(old, tags)),
    })
    this.keysDialog = new KeysDialog(find(".keys-dialog"), this.keys, () => this.drawActions(), () => this.focus())
    this.search = new SearchDialog(find(".search-dialog"), { ...shared, take: tags => this.edit(() => this.session.add(tags)), ask: tag => this.ask(tag), closed: () => this.focus() })
    this.nameDialog = new NameDialog(find(".name-dialog"), name => this.takeName(name), () => this.focus())
    this.keyboard = new Keyboard(this.keys, { number: digit => this.number(digit), act: action => this.act(action), escape: () => this.field.stopPicking(), isGone: () => this.isGone() })
    find(".keys").onclick = () => this.keysDialog.open()
    find(".more").onclick = () => this.lookForMore()
    // After a press with the mouse the focus goes back, so that Enter confirms and does not press again.
    this.root.addEventListener("click", event => event.detail && event.composedPath()[0].closest?.("button") && !event.composedPath()[0].closest("dialog") && this.focus())
    this.onUnload = event => (this.session.outbox.size || this.session.unsaved) && event.preventDefault()
  }

  attach() {
    if (this.timer) return
    this.keyboard.attach()
    window.addEventListener("beforeunload", this.onUnload)
    this.timer = setInterval(() => this.session.outbox.remind(() => this.send()), REMIND_MS)
  }

  leave() {
    this.keyboard.leave()
    window.removeEventListener("beforeunload", this.onUnload)
    clearInterval(this.timer)
    this.timer = null
    this.stage.leave()
  }

  isGone() {
    if (!this.root.isConnected) this.leave()
    return !this.root.isConnected
  }

  focus() {
    this.root.focus({ preventScroll: true })
  }

  // The server's answer

  show(data, sender) {
    this.attach()
    this.sender = sender
    this.takeViewer(data)
    if (data.vocabulary) this.vocabulary = new Vocabulary(data.vocabulary.version, data.vocabulary.tags)
    if (data.examples) this.search.show(data.examples)
    const wasWaiting = this.hasStarted && !this.session.current, before = this.session.current
    const settled = this.session.settle(data.answers)
    this.session.merge(data)
    if (wasWaiting && this.session.current) this.arrive()
    else this.draw()
    this.announce(settled)
    if (before && this.session.current !== before && this.session.refusal) this.focus()
    if (!this.hasStarted && this.session.outbox.size) this.send() // from before a reload
    this.hasStarted = true
  }

  takeViewer({ owner, disabled, needsName, nameProblem }) {
    if (owner !== this.owner && this.needsName) this.session.rename(owner)
    const isAsBefore = this.disabled === disabled
    Object.assign(this, { owner, disabled, needsName })
    this.view.restrict(disabled)
    if (!isAsBefore) this.drawActions() // only then: a button that is being pressed must stay
    if (!nameProblem) return
    this.name = ""
    this.nameDialog.open(nameProblem)
  }

  announce(settled) {
    const title = action => this.session.sounds.get(action.sound)?.title ?? "a sound"
    const isShown = action => this.session.current?.id === action.sound && this.session.refusal
    const saved = settled.filter(([, answer]) => answer.state === "saved").map(([action]) => `${action.kind === "undo" ? "Undone" : "Saved"}: ${title(action)}`)
    const lost = settled.filter(([action, answer]) => answer.state !== "saved" && !isShown(action)).map(([action, answer]) => `${title(action)}: ${answer.sentence}`)
    if (lost.length) this.view.tell(lost.join(" "))
    else if (saved.length) this.view.say(saved.join(". "))
  }

  send(extra = {}) {
    this.session.outbox.noteSent()
    this.attempt = (this.attempt ?? 0) + 1
    this.sender({ ...this.session.request(), vocabulary: this.vocabulary.version, examples: this.asked ?? "", attempt: this.attempt, name: this.name ?? "", ...extra })
  }

  ask(tag) {
    this.asked = tag
    this.send()
  }

  // What the person does

  number(digit) {
    const sound = this.session.current
    if (!sound) return
    if (this.field.isPicking) return this.field.pick(this.session.tags[digit - 1])
    const row = offered(sound)[digit - 1]
    if (row) this.edit(() => this.session.toggle(row.tag), () => `${row.tag} ${this.session.tags.includes(row.tag) ? "on" : "off"}`)
  }

  act(action) {
    const { session, stage } = this
    if (action === "undo") return this.decide(() => this.undo())
    if (action === "help") return this.keysDialog.open()
    if (action === "previous") return this.go(-1)
    if (!session.current) return action === "confirm" && session.isFinished ? this.lookForMore() : undefined
    const acts = {
      confirm: () => this.judge("confirm"), save: () => this.judge("save"), unsure: () => this.judge("not sure"), untaggable: () => this.judge("untaggable"),
      next: () => this.go(1), type: () => this.change(() => this.field.focus()), replace: () => this.change(() => this.field.replace()), search: () => this.change(() => this.search.open()),
      play: () => stage.toggle(), loop: () => stage.toggleLoop(), start: () => stage.selectEdge(false), end: () => stage.selectEdge(true),
      zoomIn: () => stage.zoom(2), zoomOut: () => stage.zoom(0.5), panLeft: () => stage.pan(-0.5), panRight: () => stage.pan(0.5), slower: () => stage.changeSpeed(-1), faster: () => stage.changeSpeed(1),
    }
    acts[action]()
  }

  go(step) {
    this.session.move(step)
    this.arrive()
    if (this.session.next(SHOWN_NEXT).length < SHOWN_NEXT && !this.session.hasEnd) this.send()
  }

  // Shows and plays the sound that is now in focus.
  arrive() {
    this.field.reset()
    this.view.clearMessage()
    this.draw()
    this.focus()
    if (!this.session.current) return
    this.stage.start()
    this.view.say(this.session.current.title)
  }

  // Does something only where the person may change tags.
  change(act) {
    if (this.disabled) return this.view.tell(this.disabled)
    act()
  }

  // The same with a name under which it is recorded.
  decide(act) {
    this.change(() => {
      if (!this.needsName || this.name) return act()
      this.postponed = act
      this.nameDialog.open("")
    })
  }

  takeName(name) {
    this.name = name
    const act = this.postponed
    this.postponed = null
    if (act) act()
    else this.send()
  }

  judge(kind) {
    const isBlind = this.session.current.blind
    if (isBlind && kind !== "confirm") return this.view.tell("A second opinion confirms all shown tags. To skip this sound, go to the next one.")
    this.decide(() => {
      if (!this.session.judge(isBlind ? "opinion" : kind)) return this.view.tell("Nothing was changed, so nothing was saved.")
      this.send()
      this.arrive()
    })
  }

  undo() {
    const undone = this.session.undo()
    if (!undone) return this.view.tell("Nothing to undo.")
    if (undone === "change") return this.draw()
    this.send()
    this.arrive()
  }

  lookForMore() {
    this.session.lookForMore()
    this.send()
    this.view.say("Looking for more sounds")
  }

  edit(act, text) {
    this.change(() => {
      if (!this.session.current) return
      act()
      this.view.clearMessage()
      this.draw()
      if (text) this.view.say(text())
      if (this.session.request().typed.length) this.send()
    })
  }

  typed(text) {
    if (!this.session.current || this.disabled) return
    this.session.drafts.type(this.session.current, text)
    this.drawEditor()
    this.view.showBar(this.session)
  }

  // Returns what a button does about a decision that was not saved.
  settled(act) {
    return () => {
      act()
      this.draw()
      this.focus()
    }
  }

  // Drawing

  draw() {
    const { queue, at, sounds, current, began } = this.session
    this.view.showBar(this.session)
    if (!this.view.showPlace(this.session)) return this.stage.leave()
    this.media.keep([...queue.slice(Math.max(0, at - LOADED_BEHIND), at + 1 + SHOWN_NEXT).map(id => sounds.get(id)), current])
    this.stage.show(current)
    this.view.showQueue(this.session.next(SHOWN_NEXT))
    this.view.showSound(current)
    this.drawEditor()
    this.view.showRefusal(this.session.refusal)
    keepPlace(current.id, began)
  }

  drawEditor() {
    const sound = this.session.current, draft = this.session.drafts.of(sound), focus = this.focusedButton()
    this.editor.show(sound, draft, { disabled: !!this.disabled, picking: this.field.isPicking, known: this.session.known })
    focus()
    this.field.show(sound, draft, !!this.disabled)
    this.view.emphasizeSave(this.session.drafts.isUnsaved(sound))
  }

  // Returns a function that gives the focus back to the button that had it before the lists were drawn anew.
  focusedButton() {
    const active = this.root.getRootNode().activeElement, list = active?.closest?.(".editor ul")
    if (!list) return () => {}
    const place = [...list.querySelectorAll("button")].indexOf(active)
    return () => (list.querySelectorAll("button")[place] ?? this.root).focus({ preventScroll: true })
  }

  drawActions() {
    const { current, drafts } = this.session
    this.view.showActions(this.keys, !!this.disabled)
    this.view.emphasizeSave(!!current && drafts.isUnsaved(current))
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
