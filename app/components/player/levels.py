"""The levels of tags over time, as short text for the browser."""

import re
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from core.events.types import Suggestion

Floats = NDArray[np.floating]
MAX_STOPS = 1600
"""Levels of a tag that are sent; a long sound has more frames."""
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
"""A character per level, from 0 to 1."""
MIN_RUN = 4
"""As many equal characters, or more, are written as their number in brackets before the last."""


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


def steps(times: Floats | None) -> tuple[float, float]:
    """Return the start of the first step and the length of each, in seconds, for frames' times.

    A step is the stretch around a frame's middle: windows overlap, steps do not.
    """
    if times is None or not len(times):
        return 0.0, 0.0
    middles = times.mean(axis=1)
    step = float(np.median(np.diff(middles))) if len(times) > 1 else float(np.diff(times[0])[0])
    return round(float(middles[0]) - step / 2, 4), round(step, 5)


def levels_text(levels: Floats) -> str:
    """Write one tag's levels, a character each; `(12)A` stands for twelve of A."""
    places = np.clip(levels, 0, 1) * (len(ALPHABET) - 1)
    text = "".join(ALPHABET[place] for place in places.round().astype(int).tolist())
    run_of_one = re.compile(rf"(.)\1{{{MIN_RUN},}}")
    return run_of_one.sub(lambda run: f"({len(run[0])}){run[1]}", text)
