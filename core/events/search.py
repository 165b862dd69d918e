"""Queries over the columns: which sounds match, how many, and in what order.

A condition is an array of bool by position, so conditions combine at the cost of reading their
columns, whatever the number of sounds that match.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, reduce

import numpy as np
import sqlalchemy as sql
from numpy.typing import NDArray
from sqlalchemy import Connection

from core.events import schema
from core.events.columns import NO_PROBABILITY, Positions, Values, read_column, read_tag
from core.events.counters import code_of, texts_of
from core.events.derive import AGREEMENTS, CODED, STATES
from core.events.facts import SCALE, day_number, scaled
from core.events.query import Count, Facets, Order, Query
from core.events.rarity import read_rarities
from core.events.text_search import find

Mask = NDArray[np.bool_]
MAX_CHOICES = 50
"""Of uploaders and runs that are counted."""
_COLUMN_OF_ORDER: Mapping[Order, str] = {
    "newest": "arrived",
    "most uncertain": "uncertainty",
    "most disputed": "disputes",
}


@dataclass(frozen=True)
class Found:
    """The sounds that match.

    Attributes:
        positions: Of all of them, ascending.
        exact: False where there may be more.
    """

    positions: Positions
    exact: bool

    @property
    def count(self) -> Count:
        """Return how many there are."""
        return Count(len(self.positions), self.exact)


@dataclass(frozen=True)
class Keys:
    """The keys of an order: the largest key comes first, at equal keys the later position.

    Attributes:
        values: int64 by position.
        epoch: Of the rarities that they rest on; 0 for other orders.
    """

    values: NDArray[np.int64]
    epoch: int = 0


class Search:
    """Queries within one transaction that reads; each column is read once."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._columns: dict[str, Values] = {}
        self._text_is_exact = True

    @cached_property
    def size(self) -> int:
        """Return the number of positions."""
        query = sql.select(sql.func.max(schema.positions.c.position))
        last = self.connection.execute(query).scalar_one_or_none()
        return 0 if last is None else int(last) + 1

    def column(self, name: str) -> Values:
        """Return a column's values by position."""
        if name not in self._columns:
            self._columns[name] = read_column(self.connection, name, self.size)
        return self._columns[name]

    def find(self, query: Query) -> Found:
        """Return the sounds that match."""
        mask = _all_of(self._conditions(query), self.column("state") != 0)
        return Found(np.flatnonzero(mask), self._text_is_exact)

    def keys(self, order: Order, epoch: int | None = None) -> Keys:
        """Return the keys of an order.

        Args:
            order: Which sounds come first.
            epoch: Of the rarities to rest on, where they are still kept.
        """
        if order != "most informative":
            return Keys(self.column(_COLUMN_OF_ORDER[order]).astype(np.int64))
        epoch, rarity = read_rarities(self.connection, epoch)
        tags = self.column("uncertain_tag")
        by_code = np.ones(max(len(rarity), int(tags.max(initial=0)) + 1), np.float32)
        by_code[: len(rarity)] = rarity
        values = np.rint(self.column("uncertainty") * by_code[tags])
        return Keys(values.astype(np.int64), epoch)

    def facets(self, query: Query) -> Facets:
        """Return how many sounds each choice of a filter would give."""
        conditions = self._conditions(query)
        in_view = self.column("state") != 0

        def others(name: str) -> Mask:
            return _all_of({n: mask for n, mask in conditions.items() if n != name}, in_view)

        everything = others("")
        masks = {
            name: others(name) if name in conditions else everything
            for name in ("state", "agreement", "explicit", *CODED)
        }
        states = self._numbers("state", masks, len(STATES) + 1)
        agreement = self._numbers("agreement", masks, len(AGREEMENTS))
        explicit = self._numbers("explicit", masks, 2)
        return Facets(
            states={state: states[number] for number, state in enumerate(STATES, start=1)},
            agreement=dict(zip(AGREEMENTS, agreement, strict=True)),
            licenses=self._choices("license", masks, None),
            uploaders=self._choices("uploader", masks, MAX_CHOICES),
            explicit={False: explicit[0], True: explicit[1]},
            runs=self._choices("run", masks, MAX_CHOICES),
            exact=self._text_is_exact,
        )

    def _numbers(self, name: str, masks: Mapping[str, Mask], length: int) -> list[int]:
        """Return how many sounds have each value of a column."""
        values = self.column(name)[masks[name]]
        return [int(number) for number in np.bincount(values, minlength=length)]

    def _choices(
        self, name: str, masks: Mapping[str, Mask], limit: int | None
    ) -> tuple[tuple[str, int], ...]:
        """Return (text, number) of the most frequent values of a column of codes."""
        numbers = np.bincount(self.column(name)[masks[name]], minlength=1)
        numbers[0] = 0
        codes = np.flatnonzero(numbers)
        if limit is not None and len(codes) > limit:
            least = np.partition(numbers[codes], len(codes) - limit)[len(codes) - limit]
            codes = codes[numbers[codes] >= least]
        texts = texts_of(self.connection, name, codes.tolist())
        rows = [(texts[code], int(numbers[code])) for code in codes.tolist()]
        return tuple(sorted(rows, key=lambda row: (-row[1], row[0]))[:limit])

    def _conditions(self, query: Query) -> dict[str, Mask]:
        """Return a mask for each condition that is set, by the name of what it restricts."""
        conditions: dict[str, Mask] = {}
        if query.show != "all":
            conditions["state"] = self.column("state") == 1 + STATES.index(query.show)
        if query.agreement is not None:
            number = AGREEMENTS.index(query.agreement)
            conditions["agreement"] = self.column("agreement") == number
        if query.explicit is not None:
            conditions["explicit"] = self.column("explicit") == int(query.explicit)
        for name in CODED:
            text: str | None = getattr(query, name)
            if text is not None:
                conditions[name] = self._has_code(name, text)
        if query.min_probability is not None or query.max_probability is not None:
            conditions["probability"] = self._in_range(query)
        elif query.tag is not None:
            positions, _ = read_tag(self.connection, "tag", query.tag)
            conditions["tag"] = self._at(positions)
        if query.since is not None:
            conditions["since"] = self.column("day") >= day_number(query.since)
        if query.until is not None:
            conditions["until"] = self.column("day") <= day_number(query.until)
        if query.text.strip():
            positions, self._text_is_exact = find(self.connection, query.text)
            conditions["text"] = self._at(positions)
        return conditions

    def _has_code(self, name: str, text: str) -> Mask:
        """Return where a column of codes has a text."""
        code = code_of(self.connection, name, text)
        if code is None:
            return np.zeros(self.size, np.bool_)
        return np.equal(self.column(name), code)

    def _in_range(self, query: Query) -> Mask:
        """Return where the suggestion that is asked for has a probability in the range."""
        low = scaled(0 if query.min_probability is None else query.min_probability)
        high = scaled(1 if query.max_probability is None else query.max_probability)
        low, high = max(low, 0), min(high, SCALE)
        if query.tag is not None:
            positions, probabilities = read_tag(self.connection, "suggested", query.tag)
            return self._at(positions[(low <= probabilities) & (probabilities <= high)])
        best = self.column("best")
        in_range: Mask = (best >= low) & (best <= high) & (best != NO_PROBABILITY)
        return in_range

    def _at(self, positions: Positions) -> Mask:
        """Return the mask of some positions."""
        mask = np.zeros(self.size, np.bool_)
        mask[positions] = True
        return mask


def _all_of(conditions: Mapping[str, Mask], in_view: Mask) -> Mask:
    """Return where sounds in view meet all conditions."""
    return reduce(np.logical_and, conditions.values(), in_view)


def largest(keys: NDArray[np.int64], positions: Positions, number: int) -> Positions:
    """Return the positions with the largest keys, largest first; at equal keys the later position.

    Args:
        keys: Of these positions.
        positions: Ascending.
        number: How many to return at most.
    """
    if number < len(keys):
        least = np.partition(keys, len(keys) - number)[len(keys) - number]
        above = np.flatnonzero(keys > least)
        equal = np.flatnonzero(keys == least)[len(above) - number :]
        selected = np.concatenate([above, equal])
        keys, positions = keys[selected], positions[selected]
    return positions[np.lexsort((positions, keys))[::-1]]


def smallest(keys: NDArray[np.int64], positions: Positions, number: int) -> Positions:
    """Return the positions with the smallest keys in the order of `largest`."""
    return -largest(-keys[::-1], -positions[::-1], number)[::-1]
