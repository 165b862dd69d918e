"""The address of the metrics page: which view, and the view's own parameters."""

from typing import Literal

import streamlit as st

from app import state

MetricsView = Literal["model", "feedback", "versions", "jobs"]
METRICS_VIEWS: dict[MetricsView, str] = {
    "model": "Model",
    "feedback": "Feedback",
    "versions": "Versions",
    "jobs": "Jobs",
}
"""With their labels; the first one is shown where the address names none."""
MAX_PARAM_LENGTH = 200


def current_metrics_view() -> MetricsView:
    """Return the view that the address names. Anybody can write anything in it."""
    name = st.query_params.get("view", "")
    return name if name in METRICS_VIEWS else "model"


def param(name: str) -> str:
    """Return a parameter of the address, shortened; empty if it is absent."""
    return str(st.query_params.get(name, ""))[:MAX_PARAM_LENGTH]


def set_params(**values: str) -> None:
    """Change parameters of the address; empty ones are removed, the others stay."""
    params = st.query_params.to_dict() | values
    st.query_params.from_dict({name: value for name, value in params.items() if value})


def view_switch() -> MetricsView:
    """Draw the choice of views; returns the chosen one."""
    view = current_metrics_view()
    if state.metrics_view.get() != view:  # the address decides
        state.metrics_view.set(view)
    st.segmented_control(
        "View",
        list(METRICS_VIEWS),
        key=state.metrics_view.key,
        required=True,
        format_func=METRICS_VIEWS.__getitem__,
        label_visibility="collapsed",
        on_change=_go_to_chosen,
    )
    return view


def _go_to_chosen() -> None:
    """Make the address that of the view which was pressed; parameters of the last one go."""
    view = state.metrics_view.get()
    st.query_params.from_dict({} if view == "model" else {"view": view})
