"""Thresholds learned from verdicts: what they would be, using them, and going back."""

import logging
from collections.abc import Callable

import streamlit as st

from app import auth, services, state
from app.text import ago, plain, plural
from app.views.errors import log_error
from app.views.metrics_feedback_text import percent
from app.views.table import table
from core.curation.feedback import MIN_VERDICTS, Feedback, open_feedback
from core.curation.tag_thresholds import (
    PRECISIONS,
    LearnedTag,
    PrecisionPoint,
    apply_learned,
    learn,
    reset,
    revert,
)
from core.errors import EarmarkError
from core.events.types import ModelRef, ThresholdsSetEvent
from core.model.bundle import Bundle
from core.people import shown_name
from core.storage.tag_thresholds import changes_of, thresholds_after

logger = logging.getLogger(__name__)

CACHE_S = 60
MAX_CHANGES = 20
"""Latest changes that are listed."""
NO_NAME = "Please correct a tag first: that asks for your name, which is recorded."
TABLE_HEIGHT = 360


def thresholds_section(model: ModelRef, bundle: Bundle) -> None:
    """Draw the learned thresholds of the active version; maintainers may use them."""
    minimum = services.settings().min_threshold_verdicts
    changes = changes_of(services.workspace(), model)
    learned = [each for each in _learned(model, minimum) if each.tag in bundle.vocabulary]
    st.header("Thresholds learned from verdicts", anchor=False)
    ready = [each for each in learned if each.points]
    st.caption(_explanation(model, len(ready), minimum))
    if ready:
        _table(ready, bundle, thresholds_after(changes))
    if ready and auth.viewer().run.allowed:
        _apply_form(model, ready)
    note = state.threshold_note.pop()
    if note:
        st.markdown(note)
    if undecided := [each for each in learned if not each.points]:
        with st.expander(f"{plural(len(undecided), 'tag')} without a learned threshold"):
            rows = [
                {
                    "Tag": each.tag,
                    "n": each.n,
                    "Right": each.positives,
                    "Why": each.reason,
                }
                for each in sorted(undecided, key=lambda each: (-each.n, each.tag))
            ]
            table(rows)
    if changes:
        _changes(model, changes)


@st.cache_data(ttl=CACHE_S, show_spinner=False, hash_funcs={ModelRef: ModelRef.model_dump_json})
def _learned(model: ModelRef, minimum: int) -> list[LearnedTag]:
    return learn(_feedback(), model, minimum)


def _explanation(model: ModelRef, ready: int, minimum: int) -> str:
    return (
        f"From curators' verdicts on {plain(str(model))}: the score from which on a suggestion of "
        f"the tag is right with 85, 90, 95 or 99%, with its 95% interval. A tag needs {minimum} "
        f"verdicts; {plural(ready, 'tag')} of this version can be decided. Sounds that were "
        "predicted before a change keep their suggestions."
    )


def _table(ready: list[LearnedTag], bundle: Bundle, current: dict[str, float]) -> None:
    """Draw the thresholds at each precision."""
    own = dict(zip(bundle.vocabulary, bundle.calibration.threshold.tolist(), strict=True))
    rows = [
        {
            "Tag": each.tag,
            "n": each.n,
            "Right": each.positives,
            "Model's own": own[each.tag],
            "In use": current.get(each.tag, own[each.tag]),
            **{f"{p:.0%}": _point_text(each.points.get(p)) for p in PRECISIONS},
        }
        for each in sorted(ready, key=lambda each: (-each.n, each.tag))
    ]
    number = st.column_config.NumberColumn(format="%.2f")
    height = min(TABLE_HEIGHT, 38 + 35 * len(rows))
    columns = dict.fromkeys(("Model's own", "In use"), number)
    table(rows, height=height, columns=columns)


def _point_text(point: PrecisionPoint | None) -> str:
    if point is None:
        return "–"
    low, high = point.interval
    return f"{point.threshold:.2f} ({low:.2f}–{high:.2f})"


def _apply_form(model: ModelRef, ready: list[LearnedTag]) -> None:
    """Draw the choice of a precision and what its thresholds would have let through."""
    with st.container(border=True):
        precision = st.segmented_control(
            "A suggestion at its threshold is right with",
            PRECISIONS,
            default=0.9,
            format_func=lambda value: f"{value:.0%}",
            required=True,
            key=state.threshold_precision.key,
        )
        points = [each.points[precision] for each in ready if precision in each.points]
        st.caption(_effect(points))
        st.button(
            f"Use {precision:.0%} for {plural(len(points), 'tag')}",
            key="apply-thresholds",
            on_click=_apply,
            args=(model, precision),
            disabled=not points,
            icon=":material/tune:",
        )


def _effect(points: list[PrecisionPoint]) -> str:
    """Return how many of the judged suggestions would have been suggested, and how many right."""
    positives = sum(point.observed.part for point in points)
    n = sum(point.observed.n for point in points)
    if not n:
        return "No judged suggestion reaches such a threshold."
    judged = f"Of {plural(n, 'judged suggestion')} from these scores on"
    if n < MIN_VERDICTS:
        return f"{judged}, {positives:,} are right: too few for a percentage."
    return f"{judged}, {percent(positives / n)} are right."


def _changes(model: ModelRef, changes: list[ThresholdsSetEvent]) -> None:
    """Draw the latest changes; maintainers may revert each."""
    may_change = auth.viewer().run.allowed
    st.markdown("**Changes**")
    for change in changes[::-1][:MAX_CHANGES]:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(_change_text(change))
            if may_change:
                st.button(
                    "Revert",
                    key=f"revert-thresholds-{change.event_id}",
                    on_click=_revert,
                    args=(model, change.event_id),
                    icon=":material/undo:",
                )
    if may_change and thresholds_after(changes):
        st.button(
            "Back to the model's own thresholds",
            key="reset-thresholds",
            on_click=_reset,
            args=(model,),
            icon=":material/restart_alt:",
        )


def _change_text(change: ThresholdsSetEvent) -> str:
    payload = change.payload
    values = [
        f"{plain(tag)} {'own' if value is None else f'{value:.2f}'}"
        for tag, value in list(payload.thresholds.items())[:5]
    ]
    more = len(payload.thresholds) - len(values)
    tags = ", ".join(values) + (f" and {more:,} more" if more else "")
    what = f"learned for {payload.precision:.0%}" if payload.precision else plain(payload.reason)
    return f"{ago(change.time)} · {plain(shown_name(change.actor))} · {what}: {tags}"


def _apply(model: ModelRef, precision: float) -> None:
    """Use the learned thresholds, if the viewer may."""

    def change(actor: str) -> ThresholdsSetEvent | None:
        minimum = services.settings().min_threshold_verdicts
        learned = learn(_feedback(), model, minimum)
        known = set(services.vocabulary(model))
        known_tags = [each for each in learned if each.tag in known]
        return apply_learned(services.workspace(), model, known_tags, precision, actor)

    _change("apply", change)


def _revert(model: ModelRef, event_id: str) -> None:
    """Revert a change, if the viewer may."""
    _change("revert", lambda actor: revert(services.workspace(), model, event_id, actor))


def _reset(model: ModelRef) -> None:
    """Return to the model's own thresholds, if the viewer may."""
    _change("reset", lambda actor: reset(services.workspace(), model, actor))


def _feedback() -> Feedback:
    return open_feedback(services.workspace())


def _change(action: str, change: Callable[[str], ThresholdsSetEvent | None]) -> None:
    """Make a change of thresholds, if the viewer may, and note what came of it."""
    viewer = auth.viewer()
    if not viewer.run.allowed or not viewer.actor:
        logger.warning("refusal action=%s-thresholds actor=%s", action, viewer.actor)
        state.threshold_note.set(plain(viewer.run.reason or NO_NAME))
        return
    try:
        event = change(viewer.actor)
    except EarmarkError as error:
        log_error(error)
        state.threshold_note.set(f":red[Not changed.] {plain(str(error))}")
        return
    if event is None:
        state.threshold_note.set("These thresholds are in use already.")
        return
    number = plural(len(event.payload.thresholds), "threshold")
    state.threshold_note.set(f":green[Saved:] {number} for sounds that are predicted from now on.")
