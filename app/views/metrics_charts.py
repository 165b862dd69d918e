"""The charts of the metrics page."""

from collections.abc import Sequence

import streamlit as st

from app.components.chart import Axis, Series, chart
from app.views import charts
from core.model.metrics_types import (
    Curves,
    LearningPoint,
    Numbers,
    PrecisionRecallCurve,
    Reliability,
    RocCurve,
)

DIAGONAL = (0.0, 1.0)


def show(key: str, alt: str, x: Axis, y: Axis, series: Sequence[Series]) -> None:
    """Draw a chart in a place of its height: what is below it does not move when it comes.

    Args:
        key: Of the chart on the page.
        alt: What it shows, in a sentence.
        x: The horizontal axis.
        y: The vertical axis.
        series: What is drawn, the most important one first.
    """
    with st.container(key=f"chart-{key}"):
        chart(key=f"drawn-{key}", alt=alt, x=x, y=y, series=series)


def both_curves(key: str, curves: Curves, scores: Numbers, other: Curves | None = None) -> None:
    """Draw precision and recall beside the ROC curve.

    Args:
        key: Of the charts.
        curves: To draw.
        scores: With `pr_auc` and `roc_auc`.
        other: Those of another version on the same data.
    """
    first, second = st.columns(2)
    with first:
        precision_recall(
            f"{key}-pr",
            curves["precision_recall"],
            scores.get("pr_auc"),
            other["precision_recall"] if other else None,
        )
    with second:
        roc(f"{key}-roc", curves["roc"], scores.get("roc_auc"), other["roc"] if other else None)


def precision_recall(
    key: str,
    curve: PrecisionRecallCurve,
    pr_auc: float | None,
    other: PrecisionRecallCurve | None = None,
) -> None:
    """Draw precision against recall."""
    series = [Series(_with_score("PR-AUC", pr_auc), curve["recall"], curve["precision"])]
    if other:
        series.append(Series("compared version", other["recall"], other["precision"]))
    alt = f"Precision by recall. {_with_score('PR-AUC', pr_auc)}."
    show(key, alt, Axis("Recall", percent=True), Axis("Precision", percent=True), series)


def roc(key: str, curve: RocCurve, roc_auc: float | None, other: RocCurve | None = None) -> None:
    """Draw the true against the false positive rate."""
    rates = curve["false_positive_rate"], curve["true_positive_rate"]
    series = [Series(_with_score("ROC-AUC", roc_auc), *rates)]
    if other:
        rates = other["false_positive_rate"], other["true_positive_rate"]
        series.append(Series("compared version", *rates))
    series.append(Series("chance", DIAGONAL, DIAGONAL, "reference"))
    x = Axis("False positive rate", percent=True)
    alt = f"True by false positive rate. {_with_score('ROC-AUC', roc_auc)}."
    show(key, alt, x, Axis("True positive rate", percent=True), series)


def reliability(key: str, bins: Reliability) -> None:
    """Draw how often a probability was right; the diagonal is perfect."""
    notes = [f"{count:,} decisions" for count in bins["count"]]
    name = _with_score("Calibration error (ECE)", bins["ece"])
    series = [
        Series(name, bins["predicted"], bins["observed"], "points", notes=notes),
        Series("perfect", DIAGONAL, DIAGONAL, "reference"),
    ]
    x, y = Axis("Predicted probability", percent=True), Axis("Share that was right", percent=True)
    show(key, f"Share that was right by predicted probability. {name}.", x, y, series)


def training_curve(key: str, history: Sequence[Numbers]) -> None:
    """Draw the validation PR-AUC by epoch."""
    with st.container(key=f"chart-{key}"):
        st.plotly_chart(
            charts.training_curve(history),
            key=f"drawn-{key}",
            config={"displayModeBar": False},
            alt=charts.training_text(history),
        )


def learning_curve(key: str, points: Sequence[LearningPoint]) -> None:
    """Draw the score by the number of recordings that were learned from."""
    numbers = [float(point["recordings"]) for point in points]
    scores = [point["pr_auc_macro"] for point in points]
    lows, highs = [point["low"] for point in points], [point["high"] for point in points]
    series = [Series("PR-AUC macro on test", numbers, scores, "points", lows, highs)]
    alt = f"PR-AUC macro by training recordings: from {scores[0]:.3f} to {scores[-1]:.3f}."
    x = Axis("Training recordings", 0, max(numbers))
    show(key, alt, x, Axis("PR-AUC macro"), series)


def _with_score(name: str, value: float | None) -> str:
    return name if value is None else f"{name} {value:.3f}"
