"""How good the model is: scores on held-out recordings, and feedback on its suggestions."""

import streamlit as st

from app import services
from app.views import model_scores
from app.views.deploy import deploy_section
from app.views.feedback import curator_feedback, uploader_agreement
from core.model import bundle as bundles
from core.storage.active_model import resolve_model


def main() -> None:
    st.title("Model metrics", anchor=False)
    active = resolve_model(services.workspace())
    bundle = bundles.load(active.folder)
    model_scores.summary(bundle, active.model)
    model_scores.overall_scores(bundle)
    model_scores.comparison(bundle)
    model_scores.tag_scores(bundle)
    model_scores.curves(bundle)
    deploy_section(active.model)
    curator_feedback()
    uploader_agreement()
    model_scores.provenance(bundle)


main()
