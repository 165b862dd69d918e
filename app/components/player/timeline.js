// Zoom and pan along time: the picture is wider than its frame, which scrolls. Marks on the time axis.

import { clock, element } from "../shared/dom.js"

const MIN_VISIBLE_S = 0.5
const MIN_MARK_PX = 64
const LAST_MARK_PX = 36
const MARK_STEPS_S = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600]
const FOLLOW_SHARE = 0.1
const ZOOM_FACTOR = 2

export class Timeline {
  // `onView([from, to])` is called with the seconds that are seen.
  constructor(root, onView) {
    const find = selector => root.querySelector(selector)
    Object.assign(this, { frame: find(".frame"), content: find(".content"), marks: find(".marks"), closer: find(".closer"), wider: find(".wider"), onView, zoom: 1, seconds: 1 })
    this.closer.onclick = () => this.zoomTo(this.zoom * ZOOM_FACTOR)
    this.wider.onclick = () => this.zoomTo(this.zoom / ZOOM_FACTOR)
    this.frame.onscroll = () => this.#seen()
    // Not passive: with Ctrl (or a pinch on a trackpad) the page must not zoom as well.
    this.frame.addEventListener("wheel", event => this.#wheel(event), { passive: false })
    new ResizeObserver(() => this.#draw()).observe(this.frame)
  }

  show(seconds) {
    if (this.seconds !== seconds) this.zoom = 1
    this.seconds = seconds
    this.#draw()
  }

  get view() {
    const { scrollLeft } = this.frame, { offsetWidth } = this.content
    if (!offsetWidth || this.zoom === 1) return [0, this.seconds]
    return [scrollLeft, scrollLeft + this.#width].map(x => Math.min(1, x / offsetWidth) * this.seconds)
  }

  // Keeps the time under `x` (pixels from the left, the middle by default) where it is.
  zoomTo(zoom, x = this.#width / 2) {
    const at = (this.frame.scrollLeft + x) / this.content.offsetWidth
    this.zoom = Math.min(this.#maxZoom, Math.max(1, zoom))
    this.#draw()
    this.frame.scrollLeft = at * this.content.offsetWidth - x
    this.#seen()
  }

  // Turns the page when the playhead leaves it at the right.
  follow(before, now) {
    const [, to] = this.view
    if (this.zoom > 1 && before <= to && now > to) this.#scrollTo(now)
  }

  reveal(seconds) {
    const [from, to] = this.view
    if (seconds < from || seconds > to) this.#scrollTo(seconds)
  }

  #scrollTo(seconds) {
    this.frame.scrollLeft = this.content.offsetWidth * (seconds / this.seconds) - this.#width * FOLLOW_SHARE
  }

  // Of what is seen of the content; the frame is wider, by its padding, so that handles at the ends are whole.
  get #width() {
    return this.frame.clientWidth - 2 * parseFloat(getComputedStyle(this.frame).paddingLeft)
  }

  get #maxZoom() {
    return Math.max(1, this.seconds / MIN_VISIBLE_S)
  }

  #wheel(event) {
    if (!event.ctrlKey && !event.metaKey) return
    event.preventDefault()
    const box = this.frame.getBoundingClientRect()
    this.zoomTo(this.zoom * Math.exp(-event.deltaY / 200), event.clientX - box.left - (this.frame.clientWidth - this.#width) / 2)
  }

  #seen() {
    this.onView(this.view)
  }

  #draw() {
    this.content.style.width = this.zoom * 100 + "%"
    this.wider.disabled = this.zoom <= 1
    this.closer.disabled = this.zoom >= this.#maxZoom
    this.#drawMarks()
    this.#seen()
  }

  #drawMarks() {
    const width = this.content.offsetWidth
    if (!width) return
    const step = MARK_STEPS_S.find(each => each / this.seconds * width >= MIN_MARK_PX) ?? MARK_STEPS_S.at(-1)
    const count = Math.floor(this.seconds * (1 - LAST_MARK_PX / width) / step) + 1
    this.marks.replaceChildren(...Array.from({ length: Math.max(1, count) }, (_, place) => {
      const mark = element("span", "mark", step < 1 ? (place * step).toFixed(1) + " s" : clock(place * step).replace(".0 s", " s"))
      mark.style.left = place * step / this.seconds * 100 + "%"
      return mark
    }))
  }
}
