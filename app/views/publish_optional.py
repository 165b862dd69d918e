"""The optional part of the form for publishing: pack, place, explicit content and sources."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import streamlit as st

from app import state
from app.text import plain
from core.publishing.errors import FormError, GeotagError
from core.publishing.form import parse_sources
from core.publishing.geotag import MAX_ZOOM, MIN_ZOOM, parse_geotag
from core.publishing.places import CREDIT, Place, find_places

PLACE_HELP = (
    f"Latitude, longitude and, optionally, the map's zoom from {MIN_ZOOM} to {MAX_ZOOM}; or the "
    "address of a map on OpenStreetMap"
)
NOT_BY_API = (
    ":material/info: Freesound’s API cannot set this. Once the sound is published, you get the "
    "address where you can."
)


@dataclass(frozen=True)
class OptionalFields:
    """The optional fields, as they were typed."""

    pack: str
    geotag: str
    is_explicit: bool
    sources: str

    @property
    def source_ids(self) -> tuple[int, ...]:
        """Return the sounds that the sound was made from; none where they cannot be read."""
        try:
            return parse_sources(self.sources)
        except FormError:
            return ()


def optional_fields(clip_key: str) -> OptionalFields:
    """Draw the fields, folded away while they are empty: nothing is published unseen."""
    entries = [state.publish_field(clip_key, name) for name in ("pack", "geotag", "sources")]
    explicit = state.publish_explicit(clip_key)
    is_filled = any(entry.get() for entry in entries) or explicit.get()
    label = "Pack, place, sources, explicit (optional)"
    with st.expander(label, expanded=is_filled):
        pack = st.text_input(
            "Pack", key=entries[0].key, help="One of your packs, or the name of a new one"
        )
        geotag = _place_field(clip_key)
        sources = st.text_input(
            "Sources",
            key=entries[2].key,
            placeholder="1234, https://freesound.org/s/5678/",
            help="Sounds on Freesound that this one was made from; the description names them",
        )
        is_explicit = st.checkbox(
            "Explicit content", key=explicit.key, help="Not suitable for children"
        )
        if is_explicit or sources.strip():
            st.caption(NOT_BY_API)
    return OptionalFields(pack, geotag, is_explicit, sources)


def place_text(geotag: str) -> str:
    """Return a place exactly as it will be sent, in words; empty for a text that is none."""
    try:
        place = parse_geotag(geotag)
    except GeotagError:
        return ""
    latitude, longitude, zoom = place.text.split(",")
    return f"latitude {latitude}, longitude {longitude}, zoom {zoom}"


def _place_field(clip_key: str) -> str:
    """Draw the place, a search for towns, and a link to the map."""
    entry = state.publish_field(clip_key, "geotag")
    geotag = st.text_input(
        "Place", key=entry.key, placeholder="52.5200, 13.4050, 14", help=PLACE_HELP
    )
    if text := place_text(geotag):
        address = parse_geotag(geotag).map_address
        st.caption(f":material/location_on: {text} · [Show on OpenStreetMap]({address})")
    town = st.text_input(
        "Find a town",
        key=state.publish_field(clip_key, "town").key,
        help=f"Then move the map and copy its address into *Place*. {CREDIT}",
    )
    _town_choice(clip_key, town)
    return geotag


def _town_choice(clip_key: str, town: str) -> None:
    """Draw the towns of that name; a press on one fills in the place."""
    if not town.strip():
        return
    places = _by_label(find_places(town))
    if not places:
        st.caption(f"No large town is called {plain(town.strip())}.")
        return
    key = state.publish_field(clip_key, "town-choice").key
    st.pills(
        "Towns",
        list(places),
        key=key,
        label_visibility="collapsed",
        on_change=_choose_town,
        args=(clip_key, places),
    )


def _by_label(places: Sequence[Place]) -> dict[str, Place]:
    """Return places by what tells them apart."""
    names = Counter((place.name, place.country) for place in places)
    labels = {}
    for place in places:
        label = f"{place.name}, {place.country}"
        if names[place.name, place.country] > 1:
            label += f" ({place.geotag.latitude:.1f}, {place.geotag.longitude:.1f})"
        labels[label] = place
    return labels


def _choose_town(clip_key: str, places: Mapping[str, Place]) -> None:
    place = places.get(state.publish_field(clip_key, "town-choice").get() or "")
    if place is not None:
        geotag = place.geotag
        state.publish_field(clip_key, "geotag").set(geotag.text.replace(",", ", "))
