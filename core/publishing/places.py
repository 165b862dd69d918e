"""Search for a town by name, without any request: a list of the largest ones is part of Earmark.

Data: GeoNames (https://www.geonames.org/), CC BY 4.0, the 12,000 largest towns, with names in other
languages for those of 300,000 people or more.
"""

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

from anyascii import anyascii

from core.publishing.geotag import Geotag

CREDIT = "Towns: [GeoNames](https://www.geonames.org/), CC BY 4.0."
MIN_LETTERS = 2
MAX_PLACES = 5


@dataclass(frozen=True)
class Place:
    """A town.

    Attributes:
        name: In English.
        country: In English.
        geotag: Its middle.
    """

    name: str
    country: str
    geotag: Geotag


class _Town(NamedTuple):
    """A place and its names as they are searched."""

    place: Place
    names: tuple[str, ...]


def find_places(text: str, limit: int = MAX_PLACES) -> list[Place]:
    """Return towns with a name that begins with `text`.

    Args:
        text: With or without accents; a country may follow after a comma.
        limit: How many at most.

    Returns:
        Those called exactly so first, then by their English names; the largest first.
    """
    name, _, country = (_letters(part) for part in text.partition(","))
    if len(name) < MIN_LETTERS:
        return []
    towns = [
        town
        for town in _towns()
        if any(each.startswith(name) for each in town.names)
        and _letters(town.place.country).startswith(country)
    ]
    towns.sort(key=lambda town: (name not in town.names, not town.names[0].startswith(name)))
    return [town.place for town in towns[:limit]]


@cache
def _towns() -> tuple[_Town, ...]:
    """Return all towns, the largest first."""
    path = Path(__file__).parent / "places.tsv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    return tuple(
        _Town(
            Place(
                row["name"],
                row["country"],
                Geotag(float(row["latitude"]), float(row["longitude"])),
            ),
            tuple(_letters(name) for name in (row["name"], *row["other_names"].split("|")) if name),
        )
        for row in rows
    )


def _letters(text: str) -> str:
    """Return a name as it is compared: in ASCII and small letters, without hyphens and the like."""
    ascii_text = anyascii(text).lower()
    return "".join(character for character in ascii_text if character.isalnum())
