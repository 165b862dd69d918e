"""Live quality: how people's decisions and uploaders' tags agree with the suggestions."""

import streamlit as st

from app import services
from app.text import plural
from core.events.fold import SoundState
from core.events.query import Query
from core.model.metrics import Agreement, agreement, agreement_by_tag
from core.untrusted import csv_cell

MAX_SOUNDS = 500
"""Only the newest are compared, so that the page stays quick however many there are."""
CACHE_S = 60


def curator_feedback() -> None:
    """Draw how often curators kept, removed and added each tag."""
    verdicts = services.workspace().sounds.verdict_counts()
    st.header("Curator feedback", anchor=False)
    if not verdicts:
        st.caption("No sound has been reviewed yet. Reviews on the Monitor are counted here.")
        return
    rows = [
        {
            "Tag": csv_cell(tag),  # the table can be downloaded as CSV
            "Kept": counts["kept"],
            "Removed": counts["removed"],
            "Added": counts["added"],
            "Accepted": _share(counts["kept"], counts["kept"] + counts["removed"]),
        }
        for tag, counts in sorted(verdicts.items(), key=lambda item: -sum(item[1].values()))
    ]
    accepted = st.column_config.ProgressColumn(format="percent", min_value=0, max_value=1)
    st.dataframe(rows, hide_index=True, column_config={"Accepted": accepted})


def uploader_agreement() -> None:
    """Draw how far the suggestions agree with the tags that uploaders gave their own sounds."""
    st.header("Agreement with uploaders' tags", anchor=False)
    total, by_tag = latest_agreement()
    if not total.sounds:
        st.caption("No sound here has tags by its uploader yet. Sounds from Freesound do.")
        return
    figures = {
        "Precision on uploaders' tags": total.precision,
        "Recall on uploaders' tags (known tags only)": total.recall,
    }
    for column, (label, share) in zip(st.columns(2), figures.items(), strict=True):
        column.metric(label, "–" if share is None else f"{share:.0%}", border=True)
    st.caption(_explanation(total))
    rows = [
        {
            "Tag": csv_cell(tag),  # the table can be downloaded as CSV
            "Suggested": counts.suggested,
            "Given by uploaders": counts.given,
            "Both": counts.both,
            "Agreed": counts.precision,
        }
        for tag, counts in sorted(by_tag.items(), key=_most_frequent_first)
    ]
    agreement_bar = st.column_config.ProgressColumn(format="percent", min_value=0, max_value=1)
    st.dataframe(rows, hide_index=True, column_config={"Agreed": agreement_bar})


@st.cache_data(ttl=CACHE_S, show_spinner=False)
def latest_agreement() -> tuple[Agreement, dict[str, Agreement]]:
    """Compare the newest sounds that came with tags of their uploader.

    Sounds that were published from here are left out: their tags were suggested.

    Returns:
        The total, and the counts by tag.
    """
    total, by_tag = Agreement(), dict[str, Agreement]()
    for sound in services.workspace().sounds.page(Query(), size=MAX_SOUNDS).sounds:
        if sound.model is None or not sound.sound.tags or _is_published(sound):
            continue
        suggested = [tag.tag for tag in sound.suggestions if tag.above_threshold]
        sides = suggested, sound.sound.tags, services.vocabulary(sound.model)
        total += agreement(*sides)
        for tag, counts in agreement_by_tag(*sides).items():
            by_tag[tag] = by_tag.get(tag, Agreement()) + counts
    return total, by_tag


def _is_published(sound: SoundState) -> bool:
    return any(decision.event.kind == "published" for decision in sound.decisions.values())


def _explanation(total: Agreement) -> str:
    return (
        f"From the {MAX_SOUNDS} newest sounds: {plural(total.sounds, 'sound')} with "
        f"{plural(total.suggested, 'suggested tag')} and {plural(total.given, 'known tag')} by "
        f"uploaders, {total.both:,} in both. Uploaders leave out much that can be heard, and "
        "write “waves” for “wave”: these figures understate the model; watch the trend. Sounds "
        "published from here do not count, as their tags were suggested."
    )


def _most_frequent_first(item: tuple[str, Agreement]) -> tuple[int, str]:
    tag, counts = item
    return -counts.suggested - counts.given, tag


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
