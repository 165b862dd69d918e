"""What the desk shows of a sound, as JSON values, and the vocabulary that its search has."""

import hashlib
import json
from collections.abc import Iterable, Sequence

from app import auth, services
from app.components.desk.timeline import timeline_rows
from app.components.player import frequency_axis, levels_over_time
from app.routes import media_url
from app.text import unformatted
from app.views.sound_list import known_tags
from app.views.sound_parts import missing_media
from app.views.sound_text import facts_text
from core.curation.second_opinion import blind_state, is_waiting_for
from core.curation.tag_search import TagEntry
from core.events.fold import SoundState
from core.people import shown_name
from core.tags import MAX_TAGS, clean

LONG_S = 15
"""Longer sounds have a list of events."""
EXAMPLES = 3
MAX_DESCRIPTION = 300


def sound_data(sound: SoundState, place: int = 0, *, is_blind: bool = False) -> dict[str, object]:
    """Return a sound for the browser.

    Args:
        sound: Its state.
        place: Its place in the queue, from 0.
        is_blind: True where `sound` is without the decisions of others, for a second opinion.
    """
    media, facts = sound.media, sound.sound
    missing = missing_media(sound)
    return review_data(sound) | {
        "blind": is_blind,
        "id": sound.sound_id,
        "place": place,
        "title": facts.title,
        "facts": facts_text(sound),
        "description": _shortened(facts.description),
        "note": _note(sound),
        "seconds": facts.seconds,
        "isLong": facts.seconds > LONG_S,
        "missing": missing,
        "audio": "" if missing else media_url(media.audio),
        "picture": "" if missing or not media.spectrogram else media_url(media.spectrogram),
        "axis": frequency_axis(),
        "model": f"by {sound.model}" if sound.model else "",
        "rows": _rows(sound),
        "uploader": list(clean(facts.tags[:MAX_TAGS]).tags),
    }


def blind_data(sound_ids: Iterable[str]) -> dict[str, SoundState]:
    """Return sounds that still wait for the viewer's second opinion, without any decisions."""
    actor, share = auth.viewer().actor, services.settings().second_opinion_share
    logs = services.curation().reviews.histories(list(sound_ids)).values()
    waiting = (log for log in logs if is_waiting_for(actor, log, share))
    return {state.sound_id: state for state in map(blind_state, waiting)}


def review_data(sound: SoundState) -> dict[str, object]:
    """Return what changes of a sound when somebody reviews it."""
    return {
        "blind": False,
        "version": sound.last_event.event_id,
        "tags": list(sound.tags),
        "decisions": {tag: decision.verdict for tag, decision in sound.decisions.items()},
        "status": _status(sound),
    }


def vocabulary_data() -> dict[str, object]:
    """Return the vocabulary with its version."""
    entries = known_tags()
    return {"version": _version(entries), "tags": [list(_entry(entry)) for entry in entries]}


def vocabulary_version() -> str:
    """Return the version of the vocabulary: another one where a tag is new."""
    return _version(known_tags())


def examples_data(tag: str) -> dict[str, object]:
    """Return sounds that carry a tag, reviewed ones first."""
    workspace = services.workspace()
    sounds = [
        {"title": sound.sound.title, "audio": media_url(sound.media.audio)}
        for sound in workspace.sounds.with_tag(tag, limit=EXAMPLES)
        if workspace.media.path(sound.media.audio) is not None
    ]
    return {"tag": tag, "sounds": sounds}


def _rows(sound: SoundState) -> list[dict[str, object]]:
    """Return the suggestions over time, where the sidecar of their prediction is there."""
    if sound.model is None:
        return []
    arrays = services.workspace().sidecars.get(sound.sound_id, sound.model)
    vocabulary = services.vocabulary(sound.model)
    times, levels = levels_over_time(arrays, vocabulary, sound.suggestions)
    return timeline_rows(sound.suggestions, times, levels, services.thresholds_of(sound))


def _version(entries: Sequence[TagEntry]) -> str:
    tags = json.dumps(sorted(entry.tag for entry in entries))
    return hashlib.sha256(tags.encode()).hexdigest()[:16]


def _entry(entry: TagEntry) -> tuple[str, int, list[str]]:
    return entry.tag, entry.sounds, list(entry.aliases)


def _status(sound: SoundState) -> str:
    if sound.last_review is None:
        return "to review"
    return unformatted(f"{sound.review_state}, {shown_name(sound.last_review.actor)}")


def _note(sound: SoundState) -> str:
    explicit = "Marked as explicit." if sound.sound.is_explicit else ""
    return " ".join(text for text in (explicit, sound.sound.note) if text)


def _shortened(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= MAX_DESCRIPTION else f"{words[:MAX_DESCRIPTION].rstrip()}…"
