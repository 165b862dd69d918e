"""Tags as chips: vocabulary search, free entry, and a preview of what will be stored."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from app.components.register import register
from app.components.values import sent_value
from app.state import Entry
from app.text import plain
from app.vocabulary import Entry as VocabularyEntry
from app.vocabulary import vocabulary_url
from core.events.types import Suggestion
from core.tags import CleanTags, clean

_COMPONENT = register(Path(__file__).parent)
MAX_ADDED_TAGS = 50
MAX_CHIPS = 1000
"""Of what a browser sends; more is no edit."""


@dataclass(frozen=True)
class Edit:
    """The chips as they are now.

    Attributes:
        tags: As they would be stored.
        changed: Whether that differs from what was there.
    """

    tags: tuple[str, ...]
    changed: bool


@dataclass(frozen=True)
class _Unsaved:
    """Chips that were changed: of which `version`, and what there was before."""

    version: str
    before: tuple[str, ...]
    chips: tuple[str, ...]


_unsaved = Entry[Mapping[str, _Unsaved]]("unsaved-chips", {})
"""By the editor's key. Streamlit forgets what a component has sent once it is not on the page."""


def tag_editor(
    key: str,
    tags: Sequence[str],
    vocabulary: Iterable[VocabularyEntry],
    guesses: Sequence[Suggestion] = (),
    *,
    version: str = "",
    disabled: bool = False,
    begun: Sequence[str] | None = None,
    title: str = "",
    rejected: Collection[str] = (),
) -> Edit:
    """Show chips; typing searches the vocabulary, and anything else may be typed as well.

    Any number of chips is allowed, so adding a tag never drops another, and what was typed but not
    confirmed counts when the field is left. Unsaved chips are kept for the session.

    Args:
        key: Must belong to one sound.
        tags: Today's tags.
        vocabulary: Tags that the search offers, as `vocabulary_url` takes them.
        guesses: Tags that are offered at a click.
        version: Stands for `tags`: with another version the chips start anew.
        disabled: Show the chips only.
        begun: Chips from an earlier page, to go on with where nobody has touched these.
        title: The sound's, for names that differ from editor to editor.
        rejected: Tags that are never offered; they can still be typed.
    """
    chips = _chips(key, tags, version, begun)
    data = {
        "version": version,
        "tags": list(tags),
        "current": list(chips),
        "vocabulary": vocabulary_url(vocabulary),
        "guesses": [
            [guess.tag, f"{guess.probability:.0%}"]
            for guess in guesses
            if guess.tag not in rejected
        ],
        "rejected": sorted(rejected),
        "disabled": disabled,
        "title": title,
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


def unsaved_editors() -> list[str]:
    """Return the keys of the editors whose chips differ from what is stored, on any page."""
    return [
        key
        for key, unsaved in _unsaved.get().items()
        if set(_as_stored(unsaved.chips, unsaved.before).tags) != set(unsaved.before)
    ]


def forget_edits(key: str) -> None:
    """Forget an editor's unsaved chips: they were saved, or given up."""
    _unsaved.set({other: edit for other, edit in _unsaved.get().items() if other != key})


def _as_stored(chips: Sequence[str], tags: Sequence[str]) -> CleanTags:
    """Clean what was added.

    What was there stays as it is, whatever it looks like: an import, a Freesound user's own.
    """
    present = set(tags)
    added = clean([chip for chip in chips if chip not in present][:MAX_ADDED_TAGS])
    kept = [chip for chip in chips if chip in present]
    return CleanTags(tuple(dict.fromkeys([*kept, *added.tags])), added.dropped)


def _chips(
    key: str, tags: Sequence[str], version: str, begun: Sequence[str] | None = None
) -> tuple[str, ...]:
    """Return the chips of this very version: sent by the browser, kept, `begun`, else `tags`."""
    kept = _unsaved.get().get(key)
    edit = sent_value(key, "edit", parse_edit)
    sent = edit.chips if edit and edit.version == version else None
    if sent is None and kept is not None and kept.version == version:
        return kept.chips
    chips = sent if sent is not None else tuple(tags if begun is None else begun)
    _keep(key, _Unsaved(version, tuple(tags), chips) if sent not in (None, tuple(tags)) else None)
    return chips


def _keep(key: str, unsaved: _Unsaved | None) -> None:
    """Keep unsaved chips, or forget what was kept."""
    if unsaved is not None:
        _unsaved.set({**_unsaved.get(), key: unsaved})
    elif key in _unsaved.get():
        forget_edits(key)


@dataclass(frozen=True)
class SentEdit:
    """Chips as the browser has them, and of which version."""

    version: str
    chips: tuple[str, ...]


def parse_edit(value: object) -> SentEdit:
    """Return what the browser sends when chips were changed.

    Raises:
        ValueError: The value is none.
    """
    if not isinstance(value, dict) or not isinstance(version := value.get("version"), str):
        raise ValueError("no edit of a version")
    chips = value.get("tags")
    if not isinstance(chips, list) or len(chips) > MAX_CHIPS or not all(map(_is_text, chips)):
        raise ValueError("no list of tags")
    return SentEdit(version, tuple(chips))


def _is_text(chip: object) -> bool:
    """Return True for text that can be stored: half a surrogate pair cannot."""
    return isinstance(chip, str) and not any("\ud800" <= letter <= "\udfff" for letter in chip)


def _preview(chips: Sequence[str], stored: CleanTags) -> None:
    """Show what will be stored, where that is not what the chips say."""
    if tuple(chips) != stored.tags:
        st.caption(f"Will be stored as: {plain(' · '.join(stored.tags)) or 'no tags'}")
    for typed, reason in stored.dropped:
        st.caption(f"“{plain(typed)}” {reason}.")
    if len(chips) - len(stored.dropped) > len(stored.tags) >= MAX_ADDED_TAGS:
        st.caption(f"At most {MAX_ADDED_TAGS} tags can be added at a time.")
