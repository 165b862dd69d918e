// Says how old the page's answer is, and asks for a new one when it is time and somebody looks.
const TICK_MS = 1000
const timers = new WeakMap()

class Timer {
  constructor(root) {
    this.text = document.createElement("small")
    this.text.setAttribute("role", "note")
    root.append(this.text)
    this.onLook = () => this.tick()
    document.addEventListener("visibilitychange", this.onLook)
    this.interval = setInterval(this.onLook, TICK_MS)
  }

  show(data, ask) {
    this.data = data
    this.ask = ask
    this.drawn = performance.now()
    this.asked = false
    this.tick()
  }

  tick() {
    if (!this.text.isConnected) return this.end()
    const passed = (performance.now() - this.drawn) / 1000
    this.text.textContent = this.data.age === null ? "Not checked yet" : `Checked ${ago(this.data.age + passed)}`
    const isDue = this.data.wait !== null && passed >= this.data.wait
    if (!isDue || document.hidden || this.asked) return
    this.asked = true
    this.ask()
  }

  end() {
    clearInterval(this.interval)
    document.removeEventListener("visibilitychange", this.onLook)
  }
}

function ago(seconds) {
  if (seconds < 60) return "just now"
  const minutes = Math.floor(seconds / 60)
  return minutes < 60 ? `${minutes} min ago` : `${Math.floor(minutes / 60)} h ago`
}

export default function ({ data: [data], parentElement, setTriggerValue }) {
  if (!timers.has(parentElement)) timers.set(parentElement, new Timer(parentElement))
  timers.get(parentElement).show(data, () => setTriggerValue("due", true))
}
