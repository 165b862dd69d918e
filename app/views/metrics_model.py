"""A model version's scores on recordings that took no part in training."""

import streamlit as st

from app import services, state
from app.text import plain, plural
from app.views import metrics_charts
from app.views.metrics_address import param, set_params
from app.views.metrics_model_overall import headline, unknown_sounds
from app.views.metrics_model_tag import tag_page
from app.views.metrics_model_tags import tag_scores, threshold_explorer
from core.events.types import ModelRef
from core.model import bundle as bundles
from core.model.bundle import Bundle
from core.model.metrics_report import check_metrics, data_name, scored_tags
from core.storage.active_model import DEFAULT_MODEL_NAMES, active_version, resolve_model

LEARNING_NOTE = (
    "The head alone, trained on the published network with part of the recordings; bars: three "
    "seeds. While the curve rises, more recordings help."
)


def model_view() -> None:
    """Draw the scores of a version, or of one of its tags."""
    versions = known_versions()
    active = active_version(services.workspace()) or versions[0]
    model, other = _choose(versions, active)
    bundle = scored_bundle(model)
    compared = scored_bundle(other) if other else None
    _summary(bundle)
    tag = param("tag")
    if tag in scored_tags(bundle):
        tag_page(bundle, compared, tag)
        return
    if tag:
        st.warning(f"This version has no scores of {plain(tag)}.", icon=":material/link_off:")
    headline(model, bundle, other, compared)
    tag_scores(bundle, compared)
    threshold_explorer(bundle)
    _curves(bundle)
    unknown_sounds(bundle)
    _provenance(bundle)


def known_versions() -> list[ModelRef]:
    """Return the versions to choose from, newest first: registered, or active at some time."""
    workspace = services.workspace()
    active = resolve_model(workspace, allow_fallback=True).model
    used = [event.payload.model for event in workspace.events.rollouts()]
    names = dict.fromkeys([active.name, *(model.name for model in used), *DEFAULT_MODEL_NAMES])
    registered = [model for name in names for model in workspace.models.versions(name)]
    versions = {(model.name, model.version): model for model in [*used, active, *registered]}
    place = {name: number for number, name in enumerate(names)}
    return sorted(versions.values(), key=lambda model: (place[model.name], -model.version))


@st.cache_resource(
    show_spinner=False, max_entries=20, hash_funcs={ModelRef: ModelRef.model_dump_json}
)
def scored_bundle(model: ModelRef) -> Bundle:
    """Return a version with metrics that can be shown.

    Raises:
        StorageError: It cannot be fetched.
        BundleError: It is damaged.
    """
    workspace = services.workspace()
    folder = workspace.models.cached(model)
    bundle = bundles.load(folder or workspace.models.fetch(model))
    check_metrics(bundle)
    return bundle


def _choose(versions: list[ModelRef], active: ModelRef) -> tuple[ModelRef, ModelRef | None]:
    """Draw the choice of a version and of another one; the address decides what is in it."""
    by_name = {str(model): model for model in versions}
    model = by_name.get(param("version"), active)
    other = by_name.get(param("compare"))
    if other == model:
        other = None
    state.metrics_version.set(str(model))
    state.metrics_compared.set(str(other) if other else None)
    with st.container(key="metrics-choice"):
        columns = st.columns(2 if len(by_name) > 1 else 1)
    columns[0].selectbox(
        "Version",
        list(by_name),
        key=state.metrics_version.key,
        format_func=lambda name: f"{name} (active)" if name == str(active) else name,
        on_change=_go_to_version,
        args=(str(active),),
    )
    if len(by_name) > 1:
        columns[1].selectbox(
            "Compare with",
            [name for name in by_name if name != str(model)],
            index=None,
            key=state.metrics_compared.key,
            placeholder="Choose a version",
            on_change=lambda: set_params(compare=state.metrics_compared.get() or ""),
        )
    return model, other


def _go_to_version(active: str) -> None:
    version = state.metrics_version.get()
    set_params(version="" if version == active else version)


def _summary(bundle: Bundle) -> None:
    """Draw what the version is, and what it was scored on."""
    clips = plural(bundle.metrics["clips"], "clip")
    recordings = plural(bundle.metrics["recordings"], "recording")
    data = data_name(bundle) or "name not recorded"
    st.caption(
        f"{plain(bundle.architecture)} · {plural(len(bundle.vocabulary), 'tag')}, "
        f"{len(scored_tags(bundle))} of them scored · Data: {plain(data)}, {clips} of "
        f"{recordings} · Protocol: {plain(bundle.metrics['split'])}"
    )


def _curves(bundle: Bundle) -> None:
    """Draw the curves of all tags together that the bundle has numbers for."""
    metrics, overall = bundle.metrics, bundle.metrics["overall"]
    st.header("All tags together", anchor=False)
    if "curves" in metrics and metrics["curves"]["roc"]["true_positive_rate"]:
        names = {"pr_auc": "pr_auc_micro", "roc_auc": "roc_auc_micro"}
        scores = {name: overall.get(score) for name, score in names.items()}
        metrics_charts.both_curves("all", metrics["curves"], scores)
    first, second = st.columns(2)
    with first:
        st.subheader("Calibration", anchor=False)
        if "reliability" in metrics and metrics["reliability"]["predicted"]:
            metrics_charts.reliability("calibration", metrics["reliability"])
        else:
            st.caption("Not recorded for this version.")
    with second:
        _learning(bundle)


def _learning(bundle: Bundle) -> None:
    """Draw the score by training recordings, and by epoch, as far as they are recorded."""
    points, history = bundle.metrics.get("learning_curve"), bundle.metrics.get("history")
    st.subheader("Learning curve", anchor=False)
    if points:
        metrics_charts.learning_curve("learning", points)
        st.caption(LEARNING_NOTE)
    if history:
        metrics_charts.training_curve("training", history)
    if not points and not history:
        st.caption("Not recorded for this version.")


def _provenance(bundle: Bundle) -> None:
    """Draw where the model comes from and how it may be used."""
    st.header("Training data and license", anchor=False)
    if bundle.origin:
        st.markdown(f"**Made from.** {plain(bundle.origin)}")
    st.markdown(f"**Data.** {plain(bundle.data or 'not stated')}")
    st.markdown(f"**License.** {plain(bundle.license or 'not stated')}")
    with st.expander("model.json"):
        st.json(bundle.description, expanded=1)
