// A table that is searched and sorted in the browser. Tags are other people's text: never markup.

import { element } from "../shared/dom.js"
import { load } from "../shared/mount.js"

const mount = await load(import.meta.url)
const tables = new WeakMap()

const value = cell => (Array.isArray(cell) ? cell[0] : cell)

function number(kind, at) {
  if (kind === "count") return at.toLocaleString("en")
  return kind === "percent" ? Math.round(at * 100) + "%" : at.toFixed(3)
}

function cellNode(kind, cell) {
  const at = value(cell), node = element("td", kind)
  if (at == null) {
    node.append(element("span", "none", "–"))
    return node
  }
  node.textContent = kind === "text" ? at : number(kind, at)
  if (Array.isArray(cell) && cell[1] != null) node.append(element("small", "", `${number(kind, cell[1])} to ${number(kind, cell[2])}`))
  return node
}

class ScoreTable {
  constructor(root) {
    const find = selector => root.querySelector(selector)
    Object.assign(this, { bar: find(".bar"), search: find("input"), count: find(".count"), region: find(".scroll"), head: find("thead"), body: find("tbody") })
    this.sorting = null
    this.search.oninput = () => this.drawRows()
  }

  show(data, open) {
    this.open = open
    const same = JSON.stringify(data) === this.shown
    if (same) return
    if (JSON.stringify(this.data?.columns) !== JSON.stringify(data.columns)) this.sorting = null
    Object.assign(this, { data, shown: JSON.stringify(data) })
    this.bar.hidden = !data.searchable
    this.region.setAttribute("aria-label", data.name)
    this.drawHead()
    this.drawRows()
  }

  drawHead() {
    const row = element("tr")
    this.data.columns.forEach(([label, kind, help], column) => {
      const head = element("th", kind, "", { scope: "col" }), button = element("button", "", label, { type: "button" })
      if (help) button.title = help
      button.onclick = () => this.sortBy(column)
      if (this.sorting?.column === column) head.setAttribute("aria-sort", this.sorting.down ? "descending" : "ascending")
      head.append(button)
      row.append(head)
    })
    this.head.replaceChildren(row)
  }

  sortBy(column) {
    const isText = this.data.columns[column][1] === "text"
    const again = this.sorting?.column === column
    this.sorting = { column, down: again ? !this.sorting.down : !isText }
    this.drawHead()
    this.drawRows()
    this.head.querySelectorAll("button")[column].focus()
  }

  // Empty cells come last whichever way the table is sorted.
  sorted(rows) {
    if (!this.sorting) return rows
    const { column, down } = this.sorting
    return [...rows].sort((left, right) => {
      const [a, b] = [value(left[column]), value(right[column])]
      if (a == null || b == null) return (a == null) - (b == null)
      const order = typeof a === "number" ? a - b : String(a).localeCompare(String(b))
      return down ? -order : order
    })
  }

  drawRows() {
    const text = this.search.value.trim().toLowerCase()
    const rows = this.sorted(this.data.rows.filter(row => String(row[0]).toLowerCase().includes(text)))
    this.body.replaceChildren(...rows.map(row => this.row(row)))
    this.count.textContent = text ? `${rows.length} of ${this.data.rows.length}` : ""
  }

  row([name, ...cells]) {
    const row = element("tr"), head = element("th", "", "", { scope: "row" })
    if (this.data.opens) {
      const button = element("button", "", name, { type: "button" })
      button.onclick = () => this.open(name)
      head.append(button)
    } else head.textContent = name
    row.append(head, ...cells.map((cell, place) => cellNode(this.data.columns[place + 1][1], cell)))
    return row
  }
}

export default ({ data, parentElement, setTriggerValue }) => {
  if (!tables.has(parentElement)) {
    mount(parentElement)
    tables.set(parentElement, new ScoreTable(parentElement))
  }
  tables.get(parentElement).show(data[0], name => setTriggerValue("open", name))
}
