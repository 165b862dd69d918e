"""The scores of a version over all tags, beside those of others, and outside its vocabulary."""

from collections.abc import Mapping

import streamlit as st

from app.components.score_table import Cell, Column, Scored, score_table
from app.text import plain
from app.views.metrics_figures import score_metric
from core.events.types import ModelRef
from core.model.bundle import Bundle
from core.model.metrics_report import data_name, difference, scored_tags
from core.model.metrics_types import UnknownShares

SCORES = {
    "pr_auc_macro": ("PR-AUC macro", "Average precision per tag: every tag counts the same."),
    "pr_auc_micro": (
        "PR-AUC micro",
        "Average precision over all decisions: frequent tags count more.",
    ),
    "roc_auc_macro": (
        "ROC-AUC macro",
        "Chance that a clip with the tag scores above one without, averaged over tags.",
    ),
    "roc_auc_micro": ("ROC-AUC micro", "The same over all decisions."),
    "exact_match_accuracy": (
        "Exact match",
        "Share of clips where exactly the right set of tags passes .5.",
    ),
    "precision_at_5": (
        "Precision @5",
        "Share of the top five tags that are right. Clips have about three tags, so 1 cannot be "
        "reached.",
    ),
}
"""By their names in metrics.json: label and meaning."""
OTHER_DATA = {
    "": "Same test data",
    "data": "Measured on other data",
    "tags": "Same clips, other tags scored",
}


def headline(
    model: ModelRef, bundle: Bundle, other: ModelRef | None, compared: Bundle | None
) -> None:
    """Draw the scores with their intervals, and those of another version and the prototype.

    Args:
        model: The version.
        bundle: Its bundle.
        other: A version to compare with.
        compared: Its bundle.
    """
    intervals = _intervals(bundle)
    with st.container(key="figures-overall", horizontal=True):
        for score, (label, meaning) in SCORES.items():
            value = bundle.metrics["overall"].get(score)
            score_metric(label, value, intervals.get(score), meaning)
    st.caption(_interval_note(bundle))
    rows = [_row(str(model), bundle, "")]
    if other and compared:
        rows.append(_row(str(other), compared, OTHER_DATA[difference(bundle, compared)]))
    if baseline := bundle.metrics.get("baseline"):
        rows.append(_baseline_row(baseline))
    if len(rows) > 1:
        st.header("Compared", anchor=False)
        _comparison(rows)


def unknown_sounds(bundle: Bundle) -> None:
    """Draw what the version suggests for sounds outside its vocabulary."""
    st.header("Sounds outside the vocabulary", anchor=False)
    unknown = bundle.metrics.get("unknown_sounds", {})
    rows: list[list[Cell]] = []
    if "left_out" in unknown:
        rows.append(_share_cells("Unknown to the model", unknown["left_out"]))
    if "measured" in unknown:
        rows.append(_share_cells("Part of its training", unknown["measured"]))
    if not rows:
        st.caption("Not recorded for this version.")
        return
    columns = [
        Column("Sounds", "text"),
        Column("Number", "count"),
        Column("A wrong tag", "percent", "A suggestion that does not fit the kind of sound."),
        Column(
            "A wrong tag of the clips",
            "percent",
            "A suggestion among the tags that were learned from clips, which the sound lacks.",
        ),
        Column("No suggestion", "percent"),
    ]
    score_table(
        key="unknown-table",
        name="Sounds outside the vocabulary",
        columns=columns,
        rows=rows,
        searchable=False,
    )
    notes = [f"Share of the sounds that get it. Sounds: {plain(unknown.get('data', 'not named'))}."]
    if "left_out" in unknown:
        notes.append(
            "“Unknown to the model” is measured on models of the same recipe, each trained without "
            "the sources of the sounds that it is asked about."
        )
    st.caption(" ".join(notes))


def _share_cells(name: str, of_sounds: UnknownShares) -> list[Cell]:
    return [
        name,
        of_sounds["sounds"],
        of_sounds["wrong_tag"],
        of_sounds["wrong_own_tag"],
        of_sounds["no_suggestion"],
    ]


def _interval_note(bundle: Bundle) -> str:
    if _intervals(bundle):
        return "95% intervals: whole recordings are drawn again and again (bootstrap)."
    return "Intervals are not recorded for this version."


def _intervals(bundle: Bundle) -> Mapping[str, list[float] | None]:
    return bundle.metrics.get("intervals", {}).get("recordings", {})


def _row(name: str, bundle: Bundle, note: str) -> list[Cell]:
    intervals = _intervals(bundle)
    overall = bundle.metrics["overall"]
    scores = [Scored(overall.get(score), intervals.get(score)) for score in SCORES]
    data = data_name(bundle) or "data not named"
    tags = len(scored_tags(bundle))
    where = f"{bundle.metrics['clips']:,} clips, {tags} tags: {data}. {bundle.metrics['split']}"
    return [name, *scores, note or "–", where]


def _baseline_row(baseline: Mapping[str, float | str | None]) -> list[Cell]:
    values = [baseline.get(score) for score in SCORES]
    scores = [Scored(value if isinstance(value, float) else None) for value in values]
    name, data = (str(baseline.get(key) or "not named") for key in ("name", "data"))
    return [name, *scores, OTHER_DATA["data"], data]


def _comparison(rows: list[list[Cell]]) -> None:
    columns = [
        Column("Model", "text"),
        *(Column(label, "score", meaning) for label, meaning in SCORES.values()),
        Column("Comparable", "text"),
        Column("Data and protocol", "text"),
    ]
    score_table(
        key="compare-table",
        name="Versions compared",
        columns=columns,
        rows=rows,
        searchable=False,
    )
    if any(row[-2] in (OTHER_DATA["data"], OTHER_DATA["tags"]) for row in rows):
        st.caption("Rows from different data or tags do not show which model is better.")
