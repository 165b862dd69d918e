// Unsaved changes, by sound: the tags as edited, text that is typed but not confirmed, and the way back.

import { pieces, sameTags } from "../shared/tags.js"
import { readStored, removeStored, writeStored } from "./outbox.js"

export class Drafts {
  constructor(owner) {
    this.key = `earmark-review-drafts-${owner}`
    this.all = new Map(Object.entries(readStored(this.key, {})).filter(([, draft]) => isDraft(draft)))
  }

  rename(owner) {
    removeStored(this.key)
    this.key = `earmark-review-drafts-${owner}`
    this.store()
  }

  of(sound) {
    return this.all.get(sound.id) ?? { tags: sound.tags, typed: "", steps: [], base: sound.version }
  }

  // The tags of a draft with what is typed.
  tags(sound) {
    const { tags, typed } = this.of(sound)
    return [...new Set([...tags, ...pieces(typed)])]
  }

  change(sound, tags) {
    const draft = this.of(sound)
    this.put(sound, { ...draft, tags, steps: [...draft.steps, draft.tags] })
  }

  type(sound, typed) {
    this.put(sound, { ...this.of(sound), typed })
  }

  // Takes back the last step; returns false where there is none.
  undo(sound) {
    const draft = this.of(sound)
    if (draft.typed.trim()) this.put(sound, { ...draft, typed: "" })
    else if (draft.steps.length) this.put(sound, { ...draft, tags: draft.steps.at(-1), steps: draft.steps.slice(0, -1) })
    else return false
    return true
  }

  put(sound, draft) {
    const isSame = sameTags(draft.tags, sound.tags) && !draft.typed.trim()
    if (isSame && !draft.steps.length) this.all.delete(sound.id)
    else this.all.set(sound.id, draft)
    this.store()
  }

  drop(sound) {
    this.all.delete(sound.id)
    this.store()
  }

  isUnsaved(sound) {
    const draft = this.of(sound)
    return !sameTags(draft.tags, sound.tags) || !!draft.typed.trim()
  }

  store() {
    writeStored(this.key, Object.fromEntries(this.all))
  }
}

// For a sound that is not here: it may differ from what is stored.
export const hasChanges = draft => !!(draft.steps.length || draft.typed.trim())

function isDraft(draft) {
  const areTexts = value => Array.isArray(value) && value.every(text => typeof text === "string")
  return areTexts(draft?.tags) && typeof draft.typed === "string" && typeof draft.base === "string" && Array.isArray(draft.steps) && draft.steps.every(areTexts)
}
