"""Charts drawn by the browser from a few numbers, with the same numbers as a table below them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from app.components.register import register

_COMPONENT = register(Path(__file__).parent)


@dataclass(frozen=True)
class Axis:
    """An axis of a chart.

    Attributes:
        label: Its name.
        low: Where it begins.
        high: Where it ends.
        percent: Write its numbers as percentages.
        texts: What is written at 0, 1, 2 ... instead of numbers, such as dates.
    """

    label: str
    low: float = 0.0
    high: float = 1.0
    percent: bool = False
    texts: Sequence[str] = ()


@dataclass(frozen=True)
class Series:
    """Points of a chart.

    Attributes:
        name: In the legend; without one it is not in it, and not in the table.
        x: Of the points.
        y: Of the points; None where there is none, which interrupts a line.
        kind: A line; a quiet dashed one to compare with; a line with a dot at each point.
        low: Lower ends of intervals around the points; empty for none.
        high: Upper ends.
        notes: What each point says when it is pointed at, beside its numbers.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float | None]
    kind: Literal["line", "reference", "points"] = "line"
    low: Sequence[float | None] = ()
    high: Sequence[float | None] = ()
    notes: Sequence[str] = ()


def chart(*, key: str, alt: str, x: Axis, y: Axis, series: Sequence[Series]) -> None:
    """Draw a chart.

    Args:
        key: Of the component in the session.
        alt: What the chart shows, in a sentence for those who do not see it.
        x: The horizontal axis.
        y: The vertical axis.
        series: What is drawn, the most important one first.
    """
    data = {
        "alt": alt,
        "x": _axis(x),
        "y": _axis(y),
        "series": [_series(each) for each in series],
    }
    _COMPONENT(key=key, data=(data,))


def _axis(axis: Axis) -> dict[str, object]:
    return {
        "label": axis.label,
        "low": axis.low,
        "high": axis.high,
        "percent": axis.percent,
        "texts": list(axis.texts),
    }


def _series(series: Series) -> dict[str, object]:
    return {
        "name": series.name,
        "kind": series.kind,
        "x": list(series.x),
        "y": list(series.y),
        "low": list(series.low),
        "high": list(series.high),
        "notes": list(series.notes),
    }
