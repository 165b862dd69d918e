// Which key does what. A person may change it; their choice is kept in this browser.

const STORED = "earmark-review-keys"

// [action, what it does, keys]. The digits are fixed: they are the numbers of the suggestions.
export const ACTIONS = [
  ["confirm", "Confirm all shown tags, go to the next sound", ["Enter"]],
  ["save", "Save changes only, go to the next sound", ["s"]],
  ["unsure", "Not sure", ["n"]],
  ["untaggable", "Cannot be tagged", ["x"]],
  ["next", "Next sound", ["j", "ArrowRight", "ArrowDown"]],
  ["previous", "Previous sound", ["k", "ArrowLeft", "ArrowUp"]],
  ["play", "Play or pause", [" "]],
  ["type", "Type a tag", ["t"]],
  ["replace", "Replace a tag", ["r"]],
  ["search", "Search tags and hear examples", ["/"]],
  ["undo", "Undo, also the last sound's review", ["u"]],
  ["loop", "Loop on or off", ["l"]],
  ["start", "Selection starts at the playhead", ["["]],
  ["end", "Selection ends at the playhead", ["]"]],
  ["zoomIn", "Zoom in", ["+", "="]],
  ["zoomOut", "Zoom out", ["-"]],
  ["panLeft", "Move the view left", [","]],
  ["panRight", "Move the view right", ["."]],
  ["slower", "Slower", ["<"]],
  ["faster", "Faster", [">"]],
  ["help", "Show the keys", ["?"]],
]
const NAMES = { " ": "Space", ArrowRight: "→", ArrowLeft: "←", ArrowUp: "↑", ArrowDown: "↓" }
const NAMED = new Set(["Enter", " ", "ArrowRight", "ArrowLeft", "ArrowUp", "ArrowDown", "Home", "End", "PageUp", "PageDown", "Insert", "Delete", "Backspace"])

export const keyName = key => NAMES[key] ?? (key.length === 1 ? key.toUpperCase() : key)

const isUsable = key => typeof key === "string" && !/^[1-9]$/.test(key) && (key.length === 1 || NAMED.has(key) || /^F\d{1,2}$/.test(key))

const lower = key => (key.length === 1 ? key.toLowerCase() : key)

export class Keys {
  constructor() {
    this.chosen = checked(read())
  }

  of(action) {
    return this.chosen[action] ?? ACTIONS.find(([name]) => name === action)[2]
  }

  hint(action) {
    return keyName(this.of(action)[0])
  }

  action(key) {
    return ACTIONS.map(([name]) => name).find(name => this.of(name).includes(lower(key)))
  }

  // Returns why the key cannot be used; empty where it is now in use.
  change(action, key) {
    if (!isUsable(key)) return `${keyName(key)} cannot be used here.`
    const other = this.action(key)
    if (other && other !== action) return `${keyName(key)} is in use: ${ACTIONS.find(([name]) => name === other)[1]}.`
    this.chosen = { ...this.chosen, [action]: [lower(key)] }
    write(this.chosen)
    return ""
  }

  reset() {
    this.chosen = {}
    write(this.chosen)
  }
}

// What is stored may be anything: only known actions with usable keys count, each key once.
function checked(stored) {
  if (stored === null || typeof stored !== "object") return {}
  const chosen = {}
  for (const [action, , standard] of ACTIONS) {
    const keys = stored[action]
    if (Array.isArray(keys) && keys.length === 1 && isUsable(keys[0])) chosen[action] = [lower(keys[0])]
    else if (keys !== undefined) chosen[action] = standard
  }
  const all = ACTIONS.flatMap(([action, , standard]) => chosen[action] ?? standard)
  return new Set(all).size === all.length ? chosen : {}
}

function read() {
  try {
    return JSON.parse(localStorage.getItem(STORED))
  } catch {
    return null // not JSON, or no storage in this browser
  }
}

function write(chosen) {
  try {
    localStorage.setItem(STORED, JSON.stringify(chosen))
  } catch {
    // A browser without storage keeps the keys until the page is closed.
  }
}
