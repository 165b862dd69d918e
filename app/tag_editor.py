"""Tags as chips: vocabulary search, free entry, and what will really be stored."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import streamlit as st

from app import component
from app.text import plain
from core.id2prediction import Suggestion
from core.tags import CleanTags, clean

_COMPONENT = component.register("tag_editor")
MOST_CHIPS = 100


@dataclass(frozen=True)
class Edit:
    """What the chips say now: `tags` as they would be stored, and whether that differs from what was there."""

    tags: tuple[str, ...]
    changed: bool


def tag_editor(
    key: str,
    tags: Sequence[str],
    vocabulary: Iterable[str],
    guesses: Sequence[Suggestion] = (),
    *,
    version: str = "",
    disabled: bool = False,
) -> Edit:
    """Chips with today's `tags`; typing searches `vocabulary`, and anything else may be typed as well.

    Any number of chips is allowed, so adding a tag never drops another, and what was typed but not confirmed counts when the
    field is left. `guesses` are offered at a click. `key` must belong to one sound, `version` to what was there (`tags`): with
    another version the chips start anew.
    """
    chips = _chips(key, tags, version)
    _COMPONENT(
        key=key,
        data={
            "version": version,
            "tags": list(tags),
            "current": list(chips),
            "vocabulary": list(vocabulary),
            "guesses": [[one.tag, f"{one.tag} {one.probability:.0%}"] for one in guesses],
            "disabled": disabled,
        },
        on_edit_change=lambda: None,
    )
    cleaned = clean(chips)
    _preview(chips, cleaned)
    return Edit(cleaned.tags, set(cleaned.tags) != set(tags))


def edited(key: str, tags: Sequence[str], version: str = "") -> CleanTags:
    """The chips of that editor as they would be stored; `tags` where nobody has touched them."""
    return clean(_chips(key, tags, version))


def _chips(key: str, tags: Sequence[str], version: str) -> tuple[str, ...]:
    """What the browser says, which is checked, as everything from outside: a list of texts for this very version."""
    edit = (st.session_state.get(key) or {}).get("edit")
    if not isinstance(edit, dict) or edit.get("version") != version or not isinstance(edit.get("tags"), list):
        return tuple(tags)
    return tuple(chip for chip in edit["tags"][:MOST_CHIPS] if isinstance(chip, str))


def _preview(chips: Sequence[str], cleaned: CleanTags) -> None:
    """Say what will be stored, where that is not what the chips say."""
    if tuple(chips) != cleaned.tags:
        st.caption(f"Will be stored as: {plain(' · '.join(cleaned.tags)) or 'no tags'}")
    for typed, reason in cleaned.dropped:
        st.caption(f"“{plain(typed)}” {reason}.")
