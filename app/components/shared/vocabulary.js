// Search in the vocabulary: by the beginning of a tag, by alias, within a tag, by near spelling.
// The ranking is that of core/curation/tag_search.py.

const MAX_RESULTS = 8

export const normalised = text => text.trim().toLowerCase().replace(/[\s_-]+/g, "-").replace(/^-+|-+$/g, "")

export class Vocabulary {
  // `entries` are [tag, count, [alias, ...]], aliases normalised.
  constructor(version = "", entries = []) {
    this.version = version
    this.entries = entries.map(([tag, count, aliases]) => ({ tag, count, aliases, word: normalised(tag) }))
    this.byTag = new Map(this.entries.map(entry => [entry.tag, entry]))
  }

  // Returns [{ tag, count, alias, isNear }], best first, without the tags in `without`. `alias` is
  // what a tag was found by, else empty; `isNear` says that only the spelling is near.
  search(typed, without = [], limit = MAX_RESULTS) {
    const text = normalised(typed)
    const found = []
    for (const entry of this.entries) {
      const match = without.includes(entry.tag) ? null : matchOf(entry, text)
      if (match) found.push({ ...match, tag: entry.tag, count: entry.count, isNear: match.kind === NEAR })
    }
    return found.sort(byRank).slice(0, limit)
  }

  count(tag) {
    return this.byTag.get(tag)?.count ?? 0
  }
}

const NEAR = 4

const byRank = (one, other) =>
  one.kind - other.kind || one.distance - other.distance || other.count - one.count || (one.tag < other.tag ? -1 : 1)

function matchOf({ word, aliases }, text) {
  const exact = kind => ({ kind, distance: 0, alias: "" })
  if (word === text) return exact(0)
  if (word.startsWith(text)) return exact(1)
  const [alias] = aliases.filter(each => each.startsWith(text)).sort((a, b) => a.length - b.length || (a < b ? -1 : 1))
  if (alias) return { kind: 2, distance: 0, alias }
  if (word.includes(text)) return exact(3)
  return nearMatch(word, aliases, text)
}

function nearMatch(word, aliases, text) {
  const limit = text.length < 3 ? 0 : text.length < 5 ? 1 : 2
  if (!limit) return null
  let best = null
  for (const candidate of [word, ...aliases]) {
    const beginnings = text.length < 5 ? [candidate] : [candidate, candidate.slice(0, text.length)]
    const distance = Math.min(...beginnings.map(each => editDistance(text, each, limit)))
    if (distance <= limit && (!best || distance < best.distance)) best = { kind: NEAR, distance, alias: candidate === word ? "" : candidate }
  }
  return best
}

// Insertions, deletions, replacements and swaps of neighbours; anything above `limit` is `limit` + 1.
export function editDistance(one, other, limit) {
  if (Math.abs(one.length - other.length) > limit) return limit + 1
  let before = [], last = Array.from({ length: other.length + 1 }, (_, place) => place)
  for (let row = 1; row <= one.length; row++) {
    const current = [row]
    for (let column = 1; column <= other.length; column++) {
      const differs = one[row - 1] === other[column - 1] ? 0 : 1
      let cost = Math.min(last[column] + 1, current[column - 1] + 1, last[column - 1] + differs)
      if (row > 1 && column > 1 && one[row - 1] === other[column - 2] && one[row - 2] === other[column - 1]) {
        cost = Math.min(cost, before[column - 2] + 1)
      }
      current.push(cost)
    }
    if (Math.min(...current) > limit) return limit + 1
    before = last
    last = current
  }
  return last[other.length]
}
