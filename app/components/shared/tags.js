// What Freesound would store of typed tags: the simple rules of core/tags.py, for an answer at once.
// Where a text is not ASCII after its accents are taken off, only the server knows (`isCertain`).

const MAX_TAG_LENGTH = 100
const STOP_WORDS = new Set("the of to and an in is it you that he was for on are with as i his they be at".split(" "))
const SEPARATORS = /[,;\n\r\t]+/
const APOSTROPHES = /['`´‘’ʼ]/g
const ACCENTS = /[\u0300-\u036f]/g

export const MIN_TAGS = 3
export const MAX_TAGS = 30

export const pieces = text => text.split(SEPARATORS).map(piece => piece.trim()).filter(Boolean)

const ascii = text => text.replace(APOSTROPHES, "").normalize("NFD").replace(ACCENTS, "")

export const isCertain = text => /^[\x20-\x7e]*$/.test(ascii(text))

export function hyphenated(text) {
  return ascii(text).toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-+|-+$/g, "")
}

// `known` maps texts to the tags that the server made of them.
export function cleaned(texts, known = new Map()) {
  const tags = texts.flatMap(pieces).flatMap(piece => {
    if (known.has(piece)) return known.get(piece)
    const tag = hyphenated(piece)
    return tag && tag.length <= MAX_TAG_LENGTH && !STOP_WORDS.has(tag) ? [tag] : []
  })
  return [...new Set(tags)]
}

// Present tags stay as they are, whatever they look like: an import, a Freesound user's own.
export function asStored(tags, present, known) {
  const kept = tags.filter(tag => present.includes(tag))
  return [...new Set([...kept, ...cleaned(tags.filter(tag => !present.includes(tag)), known)])]
}

export function sameTags(some, others) {
  return some.length === others.length && some.every(tag => others.includes(tag))
}
