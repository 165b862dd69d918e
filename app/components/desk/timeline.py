"""Suggested tags over time: the levels that are drawn, and the parts of a sound that have a tag."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from core.events.types import Suggestion

MIN_LEVEL = 0.005
"""A lower one is not drawn; digital silence has none at all."""
MAX_GAP_S = 0.4
"""Parts that lie nearer to each other are one."""
PEAK_SHARE = 0.5
"""Of a suggested tag's highest level, where that does not reach the tag's threshold."""
Floats = NDArray[np.floating]
Span = tuple[float, float]


def timeline_rows(
    suggestions: Sequence[Suggestion],
    times: Floats | None,
    levels: Floats | None,
    thresholds: Mapping[str, float],
) -> list[dict[str, object]]:
    """Return a row per suggestion, as JSON values.

    Args:
        suggestions: The tags.
        times: Start and end of each frame in seconds, [frames, 2]; None where unknown.
        levels: Probability of each suggestion per frame, [frames, suggestions].
        thresholds: By tag; a tag that is not in it is drawn without one.
    """
    edges = None if times is None else _edges(times)
    return [
        _row(suggestion, edges, None if levels is None else levels[:, column], thresholds)
        for column, suggestion in enumerate(suggestions)
    ]


def parts_of(edges: Floats, levels: Floats, threshold: float) -> list[Span]:
    """Return the parts of a sound in which a level reaches a threshold, as (from, to) in seconds.

    Args:
        edges: Start and end of each frame, [frames, 2], one after the other.
        levels: [frames].
        threshold: In the levels' unit.
    """
    parts: list[Span] = []
    for (start, end), level in zip(edges.tolist(), levels.tolist(), strict=True):
        if level < threshold or level < MIN_LEVEL:
            continue
        if parts and start - parts[-1][1] < MAX_GAP_S:
            parts[-1] = (parts[-1][0], end)
        else:
            parts.append((start, end))
    return [(round(start, 2), round(end, 2)) for start, end in parts]


def _row(
    suggestion: Suggestion,
    edges: Floats | None,
    levels: Floats | None,
    thresholds: Mapping[str, float],
) -> dict[str, object]:
    """Return what the browser is told of a suggestion."""
    threshold = thresholds.get(suggestion.tag)
    row: dict[str, object] = {
        "tag": suggestion.tag,
        "probability": round(suggestion.probability, 4),
        "above": suggestion.above_threshold,
        "threshold": None if threshold is None else round(threshold, 3),
        "levels": [],
        "parts": [],
    }
    if edges is not None and levels is not None and len(levels):
        row["levels"] = _steps(edges, levels)
        row["parts"] = parts_of(edges, levels, _part_threshold(suggestion, levels, threshold))
    return row


def _part_threshold(suggestion: Suggestion, levels: Floats, threshold: float | None) -> float:
    """Return the level from which a frame belongs to a part.

    A sound may be suggested a tag of which no single frame is that sure.
    """
    peak = float(levels.max())
    if threshold is None:
        return PEAK_SHARE * peak
    if suggestion.above_threshold and peak < threshold:
        return PEAK_SHARE * peak
    return threshold


def _steps(edges: Floats, levels: Floats) -> list[list[float]]:
    """Return [from, to, level] of the frames that are drawn."""
    return [
        [round(start, 2), round(end, 2), round(level, 3)]
        for (start, end), level in zip(edges.tolist(), levels.tolist(), strict=True)
        if level >= MIN_LEVEL
    ]


def _edges(times: Floats) -> Floats:
    """Return frames that follow each other: where windows overlap, they meet halfway."""
    if len(times) < 2 or (times[1:, 0] >= times[:-1, 1] - 1e-3).all():
        return times
    centres = times.mean(axis=1)
    middles = (centres[1:] + centres[:-1]) / 2
    starts = np.concatenate([times[:1, 0], middles])
    ends = np.concatenate([middles, times[-1:, 1]])
    return np.stack([starts, ends], axis=1)
