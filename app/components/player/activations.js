// A row per suggestion: the tag, its level over time, its probability. A press plays that part.

import { clock, element } from "../shared/dom.js"
import { Levels } from "./levels.js"

const STATES = { above: "suggested", below: "not suggested: below its threshold", rejected: "rejected" }
const MAX_TOLD = 3
const SVG = "http://www.w3.org/2000/svg"

export class Activations {
  // `playPart(from, to)` is called for the part that was pressed.
  constructor(box, playPart) {
    Object.assign(this, { box, playPart, rows: [], view: [0, 1], silence: { columns: 0 } })
    box.onkeydown = event => this.#key(event)
  }

  show({ rows, steps, seconds, title }) {
    const written = JSON.stringify([rows, steps, seconds])
    if (this.written === written) return
    this.written = written
    this.rows = rows.map(row => this.#row(row, steps, seconds, title))
    this.box.replaceChildren(...this.rows.map(row => row.node))
    this.#stop(0)
    this.#draw()
  }

  // Only this stretch of the sound, in seconds, is seen.
  setView(view) {
    this.view = view
    const [from, to] = view
    this.rows.forEach(row => row.picture.setAttribute("viewBox", `${from} 0 ${to - from} 1`))
  }

  // Where the sound is digital silence nothing is lit; see silence.js.
  setSilence(silence) {
    this.silence = silence
    this.#draw()
  }

  #row([tag, probability, state, threshold, text], steps, seconds, title) {
    const levels = new Levels(text, steps, seconds)
    const percent = Math.round(probability * 100) + "%"
    const node = element("div", "row " + state, "", { role: "listitem", title: STATES[state] })
    const name = element("button", "tag", "", { type: "button", "aria-label": describe({ tag, percent, state, threshold, levels, title }) })
    name.append(element("span", "word", tag), element("span", "number", percent))
    const strip = element("span", "strip", "", { "aria-hidden": "true" })
    const picture = document.createElementNS(SVG, "svg")
    picture.setAttribute("preserveAspectRatio", "none")
    strip.append(picture)
    if (threshold !== null) {
      const line = element("span", "threshold")
      line.style.bottom = threshold * 100 + "%"
      strip.append(line)
    }
    node.append(name, strip)
    const row = { node, name, picture, levels, threshold: threshold ?? undefined, state, seconds }
    name.onclick = () => this.playPart(...(levels.isKnown ? strongestEvent(row) : [0, seconds]))
    strip.onclick = event => this.#pressed(row, event)
    return row
  }

  #pressed({ picture, levels, threshold }, event) {
    if (!levels.isKnown) return
    const box = picture.getBoundingClientRect(), [from, to] = this.view
    const at = from + (event.clientX - box.left) / box.width * (to - from)
    this.playPart(...levels.around(at, threshold))
  }

  #draw() {
    this.rows.forEach(row => {
      const lit = bars(row, this.silence)
      const paths = ["weak", "strong"].map(kind => {
        const path = document.createElementNS(SVG, "path")
        path.setAttribute("class", kind)
        path.setAttribute("d", lit.filter(bar => bar.kind === kind).map(({ from, to, level }) => `M${from} 1V${1 - level}H${to}V1Z`).join(""))
        return path
      })
      row.picture.replaceChildren(...paths)
    })
    this.setView(this.view)
  }

  // One stop for the Tab key; the arrows go from row to row.
  #key(event) {
    const place = this.rows.findIndex(row => row.name === event.target)
    const steps = { ArrowDown: place + 1, ArrowUp: place - 1, Home: 0, End: this.rows.length - 1 }
    if (place < 0 || !(event.key in steps)) return
    event.preventDefault()
    const next = Math.min(this.rows.length - 1, Math.max(0, steps[event.key]))
    this.#stop(next)
    this.rows[next].name.focus()
  }

  #stop(place) {
    this.rows.forEach((row, each) => { row.name.tabIndex = each === place ? 0 : -1 })
  }
}

// Returns the bars of a row: stretches of one level, in seconds.
function bars({ levels, threshold = 0, seconds, state }, silence) {
  const columns = Math.max(silence.columns, levels.values.length), found = []
  if (!levels.isKnown) return found
  for (let column = 0; column < columns; column++) {
    const share = (column + 0.5) / columns
    const level = silence.columns && silence.at(share) ? 0 : levels.at(share * seconds)
    const last = found.at(-1), to = (column + 1) / columns * seconds
    if (last?.level === level) last.to = to
    else found.push({ from: column / columns * seconds, to, level, kind: level >= threshold && state === "above" ? "strong" : "weak" })
  }
  return found.filter(bar => bar.level > 0)
}

function strongestEvent({ levels, threshold }) {
  const [at] = levels.strongest
  return levels.around(at, threshold)
}

// Returns what a row shows, in words: the text alternative of its picture.
function describe({ tag, percent, state, threshold, levels, title }) {
  const parts = [`${tag} ${percent}`, STATES[state].split(":")[0]]
  const events = levels.isKnown ? levels.events(threshold ?? undefined) : []
  const told = events.slice(0, MAX_TOLD).map(([from, to]) => `${clock(from)} to ${clock(to)}`)
  if (told.length) parts.push(told.join(" and ") + (events.length > MAX_TOLD ? ` and ${events.length - MAX_TOLD} more times` : ""))
  return `${parts.join(", ")}; play it in ${title}`
}
