"""A sound's place, from what a person typed to what Freesound reads."""

import re
from dataclasses import dataclass

from core.publishing.errors import GeotagError

MIN_ZOOM, MAX_ZOOM, DEFAULT_ZOOM = 11, 19, 14
"""Freesound asks for 11 at least, so that a place is meant and not a country; its maps end at 19,
and so do its form and its bulk file."""

_NUMBER = r"[-+]?[0-9]{1,3}(?:\.[0-9]{1,30})?"
_SEPARATOR = r"(?:\s*[,;]\s*|\s+)"
_GEOTAG = re.compile(
    rf"(?P<latitude>{_NUMBER})\s*°?\s*(?P<latitude_letter>[NSns])?{_SEPARATOR}"
    rf"(?P<longitude>{_NUMBER})\s*°?\s*(?P<longitude_letter>[EWew])?"
    rf"(?:{_SEPARATOR}(?P<zoom>[0-9]{{1,2}}))?"
)
_MAP_ADDRESS = re.compile(
    rf"https?://(?:www\.)?openstreetmap\.org/\S*#map=(?P<zoom>[0-9]{{1,2}})(?:\.[0-9]+)?"
    rf"/(?P<latitude>{_NUMBER})/(?P<longitude>{_NUMBER})(?:[&?]\S*)?"
)


@dataclass(frozen=True)
class Geotag:
    """A place: degrees north and east, and the map's zoom."""

    latitude: float
    longitude: float
    zoom: int = DEFAULT_ZOOM

    @property
    def text(self) -> str:
        """`latitude,longitude,zoom` with six decimals (10 cm) at most, as the upload needs it."""
        return f"{_degrees(self.latitude)},{_degrees(self.longitude)},{self.zoom}"

    @property
    def map_address(self) -> str:
        """Return the address of OpenStreetMap's map of the place, which `parse_geotag` reads."""
        latitude, longitude = _degrees(self.latitude), _degrees(self.longitude)
        marker = f"?mlat={latitude}&mlon={longitude}"
        return f"https://www.openstreetmap.org/{marker}#map={self.zoom}/{latitude}/{longitude}"


def parse_geotag(text: str) -> Geotag:
    """Read a place as people write it.

    Args:
        text: For example `52.5, 13.4`, `52.5 13.4 14` or `33.9 S, 151.2 E`, or the address of a map
            on OpenStreetMap.

    Raises:
        GeotagError: It is no place, or may mean another one.
    """
    geotag = _geotag_of_map(text.strip()) or _typed_geotag(text.strip().replace("−", "-"))
    _check(geotag)
    return geotag


def _geotag_of_map(address: str) -> Geotag | None:
    """Return the middle of a map; None for a text that is no map's address."""
    match = _MAP_ADDRESS.fullmatch(address)
    if match is None:
        return None
    latitude, longitude = float(match["latitude"]), float(match["longitude"])
    return Geotag(latitude, longitude, int(match["zoom"]))


def _typed_geotag(text: str) -> Geotag:
    """Return a place as it was typed."""
    match = _GEOTAG.fullmatch(text)
    if not match:
        raise GeotagError(
            "The place should be latitude, longitude and, if you like, zoom: "
            "for example 52.52, 13.405 or 52.52, 13.405, 14."
        )
    latitude = _signed(match["latitude"], match["latitude_letter"], "S")
    longitude = _signed(match["longitude"], match["longitude_letter"], "W")
    return Geotag(latitude, longitude, int(match["zoom"] or DEFAULT_ZOOM))


def _check(place: Geotag) -> None:
    """Refuse a place that Freesound would not take.

    Raises:
        GeotagError: Says why.
    """
    latitude, longitude, zoom = place.latitude, place.longitude, place.zoom
    if abs(latitude) > 90:
        raise GeotagError(
            f"The latitude {latitude:g} is not between -90 (south pole) and 90 (north pole)."
        )
    if abs(longitude) > 180:
        raise GeotagError(f"The longitude {longitude:g} is not between -180 and 180.")
    if not MIN_ZOOM <= zoom <= MAX_ZOOM:
        raise GeotagError(
            f"The zoom {zoom} is not between {MIN_ZOOM} (a town) and {MAX_ZOOM} (a house)."
        )
    if "0" in (_degrees(latitude), _degrees(longitude)):
        raise GeotagError(
            "Freesound takes a latitude or longitude of exactly 0 for a missing one. Please give "
            "one beside it, such as 0.00001."
        )


def _signed(number: str, letter: str | None, negative_letter: str) -> float:
    """Return degrees from `33.9` with S, or from `-33.9`; both at once could mean either."""
    if letter and number[0] in "+-":
        raise GeotagError(
            f"The place has a sign and a letter ({number} {letter}); please use one of them."
        )
    is_negative = letter is not None and letter.upper() == negative_letter
    return -float(number) if is_negative else float(number)


def _degrees(value: float) -> str:
    """Return degrees as they are sent."""
    text = f"{value:.6f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
