"""Tags as chips: vocabulary search, free entry, and a preview of what will be stored."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from app import state
from app.components.register import register
from app.text import plain
from core.events.types import Suggestion
from core.tags import CleanTags, clean

_COMPONENT = register(Path(__file__).parent)
MAX_ADDED_TAGS = 50


@dataclass(frozen=True)
class Edit:
    """The chips as they are now.

    Attributes:
        tags: As they would be stored.
        changed: Whether that differs from what was there.
    """

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
    """Show chips; typing searches the vocabulary, and anything else may be typed as well.

    Any number of chips is allowed, so adding a tag never drops another, and what was typed but not
    confirmed counts when the field is left.

    Args:
        key: Must belong to one sound.
        tags: Today's tags.
        vocabulary: Tags that the search offers.
        guesses: Tags that are offered at a click.
        version: Stands for `tags`: with another version the chips start anew.
        disabled: Show the chips only.
        begun: Chips from an earlier page, to go on with where nobody has touched these.
    """
    chips = _chips(key, tags if begun is None else begun, version)
    data = {
        "version": version,
        "tags": list(tags),
        "current": list(chips),
        "vocabulary": list(vocabulary),
        "guesses": [[guess.tag, f"{guess.tag} {guess.probability:.0%}"] for guess in guesses],
        "disabled": disabled,
    }
    _COMPONENT(
        key=key,
        data=(data,),
        on_edit_change=lambda: None,
    )
    stored = _as_stored(chips, tags)
    _preview(chips, stored)
    return Edit(stored.tags, set(stored.tags) != set(tags))


def edited_tags(key: str, tags: Sequence[str], version: str = "") -> tuple[str, ...]:
    """Return an editor's chips as they would be stored; `tags` where nobody has touched them."""
    return _as_stored(_chips(key, tags, version), tags).tags


def _as_stored(chips: Sequence[str], tags: Sequence[str]) -> CleanTags:
    """Clean what was added.

    What was there stays as it is, whatever it looks like: an import, a Freesound user's own.
    """
    present = set(tags)
    added = clean([chip for chip in chips if chip not in present][:MAX_ADDED_TAGS])
    kept = [chip for chip in chips if chip in present]
    return CleanTags(tuple(dict.fromkeys([*kept, *added.tags])), added.dropped)


def _chips(key: str, tags: Sequence[str], version: str) -> tuple[str, ...]:
    """Return the chips that the browser has sent for this very version, else `tags`."""
    edit = state.component_value(key, "edit")
    if not isinstance(edit, dict) or edit.get("version") != version:
        return tuple(tags)
    chips = edit.get("tags")
    if not isinstance(chips, list) or not all(isinstance(chip, str) for chip in chips):
        return tuple(tags)
    return tuple(chips)


def _preview(chips: Sequence[str], stored: CleanTags) -> None:
    """Show what will be stored, where that is not what the chips say."""
    if tuple(chips) != stored.tags:
        st.caption(f"Will be stored as: {plain(' · '.join(stored.tags)) or 'no tags'}")
    for typed, reason in stored.dropped:
        st.caption(f"“{plain(typed)}” {reason}.")
    if len(chips) - len(stored.dropped) > len(stored.tags) >= MAX_ADDED_TAGS:
        st.caption(f"At most {MAX_ADDED_TAGS} tags can be added at a time.")
