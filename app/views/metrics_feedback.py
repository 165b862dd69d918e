"""Live quality: what people decide about suggestions, drift, and thresholds learned from it."""

import streamlit as st

from app import auth, services
from app.text import plain, plural
from app.views.metrics_address import param, set_params
from app.views.metrics_feedback_drift import drift_of, drift_section
from app.views.metrics_feedback_tags import (
    changes_section,
    own_tags_section,
    share_metric,
    tags_section,
    time_section,
    versions_section,
)
from app.views.metrics_feedback_text import (
    NO_VERDICTS,
    PEOPLE,
    acceptance_sentence,
    change_sentence,
    drift_sentence,
)
from app.views.metrics_feedback_thresholds import thresholds_section
from core.curation.feedback import Feedback, Verdicts, VersionFeedback, open_feedback
from core.curation.taught import taught
from core.events.feedback_facts import ACTOR_KINDS, ActorKind
from core.events.types import ModelRef
from core.model import bundle as bundles
from core.model.bundle import Bundle
from core.storage.active_model import resolve_model

ALL_VERSIONS = "All versions"


def feedback_view() -> None:
    """Draw what people decided about the suggestions, and what follows from it."""
    active = resolve_model(services.workspace(), allow_fallback=True)
    bundle = bundles.load(active.folder)
    feedback = open_kept_feedback()
    with st.container(key="feedback-choices", horizontal=True, vertical_alignment="bottom"):
        people = _people()
        versions = feedback.versions(people)
        version = _version([each.model for each in versions])
    verdicts = feedback.by_tag(people, version)
    _summary(feedback, people, version, versions, active.model, bundle)
    if verdicts:
        time_section(feedback, people, version)
        tags_section(verdicts)
        changes_section(feedback, people, version, bundle.vocabulary)
    versions_section(versions, str(active.model))
    drift_section(active.model, bundle)
    thresholds_section(active.model, bundle)
    own_tags_section(feedback, active.model, bundle.vocabulary)


@st.cache_resource(show_spinner=False)
def open_kept_feedback() -> Feedback:
    """Return the feedback in the workspace."""
    return open_feedback(services.workspace())


def _people() -> ActorKind:
    """Draw the choice of whose verdicts are shown; returns it."""
    named = param("by")
    people: ActorKind = "uploader" if named == "uploader" else "curator"
    selected = st.segmented_control(
        "Verdicts by",
        ACTOR_KINDS,
        default=people,
        format_func=PEOPLE.__getitem__,
        required=True,
        key=f"feedback-people-{people}",
        label_visibility="collapsed",
        help="Publishing a sound is its uploader's verdict, a review is a curator's.",
    )
    if selected and selected != people:
        set_params(by="uploader" if selected == "uploader" else "")
        st.rerun()
    return people


def _version(models: list[str]) -> str | None:
    """Draw the choice of a model version where there are several; returns it, None for all."""
    named = param("version")
    if len(models) < 2:
        return None
    current = named if named in models else ALL_VERSIONS
    options = [ALL_VERSIONS, *models]
    selected = st.selectbox(
        "Model version",
        options,
        index=options.index(current),
        key=f"feedback-version-{current}",
        label_visibility="collapsed",
        width=260,
    )
    if selected != current:
        set_params(version="" if selected == ALL_VERSIONS else selected)
        st.rerun()
    return None if current == ALL_VERSIONS else current


def _summary(
    feedback: Feedback,
    people: ActorKind,
    version: str | None,
    versions: list[VersionFeedback],
    model: ModelRef,
    bundle: Bundle,
) -> None:
    """Draw the verdicts in numbers and in sentences."""
    shown = [each for each in versions if version in (None, each.model)]
    accepted = Verdicts(
        sum(each.verdicts.kept for each in shown), sum(each.verdicts.removed for each in shown)
    ).accepted
    best_five = feedback.best_five(people, version)
    added = sum(each.verdicts.added for each in shown)
    with st.container(key="figures-feedback", horizontal=True):
        share_metric("Accepted", accepted, "suggestions", _ACCEPTED)
        share_metric("Precision@5", best_five, "sounds", _BEST_FIVE)
        st.metric(
            "Tags added",
            f"{added:,}",
            "that were not suggested",
            delta_color="off",
            delta_arrow="off",
            border=True,
        )
    sentences = [acceptance_sentence(people, accepted) if accepted.n else NO_VERDICTS[people]]
    if version is None:
        sentences.append(change_sentence(versions))
    sentences.append(drift_sentence(drift_of(model, bundle)))
    sentences.append(_taught_sentence(model, bundle))
    st.markdown("\n".join(f"- {sentence}" for sentence in sentences if sentence))


_ACCEPTED = "Of the suggestions above their threshold that people judged, the share that they kept."
_BEST_FIVE = (
    "Of the five best tags of a sound whose tags were all judged, the share that is right. Tags "
    "below their threshold are among them. The interval is made for the number of sounds."
)


def _taught_sentence(model: ModelRef, bundle: Bundle) -> str:
    """Return whether the viewer's corrections taught the active version."""
    actor = auth.viewer().actor
    if not actor:
        return ""
    work = taught(services.curation().reviews, actor, bundle.description)
    if not work.corrections:
        return ""
    own = plural(work.corrections, "correction")
    name = plain(str(model))
    if work.learned is None:
        return (
            f"You made {own}. {name} learned from {plural(work.from_all, 'decision')}; whose they "
            "are is not recorded."
        )
    if not work.learned:
        return f"You made {own}. {name} has not learned from them; the next version can."
    return f"You made {own}. {name} learned from {plural(work.learned, 'decision')} of yours."
