"""Sound, spectrogram and the suggested tags over time, as one synchronised component."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from app.clips import Part
from app.components.player.levels import (
    MAX_STOPS,
    Floats,
    levels_over_time,
    levels_text,
    steps,
)
from app.components.register import register
from app.components.values import sent_value
from app.text import unformatted
from core.audio.trim import MIN_PART_S
from core.events.types import Suggestion
from core.model.logmel import COALA, band_centres_hz

__all__ = [
    "MAX_STOPS",
    "Floats",
    "checked_part",
    "frequency_axis",
    "levels_over_time",
    "player",
]

_COMPONENT = register(Path(__file__).parent)
AXIS_HZ = (500, 2000, 8000)


def player(
    *,
    key: str,
    audio_url: str,
    picture_url: str,
    title: str,
    facts: str,
    seconds: float,
    suggestions: Sequence[Suggestion],
    times: Floats | None = None,
    levels: Floats | None = None,
    thresholds: Mapping[str, float] | None = None,
    rejected: Collection[str] = (),
    compact: bool = False,
    selectable: bool = False,
    selection: Part | None = None,
    plays: bool = False,
) -> Part | None:
    """Show a sound.

    Args:
        key: Of the component in the session.
        audio_url: The sound to play.
        picture_url: Its spectrogram.
        title: Shown as text, whatever is in it.
        facts: A line below the title, shown as text.
        seconds: The sound's length.
        suggestions: A row each.
        times: Start and end of each frame in seconds, [frames, 2]; None where unknown. Frames are
            the network's, or windows that overlap.
        levels: Probability of each suggestion per frame, [frames, suggestions].
        thresholds: From which probability a tag is suggested, drawn as a line; where unknown, none.
        rejected: Tags that a person has removed: their rows are struck through.
        compact: Let the rows stand beside the picture where there is room, for lists.
        selectable: Let the person select a part with two handles.
        selection: The part that the handles start with. With another one, or another sound under
            the same `key`, they start anew.
        plays: Play it at once, because the person has asked for that elsewhere on the page.

    Returns:
        The selected part; None for the whole sound.
    """
    first, step = steps(times if levels is not None else None)
    data: dict[str, object] = {
        "audio": audio_url,
        "picture": picture_url,
        "title": unformatted(title),
        "facts": unformatted(facts),
        "seconds": seconds,
        "axis": frequency_axis(),
        "steps": [first, step],
        "rows": _rows(suggestions, levels, thresholds or {}, rejected),
        "compact": compact,
        "plays": plays,
    }
    if not selectable or seconds <= MIN_PART_S:
        _COMPONENT(key=key, data=(data,))
        return None
    start = checked_part(selection, seconds)
    current = _selected(key, audio_url, start, seconds)
    data["selectable"] = {"start": start, "current": current, "shortest": MIN_PART_S}
    _COMPONENT(key=key, data=(data,), on_selection_change=lambda: None)
    return current


@dataclass(frozen=True)
class Selection:
    """A part that was selected in the browser.

    Attributes:
        audio: Address of the sound.
        start: The part that the handles started with; None for the whole sound.
        part: The part that is selected; None for the whole sound.
    """

    audio: str
    start: Part | None
    part: Part | None


def parse_selection(value: object) -> Selection:
    """Return what the browser sends when the handles were moved.

    Raises:
        ValueError: The value is none.
    """
    if not isinstance(value, dict) or not isinstance(audio := value.get("audio"), str):
        raise ValueError("no selection of a sound")
    return Selection(audio, _times(value.get("start")), _times(value.get("part")))


def _times(part: object) -> Part | None:
    """Return two numbers as a part, unchecked; raise `ValueError` for anything but null."""
    if part is None:
        return None
    if not isinstance(part, list) or len(part) != 2:
        raise ValueError("a part has two ends")
    if not all(type(time) in (int, float) for time in part):
        raise ValueError("the ends of a part are numbers")
    return part[0], part[1]


def checked_part(part: object, seconds: float) -> Part | None:
    """Return a part if it is two numbers with 0 <= first < second <= `seconds`.

    None for the whole sound and for anything else: it may come from outside.
    """
    if not isinstance(part, list | tuple) or len(part) != 2:
        return None
    if not all(type(time) in (int, float) for time in part):
        return None
    first, second = part  # compared before they become floats: JSON's integers may be too large
    is_part = 0 <= first < second <= seconds and (first, second) != (0, seconds)
    return (float(first), float(second)) if is_part else None


@lru_cache(maxsize=1)
def frequency_axis() -> list[list[object]]:
    """Return the labels of the frequency axis: [text, height as a share of the picture]."""
    centres = band_centres_hz(COALA)
    positions = np.interp(AXIS_HZ, centres, np.arange(len(centres)) / (len(centres) - 1))
    texts = [f"{hz / 1000:g} kHz" if hz >= 1000 else f"{hz} Hz" for hz in AXIS_HZ]
    return [[text, round(share, 3)] for text, share in zip(texts, positions.tolist(), strict=True)]


def _selected(key: str, audio_url: str, start: Part | None, seconds: float) -> Part | None:
    """Return the part that the browser has sent for this very sound and start."""
    sent = sent_value(key, "selection", parse_selection)
    if sent is None or (sent.audio, sent.start) != (audio_url, start):
        return start
    return checked_part(sent.part, seconds)


def _rows(
    suggestions: Sequence[Suggestion],
    levels: Floats | None,
    thresholds: Mapping[str, float],
    rejected: Collection[str],
) -> list[list[object]]:
    """Return [tag, probability, state, threshold, levels] for each suggestion."""
    return [
        [
            suggestion.tag,
            round(suggestion.probability, 4),
            _row_state(suggestion, rejected),
            round(thresholds[suggestion.tag], 3) if suggestion.tag in thresholds else None,
            "" if levels is None else levels_text(levels[:, column]),
        ]
        for column, suggestion in enumerate(suggestions)
    ]


def _row_state(suggestion: Suggestion, rejected: Collection[str]) -> str:
    """Return how a row is drawn."""
    if suggestion.tag in rejected:
        return "rejected"
    return "above" if suggestion.above_threshold else "below"
