// One page has one list of cards. The cards are Streamlit's own elements, outside this component.
const CARDS = ".st-key-cards", NOTE = "[class*='st-key-note-']", UNSAVED = ".st-key-unsaved"
let shownPage = null
let titles = {}
let observed = null

const observer = new MutationObserver(changes => {
  nameButtons()
  for (const { target, addedNodes } of changes) {
    const inside = (target.nodeType === Node.ELEMENT_NODE ? target : target.parentElement)?.closest(NOTE)
    const added = [...addedNodes].find(node => node.nodeType === Node.ELEMENT_NODE && (node.matches(NOTE) || node.querySelector(NOTE)))
    const note = inside ?? (added?.matches(NOTE) ? added : added?.querySelector(NOTE))
    if (note) announce(note.innerText)
  }
})

// The region has to be there before its text changes, or nothing is read out.
function liveRegion() {
  let region = document.getElementById("earmark-live")
  if (!region) {
    region = document.createElement("div")
    region.id = "earmark-live"
    region.setAttribute("role", "status")
    region.setAttribute("aria-live", "polite")
    region.style.cssText = "position:fixed;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)"
    document.body.append(region)
  }
  return region
}

function announce(text) {
  const region = liveRegion()
  if (text.trim() && region.textContent !== text.trim()) region.textContent = text.trim()
}

function cardOf(key) {
  return document.querySelector(`${CARDS} .st-key-${CSS.escape(key)}`)
}

// "Confirm" of ten sounds would be ten buttons of one name.
function nameButtons() {
  for (const [key, title] of Object.entries(titles)) {
    const card = cardOf(key)
    if (!card) continue
    if (card.getAttribute("aria-label") !== title) {
      card.setAttribute("role", "group")
      card.setAttribute("aria-label", title)
    }
    for (const button of card.querySelectorAll("button")) {
      const label = (button.querySelector("p") ?? button).innerText.replace(/\s+/g, " ").trim()
      if (label && button.getAttribute("aria-label") !== `${label}: ${title}`) button.setAttribute("aria-label", `${label}: ${title}`)
    }
  }
}

function focusFirst() {
  const card = document.querySelector(`${CARDS} [class*='st-key-sound-']`)
  if (!card) return
  card.tabIndex = -1
  card.focus({ preventScroll: true })
  card.scrollIntoView({ block: "start" })
}

function warn(event) {
  if (document.querySelector(UNSAVED)?.innerText.trim()) event.preventDefault()
}

function observe() {
  const cards = document.querySelector(CARDS)
  if (!cards || cards === observed) return
  observed = cards
  observer.disconnect()
  observer.observe(cards, { childList: true, subtree: true, characterData: true })
}

export default function ({ data: [data] }) {
  titles = data.titles
  window.addEventListener("beforeunload", warn) // the same function counts once
  liveRegion()
  observe()
  nameButtons()
  const isNew = shownPage !== null ? shownPage !== data.page : !data.first
  shownPage = data.page
  if (isNew) requestAnimationFrame(focusFirst)
}
