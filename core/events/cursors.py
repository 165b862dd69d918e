"""Cursors: the place in an order where a page begins or ends, as text that is safe in a URL."""

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Literal

import numpy as np

from core.events.query import LAST_PAGE, Order

_LETTERS: dict[str, Order] = {
    "n": "newest",
    "u": "most uncertain",
    "i": "most informative",
    "d": "most disputed",
}
_CURSOR = re.compile(
    r"(?P<letter>[nuid])(?P<side>[ab])(?P<key>-?\d{1,18})\.(?P<position>\d{1,9})"
    r"(\.(?P<epoch>\d{1,9})\.(?P<last>\d{1,9})\.(?P<deferred>[A-Za-z0-9_-]{0,400}))?"
)
MAX_DEFERRED = 64


@dataclass(frozen=True)
class Cursor:
    """A place between two sounds.

    Attributes:
        side: `after` the sound with this key and position come the page's sounds, or `before` it;
            `end` is the end of the list.
        key: Of that sound, as the order sorts it.
        position: Of that sound.
        epoch: Of the rarities that the key rests on; 0 in other orders than *most informative*.
        last: Position of the sound shown last, so that the next one is of another uploader.
        deferred: Positions of sounds before this place that are still to be shown.
    """

    side: Literal["after", "before", "end"]
    key: int = 0
    position: int = 0
    epoch: int = 0
    last: int = 0
    deferred: tuple[int, ...] = ()

    def text(self, order: Order) -> str:
        """Return the cursor as text."""
        letter = next(letter for letter, name in _LETTERS.items() if name == order)
        place = f"{letter}{self.side[0]}{self.key}.{self.position}"
        if not self.epoch:
            return place
        packed = base64.urlsafe_b64encode(np.array(self.deferred, "<u4").tobytes())
        return f"{place}.{self.epoch}.{self.last}.{packed.decode().rstrip('=')}"


def parse_cursor(text: str, order: Order) -> Cursor | None:
    """Read a cursor.

    Args:
        text: Anything.
        order: That it must be of.

    Returns:
        None where the text is no cursor of the order: the first page is meant.
    """
    if text == LAST_PAGE:
        return Cursor("end")
    match = _CURSOR.fullmatch(text)
    if match is None or not text.isascii() or _LETTERS[match["letter"]] != order:
        return None
    side: Literal["after", "before"] = "after" if match["side"] == "a" else "before"
    place = int(match["key"]), int(match["position"])
    if match["epoch"] is None:
        return Cursor(side, *place)
    deferred = _unpacked(match["deferred"])
    return Cursor(side, *place, int(match["epoch"]), int(match["last"]), deferred)


def _unpacked(text: str) -> tuple[int, ...]:
    """Return the deferred positions; none where the text is damaged."""
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        return tuple(np.frombuffer(data, "<u4").tolist())
    except (binascii.Error, ValueError):
        return ()
