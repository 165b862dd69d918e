"""Queries over the sounds of an event log: what pages and jobs ask."""

from collections.abc import Iterator, Sequence
from typing import get_args

import numpy as np
import sqlalchemy as sql
from sqlalchemy import Connection

from core.events import schema
from core.events.columns import read_tag
from core.events.counters import read_counters
from core.events.derive import STATES
from core.events.fold import SoundState, fold
from core.events.paging import take
from core.events.query import Count, Counts, Facets, Order, Page, Query
from core.events.rows import BATCH_SIZE, batches, histories
from core.events.search import Search
from core.events.types import ModelRef, SoundEvent, Verdict
from core.sqlite import Database, inconsistent


class SoundIndex:
    """Queries on the tables that an `EventStore` keeps in the same database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, sound_id: str) -> SoundState | None:
        """Return a sound's current state, or None if it is unknown."""
        with self._database.reading() as connection:
            history = histories(connection, [sound_id]).get(sound_id)
        return fold(history) if history else None

    def all(self) -> Iterator[SoundState]:
        """Iterate over every sound's current state, by sound id."""
        column, after = schema.sounds.c.sound_id, ""
        while True:
            query = sql.select(column).where(column > after).order_by(column).limit(BATCH_SIZE)
            with self._database.reading() as connection:
                sound_ids = connection.execute(query).scalars().all()
                events = histories(connection, sound_ids)
            if not sound_ids:
                return
            if sound_ids[-1] <= after or not events.keys() >= set(sound_ids):
                raise inconsistent(self._database.path)
            after = sound_ids[-1]
            yield from (fold(events[sound_id]) for sound_id in sound_ids)

    def get_many(self, sound_ids: Sequence[str]) -> dict[str, SoundState]:
        """Return the states of those of some sounds that are known, by sound id."""
        with self._database.reading() as connection:
            events = histories(connection, sound_ids)
        return {sound_id: fold(events[sound_id]) for sound_id in sound_ids if sound_id in events}

    def page(
        self,
        query: Query,
        *,
        size: int,
        order: Order = "newest",
        cursor: str = "",
    ) -> Page:
        """Return some of the matching sounds.

        Args:
            query: Which sounds.
            size: How many at most.
            order: Which come first.
            cursor: Of another page, as `Page` gives it, or `LAST_PAGE`; any other text means the
                first page.
        """
        with self._database.reading() as connection:
            search = Search(connection)
            matches = search.find(query)
            page = take(search, matches, order, cursor, size)
            sounds = _states_at(connection, page.positions)
        return Page(
            sounds=tuple(sounds),
            total=matches.count.number,
            total_is_exact=matches.count.exact,
            next=page.next.text(order) if page.next else None,
            previous=page.previous.text(order) if page.previous else None,
        )

    def ids(self, query: Query, *, order: Order = "newest", limit: int) -> list[str]:
        """Return the ids of the first `limit` matching sounds."""
        with self._database.reading() as connection:
            search = Search(connection)
            page = take(search, search.find(query), order, "", limit)
            return _ids_at(connection, page.positions)

    def count(self, query: Query) -> Count:
        """Return how many sounds match."""
        with self._database.reading() as connection:
            return Search(connection).find(query).count

    def facets(self, query: Query) -> Facets:
        """Return how many sounds each choice of a filter would give."""
        with self._database.reading() as connection:
            return Search(connection).facets(query)

    def with_tag(self, tag: str, limit: int = 3) -> list[SoundState]:
        """Return sounds that carry a tag, reviewed ones first, then the newest."""
        with self._database.reading() as connection:
            search = Search(connection)
            positions, _ = read_tag(connection, "tag", tag)
            reviewed = search.column("state")[positions] == 1 + STATES.index("reviewed")
            selected = np.lexsort((search.column("arrived")[positions], reviewed))[::-1][:limit]
            return _states_at(connection, positions[selected].tolist())

    def counts(self) -> Counts:
        """Return how many sounds are in view and how many of them are reviewed."""
        with self._database.reading() as connection:
            states = read_counters(connection, "state")
        return Counts(sum(states.values()), states.get("reviewed", 0))

    def added_tags(self) -> list[str]:
        """Return the tags that people have added anywhere, sorted."""
        with self._database.reading() as connection:
            return sorted(read_counters(connection, "added"))

    def tag_counts(self) -> list[tuple[str, int]]:
        """Return (tag, number of sounds that carry it now), most frequent first."""
        with self._database.reading() as connection:
            counts = read_counters(connection, "tag")
        return sorted(counts.items(), key=lambda item: (-item[1], item[0]))

    def verdict_counts(self) -> dict[str, dict[Verdict, int]]:
        """Return by tag how many decisions that count now kept, removed and added it."""
        counts: dict[str, dict[Verdict, int]] = {}
        with self._database.reading() as connection:
            for verdict in get_args(Verdict):
                for tag, number in read_counters(connection, verdict).items():
                    counts.setdefault(tag, {"kept": 0, "removed": 0, "added": 0})[verdict] = number
        return counts

    def tagged(self, sound_ids: Sequence[str], model: ModelRef | None = None) -> set[str]:
        """Return those of some sounds that need no tagging.

        They are withdrawn, or predicted already (by `model`, where it is given).
        """
        predictions, sounds = schema.predictions.c, schema.sounds.c
        predicted = sql.select(predictions.sound_id)
        if model is not None:
            same = (predictions.name == model.name, predictions.version == model.version)
            predicted = predicted.where(*same)
        withdrawn = sql.select(sounds.sound_id).where(sounds.withdrawn == 1)
        tagged: set[str] = set()
        with self._database.reading() as connection:
            for batch in batches(sound_ids):
                for query in (
                    predicted.where(predictions.sound_id.in_(batch)),
                    withdrawn.where(sounds.sound_id.in_(batch)),
                ):
                    tagged.update(connection.execute(query).scalars())
        return tagged

    def decided_histories(self) -> Iterator[list[SoundEvent]]:
        """Iterate over the histories of sounds that were ever reviewed or published."""
        columns = schema.events.c
        query = sql.select(columns.sound_id).distinct()
        query = query.where(columns.kind.in_(("reviewed", "published")))
        with self._database.reading() as connection:
            sound_ids = connection.execute(query).scalars().all()
        for batch in batches([sound_id for sound_id in sound_ids if sound_id]):
            with self._database.reading() as connection:
                yield from histories(connection, batch).values()

    def has_events(self, kind: str) -> bool:
        """Return True if the log holds an event of that kind."""
        query = sql.select(schema.events.c.sequence).where(schema.events.c.kind == kind).limit(1)
        with self._database.reading() as connection:
            return connection.execute(query).first() is not None

    def shown_by_others(self, media_names: Sequence[str], sound_id: str) -> set[str]:
        """Return those media that another sound in view has too: two may have the same bytes."""
        media, sounds = schema.sound_media.c, schema.sounds.c
        # Not a join: SQLite would begin with all sounds in view.
        withdrawn = sql.select(sounds.withdrawn).where(sounds.sound_id == media.sound_id)
        query = sql.select(media.media_name)
        query = query.where(media.sound_id != sound_id, withdrawn.scalar_subquery() == 0)
        shown: set[str] = set()
        with self._database.reading() as connection:
            for batch in batches(media_names):
                rows = connection.execute(query.where(media.media_name.in_(batch)))
                shown.update(rows.scalars())
        return shown


def _ids_at(connection: Connection, positions: Sequence[int]) -> list[str]:
    """Return the sound ids at some positions, in the same order."""
    table = schema.positions.c
    ids: dict[int, str] = {}
    for start in range(0, len(positions), BATCH_SIZE):
        batch = positions[start : start + BATCH_SIZE]
        query = sql.select(table.position, table.sound_id).where(table.position.in_(batch))
        ids.update((position, sound_id) for position, sound_id in connection.execute(query))
    return [ids[position] for position in positions]


def _states_at(connection: Connection, positions: Sequence[int]) -> list[SoundState]:
    """Return the states of the sounds at some positions, in the same order."""
    sound_ids = _ids_at(connection, positions)
    events = histories(connection, sound_ids)
    return [fold(events[sound_id]) for sound_id in sound_ids]
