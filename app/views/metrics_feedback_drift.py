"""Drift of new sounds from the training data and from earlier sounds."""

import streamlit as st

from app import services
from app.text import plural
from app.views.metrics_feedback_text import drift_level
from app.views.table import table
from core.curation.drift import MIN_SOUNDS, Drift, DriftReport, drift_report
from core.curation.feedback import open_feedback
from core.events.types import ModelRef
from core.model.bundle import Bundle
from core.model.reference import read_reference

CACHE_S = 300
_MEANING = {
    "scores": "Population stability index of the highest probability of each sound: below 0.1 "
    "no drift, from 0.25 strong.",
    "embeddings": "Root mean square over the embedding's dimensions of how far the mean has moved, "
    "in standard deviations: below 0.2 no drift, from 0.5 strong.",
}


def drift_of(model: ModelRef, bundle: Bundle) -> DriftReport:
    """Return the drift of a model version's newest sounds; kept for some minutes."""
    return _report(model, bundle)


@st.cache_data(ttl=CACHE_S, show_spinner=False, hash_funcs={ModelRef: ModelRef.model_dump_json})
def _report(model: ModelRef, _bundle: Bundle) -> DriftReport:
    workspace = services.workspace()
    reference = read_reference(_bundle.metrics)
    return drift_report(workspace, open_feedback(workspace), model, reference)


def drift_section(model: ModelRef, bundle: Bundle) -> None:
    """Draw the measures of drift with what each was compared with."""
    report = drift_of(model, bundle)
    st.header("Drift", anchor=False)
    rows = [
        _row("Scores, against the training data", report.scores),
        _row("Embeddings, against the training data", report.embeddings),
        _row("Scores, against earlier sounds", report.over_time),
    ]
    with st.container(key="drift-table"):
        table(rows)
    since = f" The newest sounds are those since {report.since}." if report.since else ""
    st.caption(
        f"{_MEANING['scores']} {_MEANING['embeddings']} Fewer than "
        f"{plural(MIN_SOUNDS, 'sound')} say nothing, and what chance explains is no drift.{since}"
    )


def _row(name: str, drift: Drift | None) -> dict[str, object]:
    return {
        "Compared": name,
        "Verdict": drift_level(drift),
        "Measure": _decimal(drift.value if drift else None),
        "Explained by chance": _decimal(drift.by_chance if drift else None),
        "New sounds": f"{drift.sounds:,}" if drift else "–",
        "Compared with": f"{drift.reference:,}" if drift else "–",
    }


def _decimal(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
