"""The scores of each tag of a version, and what other thresholds would suggest."""

import io

import streamlit as st

from app import state
from app.components.score_table import Cell, Column, Scored, score_table
from app.text import plural
from app.views.errors import shows_errors
from app.views.metrics_address import set_params
from core.model.bundle import Bundle
from core.model.metrics_report import difference, scored_tags
from core.model.metrics_types import PrecisionChoice
from core.untrusted import BYTE_ORDER_MARK, CsvWriter

SCORES = {
    "pr_auc": "PR-AUC",
    "roc_auc": "ROC-AUC",
    "precision": "Precision",
    "recall": "Recall",
}
FILE_NAME = "tag_scores.csv"
EXPLAINED = (
    "Precision and recall at each tag's own threshold. Scores from a few recordings are only a "
    "hint."
)
INTERVALS = {
    True: "Small numbers: 95% interval by recording.",
    False: "Intervals of single tags are not recorded for this version.",
}
"""By whether they are recorded."""


def tag_scores(bundle: Bundle, compared: Bundle | None) -> None:
    """Draw the scores of each tag, the worst one first; a tag opens.

    Args:
        bundle: The version.
        compared: Another one, whose PR-AUC is shown where it was measured on the same data.
    """
    with st.container(horizontal=True, vertical_alignment="center", key="tags-head"):
        st.header("Per-tag scores", anchor=False, width="stretch")
        st.download_button(
            "Download CSV",
            lambda: scores_csv(bundle),
            FILE_NAME,
            "text/csv",
            key="download-tags",
            icon=":material/download:",
            on_click="ignore",
        )
    other = _comparable(bundle, compared)
    score_table(
        key="tag-table",
        name="Per-tag scores",
        columns=[
            Column("Tag", "text"),
            *(Column(label) for label in SCORES.values()),
            Column("Threshold", "score", "The tag is suggested from this probability on."),
            Column("Clips", "count", "Test clips that have the tag."),
            Column("Recordings", "count", "Test recordings that have the tag."),
            *([Column("PR-AUC compared")] if other else []),
        ],
        rows=_rows(bundle, other),
        on_open=lambda tag: set_params(tag=tag),
    )
    notes = [EXPLAINED, INTERVALS["details" in bundle.metrics]]
    if silent := len(bundle.vocabulary) - len(scored_tags(bundle)):
        notes.append(f"No test clip is labelled with the other {plural(silent, 'tag')}.")
    if compared and not other:
        notes.append("The compared version was not measured on the same data and tags.")
    st.caption(" ".join(notes))


def scores_csv(bundle: Bundle) -> bytes:
    """Return the table as CSV in UTF-8, with the ends of the intervals in columns."""
    text = io.StringIO(newline="")
    text.write(BYTE_ORDER_MARK)
    writer = CsvWriter(text)
    ends = [f"{name}{end}" for name in SCORES for end in ("", "_low", "_high")]
    writer.write(["tag", *ends, "threshold", "clips", "recordings"])
    for tag, *scores, threshold, clips, recordings in _rows(bundle, None):
        cells: list[Cell] = [tag]
        for score in scores:
            assert isinstance(score, Scored)
            cells += [score.value, *(score.interval or (None, None))]
        writer.write([*cells, threshold, clips, recordings])
    return text.getvalue().encode("utf-8", "replace")


@st.fragment
@shows_errors
def threshold_explorer(bundle: Bundle) -> None:
    """Draw what would be suggested if every tag had the threshold for a precision."""
    st.header("Threshold explorer", anchor=False)
    choices = bundle.metrics.get("threshold_choices", [])
    if len(choices) < 2:
        st.caption("Not recorded for this version.")
        return
    now = choices[0]
    by_label = {_label(choice): choice for choice in choices}
    label = st.select_slider("Precision", list(by_label), key=state.metrics_precision.key)
    choice = by_label[label]
    overall = choice["overall"]
    figures = {
        "Precision": _percent(overall["precision"]),
        "Recall": _percent(overall["recall"]),
        f"Suggestions, now {now['overall']['suggested']:,}": f"{overall['suggested']:,}",
        "Tags that reach it": f"{choice['tags']} of {len(choice['per_tag'])}",
    }
    with st.container(key="figures-explorer", horizontal=True):
        for name, figure in figures.items():
            st.metric(name, figure, border=True)
    score_table(
        key="threshold-table",
        name="Thresholds for a precision",
        columns=[
            Column("Tag", "text"),
            Column("Threshold"),
            Column("Precision", "percent"),
            Column("Recall", "percent"),
            Column("Suggestions", "count"),
            Column("Suggestions now", "count"),
        ],
        rows=_threshold_rows(choice, now),
    )
    st.caption(
        "Each tag gets the lowest threshold that reaches the precision on the test clips; a tag "
        "that never reaches it with 3 right clips suggests nothing. Thresholds are read off the "
        "clips that they are counted on, so expect somewhat less. Nothing changes in the product."
    )


def _comparable(bundle: Bundle, compared: Bundle | None) -> Bundle | None:
    return compared if compared and not difference(bundle, compared) else None


def _rows(bundle: Bundle, other: Bundle | None) -> list[list[Cell]]:
    """Return a row for each scored tag, the lowest PR-AUC first."""
    thresholds = dict(zip(bundle.vocabulary, bundle.calibration.threshold.tolist(), strict=True))
    details = bundle.metrics.get("details", {})
    scored = scored_tags(bundle).items()
    rows: list[list[Cell]] = []
    for tag, scores in sorted(scored, key=lambda item: (item[1].get("pr_auc") or 0, item[0])):
        intervals = details[tag]["intervals"] if tag in details else {}
        cells = [Scored(scores.get(name), intervals.get(name)) for name in SCORES]
        row: list[Cell] = [tag, *cells, round(thresholds[tag], 3)]
        row += [_count(scores.get(name)) for name in ("clips", "recordings")]
        if other:
            row.append(other.metrics["per_tag"].get(tag, {}).get("pr_auc"))
        rows.append(row)
    return rows


def _threshold_rows(choice: PrecisionChoice, now: PrecisionChoice) -> list[list[Cell]]:
    rows: list[list[Cell]] = [
        [
            tag,
            counted["threshold"],
            counted["precision"],
            counted["recall"],
            counted["suggested"],
            now["per_tag"][tag]["suggested"] if tag in now["per_tag"] else None,
        ]
        for tag, counted in choice["per_tag"].items()
    ]
    return rows


def _label(choice: PrecisionChoice) -> str:
    return "Now" if choice["precision"] is None else f"{choice['precision']:.0%}"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.0%}"


def _count(value: float | None) -> int | None:
    return None if value is None else int(value)
