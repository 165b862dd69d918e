// What a person decided and the server has not acknowledged yet. It is kept for a reload of the page,
// and sent again until there is an answer: the server applies each action once, however often it comes.

const FIRST_WAIT_MS = 3000, LONGEST_WAIT_MS = 30000

export class Outbox {
  constructor(owner) {
    this.key = `earmark-review-outbox-${owner}`
    this.actions = readStored(this.key, []).filter(action => typeof action?.id === "string" && typeof action?.sound === "string")
    this.wait = FIRST_WAIT_MS
  }

  rename(owner) {
    removeStored(this.key)
    this.key = `earmark-review-outbox-${owner}`
    this.store()
  }

  get size() {
    return this.actions.length
  }

  add(action) {
    this.actions.push(action)
    this.wait = FIRST_WAIT_MS
    this.store()
  }

  lastOf(sound) {
    return this.actions.findLast(action => action.sound === sound)
  }

  // Takes what the server has answered; returns [action, answer] of each that is settled by it.
  settle(answers) {
    const settled = this.actions.filter(action => action.id in answers).map(action => [action, answers[action.id]])
    if (!settled.length) return []
    this.actions = this.actions.filter(action => !(action.id in answers))
    this.wait = FIRST_WAIT_MS
    this.store()
    return settled
  }

  // To be called now and then: sends again what has had no answer, less and less often.
  remind(send) {
    if (!this.size || Date.now() - this.sent < this.wait) return
    this.wait = Math.min(LONGEST_WAIT_MS, 2 * this.wait)
    send()
  }

  noteSent() {
    this.sent = Date.now()
  }

  store() {
    writeStored(this.key, this.actions)
  }
}

// Thirty-two hexadecimal digits that nobody can guess.
export function newId() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map(byte => byte.toString(16).padStart(2, "0")).join("")
}

export function readStored(key, otherwise) {
  try {
    const value = JSON.parse(sessionStorage.getItem(key))
    return value !== null && typeof value === "object" && Array.isArray(value) === Array.isArray(otherwise) ? value : otherwise
  } catch {
    return otherwise
  }
}

export function writeStored(key, value) {
  try {
    sessionStorage.setItem(key, JSON.stringify(value))
  } catch {
    // Without storage it lasts as long as the page.
  }
}

export function removeStored(key) {
  try {
    sessionStorage.removeItem(key)
  } catch {
    // There is none.
  }
}
