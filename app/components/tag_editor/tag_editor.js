const MAX_OPTIONS = 8
const SEPARATOR = /[,;\n]/
const editors = new WeakMap()

function element(kind, className, text) {
  const node = document.createElement(kind)
  node.className = className
  node.textContent = text // tags are other people's text: never markup
  return node
}

class Editor {
  constructor(root) {
    const find = selector => root.querySelector(selector)
    Object.assign(this, { root: find(".editor"), field: find(".field"), chips: find(".chips"), entry: find("input"), options: find(".options"), guesses: find(".guesses") })
    this.field.onclick = event => event.target === this.field && this.entry.focus()
    this.entry.oninput = () => this.typed()
    this.entry.onkeydown = event => this.key(event)
    // Text that was typed but not confirmed counts: leaving the field, to press Save for instance, adds it.
    this.entry.onblur = () => this.commit()
  }

  show(data, send) {
    this.send = send
    if (this.version !== data.version) {
      this.version = data.version
      this.before = data.tags
      this.tags = [...data.current]
      this.entry.value = ""
    }
    this.vocabulary = data.vocabulary
    this.suggested = data.guesses
    this.root.classList.toggle("disabled", data.disabled)
    this.entry.placeholder = "Search or type a tag"
    this.draw()
  }

  draw() {
    this.chips.replaceChildren(...this.tags.map(tag => this.chip(tag)))
    this.guesses.replaceChildren(...this.suggested.filter(([tag]) => !this.tags.includes(tag)).map(([tag, text]) => {
      const guess = element("button", "guess", "+ " + text)
      guess.type = "button"
      guess.setAttribute("aria-label", "Add " + tag)
      guess.onclick = () => this.add(tag)
      return guess
    }))
  }

  chip(tag) {
    const chip = element("span", this.before.includes(tag) ? "chip" : "chip fresh", "")
    chip.setAttribute("role", "listitem")
    const remove = element("button", "", "×")
    remove.type = "button"
    remove.setAttribute("aria-label", "Remove " + tag)
    remove.onclick = () => this.remove(tag)
    chip.append(element("b", "", tag), remove)
    return chip
  }

  add(text) {
    const fresh = text.split(SEPARATOR).map(piece => piece.trim()).filter(piece => piece && !this.tags.includes(piece))
    this.entry.value = ""
    this.close()
    if (fresh.length) this.change([...this.tags, ...new Set(fresh)])
  }

  remove(tag) {
    this.change(this.tags.filter(other => other !== tag))
    this.entry.focus()
  }

  change(tags) {
    this.tags = tags
    this.draw()
    this.send({ version: this.version, tags })
  }

  commit() {
    this.close()
    this.add(this.entry.value)
  }

  typed() {
    if (SEPARATOR.test(this.entry.value)) return this.commit()
    const text = this.entry.value.trim().toLowerCase()
    if (!text) return this.close()
    const free = this.vocabulary.filter(tag => !this.tags.includes(tag))
    const starting = free.filter(tag => tag.startsWith(text))
    const holding = free.filter(tag => tag.includes(text) && !tag.startsWith(text))
    this.open([...starting, ...holding].slice(0, MAX_OPTIONS))
  }

  open(tags) {
    this.highlighted = -1
    this.options.replaceChildren(...tags.map((tag, place) => {
      const option = element("div", "option", tag)
      option.id = "option-" + place
      option.setAttribute("role", "option")
      option.onpointerdown = event => {
        event.preventDefault() // keeps the focus, so that what was typed so far is not added as well
        this.add(tag)
      }
      return option
    }))
    this.options.hidden = !tags.length
    this.entry.setAttribute("aria-expanded", String(!!tags.length))
  }

  close() {
    this.open([])
    this.entry.removeAttribute("aria-activedescendant")
  }

  highlight(step) {
    const all = [...this.options.children]
    if (!all.length) return
    this.highlighted = (this.highlighted + step + all.length + (this.highlighted < 0 && step < 0 ? 1 : 0)) % all.length
    all.forEach((option, place) => option.setAttribute("aria-selected", String(place === this.highlighted)))
    this.entry.setAttribute("aria-activedescendant", all[this.highlighted].id)
  }

  key(event) {
    if (event.isComposing) return
    if (event.key === "Enter") this.add(this.options.children[this.highlighted]?.textContent ?? this.entry.value)
    else if (event.key === "ArrowDown") this.highlight(1)
    else if (event.key === "ArrowUp") this.highlight(-1)
    else if (event.key === "Escape") {
      this.entry.value = ""
      this.close()
    } else if (event.key === "Backspace" && !this.entry.value && this.tags.length) this.remove(this.tags.at(-1))
    else return
    event.preventDefault()
    event.stopPropagation()
  }
}

export default function ({ data: [data], parentElement, setStateValue }) {
  // No clean-up is returned: Streamlit also calls it when two reruns follow each other closely, and what is being typed would be lost.
  if (!editors.has(parentElement)) editors.set(parentElement, new Editor(parentElement))
  editors.get(parentElement).show(data, edit => setStateValue("edit", edit))
}
