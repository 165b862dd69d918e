"""Pages of a list that changes while people go through it: by key, never by number."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.events.columns import Positions
from core.events.cursors import MAX_DEFERRED, Cursor, parse_cursor
from core.events.query import Order
from core.events.search import Found, Keys, Search, largest, smallest
from core.events.spread import Alike, spread


@dataclass(frozen=True)
class Slice:
    """The positions of a page's sounds in order, and the cursors of its neighbours."""

    positions: tuple[int, ...]
    next: Cursor | None
    previous: Cursor | None


def take(search: Search, matches: Found, order: Order, cursor_text: str, size: int) -> Slice:
    """Return a page of the sounds that match.

    Args:
        search: That found them.
        matches: All that match.
        order: Which come first.
        cursor_text: Of the page; any text that is no cursor of the order means the first page.
        size: How many at most.
    """
    cursor = parse_cursor(cursor_text, order)
    keys = search.keys(order, cursor.epoch if cursor else None)
    listed = _Listed(matches.positions, keys.values[matches.positions])
    if order == "most informative":
        return _spread_slice(search, listed, keys, cursor, size)
    return _plain_slice(listed, cursor, size)


@dataclass(frozen=True)
class _Listed:
    """Matching sounds with their keys; positions ascend."""

    positions: Positions
    keys: NDArray[np.int64]

    def after(self, key: int, position: int) -> "_Listed":
        """Return those that come after a place."""
        return self._where((self.keys < key) | ((self.keys == key) & (self.positions < position)))

    def before(self, key: int, position: int) -> "_Listed":
        """Return those that come before a place."""
        return self._where((self.keys > key) | ((self.keys == key) & (self.positions > position)))

    def _where(self, mask: NDArray[np.bool_]) -> "_Listed":
        return _Listed(self.positions[mask], self.keys[mask])

    def first(self, number: int) -> list[int]:
        """Return the first positions in order."""
        return [int(position) for position in largest(self.keys, self.positions, number)]

    def last(self, number: int) -> list[int]:
        """Return the last positions in order."""
        return [int(position) for position in smallest(self.keys, self.positions, number)]

    def place(self, position: int) -> tuple[int, int]:
        """Return a sound's place."""
        return int(self.keys[np.searchsorted(self.positions, position)]), position


def _plain_slice(listed: _Listed, cursor: Cursor | None, size: int) -> Slice:
    """Return a page of an order that shows sounds by their keys alone."""
    if cursor is None:
        shown = listed.first(size)
    elif cursor.side == "after":
        shown = listed.after(cursor.key, cursor.position).first(size)
    else:
        end = cursor.side == "end"
        earlier = listed if end else listed.before(cursor.key, cursor.position)
        shown = earlier.last(size)
        if not end and len(shown) < size:  # the first page is always a full one
            shown = listed.first(size)
    return Slice(tuple(shown), *_neighbours(listed, cursor, shown))


def _neighbours(
    listed: _Listed, cursor: Cursor | None, shown: list[int]
) -> tuple[Cursor | None, Cursor | None]:
    """Return the cursors of the next and the previous page."""
    if not shown:
        # What followed the cursor has left the list meanwhile.
        is_behind = cursor is not None and cursor.side == "after" and len(listed.positions) > 0
        return None, Cursor("end") if is_behind else None
    first, last = listed.place(shown[0]), listed.place(shown[-1])
    has_next = len(listed.after(*last).positions) > 0
    has_previous = len(listed.before(*first).positions) > 0
    return (
        Cursor("after", *last) if has_next else None,
        Cursor("before", *first) if has_previous else None,
    )


def _spread_slice(
    search: Search, listed: _Listed, keys: Keys, cursor: Cursor | None, size: int
) -> Slice:
    """Return a page on which no two sounds of one uploader or recording follow each other."""
    if cursor is not None and cursor.side != "after":
        cursor = _start_of_earlier(listed, keys, cursor, size)
    rest, deferred, last = listed, list[int](), None
    if cursor is not None:
        rest = listed.after(cursor.key, cursor.position)
        matching = set(listed.positions[np.isin(listed.positions, cursor.deferred)].tolist())
        deferred = [position for position in cursor.deferred if position in matching]
        last = cursor.last if cursor.last < search.size else None
    candidates = rest.first(size + MAX_DEFERRED + 1)
    result = spread(candidates, deferred, last, size, _alike(search), MAX_DEFERRED)
    end = listed.place(candidates[result.read - 1]) if result.read else _place_of(cursor)
    next_cursor = None
    if result.deferred or len(rest.positions) > result.read:
        shown_last = result.shown[-1] if result.shown else 0
        next_cursor = Cursor("after", *end, keys.epoch, shown_last, result.deferred)
    previous = None
    if cursor is not None and len(listed.before(cursor.key, cursor.position - 1).positions):
        owed = tuple(deferred)
        previous = Cursor("before", cursor.key, cursor.position, keys.epoch, 0, owed)
    return Slice(result.shown, next_cursor, previous)


def _place_of(cursor: Cursor | None) -> tuple[int, int]:
    return (cursor.key, cursor.position) if cursor else (0, 0)


def _start_of_earlier(listed: _Listed, keys: Keys, cursor: Cursor, size: int) -> Cursor | None:
    """Return where the page before a place begins, or None for the first page.

    What was deferred on the way there is not known any more, so the page may differ from the one
    that was shown; what was still to be shown at the place, is shown.
    """
    # The sound at the place itself belongs to the page before it.
    end = cursor.side == "end"
    earlier = listed if end else listed.before(cursor.key, cursor.position - 1)
    if len(earlier.positions) <= size:
        return None
    start = earlier.last(size + 1)[0]
    return Cursor("after", *listed.place(start), keys.epoch, start, cursor.deferred)


def _alike(search: Search) -> Alike:
    """Return the comparison of two sounds."""
    uploader, recording = search.column("uploader"), search.column("recording")

    def alike(first: int, second: int) -> bool:
        same_uploader = uploader[first] != 0 and uploader[first] == uploader[second]
        return bool(same_uploader or recording[first] == recording[second])

    return alike
