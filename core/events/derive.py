"""Derived tables: what the log says about each sound today, kept in step with it."""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

import sqlalchemy as sql
from sqlalchemy import Connection, Table

from core.events import schema
from core.events.columns import NO_PROBABILITY, Changes, read_values, write_tags, write_values
from core.events.counters import CounterKey, change_counters, codes_of
from core.events.facts import SoundFacts, facts_of
from core.events.feedback_counts import count_feedback
from core.events.fold import ReviewState, SoundState, fold
from core.events.query import Agreement
from core.events.rarity import refresh_rarities
from core.events.rows import batches, histories
from core.events.text_search import TextRow, write_texts
from core.events.types import PredictedEvent, SoundEvent, iso

STATES: tuple[ReviewState, ...] = get_args(ReviewState)
AGREEMENTS: tuple[Agreement, ...] = get_args(Agreement)
CODED = ("license", "uploader", "run")
"""Columns of codes that stand for texts."""


@dataclass(frozen=True)
class Entry:
    """The contents of the tables, old or new, about one sound in view.

    Attributes:
        state: How far people are with it.
        tags: Current tags.
        suggestions: By tag, the probability.
        verdicts: By tag, the last decision that counts.
    """

    state: ReviewState | None = None
    tags: frozenset[str] = frozenset()
    suggestions: Mapping[str, int] = field(default_factory=dict)
    verdicts: Mapping[str, str] = field(default_factory=dict)

    def counted_in(self) -> Iterator[CounterKey]:
        """Yield the counters that the sound is counted in."""
        if self.state is not None:
            yield "state", self.state
        yield from (("tag", tag) for tag in self.tags)
        yield from (("suggested", tag) for tag in self.suggestions)
        yield from ((verdict, tag) for tag, verdict in self.verdicts.items())


NOT_IN_VIEW = Entry()


def derive(
    connection: Connection, sound_ids: Sequence[str], new_events: Collection[str] = ()
) -> None:
    """Bring all that is derived from some sounds' events in step with them.

    Args:
        connection: In a transaction that writes.
        sound_ids: The sounds; new ones get positions in this order.
        new_events: Ids of the events that were added to sounds that are in the tables.
    """
    for batch in batches(sound_ids):
        states: dict[str, SoundState] = {}
        rows: dict[Table, list[dict[str, Any]]] = {table: [] for table in schema.DERIVED}
        histories_of = histories(connection, batch)
        count_feedback(connection, histories_of, new_events)
        for sound_id, history in histories_of.items():
            states[sound_id] = fold(history)
            for table, row in _rows(states[sound_id], history):
                rows[table].append(row)
        _update_queries(connection, {i: states[i] for i in batch if i in states})
        for table, new in rows.items():
            connection.execute(table.delete().where(table.c.sound_id.in_(batch)))
            if new:
                connection.execute(table.insert(), new)


def _rows(state: SoundState, history: list[SoundEvent]) -> Iterator[tuple[Table, dict[str, Any]]]:
    """Yield (table, row) for all that the tables of rows by sound hold about one sound."""
    own = {"sound_id": state.sound_id}
    flags = {"reviewed": int(state.reviewed), "withdrawn": int(state.withdrawn)}
    yield schema.sounds, own | {"arrived": iso(state.arrived)} | flags
    if not state.withdrawn:
        for tag in state.tags:
            yield schema.sound_tags, own | {"tag": tag}
        for decision in state.decisions.values():
            yield schema.decisions, own | {"tag": decision.tag, "verdict": decision.verdict}
    predicted = [event.payload for event in history if isinstance(event, PredictedEvent)]
    for name, version in {(payload.model.name, payload.model.version) for payload in predicted}:
        yield schema.predictions, own | {"name": name, "version": version}
    for media_name in {name for payload in predicted for name in payload.media.names}:
        yield schema.sound_media, own | {"media_name": media_name}


def _update_queries(connection: Connection, states: Mapping[str, SoundState]) -> None:
    """Bring columns, lists, counters and texts in step; what was before is read from the rows."""
    known = _known(connection, list(states))
    before = _entries_before(connection, known)
    positions = {sound_id: position for sound_id, (position, _) in known.items()}
    positions |= _new_positions(connection, [each for each in states if each not in known])
    facts = {sound_id: facts_of(state) for sound_id, state in states.items()}
    after = {
        sound_id: NOT_IN_VIEW if state.withdrawn else _entry(state, facts[sound_id])
        for sound_id, state in states.items()
    }
    _write_positions(connection, positions, known, after)
    write_values(connection, _changes(connection, states, facts, positions))
    _write_lists(connection, positions, before, after)
    change_counters(
        connection,
        (key for entry in before.values() for key in entry.counted_in()),
        (key for entry in after.values() for key in entry.counted_in()),
    )
    write_texts(
        connection,
        {positions[sound_id]: _text(state) for sound_id, state in states.items()},
    )
    if len(known) < len(states):
        refresh_rarities(connection)


def _known(connection: Connection, sound_ids: Sequence[str]) -> dict[str, tuple[int, str]]:
    """Return position and suggestions, as JSON, of those sounds that have a position."""
    query = sql.select(schema.positions).where(schema.positions.c.sound_id.in_(sound_ids))
    return {row.sound_id: (row.position, row.suggestions) for row in connection.execute(query)}


def _new_positions(connection: Connection, sound_ids: Sequence[str]) -> dict[str, int]:
    """Return the next positions."""
    query = sql.select(sql.func.max(schema.positions.c.position))
    last = connection.execute(query).scalar_one_or_none()
    first = 0 if last is None else last + 1
    return {sound_id: first + number for number, sound_id in enumerate(sound_ids)}


def _write_positions(
    connection: Connection,
    positions: Mapping[str, int],
    known: Mapping[str, tuple[int, str]],
    after: Mapping[str, Entry],
) -> None:
    """Write the rows of new sounds and of sounds with other suggestions."""
    rows = []
    for sound_id, entry in after.items():
        suggestions = json.dumps(list(entry.suggestions.items()))
        if sound_id not in known or known[sound_id][1] != suggestions:
            row = {"position": positions[sound_id], "sound_id": sound_id}
            rows.append(row | {"suggestions": suggestions})
    if rows:
        connection.execute(schema.positions.insert().prefix_with("OR REPLACE"), rows)


def _entries_before(
    connection: Connection, known: Mapping[str, tuple[int, str]]
) -> dict[str, Entry]:
    """Return what the tables say about sounds that have a position."""
    if not known:
        return {}
    states = read_values(connection, "state", [position for position, _ in known.values()])
    tags: dict[str, set[str]] = {sound_id: set() for sound_id in known}
    verdicts: dict[str, dict[str, str]] = {sound_id: {} for sound_id in known}
    for table in (schema.sound_tags, schema.decisions):
        query = sql.select(table).where(table.c.sound_id.in_(list(known)))
        for row in connection.execute(query):
            if table is schema.sound_tags:
                tags[row.sound_id].add(row.tag)
            else:
                verdicts[row.sound_id][row.tag] = row.verdict
    return {
        sound_id: Entry(
            STATES[states[position] - 1] if states[position] else None,
            frozenset(tags[sound_id]),
            dict(json.loads(suggestions)),
            verdicts[sound_id],
        )
        for sound_id, (position, suggestions) in known.items()
    }


def _entry(state: SoundState, facts: SoundFacts) -> Entry:
    """Return what the tables shall say about a sound in view."""
    return Entry(
        state.review_state,
        frozenset(state.tags),
        dict(facts.suggestions),
        {decision.tag: decision.verdict for decision in state.decisions.values()},
    )


def _changes(
    connection: Connection,
    states: Mapping[str, SoundState],
    facts: Mapping[str, SoundFacts],
    positions: Mapping[str, int],
) -> Changes:
    """Return the values of all columns."""
    codes = {
        name: codes_of(connection, name, {getattr(each, name) for each in facts.values()})
        for name in CODED
    }
    tag_codes = codes_of(
        connection, "tag", {tag for f in facts.values() for tag, _ in f.suggestions}
    )
    changes: Changes = {}
    for sound_id, each in facts.items():
        in_view = not states[sound_id].withdrawn
        changes[positions[sound_id]] = {
            "state": 1 + STATES.index(each.review_state) if in_view else 0,
            "agreement": AGREEMENTS.index(each.agreement),
            "explicit": int(each.explicit),
            "day": each.day,
            "arrived": each.arrived,
            "best": NO_PROBABILITY if each.best is None else each.best,
            "uncertainty": each.uncertainty,
            "uncertain_tag": tag_codes.get(each.uncertain_tag, 0),
            "disputes": min(each.disputes, 65_535),
            "recording": each.recording,
        } | {name: codes[name].get(getattr(each, name), 0) for name in CODED}
    return changes


def _write_lists(
    connection: Connection,
    positions: Mapping[str, int],
    before: Mapping[str, Entry],
    after: Mapping[str, Entry],
) -> None:
    """Bring the lists of sounds by tag in step."""
    gone: dict[str, dict[str, dict[int, int]]] = {"tag": {}, "suggested": {}}
    new: dict[str, dict[str, dict[int, int]]] = {"tag": {}, "suggested": {}}
    for sound_id, entry in after.items():
        old, position = before.get(sound_id, NOT_IN_VIEW), positions[sound_id]
        for tag in old.tags - entry.tags:
            gone["tag"].setdefault(tag, {})[position] = 0
        for tag in entry.tags - old.tags:
            new["tag"].setdefault(tag, {})[position] = 0
        for tag in old.suggestions.keys() - entry.suggestions.keys():
            gone["suggested"].setdefault(tag, {})[position] = 0
        for tag, probability in entry.suggestions.items():
            if old.suggestions.get(tag) != probability:
                new["suggested"].setdefault(tag, {})[position] = probability
    for kind in gone:
        write_tags(connection, kind, gone[kind], new[kind])


def _text(state: SoundState) -> TextRow | None:
    """Return the words of a sound in view."""
    if state.withdrawn:
        return None
    sound = state.sound
    return TextRow(sound.title, _joined((*state.tags, *sound.tags)), sound.description)


def _joined(tags: Iterable[str]) -> str:
    return " ".join(dict.fromkeys(tags))
