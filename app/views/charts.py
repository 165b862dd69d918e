"""Figures for plotly. No Streamlit in here; the page lends the theme's colours."""

from collections.abc import Sequence

import plotly.graph_objects as go

from core.model.metrics import Numbers, PrecisionRecallCurve, Reliability, RocCurve

ACCENT = "#1c9a98"
SECOND = "#d98e2b"
QUIET = "#8a8f9c"
HEIGHT = 340
MAIN_LINE = {"color": ACCENT, "width": 3}
REFERENCE_LINE = {"color": QUIET, "dash": "dot"}


def precision_recall(curve: PrecisionRecallCurve, pr_auc: float | None) -> go.Figure:
    """Draw micro-averaged precision against recall."""
    figure = _figure("Recall", "Precision")
    figure.add_scatter(
        x=curve["recall"],
        y=curve["precision"],
        mode="lines",
        line=MAIN_LINE,
        name=_with_score("PR-AUC", pr_auc),
        fill="tozeroy",
        fillcolor="rgba(28,154,152,.12)",
    )
    return figure


def roc(curve: RocCurve, roc_auc: float | None) -> go.Figure:
    """Draw the micro-averaged true against the false positive rate."""
    figure = _figure("False positive rate", "True positive rate")
    figure.add_scatter(x=[0, 1], y=[0, 1], mode="lines", line=REFERENCE_LINE, name="chance")
    figure.add_scatter(
        x=curve["false_positive_rate"],
        y=curve["true_positive_rate"],
        mode="lines",
        line=MAIN_LINE,
        name=_with_score("ROC-AUC", roc_auc),
    )
    return figure


def reliability(bins: Reliability) -> go.Figure:
    """Draw how often a probability was right; the diagonal is perfect."""
    figure = _figure("Predicted probability", "Share that was right")
    figure.add_scatter(x=[0, 1], y=[0, 1], mode="lines", line=REFERENCE_LINE, name="perfect")
    figure.add_scatter(
        x=bins["predicted"],
        y=bins["observed"],
        mode="lines+markers",
        line=MAIN_LINE,
        name=_with_score("ECE", bins["ece"]),
        customdata=bins["count"],
        hovertemplate="predicted %{x:.0%}, right %{y:.0%} of %{customdata}<extra></extra>",
    )
    return figure


def training_curve(history: Sequence[Numbers]) -> go.Figure:
    """Draw the validation PR-AUC by epoch."""
    epochs = [row["epoch"] for row in history]
    macro, micro = ([row[f"pr_auc_{kind}"] for row in history] for kind in ("macro", "micro"))
    figure = _figure("Epoch", "PR-AUC on validation", same_axes=False)
    figure.add_scatter(x=epochs, y=macro, mode="lines", line=MAIN_LINE, name="macro")
    second_line = {"color": SECOND, "width": 2}
    figure.add_scatter(x=epochs, y=micro, mode="lines", line=second_line, name="micro")
    figure.update_yaxes(range=[0, 1])
    return figure


def _with_score(name: str, value: float | None) -> str:
    return name if value is None else f"{name} {value:.3f}"


def _figure(x: str, y: str, *, same_axes: bool = True) -> go.Figure:
    figure = go.Figure()
    figure.update_layout(
        height=HEIGHT,
        showlegend=True,
        margin={"l": 10, "r": 10, "t": 10, "b": 10},
        xaxis_title=x,
        yaxis_title=y,
        legend={
            "x": 0.98,
            "y": 0.04,
            "xanchor": "right",
            "yanchor": "bottom",
            "bgcolor": "rgba(0,0,0,0)",
        },
    )
    if same_axes:
        figure.update_xaxes(range=[0, 1])
        figure.update_yaxes(range=[0, 1.02])
    return figure
