"""One tag of a version: its curves, what it is confused with, and its errors to hear."""

from collections.abc import Sequence
from html import escape

import streamlit as st

from app import services, state
from app.routes import media_url
from app.text import plain, plural
from app.views import metrics_charts
from app.views.metrics_address import set_params
from app.views.metrics_figures import score_metric
from core.events.fold import SoundState
from core.model.bundle import Bundle
from core.model.metrics_report import difference
from core.model.metrics_types import ErrorExample, Numbers, TagDetail

LABELS = {"pr_auc": "PR-AUC", "roc_auc": "ROC-AUC", "precision": "Precision", "recall": "Recall"}
PLAYER_HEIGHT = 100
FREESOUND = "https://freesound.org"


def tag_page(bundle: Bundle, compared: Bundle | None, tag: str) -> None:
    """Draw a tag.

    Args:
        bundle: The version.
        compared: Another version, whose curves are drawn where it was measured on the same data.
        tag: One of those that are scored.
    """
    st.button(
        "All tags",
        key="all-tags",
        icon=":material/arrow_back:",
        type="tertiary",
        on_click=lambda: set_params(tag=""),
    )
    st.header(plain(tag), anchor=False)
    scores, detail = bundle.metrics["per_tag"][tag], bundle.metrics.get("details", {}).get(tag)
    _scores(scores, detail)
    if detail is None:
        st.caption(
            "Curves, confusions and errors of single tags are not recorded for this version."
        )
        return
    other = None
    if compared and not difference(bundle, compared):
        other = compared.metrics.get("details", {}).get(tag)
    if detail["curves"]["roc"]["true_positive_rate"]:
        metrics_charts.both_curves(
            "tag", detail["curves"], scores, other["curves"] if other else None
        )
    first, second = st.columns(2)
    with first:
        st.subheader("Calibration", anchor=False)
        metrics_charts.reliability("tag-calibration", detail["reliability"])
    with second:
        _confusions(tag, detail)
    _errors(tag, detail)


def _scores(scores: Numbers, detail: TagDetail | None) -> None:
    intervals = detail["intervals"] if detail else {}
    with st.container(key="figures-tag", horizontal=True):
        for name, label in LABELS.items():
            score_metric(label, scores.get(name), intervals.get(name))
    clips, recordings = int(scores.get("clips") or 0), int(scores.get("recordings") or 0)
    support = f"On {plural(clips, 'test clip')} of {plural(recordings, 'recording')}."
    if detail:
        suggested, true_positives = detail["suggested"], detail["true_positives"]
        support += (
            f" Suggested for {plural(suggested, 'clip')}, {true_positives:,} of them rightly."
        )
    st.caption(support)


def _confusions(tag: str, detail: TagDetail) -> None:
    """Draw which other tags come where this one is missed, and what it is wrongly given to."""
    st.subheader("Confused with", anchor=False)
    missed = int(sum(detail["missed_for"].values()))
    wrong = int(sum(detail["wrong_for"].values()))
    if not missed and not wrong:
        st.caption("No other tag stands out.")
    if missed:
        st.markdown(
            f"Wrongly suggested where {plain(tag)} is missed: {_counts(detail['missed_for'])}"
        )
    if wrong:
        st.markdown(
            f"Tags of the clips that {plain(tag)} is wrong for: {_counts(detail['wrong_for'])}"
        )


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{plain(tag)} ({plural(count, 'clip')})" for tag, count in counts.items())


def _errors(tag: str, detail: TagDetail) -> None:
    """Draw clips on which the tag is wrong, to be heard."""
    st.subheader("Errors", anchor=False)
    wrong, missed = detail["false_positives"], detail["false_negatives"]
    if not wrong and not missed:
        st.caption("None on the test clips.")
        return
    ids = [f"freesound:{example['recording']}" for example in [*wrong, *missed]]
    known = services.workspace().sounds.get_many(ids)
    lists = (
        ("wrong", "Wrongly suggested, the most probable first", wrong),
        ("missed", "Missed, the least probable first", missed),
    )
    for column, (kind, title, examples) in zip(st.columns(2), lists, strict=True):
        with column:
            st.markdown(f"**{title}**")
            _examples(kind, examples, known)


def _examples(kind: str, examples: Sequence[ErrorExample], known: dict[str, SoundState]) -> None:
    if not examples:
        st.caption("None.")
    for place, example in enumerate(examples):
        with st.container(border=True, key=f"example-{kind}-{place}"):
            st.markdown(f"**{example['probability']:.0%}** · {_source(example)}")
            st.caption(f"It has: {', '.join(map(plain, example['tags'])) or 'no tag'}")
            _play(f"{kind}-{place}", example, known.get(f"freesound:{example['recording']}"))


def _source(example: ErrorExample) -> str:
    """Return where a clip is from: its recording, as a link where it is one of Freesound's."""
    recording = example["recording"]
    text = plain(f"recording {recording}")
    if _is_freesound_id(recording):
        text = f"[Freesound {recording}]({FREESOUND}/s/{recording}/)"
    if example["start_s"] is not None:
        text += f" from {example['start_s']:.1f} s"
    return f"{text} · {plain(example['file'])}" if example["file"] else text


def _play(place: str, example: ErrorExample, sound: SoundState | None) -> None:
    """Draw a player: of the sound in the workspace, else Freesound's own, which a press loads."""
    if sound is not None and not sound.withdrawn and sound.media.audio:
        source = escape(media_url(sound.media.audio), quote=True)
        label = escape(f"Recording {example['recording']}", quote=True)
        st.html(
            f'<audio controls preload="none" src="{source}" aria-label="{label}" '
            'style="width:100%;height:2.5rem"></audio>'
        )
        return
    if not _is_freesound_id(example["recording"]):
        st.caption("The recording is not in this workspace.")
        return
    recording = example["recording"]
    if state.metrics_played.get() == place + recording:
        address = f"{FREESOUND}/embed/sound/iframe/{recording}/simple/medium/"
        st.iframe(address, height=PLAYER_HEIGHT, alt=f"Freesound's player of recording {recording}")
        return
    st.button(
        "Play from Freesound",
        key=f"play-{place}",
        icon=":material/play_arrow:",
        help="Loads Freesound's player from freesound.org.",
        on_click=state.metrics_played.set,
        args=(place + recording,),
    )


def _is_freesound_id(recording: str) -> bool:
    return recording.isascii() and recording.isdecimal() and len(recording) < 12
