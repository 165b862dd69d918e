"""A person's own work: reviews today and in all, and the model versions that learned from them."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from core.curation.reviews import ReviewLog
from core.events.types import ModelRef
from core.storage.workspace import Workspace
from core.untrusted import load_json

MAX_ROLLOUTS = 50
"""Latest deployments that are looked at for versions that learned from corrections."""


@dataclass(frozen=True)
class LearnedVersion:
    """A model version that was trained with corrections, and when it first became active."""

    model: ModelRef
    active_since: datetime


@dataclass(frozen=True)
class YourWork:
    """A person's reviews and corrections that nobody has undone.

    Attributes:
        today: Reviews since the beginning of the day.
        reviews: Reviews in all.
        corrections: Tags that they added or removed in them, in all.
        learned: (model version, corrections) for each version that first learned from some of them,
            oldest first.
        waiting: Corrections that wait for the next version.
    """

    today: int
    reviews: int
    corrections: int
    learned: tuple[tuple[ModelRef, int], ...]
    waiting: int


def your_work(
    reviews: ReviewLog, actor: str, midnight: datetime, versions: tuple[LearnedVersion, ...]
) -> YourWork:
    """Return a person's work.

    A correction counts as learned by the first version, trained with corrections, that became
    active after it was made.

    Args:
        reviews: The workspace's reviews.
        actor: The person.
        midnight: The beginning of their day.
        versions: As `learned_versions` returns them.
    """
    everything = reviews.totals(actor)
    learned: list[tuple[ModelRef, int]] = []
    since: datetime | None = None
    for version in versions:
        made = reviews.totals(actor, since=since, until=version.active_since).corrections
        if made:
            learned.append((version.model, made))
        since = version.active_since
    return YourWork(
        today=reviews.totals(actor, since=midnight).reviews,
        reviews=everything.reviews,
        corrections=everything.corrections,
        learned=tuple(learned),
        waiting=everything.corrections - sum(number for _, number in learned),
    )


def learned_versions(workspace: Workspace) -> tuple[LearnedVersion, ...]:
    """Return the deployed versions that were trained with corrections, oldest first.

    Their bundles are read, so keep the result until the next deployment. A version whose bundle
    this machine does not have is left out; nothing is downloaded.
    """
    first: dict[ModelRef, datetime] = {}
    for event in reversed(workspace.events.rollouts(MAX_ROLLOUTS)):
        first.setdefault(event.payload.model, event.time)
    return tuple(
        LearnedVersion(model, time)
        for model, time in first.items()
        if _has_learned(workspace.models.cached(model))
    )


def _has_learned(folder: Path | None) -> bool:
    """Return True if a bundle's description says that corrections joined its training."""
    if folder is None:
        return False
    try:
        description = load_json((folder / "model.json").read_bytes())
    except (OSError, ValueError):
        return False  # a damaged bundle is the page of models' to complain about
    corrections = description.get("corrections") if isinstance(description, dict) else None
    return isinstance(corrections, dict) and bool(corrections.get("decisions"))
