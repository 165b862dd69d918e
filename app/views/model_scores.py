"""A model's scores on recordings that took no part in training."""

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go
import streamlit as st

from app.text import plain, plural
from app.views import charts
from core.events.types import ModelRef
from core.model.bundle import Bundle
from core.model.metrics import Numbers
from core.untrusted import csv_cell

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
TAG_COLUMNS = {
    "pr_auc": "PR-AUC",
    "roc_auc": "ROC-AUC",
    "precision": "Precision",
    "recall": "Recall",
    "clips": "Clips",
    "recordings": "Recordings",
}


def summary(bundle: Bundle, model: ModelRef) -> None:
    """Draw the model's name and what it was scored on."""
    clips = plural(bundle.metrics["clips"], "clip")
    recordings = plural(bundle.metrics["recordings"], "recording")
    st.caption(
        f"{plain(str(model))} · {plain(bundle.architecture)} · {len(bundle.vocabulary)} tags · "
        f"scored on {clips} of {recordings} that took no part in training"
    )


def overall_scores(bundle: Bundle) -> None:
    """Draw the scores over all tags."""
    columns = [*st.columns(3), *st.columns(3)]
    for column, (score, (label, meaning)) in zip(columns, SCORES.items(), strict=True):
        value = bundle.metrics["overall"].get(score)
        text = "–" if value is None else f"{value:.3f}"
        column.metric(label, text, help=meaning, border=True)


def comparison(bundle: Bundle) -> None:
    """Draw this model beside the prototype. The data sets differ, and the table says so."""
    baseline = bundle.metrics.get("baseline")
    if not baseline:
        return
    names = [name for name in SCORES if name in baseline]
    data = f"{bundle.metrics['clips']} held-out clips, {len(_scored_tags(bundle))} tags"
    rows = [
        {"Model": bundle.name, **_labelled(bundle.metrics["overall"], names), "Data": data},
        {
            "Model": baseline["name"],
            **_labelled(baseline, names),
            "Data": baseline["data"],
        },
    ]
    st.header("Compared with the prototype", anchor=False)
    formats = {SCORES[name][0]: st.column_config.NumberColumn(format="%.3f") for name in names}
    st.dataframe(rows, hide_index=True, column_config=formats)
    st.caption("The two rows come from different data: they do not show which is better.")


def _labelled(values: Mapping[str, object], names: Sequence[str]) -> dict[str, object]:
    return {SCORES[name][0]: values.get(name) for name in names}


def tag_scores(bundle: Bundle) -> None:
    """Draw the scores of each tag."""
    st.header("Per-tag scores", anchor=False)
    thresholds = dict(zip(bundle.vocabulary, bundle.calibration.threshold.tolist(), strict=True))
    rows = [
        {
            "Tag": csv_cell(tag),  # the table can be downloaded as CSV
            **{column: scores.get(name) for name, column in TAG_COLUMNS.items()},
            "Threshold": thresholds[tag],
        }
        for tag, scores in _scored_tags(bundle).items()
    ]
    rows.sort(key=lambda row: -(row["PR-AUC"] or 0))
    share_bar = st.column_config.ProgressColumn(format="%.2f", min_value=0, max_value=1)
    number = st.column_config.NumberColumn(format="%.3f")
    share_bars = dict.fromkeys(("PR-AUC", "Precision", "Recall"), share_bar)
    numbers = dict.fromkeys(("ROC-AUC", "Threshold"), number)
    st.dataframe(rows, hide_index=True, height=420, column_config=share_bars | numbers)
    notes = [
        "Precision and recall at each tag's own threshold. Scores from a few recordings are only a "
        "hint."
    ]
    if others := len(bundle.vocabulary) - len(rows):
        notes.append(f"No clip is labelled with the other {plural(others, 'tag')} of the model.")
    st.caption(" ".join(notes))


def _scored_tags(bundle: Bundle) -> Mapping[str, Numbers]:
    """Return the scores of the tags that clips are labelled with."""
    per_tag = bundle.metrics["per_tag"]
    return {tag: scores for tag, scores in per_tag.items() if scores.get("clips", 1)}


def curves(bundle: Bundle) -> None:
    """Draw the curves that the bundle has numbers for, two in a row."""
    columns = st.columns(2)
    for number, (name, figure) in enumerate(_figures(bundle).items()):
        with columns[number % 2]:
            st.subheader(name, anchor=False)
            st.plotly_chart(figure, key=f"chart-{number}", config={"displayModeBar": False})


def _figures(bundle: Bundle) -> dict[str, go.Figure]:
    metrics, figures = bundle.metrics, {}
    overall = metrics["overall"]
    if "curves" in metrics:
        precision_recall, roc = metrics["curves"]["precision_recall"], metrics["curves"]["roc"]
        pr_auc, roc_auc = overall.get("pr_auc_micro"), overall.get("roc_auc_micro")
        figures["Precision and recall"] = charts.precision_recall(precision_recall, pr_auc)
        figures["ROC"] = charts.roc(roc, roc_auc)
    if "reliability" in metrics:
        figures["Calibration"] = charts.reliability(metrics["reliability"])
    if "history" in metrics:
        figures["Training curve"] = charts.training_curve(metrics["history"])
    return figures


def provenance(bundle: Bundle) -> None:
    """Draw where the model comes from and how it may be used."""
    st.header("Training data and license", anchor=False)
    if bundle.origin:
        st.markdown(f"**Made from.** {plain(bundle.origin)}")
    st.markdown(f"**Data.** {plain(bundle.data or 'not stated')}")
    st.markdown(f"**License.** {plain(bundle.license or 'not stated')}")
    st.markdown(f"**Split.** {plain(bundle.metrics['split'])}")
    with st.expander("model.json"):
        st.json(bundle.description, expanded=1)
