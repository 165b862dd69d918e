"""Sound, spectrogram and what the model heard when, as one synchronised component."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import streamlit as st

from app import component
from core.id2prediction import Suggestion
from core.model.logmel import COALA, band_centres_hz
from core.trim import SHORTEST_S

_COMPONENT = component.register("player")
AXIS_HZ = (500, 2000, 8000)
Part = tuple[float, float]
"""From when to when, in seconds."""


@dataclass(frozen=True)
class Heard:
    """When each suggested tag was heard: `times` float [windows, 2] in seconds, `levels` float [windows, suggestions]."""

    times: np.ndarray
    levels: np.ndarray


def player(
    *,
    key: str,
    audio_url: str,
    picture_url: str,
    title: str,
    facts: str,
    seconds: float,
    suggestions: Sequence[Suggestion],
    heard: Heard | None,
    selectable: bool = False,
    selection: Part | None = None,
) -> Part | None:
    """Show a sound. `title` and `facts` are shown as text, whatever is in them.

    With `selectable` a person can choose a part with two handles; returned is that part, in seconds, or None for the whole sound.
    `selection` is where the handles start; with another one, or another sound under the same `key`, they start anew.
    """
    choosing = selectable and seconds > SHORTEST_S
    start = _checked_part(selection, seconds) if choosing else None
    current = _chosen(key, audio_url, start, seconds) if choosing else None
    told: dict[str, Any] = {"on_selection_change": lambda: None} if choosing else {}
    _COMPONENT(
        key=key,
        data={
            "audio": audio_url,
            "picture": picture_url,
            "title": title,
            "facts": facts,
            "seconds": seconds,
            "axis": _axis(),
            "rows": [_row(index, one, heard, seconds) for index, one in enumerate(suggestions)],
        }
        | ({"selectable": {"start": start, "current": current, "shortest": SHORTEST_S}} if choosing else {}),
        **told,
    )
    return current


def _chosen(key: str, audio_url: str, start: Part | None, seconds: float) -> Part | None:
    """What the browser says, which is checked, as everything from outside: a part of this very sound, chosen from this very start."""
    said = (st.session_state.get(key) or {}).get("selection")
    if not isinstance(said, dict) or said.get("audio") != audio_url or said.get("start") != (list(start) if start else None):
        return start
    return _checked_part(said.get("part"), seconds)


def _checked_part(part: object, seconds: float) -> Part | None:
    """Two numbers with 0 <= first < second <= `seconds`, as floats; None for the whole sound and for anything else."""
    if not isinstance(part, list | tuple) or len(part) != 2 or not all(type(time) in (int, float) for time in part):
        return None
    first, second = float(part[0]), float(part[1])
    return (first, second) if 0 <= first < second <= seconds and (first, second) != (0, seconds) else None


def _row(index: int, one: Suggestion, heard: Heard | None, seconds: float) -> dict:
    stops: list[list[float]] = []
    if heard is not None and seconds > 0:
        centres = heard.times.mean(axis=1) / seconds
        stops = [[round(float(at), 3), round(float(level), 2)] for at, level in zip(centres, heard.levels[:, index], strict=True)]
    return {"tag": one.tag, "probability": one.probability, "above": one.above_threshold, "stops": stops}


@lru_cache(maxsize=1)
def _axis() -> list[list]:
    """Labels of the frequency axis: [text, height as a share of the picture]."""
    centres = band_centres_hz(COALA)
    heights = np.interp(AXIS_HZ, centres, np.arange(len(centres)) / (len(centres) - 1))
    return [
        [f"{hz / 1000:g} kHz" if hz >= 1000 else f"{hz} Hz", round(float(height), 3)] for hz, height in zip(AXIS_HZ, heights, strict=True)
    ]
