"""How good the model is: scores, feedback on its suggestions, versions, and jobs."""

import streamlit as st

from app.views.metrics_address import view_switch
from app.views.metrics_feedback import feedback_view
from app.views.metrics_jobs import jobs_view
from app.views.metrics_model import model_view
from app.views.metrics_versions import versions_view

VIEWS = {
    "model": model_view,
    "feedback": feedback_view,
    "versions": versions_view,
    "jobs": jobs_view,
}


def main() -> None:
    with st.container(key="metrics-head", horizontal=True, vertical_alignment="center"):
        st.title("Model metrics", anchor=False, width="content")
        view = view_switch()
    VIEWS[view]()


main()
