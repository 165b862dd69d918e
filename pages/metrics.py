"""How good the model is: its scores on recordings it never heard, and what people make of its suggestions."""

import streamlit as st

from app import charts, session
from app.rollout import roll_out_section
from app.text import plain, plural
from core.id2prediction import ModelRef
from core.metrics import Agreement, agreement, agreement_by_tag
from core.model import bundle as bundles
from core.model.bundle import Bundle
from core.tagging import model_in_force
from core.workspace import Query

SOUNDS_LOOKED_AT = 500
AGREEMENT_KEPT_S = 60
SCORES = {
    "pr_auc_macro": ("PR-AUC macro", "Average precision per tag, averaged over tags: every tag counts the same."),
    "pr_auc_micro": ("PR-AUC micro", "Average precision over all decisions: frequent tags count more."),
    "roc_auc_macro": ("ROC-AUC macro", "Chance that a clip with the tag scores above one without, averaged over tags."),
    "roc_auc_micro": ("ROC-AUC micro", "The same over all decisions."),
    "exact_match_accuracy": ("Exact match", "Share of clips where exactly the right set of tags passes .5."),
    "precision_at_5": ("Precision @5", "Share of the five best tags that are right. Clips have about three tags, so 1 cannot be reached."),
}


def main() -> None:
    st.title("Model metrics", anchor=False)
    model = model_in_force(session.workspace())
    bundle = bundles.load(session.workspace().pull(model))
    about(bundle, model)
    overall(bundle)
    with_baseline(bundle)
    per_tag(bundle)
    curves(bundle)
    roll_out_section(model)
    what_people_say()
    what_uploaders_say()
    provenance(bundle)


def about(bundle: Bundle, model: ModelRef) -> None:
    metrics = bundle.metrics
    st.caption(
        f"{plain(str(model))} · {plain(bundle.architecture)} · {len(bundle.vocabulary)} tags · scored on "
        f"{plural(metrics['clips'], 'clip')} of {plural(metrics['recordings'], 'recording')} that took no part in training"
    )


def overall(bundle: Bundle) -> None:
    columns = [*st.columns(3), *st.columns(3)]
    for column, (score, (label, meaning)) in zip(columns, SCORES.items(), strict=True):
        value = bundle.metrics["overall"].get(score)
        column.metric(label, "–" if value is None else f"{value:.3f}", help=meaning, border=True)


def with_baseline(bundle: Bundle) -> None:
    """This model beside the seed. The data sets differ, and the table says so."""
    baseline = bundle.metrics.get("baseline")
    if not baseline:
        return
    names = [name for name in SCORES if name in baseline]
    ours = {"Model": bundle.name} | _scores(bundle.metrics["overall"], names)
    seed = {"Model": baseline["name"]} | _scores(baseline, names)
    ours["Data"] = f"{bundle.metrics['clips']} held-out clips, {len(bundle.vocabulary)} tags"
    seed["Data"] = baseline["data"]
    st.subheader("Beside the prototype", anchor=False)
    formats = {SCORES[name][0]: st.column_config.NumberColumn(format="%.3f") for name in names}
    st.dataframe([ours, seed], hide_index=True, column_config=formats)
    st.caption("The two rows come from different data: they show where each stands, not which is better.")


def _scores(values, names) -> dict:
    return {SCORES[name][0]: values.get(name) for name in names}


def per_tag(bundle: Bundle) -> None:
    st.subheader("Tag by tag", anchor=False)
    columns = {
        "pr_auc": "PR-AUC",
        "roc_auc": "ROC-AUC",
        "precision": "Precision",
        "recall": "Recall",
        "clips": "Clips",
        "recordings": "Recordings",
    }
    thresholds = dict(zip(bundle.vocabulary, bundle.calibration.threshold.tolist(), strict=True))
    rows = [
        {"Tag": tag, **{column: row.get(score) for score, column in columns.items()}, "Threshold": thresholds[tag]}
        for tag, row in bundle.metrics["per_tag"].items()
    ]
    share = {name: st.column_config.ProgressColumn(format="%.2f", min_value=0, max_value=1) for name in ("PR-AUC", "Precision", "Recall")}
    numbers = {name: st.column_config.NumberColumn(format="%.3f") for name in ("ROC-AUC", "Threshold")}
    st.dataframe(sorted(rows, key=lambda row: -(row["PR-AUC"] or 0)), hide_index=True, height=420, column_config=share | numbers)
    st.caption("Precision and recall at each tag's own threshold. Read a score of a few recordings as a hint, not as a fact.")


def curves(bundle: Bundle) -> None:
    metrics, figures = bundle.metrics, {}
    if "curves" in metrics:
        figures["Precision and recall"] = charts.precision_recall(metrics["curves"], metrics["overall"].get("pr_auc_micro"))
        figures["ROC"] = charts.roc(metrics["curves"], metrics["overall"].get("roc_auc_micro"))
    if "reliability" in metrics:
        figures["Calibration"] = charts.reliability(metrics["reliability"])
    if "history" in metrics:
        figures["Learning"] = charts.learning(metrics["history"])
    columns = st.columns(2)
    for place, (name, figure) in enumerate(figures.items()):
        with columns[place % 2]:
            st.subheader(name, anchor=False)
            st.plotly_chart(figure, key=f"chart-{place}", config={"displayModeBar": False})


def what_people_say() -> None:
    """Live quality: how often curators kept, removed and added each tag."""
    verdicts = session.workspace().verdicts()
    st.subheader("What curators say", anchor=False)
    if not verdicts:
        st.caption("Nobody has reviewed a sound yet. As soon as somebody does on the Monitor, their verdicts are counted here.")
        return
    rows = [
        {"Tag": tag, "Kept": row["kept"], "Removed": row["removed"], "Added": row["added"],
         "Accepted": row["kept"] / (row["kept"] + row["removed"]) if row["kept"] + row["removed"] else None}
        for tag, row in verdicts.items()
    ]  # fmt: skip
    rows.sort(key=lambda row: -(row["Kept"] + row["Removed"] + row["Added"]))
    accepted = st.column_config.ProgressColumn(format="percent", min_value=0, max_value=1)
    st.dataframe(rows, hide_index=True, column_config={"Accepted": accepted})


def what_uploaders_say() -> None:
    """Live quality without anybody's work: how far the suggestions agree with the tags that uploaders gave their own sounds."""
    st.subheader("What uploaders say", anchor=False)
    whole, by_tag = agreement_lately()
    if not whole.sounds:
        st.caption("None of the sounds here came with tags of its uploader. Those of Freesound do.")
        return
    shares = {
        "Suggested tags that the uploader gave too": whole.precision,
        "Uploaders' tags, of those the model knows, that it suggested": whole.recall,
    }
    for column, (label, share) in zip(st.columns(2), shares.items(), strict=True):
        column.metric(label, "–" if share is None else f"{share:.0%}", border=True)
    st.caption(
        f"Over {plural(whole.sounds, 'sound')} among the {SOUNDS_LOOKED_AT} newest: {plural(whole.suggested, 'suggested tag')}, "
        f"{plural(whole.given, 'tag')} of uploaders that the model knows, {whole.agreed:,} both. Suggested is what passes its tag's "
        "threshold. Uploaders leave out much that can be heard, and write “waves” for “wave”: these shares are lower than "
        "the model is good; watch how they change. Sounds that were published from here do not count: their tags were suggested."
    )
    rows = [
        {"Tag": tag, "Suggested": one.suggested, "Given by uploaders": one.given, "Both": one.agreed, "Agreed": one.precision}
        for tag, one in sorted(by_tag.items(), key=lambda item: (-item[1].suggested - item[1].given, item[0]))
    ]
    st.dataframe(
        rows, hide_index=True, column_config={"Agreed": st.column_config.ProgressColumn(format="percent", min_value=0, max_value=1)}
    )


@st.cache_data(ttl=AGREEMENT_KEPT_S, show_spinner=False)
def agreement_lately() -> tuple[Agreement, dict[str, Agreement]]:
    """Over the newest sounds that came with tags of their uploader: the whole, and tag by tag. Only so many are looked at, so that
    the page stays quick however many there are."""
    whole: Agreement = Agreement()
    by_tag: dict[str, Agreement] = {}
    for state in session.workspace().page(Query(), 1, SOUNDS_LOOKED_AT).sounds:
        published = any(one.event.kind == "published" for one in state.decisions.values())
        if state.model is None or not state.sound.tags or published:
            continue
        suggested = [one.tag for one in state.suggestions if one.above_threshold]
        sides = (suggested, state.sound.tags, session.vocabulary(state.model))
        whole += agreement(*sides)
        for tag, one in agreement_by_tag(*sides).items():
            by_tag[tag] = by_tag.get(tag, Agreement()) + one
    return whole, by_tag


def provenance(bundle: Bundle) -> None:
    st.subheader("Where it comes from", anchor=False)
    st.markdown(f"**Data.** {plain(bundle.description.get('data', 'not stated'))}")
    st.markdown(f"**Licence.** {plain(bundle.description.get('licence', 'not stated'))}")
    st.markdown(f"**Split.** {plain(bundle.metrics['split'])}")
    with st.expander("model.json"):
        st.json(bundle.description, expanded=1)


main()
