"""Verdicts by month, tag and model version, as a chart and tables."""

import math
from collections.abc import Mapping, Sequence

import streamlit as st

from app.components.chart import Axis, Series
from app.text import plain, plural
from app.views import metrics_charts
from app.views.metrics_feedback_text import (
    interval_text,
    share_percent,
    share_text,
    share_value,
)
from app.views.table import table
from core.curation.feedback import MIN_VERDICTS, Feedback, OwnTags, Verdicts, VersionFeedback
from core.events.feedback_facts import ActorKind
from core.proportions import Proportion

MIN_MONTHS = 3
"""With fewer months, days are drawn."""
MAX_PERIODS = 92
"""Latest months or days that are drawn."""
CHART_WIDTH = 760
TABLE_HEIGHT = 400
_SHARE = st.column_config.ProgressColumn(format="%.0f%%", min_value=0, max_value=100)


def share_metric(label: str, share: Proportion, of: str, meaning: str | None = None) -> None:
    """Draw a share with its number and interval.

    Args:
        label: Of the share.
        share: The share.
        of: What its number counts, such as `sounds`.
        meaning: Of the label.
    """
    note = f"n = {share.independent if share.n else 0:,} {of}"
    if share_percent(share) is not None:
        note += f" · {interval_text(share)}"
    elif share.n:
        note = f"too few: {share.independent:,} {of}"
    st.metric(
        label,
        share_text(share),
        note,
        delta_color="off",
        delta_arrow="off",
        border=True,
        help=meaning,
    )


def time_section(feedback: Feedback, people: ActorKind, version: str | None) -> None:
    """Draw how the acceptance went over time."""
    periods, unit = feedback.over_time(people, version), "month"
    if len(periods) < MIN_MONTHS:
        periods, unit = feedback.by_day(people, version), "day"
    kept = {period: each.accepted for period, each in list(periods.items())[-MAX_PERIODS:]}
    enough = {period: each for period, each in kept.items() if share_value(each) is not None}
    st.header("Acceptance over time", anchor=False)
    if not enough:
        st.caption(f"No {unit} has {MIN_VERDICTS} judged suggestions yet.")
        return
    last, accepted = list(enough.items())[-1]
    latest = f"Latest: {last}, {share_text(accepted)} ({interval_text(accepted)}, n = "
    _draw(kept, unit, f"Share of judged suggestions kept, by {unit}. {latest}{accepted.n:,}).")
    texts = [f"Share kept by {unit}, with 95% intervals. {latest}{accepted.n:,})."]
    if left_out := len(kept) - len(enough):
        texts.append(f"Not drawn: {plural(left_out, unit)} with fewer than {MIN_VERDICTS}.")
    st.caption(" ".join(texts))


def _draw(kept: Mapping[str, Proportion], unit: str, alt: str) -> None:
    """Draw shares with their intervals; a period with too few is a gap."""
    intervals = [each.interval if share_value(each) is not None else None for each in kept.values()]
    lowest = min(each[0] for each in intervals if each)
    series = Series(
        "Kept",
        range(len(kept)),
        [share_value(each) for each in kept.values()],
        "points",
        low=[each[0] if each else None for each in intervals],
        high=[each[1] if each else None for each in intervals],
        notes=[f"n = {each.n:,}" for each in kept.values()],
    )
    x = Axis(unit.capitalize(), high=max(1, len(kept) - 1), texts=list(kept))
    y = Axis("Kept", low=math.floor(lowest * 10) / 10, percent=True)
    with st.container(width=CHART_WIDTH):
        metrics_charts.show("acceptance", alt, x, y, [series])


def tags_section(verdicts: Mapping[str, Verdicts]) -> None:
    """Draw the verdicts on each tag, worst first."""
    st.header("By tag", anchor=False)
    search = st.text_input(
        "Search tags",
        key="feedback-search",
        max_chars=100,
        placeholder="Search tags",
        label_visibility="collapsed",
        icon=":material/search:",
    ).strip()
    word = search.casefold()
    matches = {tag: each for tag, each in verdicts.items() if word in tag.casefold()}
    if not matches:
        st.caption(f"No tag contains “{plain(search)}”.")
        return
    rows = [_tag_row(tag, each) for tag, each in sorted(matches.items(), key=_worst_first)]
    table(rows, height=_height(rows), columns={"Accepted": _SHARE})
    st.caption(
        f"{plural(len(rows), 'tag')}, the least accepted first. “Accepted” is the share of judged "
        f"suggestions (n) that were kept; tags with fewer than {MIN_VERDICTS} have none. Added "
        "tags were not suggested."
    )


def _tag_row(tag: str, verdicts: Verdicts) -> dict[str, object]:
    accepted = verdicts.accepted
    return {
        "Tag": tag,
        "Accepted": share_percent(accepted),
        "95% interval": interval_text(accepted),
        "n": accepted.n,
        "Kept": verdicts.kept,
        "Removed": verdicts.removed,
        "Added": verdicts.added,
    }


def _worst_first(item: tuple[str, Verdicts]) -> tuple[bool, float, int, str]:
    """Order tags by the upper bound of their acceptance; those with too few verdicts last."""
    tag, verdicts = item
    accepted = verdicts.accepted
    interval = accepted.interval
    is_few = interval is None or accepted.n < MIN_VERDICTS
    return is_few, interval[1] if interval else 1.0, -verdicts.total, tag


def changes_section(
    feedback: Feedback, people: ActorKind, version: str | None, vocabulary: Sequence[str]
) -> None:
    """Draw what people replace, remove and miss."""
    st.header("Replaced and missing tags", anchor=False)
    replaced, missing = st.columns(2)
    with replaced:
        rows = [
            {
                "Removed": each.old,
                "Added instead": each.new,
                "Sounds": each.number,
            }
            for each in feedback.replacements(people, version)
        ]
        _small_table("Replaced in one review", rows, "No tag was replaced by another.")
    with missing:
        unknown = feedback.unknown_tags(vocabulary, people)
        rows = [{"Tag": tag, "Added": number} for tag, number in unknown]
        _small_table("Added, and unknown to the model", rows, "The model knows every added tag.")


def _small_table(title: str, rows: Sequence[Mapping[str, object]], empty: str) -> None:
    st.markdown(f"**{title}**")
    if rows:
        table(rows, height=_height(rows, 280))
    else:
        st.caption(empty)


def versions_section(versions: Sequence[VersionFeedback], active: str) -> None:
    """Draw what changed with each model version."""
    if not versions:
        return
    st.header("Model versions", anchor=False)
    rows = [
        {
            "Version": f"{each.model} (active)" if each.model == active else each.model,
            "First used": each.since,
            "Sounds": each.sounds,
            "Suggestions per sound": each.suggested / each.sounds if each.sounds else None,
            "Sounds without one": each.without,
            "Accepted": share_percent(each.verdicts.accepted),
            "95% interval": interval_text(each.verdicts.accepted),
            "n": each.verdicts.accepted.n,
            "Added": each.verdicts.added,
            "Precision@5": share_text(each.best_five),
            "n (sounds)": each.best_five.independent if each.best_five.n else 0,
        }
        for each in versions
    ]
    number = st.column_config.NumberColumn(format="%.2f")
    columns = {"Suggestions per sound": number, "Accepted": _SHARE}
    table(rows, columns=columns)
    st.caption(
        "A verdict counts for the version whose suggestions the person was shown. Versions were "
        "judged on different sounds."
    )


def own_tags_section(feedback: Feedback, model: object, vocabulary: Sequence[str]) -> None:
    """Draw how far suggestions agree with the tags that uploaders gave their own sounds."""
    st.header("Agreement with uploaders' tags", anchor=False)
    sounds, total, by_tag = feedback.own_tags(str(model), vocabulary)
    if not sounds:
        st.caption("No sound here has tags by its uploader yet. Sounds from Freesound do.")
        return
    with st.container(horizontal=True):
        share_metric("Precision on uploaders' tags", total.precision, "suggestions")
        share_metric("Recall on uploaders' tags (known tags only)", total.recall, "tags")
    st.caption(
        f"From {plural(sounds, 'sound')} with tags by their uploader. Uploaders leave out much "
        "that can be heard, and write “waves” for “wave”: these figures understate the model; "
        "watch the trend. Sounds published from here do not count, as their tags were suggested."
    )
    with st.expander("By tag", icon=":material/table:"):
        ranked = sorted(by_tag.items(), key=_most_frequent_first)
        rows = [_own_tag_row(tag, each) for tag, each in ranked]
        table(rows, height=_height(rows), columns={"Agreed": _SHARE})


def _own_tag_row(tag: str, counts: OwnTags) -> dict[str, object]:
    return {
        "Tag": tag,
        "Agreed": share_percent(counts.precision),
        "95% interval": interval_text(counts.precision),
        "Suggested (n)": counts.precision.n,
        "Given by uploaders": counts.recall.n,
        "Both": counts.both,
    }


def _most_frequent_first(item: tuple[str, OwnTags]) -> tuple[int, str]:
    tag, counts = item
    return -counts.precision.n - counts.given, tag


def _height(rows: Sequence[object], limit: int = TABLE_HEIGHT) -> int:
    """Return the height of a table: of all rows, or of as many as fit."""
    return min(limit, 38 + 35 * max(1, len(rows)))
