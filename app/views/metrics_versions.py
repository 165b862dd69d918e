"""Versions of the model: which predicts, how they compare, and deploying or rejecting one."""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from app import services, state
from app.text import ago, plain, plural
from app.views.metrics_address import param, set_params
from app.views.metrics_deploy import actions, registered_versions, roll_back_button
from app.views.metrics_loop import simulated_loop
from app.views.table import SIGNED, table
from core.people import shown_name
from core.storage.active_model import resolve_model
from core.storage.model_versions import Version

SCORE_NAMES = {
    "pr_auc_macro": "PR-AUC, mean over tags",
    "pr_auc_micro": "PR-AUC, all decisions",
    "precision": "Precision of suggestions",
    "recall": "Recall",
    "wrong_suggestion": "Share with a wrong suggestion",
}
PART_NAMES = {"test": "Test recordings", "held_back": "Held-back corrections"}


def versions_view() -> None:
    """Draw the list of versions and the details of one."""
    # the first version of a new workspace is active from here
    versions = registered_versions(str(resolve_model(services.workspace()).model))
    _list(versions)
    note = state.deploy_note.pop()
    if note:
        st.markdown(note)
    roll_back_button()
    version = _selected_version(versions)
    if version is not None:
        _details(version)
    simulated_loop()


def _list(versions: list[Version]) -> None:
    rows = [
        {
            "Version": str(version.model),
            "State": _state(version),
            "PR-AUC, mean over tags": _score(version, "pr_auc_macro"),
            "PR-AUC, all decisions": _score(version, "pr_auc_micro"),
            "Scored on": version.test,
            "Against the active model": _verdict(version),
        }
        for version in versions
    ]
    table(rows, key="versions")


def _selected_version(versions: list[Version]) -> Version | None:
    """Draw the choice of a version; the newest challenger that waits comes first."""
    by_name = {str(version.model): version for version in versions}
    if not by_name:
        return None
    waiting = [v for v in versions if v.comparison and not v.decision and not v.rollout]
    active = [v for v in versions if v.is_active]
    first = str((waiting or active or versions)[0].model)
    name = param("version")
    name = name if name in by_name else first
    if state.version_choice.get() not in by_name or param("version"):
        state.version_choice.set(name)
    st.selectbox(
        "Version", list(by_name), key=state.version_choice.key, on_change=_choose, width=320
    )
    return by_name[state.version_choice.get()]


def _choose() -> None:
    set_params(version=state.version_choice.get())


def _details(version: Version) -> None:
    st.caption(_history(version))
    comparison = version.comparison
    if comparison is None:
        st.caption("This version was not compared with another one when it was trained.")
        actions(version)
        return
    st.markdown(f"**{plain(comparison['verdict']['text'])}**")
    actions(version)
    _scores(comparison)
    _taught(comparison)


def _scores(comparison: Mapping[str, Any]) -> None:
    """Draw the scores of both models on everything that they were compared on."""
    parts = {
        name: comparison["parts"][key]
        for key, name in PART_NAMES.items()
        if key in comparison["parts"]
    }
    rows = [
        _score_row(name, score, row)
        for name, part in parts.items()
        for score, row in part["scores"].items()
    ]
    others = comparison.get("others", {})
    rows += [_score_row("Sounds outside the vocabulary", *item) for item in others.items()]
    table(rows, columns={"Difference": SIGNED}, width="content", key="scores")
    st.caption(
        "  \n".join(
            f"{name}: {plural(part['clips'], 'clip')} of "
            f"{plural(part['recordings'], 'recording')}, {part['decisions']:,} known labels."
            for name, part in parts.items()
        )
    )


def _score_row(where: str, score: str, row: Mapping[str, Any]) -> dict[str, object]:
    return {
        "Measured on": where,
        "Score": SCORE_NAMES.get(score, score),
        "Active then": _number(row["champion"]),
        "This version": _number(row["challenger"]),
        "Difference": row["difference"],
        "95% interval": _interval(row["interval"]),
    }


def _taught(comparison: Mapping[str, Any]) -> None:
    """Draw what the corrections taught, and what was left out."""
    counts = comparison["corrections"]
    held_back = counts["held_back"]
    text = (
        f"Learned from {plural(counts['decisions'], 'decision')} about "
        f"{plural(counts['sounds'], 'sound')}; {plural(held_back['sounds'], 'sound')} held back."
    )
    left_out = [f"{number:,} {reason}" for reason, number in counts["left_out"].items()]
    st.caption(plain(text + (f" Left out: {', '.join(left_out)}." if left_out else "")))
    rows = [
        {
            "Person": shown_name(actor),
            "Decisions learned": _of(parts.get("trained"), "decisions"),
            "Right before": _share(parts.get("trained"), "champion"),
            "Right now": _share(parts.get("trained"), "challenger"),
            "Decisions held back": _of(parts.get("held_back"), "decisions"),
            "Held back, right before": _share(parts.get("held_back"), "champion"),
            "Held back, right now": _share(parts.get("held_back"), "challenger"),
        }
        for actor, parts in comparison["by_actor"].items()
    ]
    if rows:
        st.markdown("**Did corrections teach the model?**")
        table(rows, key="taught")


MIN_DECISIONS = 10
"""Of which a share is shown."""


def _of(counts: Mapping[str, int] | None, name: str) -> int:
    return counts[name] if counts else 0


def _share(counts: Mapping[str, int] | None, name: str) -> str:
    """Return a share in percent; none of very few."""
    if not counts or counts["decisions"] < MIN_DECISIONS:
        return "–"
    return f"{counts[name] / counts['decisions']:.0%}"


def _state(version: Version) -> str:
    if version.is_active:
        return "Active"
    if version.decision:
        return "Rejected"
    if version.rollout:
        return "Was active"
    return "To decide" if version.comparison else "Registered"


def _history(version: Version) -> str:
    """Return since when and by whom a version is what it is."""
    if version.decision:
        decision = version.decision
        who, when = plain(shown_name(decision.actor)), ago(decision.time)
        return f"Rejected {when} by {who}: {plain(decision.reason)}"
    if version.rollout is None:
        return "Never active."
    event = version.rollout
    word = "Active since" if version.is_active else "Last deployed"
    who, when = plain(shown_name(event.actor)), ago(event.time)
    return f"{word} {when}, deployed by {who}: {plain(event.payload.reason)}"


def _verdict(version: Version) -> str:
    if version.comparison is None:
        return ""
    words = {"better": "better", "worse": "worse", "unclear": "no certain difference"}
    return words.get(version.comparison["verdict"]["kind"], "")


def _score(version: Version, name: str) -> str:
    value, interval = version.scores.get(name), version.intervals.get(name)
    if value is None:
        return "–"
    return f"{value:.3f}" + (f" ({interval[0]:.3f}–{interval[1]:.3f})" if interval else "")


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _interval(values: list[float] | None) -> str:
    return "too few recordings" if values is None else f"[{values[0]:+.3f}, {values[1]:+.3f}]"
