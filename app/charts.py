"""Arrays in, plotly figures out. No Streamlit in here; the page lends the theme's colours."""

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

ACCENT = "#1c9a98"
SECOND = "#d98e2b"
QUIET = "#8a8f9c"
HEIGHT = 340


def precision_recall(curves: Mapping[str, Any], pr_auc: float | None) -> go.Figure:
    """Micro-averaged precision against recall."""
    curve = curves["precision_recall"]
    figure = _figure("Recall", "Precision")
    figure.add_scatter(
        x=curve["recall"],
        y=curve["precision"],
        mode="lines",
        line={"color": ACCENT, "width": 3},
        name=_named("PR-AUC", pr_auc),
        fill="tozeroy",
        fillcolor="rgba(28,154,152,.12)",
    )
    return figure


def roc(curves: Mapping[str, Any], roc_auc: float | None) -> go.Figure:
    """Micro-averaged true against false positive rate."""
    curve = curves["roc"]
    figure = _figure("False positive rate", "True positive rate")
    figure.add_scatter(x=[0, 1], y=[0, 1], mode="lines", line={"color": QUIET, "dash": "dot"}, name="chance")
    figure.add_scatter(
        x=curve["false_positive_rate"],
        y=curve["true_positive_rate"],
        mode="lines",
        line={"color": ACCENT, "width": 3},
        name=_named("ROC-AUC", roc_auc),
    )
    return figure


def reliability(rows: Mapping[str, Any]) -> go.Figure:
    """How often the model is right against how sure it says it is; the diagonal is perfect."""
    figure = _figure("Probability the model gives", "Share that was right")
    figure.add_scatter(x=[0, 1], y=[0, 1], mode="lines", line={"color": QUIET, "dash": "dot"}, name="perfect")
    figure.add_scatter(
        x=rows["predicted"], y=rows["observed"], mode="lines+markers", line={"color": ACCENT, "width": 3}, name=_named("ECE", rows["ece"]),
        customdata=rows["count"], hovertemplate="said %{x:.0%}, right %{y:.0%} of %{customdata}<extra></extra>",
    )  # fmt: skip
    return figure


def learning(history: Sequence[Mapping[str, float]]) -> go.Figure:
    """Validation PR-AUC by epoch."""
    epochs = [row["epoch"] for row in history]
    figure = _figure("Epoch", "PR-AUC on validation", share_axes=False)
    figure.add_scatter(x=epochs, y=[row["pr_auc_macro"] for row in history], mode="lines", line={"color": ACCENT, "width": 3}, name="macro")
    figure.add_scatter(x=epochs, y=[row["pr_auc_micro"] for row in history], mode="lines", line={"color": SECOND, "width": 2}, name="micro")
    figure.update_yaxes(range=[0, 1])
    return figure


def _named(score: str, value: float | None) -> str:
    return score if value is None else f"{score} {value:.3f}"


def _figure(x: str, y: str, *, share_axes: bool = True) -> go.Figure:
    figure = go.Figure()
    figure.update_layout(
        height=HEIGHT,
        showlegend=True, margin={"l": 10, "r": 10, "t": 10, "b": 10}, xaxis_title=x, yaxis_title=y,
        legend={"x": 0.98, "y": 0.04, "xanchor": "right", "yanchor": "bottom", "bgcolor": "rgba(0,0,0,0)"},
    )  # fmt: skip
    if share_axes:
        figure.update_xaxes(range=[0, 1])
        figure.update_yaxes(range=[0, 1.02])
    return figure
