"""Numbers of feedback as texts: no percentage without its number, and none of too few."""

import math
from collections.abc import Sequence

from app.text import plain, plural
from core.curation.drift import Drift, DriftReport
from core.curation.feedback import MIN_VERDICTS, VersionFeedback
from core.events.feedback_facts import ActorKind
from core.proportions import Proportion, difference

PEOPLE: dict[ActorKind, str] = {"curator": "Curators", "uploader": "Uploaders"}
NO_VERDICTS: dict[ActorKind, str] = {
    "curator": "No curator has judged a suggestion yet. Reviews on the Monitor are counted here.",
    "uploader": "No uploader has judged a suggestion yet. Sounds that are published from *Try your "
    "sound* are counted here.",
}


def percent(share: float) -> str:
    """Return a share as whole percents; 0 % and 100 % only where it is exactly that."""
    if share in (0, 1):
        return f"{share * 100:.0f}%"
    return f"{min(max(math.floor(share * 100 + 0.5), 1), 99)}%"


def interval_text(proportion: Proportion, minimum: int = MIN_VERDICTS) -> str:
    """Return the 95 % interval of a share, or that there are too few."""
    interval = proportion.interval
    if interval is None:
        return "–"
    if proportion.independent < minimum:
        return f"too few: {proportion.independent}"
    low, high = (percent(bound).rstrip("%") for bound in interval)
    return f"{low}–{high}%"


def share_value(proportion: Proportion, minimum: int = MIN_VERDICTS) -> float | None:
    """Return a share; None of too few."""
    return proportion.value if proportion.independent >= minimum else None


def share_percent(proportion: Proportion) -> float | None:
    """Return a share in percent, for a table; None of too few."""
    value = share_value(proportion)
    return None if value is None else value * 100


def share_text(proportion: Proportion, minimum: int = MIN_VERDICTS) -> str:
    """Return a share as `81%`; a dash of too few."""
    value = share_value(proportion, minimum)
    return "–" if value is None else percent(value)


def acceptance_sentence(actor: ActorKind, accepted: Proportion) -> str:
    """Return how many suggestions people kept."""
    judged = plural(accepted.n, "judged suggestion")
    sentence = f"{PEOPLE[actor]} kept {accepted.part:,} of {judged}"
    if share_value(accepted) is None:
        return f"{sentence}: too few for a percentage."
    return f"{sentence}: {share_text(accepted)} (95% interval {interval_text(accepted)})."


def change_sentence(versions: Sequence[VersionFeedback]) -> str:
    """Return whether the latest judged version is accepted more often than the one before it."""
    judged = [each for each in versions if share_value(each.verdicts.accepted) is not None]
    if len(judged) < 2:
        return ""
    new, old = judged[0], judged[1]
    low, high = difference(new.verdicts.accepted, old.verdicts.accepted)
    points = f"95% interval of the difference {_points(low)} to {_points(high)} points"
    names = f"{plain(new.model)} and {plain(old.model)}"
    if low <= 0 <= high:
        return f"No difference between {names} can be told from chance ({points})."
    verb = "more" if low > 0 else "less"
    return (
        f"{plain(new.model)} is accepted {verb} often than {plain(old.model)} ({points}); "
        "other sounds may be the reason as well."
    )


def _points(difference: float) -> str:
    """Return a difference in percentage points, with its sign."""
    return f"{difference * 100:+.1f}".replace("-", "\N{MINUS SIGN}")


def drift_sentence(report: DriftReport) -> str:
    """Return the verdict on drift."""
    compared = [each for each in (report.scores, report.embeddings) if each]
    against = "the training data" if compared else "earlier sounds"
    if report.level == "too few":
        return "Drift: too few sounds to tell."
    if report.level == "none":
        return f"No drift: new sounds look to the model like {against}."
    parts = [
        text
        for text, drift in (
            ("scores differ from those on the training data", report.scores),
            ("sounds differ from the training data", report.embeddings),
            ("scores differ from those of earlier sounds", report.over_time),
        )
        if drift and drift.level in ("some", "strong")
    ]
    return f"{report.level.capitalize()} drift: {', '.join(parts)}."


def drift_level(drift: Drift | None) -> str:
    """Return what a measure of drift means, as a phrase."""
    if drift is None:
        return "The model has no reference"
    few = min(drift.sounds, drift.reference)
    names = {"none": "No drift", "some": "Some drift", "strong": "Strong drift"}
    return names.get(drift.level, f"Too few: {few:,}")
