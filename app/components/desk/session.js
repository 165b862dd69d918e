// A person's way through the queue: where they are, what they changed, decided, and can take back.
// Nothing here touches the page.

import { asStored, isCertain, pieces, sameTags } from "../shared/tags.js"
import { Drafts, hasChanges } from "./drafts.js"
import { newId, Outbox } from "./outbox.js"

const AHEAD = 7
const SLOWEST_S = 120, PACE_OF = 20 // a break is not counted as work on a sound
const STATUS = { confirm: "reviewed", opinion: "reviewed", save: "partly", "not sure": "not sure", untaggable: "untaggable" }

export class Session {
  // `hasEnd` is true when the whole rest of the queue is here, `began` the time when the queue was begun.
  constructor(owner) {
    Object.assign(this, { queue: [], sounds: new Map(), at: 0, total: 0, began: 0, hasEnd: false, refresh: 0, undoable: [], conflicts: new Map(), known: new Map(), times: [] })
    this.drafts = new Drafts(owner)
    this.outbox = new Outbox(owner)
    this.since = Date.now()
  }

  get current() {
    return this.sounds.get(this.queue[this.at])
  }

  get isFinished() {
    return !this.current && this.hasEnd
  }

  // The tags of the sound in focus, as edited.
  get tags() {
    return this.current ? this.drafts.of(this.current).tags : []
  }

  // Why a decision about the sound in focus was not saved; undefined where there is nothing of that kind.
  get refusal() {
    return this.conflicts.get(this.current?.id)
  }

  // The number of sounds with unsaved changes.
  get unsaved() {
    const isUnsaved = ([id, draft]) => (this.sounds.has(id) ? this.drafts.isUnsaved(this.sounds.get(id)) : hasChanges(draft))
    return [...this.drafts.all].filter(isUnsaved).length
  }

  // The sounds that come after this one, as far as they are here.
  next(count) {
    return this.queue.slice(this.at + 1, this.at + 1 + count).map(id => this.sounds.get(id))
  }

  // Takes what the server says. What it says of a sound with unanswered actions is older than those.
  merge({ queue, sounds, gone, stored }) {
    if (queue.refresh === this.refresh && this.isRefreshing) this.restart()
    this.total = queue.total
    this.began = queue.began
    this.hasEnd ||= queue.isComplete
    gone.filter(id => !this.conflicts.has(id)).forEach(id => this.remove(id)) // a refusal is read first
    for (const sound of sounds) {
      if (!this.queue.includes(sound.id)) this.queue.push(sound.id)
      if (!this.sounds.has(sound.id) || !this.outbox.lastOf(sound.id)) this.sounds.set(sound.id, sound)
    }
    Object.entries(stored).forEach(([text, tags]) => this.known.set(text, tags))
    if (!this.hasStarted) this.at = Math.max(0, this.queue.indexOf(queue.at))
    this.hasStarted = true
  }

  // The person has a name now: what they changed before is theirs.
  rename(owner) {
    this.drafts.rename(owner)
    this.outbox.rename(owner)
  }

  lookForMore() {
    this.isRefreshing = true
    this.refresh += 1
  }

  restart() {
    this.isRefreshing = this.hasEnd = false
    this.queue = []
    this.at = 0
  }

  remove(id) {
    const place = this.queue.indexOf(id)
    if (place < 0) return
    this.queue.splice(place, 1)
    this.sounds.delete(id)
    if (place < this.at) this.at -= 1
  }

  move(step) {
    this.at = Math.min(this.queue.length, Math.max(0, this.at + step))
    this.since = Date.now()
  }

  goTo(id) {
    if (!this.queue.includes(id)) this.queue.splice(this.at, 0, id)
    this.at = this.queue.indexOf(id)
    this.since = Date.now()
  }

  change(tags) {
    this.drafts.change(this.current, tags)
  }

  toggle(tag) {
    const { tags } = this.drafts.of(this.current)
    this.change(tags.includes(tag) ? tags.filter(other => other !== tag) : [...tags, tag])
  }

  add(texts) {
    const { tags } = this.drafts.of(this.current)
    const added = asStored(texts, this.current.tags, this.known)
    const uncertain = texts.filter(text => !isCertain(text) && !this.known.has(text)) // the server will clean them
    this.change([...new Set([...tags, ...added.filter(tag => !uncertain.includes(tag)), ...uncertain])])
  }

  replace(old, texts) {
    const { tags } = this.drafts.of(this.current), place = tags.indexOf(old)
    const added = asStored(texts, this.current.tags, this.known)
    this.change([...new Set([...tags.slice(0, place), ...added, ...tags.slice(place + 1)])])
  }

  // Puts a decision into the outbox and goes on; returns it, or null where nothing was decided.
  judge(kind) {
    const sound = this.current, draft = this.drafts.of(sound), tags = this.drafts.tags(sound)
    const stored = asStored(tags, sound.tags, this.known)
    if (kind === "save" && sameTags(stored, sound.tags)) return null
    const action = { id: newId(), sound: sound.id, kind, tags, base: draft.base, after: this.outbox.lastOf(sound.id)?.id ?? null }
    this.undoable.push({ action, sound, draft })
    this.outbox.add(action)
    this.sounds.set(sound.id, { ...sound, status: STATUS[kind], tags: kind === "not sure" || kind === "untaggable" ? sound.tags : stored })
    this.drafts.drop(sound)
    this.conflicts.delete(sound.id)
    this.notePace()
    this.move(1)
    return action
  }

  // Takes back the last change of this sound, else the last decision; returns what was taken back.
  undo() {
    if (this.current && this.drafts.undo(this.current)) return "change"
    const last = this.undoable.pop()
    if (!last) return ""
    const { action, sound, draft } = last
    this.outbox.add({ id: newId(), sound: sound.id, kind: "undo", tags: [], base: sound.version, after: action.id, target: action.id })
    this.sounds.set(sound.id, sound)
    this.drafts.put(sound, draft)
    this.goTo(sound.id)
    return "review"
  }

  // Takes the server's answers; returns those that say "not saved".
  settle(answers) {
    const settled = this.outbox.settle(answers)
    for (const [action, answer] of settled) {
      if (answer.state === "saved") this.noteSaved(action, answer)
      else this.bringBack(action, answer)
    }
    return settled
  }

  noteSaved(action, { state, ...review }) {
    const before = this.sounds.get(action.sound)
    if (!before || this.outbox.lastOf(action.sound)) return
    const sound = { ...before, ...review }
    this.sounds.set(sound.id, sound)
    const draft = this.drafts.all.get(sound.id)
    if (draft) this.drafts.put(sound, { ...draft, base: sound.version })
  }

  // A refused decision comes back as unsaved changes, with the reason.
  bringBack(action, answer) {
    const place = this.undoable.findIndex(each => each.action.id === action.id)
    const [own] = place < 0 ? [] : this.undoable.splice(place, 1)
    const known = own?.sound ?? this.sounds.get(action.sound)
    if (!known && !answer.sound) return
    const sound = answer.sound ? { ...answer.sound, place: known?.place ?? 0 } : known
    const before = own?.sound.tags ?? sound.tags
    const tags = action.kind === "undo" ? this.drafts.of(known ?? sound).tags : action.tags
    this.sounds.set(sound.id, sound)
    this.drafts.put(sound, { tags, typed: "", steps: [], base: sound.version })
    this.conflicts.set(sound.id, { ...answer, before, mine: tags })
    this.bringForward(sound.id)
  }

  // Goes to a sound; where the one in focus is being edited, it comes next.
  bringForward(id) {
    const isBusy = this.current && this.current.id !== id && this.drafts.isUnsaved(this.current)
    if (!isBusy) return this.goTo(id)
    const current = this.current.id
    this.queue = this.queue.filter(other => other !== id)
    this.at = this.queue.indexOf(current)
    this.queue.splice(this.at + 1, 0, id)
  }

  // The other person's tags with what this one changed.
  mergeConflict() {
    const sound = this.current, { before, mine } = this.conflicts.get(sound.id)
    const kept = sound.tags.filter(tag => mine.includes(tag) || !before.includes(tag))
    const added = mine.filter(tag => !before.includes(tag) && !kept.includes(tag))
    this.conflicts.delete(sound.id)
    this.drafts.put(sound, { tags: [...kept, ...added], typed: "", steps: [], base: sound.version })
  }

  dismiss() {
    this.conflicts.delete(this.current.id)
  }

  // The tags that a search need not offer: those of the sound in focus, and those rejected.
  without() {
    const sound = this.current
    return sound ? [...this.tags, ...Object.keys(sound.decisions).filter(tag => sound.decisions[tag] === "removed")] : []
  }

  takeTheirs() {
    this.conflicts.delete(this.current.id)
    this.drafts.drop(this.current)
  }

  notePace() {
    this.times = [...this.times, Math.min(SLOWEST_S, (Date.now() - this.since) / 1000)].slice(-PACE_OF)
  }

  // Seconds for the rest of the queue at this pace; null before anything was judged.
  secondsLeft() {
    if (!this.times.length || !this.current) return null
    const middle = [...this.times].sort((one, other) => one - other)[this.times.length >> 1]
    return middle * (this.total - this.current.place)
  }

  // What the server is to know.
  request() {
    const from = Math.min(this.at, Math.max(0, this.queue.length - 1))
    const have = this.queue.slice(from, from + 1 + AHEAD).map(id => [id, this.sounds.get(id).version])
    const draft = this.current ? this.drafts.tags(this.current) : []
    const typed = draft.flatMap(pieces).filter(text => !isCertain(text) && !this.known.has(text))
    return { at: this.queue[from] ?? "", have, refresh: this.refresh, typed, actions: this.outbox.actions }
  }
}
