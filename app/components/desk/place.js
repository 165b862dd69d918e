// The place in the queue, in the page's address: it survives a reload and a restart of the server.

// Writes the sound in focus and when the queue was begun; no step of the browser's history is made of it.
export function keepPlace(soundId, began) {
  const address = new URL(window.location.href)
  address.searchParams.set("at", soundId)
  address.searchParams.set("began", began)
  if (address.href !== window.location.href) window.history.replaceState(window.history.state, "", address)
}
