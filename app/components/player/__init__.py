"""Sound, spectrogram and the suggested tags over time, as one synchronised component."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app import state
from app.clips import Part
from app.components.register import register
from core.audio.trim import MIN_PART_S
from core.events.types import Suggestion
from core.model.logmel import COALA, band_centres_hz

_COMPONENT = register(Path(__file__).parent)
AXIS_HZ = (500, 2000, 8000)
MAX_STOPS = 400
"""Colours of a row's strip; a long sound has thousands of frames."""
Floats = NDArray[np.floating]


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
    selectable: bool = False,
    selection: Part | None = None,
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
        selectable: Let the person select a part with two handles.
        selection: The part that the handles start with. With another one, or another sound under
            the same `key`, they start anew.

    Returns:
        The selected part; None for the whole sound.
    """
    data: dict[str, object] = {
        "audio": audio_url,
        "picture": picture_url,
        "title": title,
        "facts": facts,
        "seconds": seconds,
        "axis": _axis(),
        "rows": _rows(suggestions, times, levels, seconds),
    }
    if not selectable or seconds <= MIN_PART_S:
        _COMPONENT(key=key, data=(data,))
        return None
    start = checked_part(selection, seconds)
    current = _selected(key, audio_url, start, seconds)
    data["selectable"] = {"start": start, "current": current, "shortest": MIN_PART_S}
    _COMPONENT(key=key, data=(data,), on_selection_change=lambda: None)
    return current


def checked_part(part: object, seconds: float) -> Part | None:
    """Return a part if it is two numbers with 0 <= first < second <= `seconds`.

    None for the whole sound and for anything else: it may come from outside.
    """
    if not isinstance(part, list | tuple) or len(part) != 2:
        return None
    if not all(type(time) in (int, float) for time in part):
        return None
    first, second = float(part[0]), float(part[1])
    is_part = 0 <= first < second <= seconds and (first, second) != (0, seconds)
    return (first, second) if is_part else None


def levels_over_time(
    arrays: Mapping[str, NDArray[np.generic]] | None,
    vocabulary: Sequence[str],
    suggestions: Sequence[Suggestion],
) -> tuple[Floats, Floats] | tuple[None, None]:
    """Return `times` and `levels` for `player`.

    Args:
        arrays: An analysis's arrays; None where there are none.
        vocabulary: The tags of the columns of `activations`.
        suggestions: The tags that are shown.

    Returns:
        (None, None) where the arrays do not fit: others may have written them.
    """
    if arrays is None or not {"times", "activations"} <= arrays.keys():
        return None, None
    columns = {tag: column for column, tag in enumerate(vocabulary)}
    tags, activations = [suggestion.tag for suggestion in suggestions], arrays["activations"]
    times = arrays["times"].astype(float)
    count = len(times) if times.ndim == 2 else 0
    if times.shape != (count, 2) or activations.shape != (count, len(columns)):
        return None, None
    if not set(tags) <= columns.keys():
        return None, None
    levels = activations[:, [columns[tag] for tag in tags]].astype(float)
    if not (np.isfinite(times).all() and np.isfinite(levels).all()):
        return None, None
    return _joined(times, levels)


def _joined(times: Floats, levels: Floats) -> tuple[Floats, Floats]:
    """Return at most `MAX_STOPS` frames: neighbours of a long sound are joined by their maximum."""
    if len(times) <= MAX_STOPS:
        return times, levels
    joined = -(-len(times) // MAX_STOPS)
    starts = np.arange(0, len(times), joined)
    ends = np.minimum(starts + joined, len(times)) - 1
    return np.stack([times[starts, 0], times[ends, 1]], axis=1), np.maximum.reduceat(levels, starts)


def _selected(key: str, audio_url: str, start: Part | None, seconds: float) -> Part | None:
    """Return the part that the browser has sent for this very sound and start."""
    sent = state.component_value(key, "selection")
    if not isinstance(sent, dict) or sent.get("audio") != audio_url:
        return start
    if sent.get("start") != (list(start) if start else None):
        return start
    return checked_part(sent.get("part"), seconds)


def _rows(
    suggestions: Sequence[Suggestion],
    times: Floats | None,
    levels: Floats | None,
    seconds: float,
) -> list[dict[str, object]]:
    return [
        {
            "tag": suggestion.tag,
            "probability": suggestion.probability,
            "above": suggestion.above_threshold,
            "stops": _stops(times, None if levels is None else levels[:, column], seconds),
        }
        for column, suggestion in enumerate(suggestions)
    ]


def _stops(times: Floats | None, levels: Floats | None, seconds: float) -> list[list[float]]:
    """Return [share of the sound, level] for each frame."""
    if times is None or levels is None or seconds <= 0:
        return []
    positions = times.mean(axis=1) / seconds
    pairs = zip(positions.tolist(), levels.tolist(), strict=True)
    return [[round(share, 3), round(level, 2)] for share, level in pairs]


@lru_cache(maxsize=1)
def _axis() -> list[list[object]]:
    """Return the labels of the frequency axis: [text, height as a share of the picture]."""
    centres = band_centres_hz(COALA)
    positions = np.interp(AXIS_HZ, centres, np.arange(len(centres)) / (len(centres) - 1))
    texts = [f"{hz / 1000:g} kHz" if hz >= 1000 else f"{hz} Hz" for hz in AXIS_HZ]
    return [[text, round(share, 3)] for text, share in zip(texts, positions.tolist(), strict=True)]
