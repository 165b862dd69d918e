"""Figures for plotly. No Streamlit in here; the page lends the theme's colours."""

from collections.abc import Sequence

import plotly.graph_objects as go

from core.model.metrics_types import Numbers

HEIGHT = 300
LINES = {"macro": {"color": "#1c9a98", "width": 3}, "micro": {"color": "#d98e2b", "width": 2}}


def training_curve(history: Sequence[Numbers]) -> go.Figure:
    """Draw the validation PR-AUC by epoch."""
    figure = go.Figure()
    epochs = [row.get("epoch") for row in history]
    for kind, line in LINES.items():
        scores = [row.get(f"pr_auc_{kind}") for row in history]
        figure.add_scatter(x=epochs, y=scores, mode="lines", line=line, name=kind)
    figure.update_layout(
        height=HEIGHT,
        margin={"l": 10, "r": 10, "t": 10, "b": 10},
        xaxis_title="Epoch",
        yaxis_title="PR-AUC on validation",
        legend={"orientation": "h", "x": 0, "y": 1.1, "bgcolor": "rgba(0,0,0,0)"},
    )
    figure.update_yaxes(range=[0, 1])
    return figure


def training_text(history: Sequence[Numbers]) -> str:
    """Return what the training curve shows, in a sentence."""
    best = max((row.get("pr_auc_macro") or 0 for row in history), default=0)
    return f"PR-AUC on validation over {len(history)} epochs; macro reaches {best:.3f}."
