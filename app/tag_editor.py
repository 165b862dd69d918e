"""Tags as chips: vocabulary search, free entry, and what will really be stored."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import streamlit as st

from app.text import plain
from core.tags import CleanTags, clean


@dataclass(frozen=True)
class Edit:
    """What the chips say now: `tags` as they would be stored, and whether that differs from what was there."""

    tags: tuple[str, ...]
    changed: bool


def tag_editor(key: str, tags: Sequence[str], vocabulary: Iterable[str], *, disabled: bool = False) -> Edit:
    """Chips with today's `tags`; typing searches `vocabulary` and Enter adds what is not in it.

    There is no limit, so that adding a tag never drops another. `key` must belong to one sound.
    """
    options = sorted({*vocabulary, *tags})
    chips = st.multiselect(
        "Tags",
        options,
        default=list(tags),
        key=key,
        accept_new_options=True,
        select_all=False,
        wrap=True,
        placeholder="Search or type a tag, then Enter",
        disabled=disabled,
    )
    cleaned = clean(chips)
    _preview(chips, cleaned)
    return Edit(cleaned.tags, set(cleaned.tags) != set(tags))


def edited(key: str, tags: Sequence[str]) -> CleanTags:
    """The chips of that editor as they would be stored; `tags` if it has not been drawn."""
    return clean(st.session_state.get(key, tags))


def _preview(chips: Sequence[str], cleaned: CleanTags) -> None:
    """Say what will be stored, where that is not what the chips say."""
    if tuple(chips) != cleaned.tags:
        st.caption(f"Will be stored as: {plain(' · '.join(cleaned.tags)) or 'no tags'}")
    for typed, reason in cleaned.dropped:
        st.caption(f"“{plain(typed)}” {reason}.")
