"""A person's own reviews, the model versions that learned from them, and curators' agreement."""

from datetime import UTC, datetime, timedelta

import streamlit as st

from app import auth, services
from app.text import plain, plural
from app.views.errors import shows_errors
from app.views.table import table
from core.curation.agreement import MIN_JUDGEMENTS, AgreementReport, Kappa, agreement_report
from core.curation.your_work import LearnedVersion, learned_versions, your_work
from core.events.types import iso

CACHE_S = 120


@st.dialog("Your work", icon=":material/person:")
@shows_errors
def your_work_dialog() -> None:
    """Draw the viewer's reviews, and which model version learned from their corrections."""
    actor = auth.viewer().actor
    if not actor:
        st.info("No reviews yet.")
        return
    work = your_work(services.curation().reviews, actor, _midnight(), _learned())
    with st.container(horizontal=True):
        st.metric("Reviews today", f"{work.today:,}", border=True)
        st.metric("Total reviews", f"{work.reviews:,}", border=True)
        st.metric("Tags corrected", f"{work.corrections:,}", border=True)
    for model, number in work.learned:
        st.markdown(f"{plain(str(model))} learned from {plural(number, 'decision')} of yours")
    st.markdown(f"{plural(work.waiting, 'correction')} waiting for the next model version")


def _midnight() -> datetime:
    """Return when the viewer's day began; JavaScript counts offsets westwards, in minutes."""
    offset = timedelta(minutes=-(st.context.timezone_offset or 0))
    local = datetime.now(UTC) + offset
    return local.replace(hour=0, minute=0, second=0, microsecond=0) - offset


def _learned() -> tuple[LearnedVersion, ...]:
    """Return the versions that learned from corrections; read anew after a deployment."""
    latest = services.workspace().events.rollouts(1)
    return _learned_since(iso(latest[0].time) if latest else "")


@st.cache_resource(show_spinner=False, max_entries=2)
def _learned_since(latest_rollout: str) -> tuple[LearnedVersion, ...]:
    return learned_versions(services.workspace())


@st.dialog("Agreement of curators", width="medium", icon=":material/groups:")
@shows_errors
def agreement_dialog() -> None:
    """Draw Cohen's kappa over the sounds that two people judged independently."""
    report = _report()
    if not report.sounds:
        st.info("No sound has two independent reviews yet.")
        return
    with st.container(horizontal=True):
        st.metric("Cohen's kappa", _kappa_text(report.overall), border=True)
        st.metric("Judgements (n)", f"{report.overall.n:,}", border=True)
        st.metric("Sounds", f"{report.sounds:,}", border=True)
    st.caption(
        "1 means full agreement, 0 agreement by chance. Kappa is given for tags with at least "
        f"{MIN_JUDGEMENTS} judgements."
    )
    rows = [
        {"Tag": tag, "Kappa": kappa.value, "n": kappa.n, "Same": kappa.same}
        for tag, kappa in report.by_tag
    ]
    number = st.column_config.NumberColumn(format="%.2f")
    table(rows, columns={"Kappa": number})


@st.cache_data(ttl=CACHE_S, show_spinner=False)
def _report() -> AgreementReport:
    return agreement_report(services.workspace(), services.curation().reviews)


def _kappa_text(kappa: Kappa) -> str:
    return "–" if kappa.value is None else f"{kappa.value:.2f}"
