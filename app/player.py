"""Sound, spectrogram and what the model heard when, as one synchronised component."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from app import component
from core.id2prediction import Suggestion
from core.model.logmel import COALA, band_centres_hz

_COMPONENT = component.register("player")
AXIS_HZ = (500, 2000, 8000)


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
) -> None:
    """Show a sound. `title` and `facts` are shown as text, whatever is in them."""
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
        },
    )


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
