"""Tags as chips: vocabulary search, free entry, and what will really be stored."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import streamlit as st

from app import component
from app.text import plain
from core.id2prediction import Suggestion
from core.tags import CleanTags, clean

_COMPONENT = component.register("tag_editor")
MOST_ADDED = 50


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
    begun: Sequence[str] | None = None,
) -> Edit:
    """Chips with today's `tags`; typing searches `vocabulary`, and anything else may be typed as well.

    Any number of chips is allowed, so adding a tag never drops another, and what was typed but not confirmed counts when the
    field is left. `guesses` are offered at a click. `key` must belong to one sound, `version` to what was there (`tags`): with
    another version the chips start anew. `begun` are chips from an earlier page, to go on with where nobody has touched these.
    """
    chips = _chips(key, tags if begun is None else begun, version)
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
    stored = _as_stored(chips, tags)
    _preview(chips, stored)
    return Edit(stored.tags, set(stored.tags) != set(tags))


def edited(key: str, tags: Sequence[str], version: str = "") -> tuple[str, ...]:
    """The chips of that editor as they would be stored; `tags` where nobody has touched them."""
    return _as_stored(_chips(key, tags, version), tags).tags


def _as_stored(chips: Sequence[str], tags: Sequence[str]) -> CleanTags:
    """What was there stays as it is, whatever it looks like (an import, a Freesound user's own); what was added is cleaned."""
    there, added = set(tags), clean([chip for chip in chips if chip not in tags][:MOST_ADDED])
    kept = [chip for chip in chips if chip in there]
    return CleanTags(tuple(dict.fromkeys([*kept, *added.tags])), added.dropped)


def _chips(key: str, tags: Sequence[str], version: str) -> tuple[str, ...]:
    """What the browser says, which is checked, as everything from outside: a list of texts for this very version."""
    edit = (st.session_state.get(key) or {}).get("edit")
    if not isinstance(edit, dict) or edit.get("version") != version or not isinstance(edit.get("tags"), list):
        return tuple(tags)
    if not all(isinstance(chip, str) for chip in edit["tags"]):
        return tuple(tags)
    return tuple(edit["tags"])


def _preview(chips: Sequence[str], stored: CleanTags) -> None:
    """Say what will be stored, where that is not what the chips say."""
    if tuple(chips) != stored.tags:
        st.caption(f"Will be stored as: {plain(' · '.join(stored.tags)) or 'no tags'}")
    for typed, reason in stored.dropped:
        st.caption(f"“{plain(typed)}” {reason}.")
    if len(chips) - len(stored.dropped) > len(stored.tags) >= MOST_ADDED:
        st.caption(f"At most {MOST_ADDED} tags can be added at a time.")
