"""Queries answered by looking at every sound: what the tables' answers are compared with."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import get_args

from core.events.facts import day_number, facts_of, scaled
from core.events.fold import ReviewState, SoundState
from core.events.query import Agreement, Facets, Order, Query
from core.events.rarity import rarity


def matches(state: SoundState, query: Query) -> bool:
    """Return True if a sound meets every condition of a query."""
    facts = facts_of(state)
    if state.withdrawn or query.show not in ("all", facts.review_state):
        return False
    if query.min_probability is None and query.max_probability is None:
        if query.tag is not None and query.tag not in state.tags:
            return False
    else:
        probability = facts.best if query.tag is None else dict(facts.suggestions).get(query.tag)
        low = scaled(query.min_probability or 0)
        high = scaled(1 if query.max_probability is None else query.max_probability)
        if probability is None or not low <= probability <= high:
            return False
    if query.since and facts.day < day_number(query.since):
        return False
    if query.until and facts.day > day_number(query.until):
        return False
    pairs = (
        (query.agreement, facts.agreement),
        (query.license, facts.license),
        (query.uploader, facts.uploader),
        (query.run, facts.run),
        (query.explicit, facts.explicit),
    )
    if any(wanted is not None and wanted != value for wanted, value in pairs):
        return False
    return not query.text.strip() or _has_words(state, query.text)


def _has_words(state: SoundState, text: str) -> bool:
    sound = state.sound
    own = " ".join((sound.title, *state.tags, *sound.tags, sound.description))
    words = re.findall(r"[a-z0-9]+", own.casefold())
    *whole, last = re.findall(r"[a-z0-9]+", text.casefold()) or [None]
    if last is None:
        return False
    return all(word in words for word in whole) and any(word.startswith(last) for word in words)


def sort_key(state: SoundState, order: Order, rarities: Mapping[str, float]) -> int:
    """Return the key by which the largest comes first."""
    facts = facts_of(state)
    match order:
        case "newest":
            return facts.arrived
        case "most uncertain":
            return facts.uncertainty
        case "most disputed":
            return facts.disputes
    return round(facts.uncertainty * rarities[facts.uncertain_tag]) if facts.suggestions else 0


def rarities_of(states: Iterable[SoundState]) -> dict[str, float]:
    """Return how rare each suggested tag is."""
    shown = [state for state in states if not state.withdrawn]
    counts = Counter(tag for state in shown for tag, _ in facts_of(state).suggestions)
    return {tag: rarity(number, len(shown)) for tag, number in counts.items()}


def facets(states: list[SoundState], query: Query) -> Facets:
    """Return the counts of every choice."""

    def counted(name: str, value: str) -> Counter[object]:
        every = replace(query, **{name: "all" if name == "show" else None})
        return Counter(getattr(facts_of(s), value) for s in states if matches(s, every))

    by_state = counted("show", "review_state")
    by_agreement = counted("agreement", "agreement")
    explicit = counted("explicit", "explicit")
    return Facets(
        states={state: by_state[state] for state in get_args(ReviewState)},
        agreement={kind: by_agreement[kind] for kind in get_args(Agreement)},
        licenses=_most_common(counted("license", "license"), None),
        uploaders=_most_common(counted("uploader", "uploader"), 50),
        explicit={value: explicit[value] for value in (True, False)},
        runs=_most_common(counted("run", "run"), 50),
    )


def _most_common(counts: Counter[object], limit: int | None) -> tuple[tuple[str, int], ...]:
    rows = [(str(value), number) for value, number in counts.items() if value]
    return tuple(sorted(rows, key=lambda row: (-row[1], row[0]))[:limit])
