// Draws a chart as SVG, its legend, and its numbers as a table. Texts are never markup.

import { element } from "../shared/dom.js"
import { load } from "../shared/mount.js"

const NAMESPACE = "http://www.w3.org/2000/svg"
const LEFT = 52, TOP = 10, COLORS = 4, TICKS = 5, MAX_TEXTS = 6
const HIDDEN_PX = 560, ASPECT = 320 / 560
const mount = await load(import.meta.url)
const observers = new WeakMap()

function shape(kind, attributes, text = "") {
  const node = document.createElementNS(NAMESPACE, kind)
  Object.entries(attributes).forEach(([name, value]) => node.setAttribute(name, value))
  node.textContent = text
  return node
}

function written(axis, value) {
  if (axis.texts.length) return axis.texts[Math.round(value)] ?? ""
  if (axis.percent) return Math.round(value * 1000) / 10 + "%"
  return Number.isInteger(value) ? value.toLocaleString("en") : String(Math.round(value * 1000) / 1000)
}

// Returns where an axis has numbers: round ones, or some of its texts.
function ticks(axis) {
  const span = axis.high - axis.low || 1
  if (axis.texts.length) {
    const step = Math.max(1, Math.ceil(axis.texts.length / MAX_TEXTS))
    return axis.texts.map((_, place) => place).filter(place => place % step === 0)
  }
  const power = 10 ** Math.floor(Math.log10(span / TICKS))
  const step = [1, 2, 5, 10].map(factor => factor * power).find(each => span / each <= TICKS)
  const count = Math.floor(axis.high / step + 1e-9) - Math.ceil(axis.low / step - 1e-9) + 1
  return Array.from({ length: count }, (_, place) => +((Math.ceil(axis.low / step - 1e-9) + place) * step).toPrecision(12))
}

// A unit is a pixel, so that text has one size however much room there is.
function draw(svg, { alt, x, y, series }) {
  const width = svg.clientWidth || HIDDEN_PX
  const parts = [], height = Math.round(width * ASPECT), RIGHT = width - 24, BOTTOM = height - 48
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`)
  const across = value => LEFT + ((value - x.low) / (x.high - x.low || 1)) * (RIGHT - LEFT)
  const up = value => BOTTOM - ((value - y.low) / (y.high - y.low || 1)) * (BOTTOM - TOP)
  for (const value of ticks(y)) {
    parts.push(shape("line", { class: "grid", x1: LEFT, x2: RIGHT, y1: up(value), y2: up(value) }))
    parts.push(shape("text", { x: LEFT - 8, y: up(value) + 4, "text-anchor": "end" }, written(y, value)))
  }
  for (const value of ticks(x)) parts.push(shape("text", { x: across(value), y: BOTTOM + 19, "text-anchor": "middle" }, written(x, value)))
  parts.push(shape("text", { x: (LEFT + RIGHT) / 2, y: BOTTOM + 40, "text-anchor": "middle" }, x.label))
  const vertical = { x: 0, y: 0, "text-anchor": "middle", transform: `translate(11 ${(TOP + BOTTOM) / 2}) rotate(-90)` }
  parts.push(shape("text", vertical, y.label))
  series.forEach((each, place) => parts.push(...drawn(each, `var(--line-${(place % COLORS) + 1})`, across, up, x, y)))
  svg.setAttribute("aria-label", alt)
  svg.replaceChildren(...parts)
}

function drawn(series, color, across, up, x, y) {
  const isReference = series.kind === "reference"
  const points = series.x.map((value, place) => ({ value, at: series.y[place], place })).filter(point => point.at != null)
  const path = series.x.map((value, place) => {
    if (series.y[place] == null) return ""
    const command = place && series.y[place - 1] != null ? "L" : "M"
    return `${command}${across(value).toFixed(1)} ${up(series.y[place]).toFixed(1)}`
  }).join("")
  const line = isReference ? { class: "reference", d: path } : { class: "line", stroke: color, d: path }
  const marks = [shape("path", line)]
  for (const { value, at, place } of isReference ? [] : points) {
    const low = series.low[place], high = series.high[place]
    if (low != null && high != null) {
      marks.push(shape("line", { class: "interval", stroke: color, x1: across(value), x2: across(value), y1: up(low), y2: up(high) }))
    }
    if (series.kind === "points") marks.push(shape("circle", { fill: color, cx: across(value), cy: up(at), r: 4 }))
    const hit = shape("circle", { class: "hit", cx: across(value), cy: up(at), r: 7 })
    const interval = low != null && high != null ? ` (${written(y, low)} to ${written(y, high)})` : ""
    const note = series.notes[place] ? `, ${series.notes[place]}` : ""
    hit.append(shape("title", {}, `${x.label} ${written(x, value)}: ${y.label} ${written(y, at)}${interval}${note}`))
    marks.push(hit)
  }
  return marks
}

function legend(root, series) {
  root.querySelector("figcaption").replaceChildren(...series.flatMap((each, place) => {
    if (!each.name) return []
    const entry = element("span", each.kind === "reference" ? "dashed" : "", each.name)
    entry.style.setProperty("--mark", `var(--line-${(place % COLORS) + 1})`)
    return [entry]
  }))
}

// Fills the table when it is opened: most people do not need it.
function table(root, { x, y, series }) {
  const details = root.querySelector("details"), counted = series.filter(each => each.kind !== "reference" && each.x.length)
  details.open = false
  details.hidden = !counted.length
  details.ontoggle = () => {
    const head = element("tr"), rows = []
    head.append(...[x.label, ...counted.map(each => each.name || y.label)].map(text => element("th", "", text, { scope: "col" })))
    const places = [...new Set(counted.flatMap(each => each.x))].sort((a, b) => a - b)
    for (const value of places) {
      const row = element("tr")
      row.append(element("td", "", written(x, value)))
      for (const each of counted) {
        const place = each.x.indexOf(value), at = each.y[place]
        const interval = each.low[place] != null ? ` (${written(y, each.low[place])} to ${written(y, each.high[place])})` : ""
        row.append(element("td", "", at == null ? "–" : written(y, at) + interval))
      }
      rows.push(row)
    }
    root.querySelector("thead").replaceChildren(head)
    root.querySelector("tbody").replaceChildren(...rows)
  }
}

export default ({ data, parentElement }) => {
  if (!observers.has(parentElement)) mount(parentElement)
  observers.get(parentElement)?.disconnect()
  const [content] = data, svg = parentElement.querySelector("svg")
  draw(svg, content)
  legend(parentElement, content.series)
  table(parentElement, content)
  const observer = new ResizeObserver(() => draw(svg, content))
  observer.observe(svg)
  observers.set(parentElement, observer)
  return () => observer.disconnect()
}
