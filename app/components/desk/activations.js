// Suggested tags over time: a row each, its level as height, its threshold as a line.

import { button, clock, element, percent, svg } from "../shared/dom.js"

const AROUND_S = 1 // a press beside every part plays this much before and after

// `play` gets the seconds from and to.
export function activationRows(sound, play) {
  return sound.rows.map(row => rowElement(row, sound, play))
}

function rowElement(row, sound, play) {
  const box = element("div", row.above ? "row above" : "row")
  const plot = button("plot", "", rowText(row), event => play(...partAt(row, event, sound.seconds, plot)))
  plot.title = "Play this part"
  plot.append(curve(row, sound.seconds))
  box.append(element("span", "tag", row.tag), plot, element("span", "number", percent(row.probability)))
  return box
}

// What the picture shows, in words.
export function rowText({ tag, probability, threshold, parts }) {
  const level = threshold === null ? "" : probability >= threshold ? `, above its threshold of ${percent(threshold)}` : `, below its threshold of ${percent(threshold)}`
  return `Play ${tag} ${percent(probability)}${level}${parts.length ? `, from ${parts.slice(0, 8).map(partText).join("; ")}` : ""}`
}

const partText = ([from, to]) => `${clock(from)} to ${clock(to)}`

function curve({ levels, threshold }, seconds) {
  const picture = svg("svg", { viewBox: `0 0 ${seconds || 1} 1`, preserveAspectRatio: "none", "aria-hidden": "true", class: "curve" })
  const path = levels.map(([from, to, level]) => `M${from} 1V${(1 - level).toFixed(3)}H${to}V1Z`).join("")
  picture.append(svg("path", { d: path, class: "level" }))
  if (threshold !== null) picture.append(svg("line", { x1: 0, x2: seconds || 1, y1: 1 - threshold, y2: 1 - threshold, class: "threshold" }))
  return picture
}

function partAt({ parts }, event, seconds, plot) {
  if (!event.detail) return parts[0] ?? [0, seconds] // pressed by keyboard
  const box = plot.querySelector("svg").getBoundingClientRect()
  const at = seconds * Math.min(1, Math.max(0, (event.clientX - box.left) / box.width))
  return parts.find(([from, to]) => from <= at && at <= to) ?? [Math.max(0, at - AROUND_S), Math.min(seconds, at + AROUND_S)]
}

// The events of a long recording: tag, from and to, press to hear.
export function eventItems(sound, play) {
  const events = sound.rows.flatMap(({ tag, parts }) => parts.map(([from, to]) => ({ tag, from, to })))
  events.sort((one, other) => one.from - other.from)
  return events.map(({ tag, from, to }) => {
    const item = element("li")
    item.append(button("event", `${tag} ${clock(from)}–${clock(to)}`, "", () => play(from, to)))
    return item
  })
}
