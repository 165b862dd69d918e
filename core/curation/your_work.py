"""A person's own work: reviews today and in all, and the model versions that learned from them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from core.curation.reviews import ReviewLog
from core.curation.taught import corrections_record, decisions_by_actor
from core.events.types import ModelRef
from core.storage.workspace import Workspace
from core.untrusted import load_json

MAX_ROLLOUTS = 50
"""Latest deployments that are looked at for versions that learned from corrections."""


@dataclass(frozen=True)
class LearnedVersion:
    """A model version that was trained with corrections.

    Attributes:
        model: The version.
        learned_until: The time of the last correction that it was trained with; when it first
            became active, where its bundle does not say.
        by_actor: Decisions of each person that it was trained with; None where its bundle does not
            say whose they are.
    """

    model: ModelRef
    learned_until: datetime
    by_actor: Mapping[str, int] | None = None


@dataclass(frozen=True)
class YourWork:
    """A person's reviews and corrections that nobody has undone.

    Attributes:
        today: Reviews since the beginning of the day.
        reviews: Reviews in all.
        corrections: Tags that they added or removed in them, in all.
        learned: (model version, decisions) for each version that was trained with some of theirs,
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

    Where a version's bundle does not say whose decisions it was trained with, the corrections
    between the version before and its own training count.

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
        until = version.learned_until
        if version.by_actor is not None:
            number = version.by_actor.get(actor, 0)
        else:
            number = reviews.totals(actor, since=since, until=until).corrections
        if number:
            learned.append((version.model, number))
        since = max(since or until, until)
    return YourWork(
        today=reviews.totals(actor, since=midnight).reviews,
        reviews=everything.reviews,
        corrections=everything.corrections,
        learned=tuple(learned),
        waiting=reviews.totals(actor, since=since).corrections,
    )


def learned_versions(workspace: Workspace) -> tuple[LearnedVersion, ...]:
    """Return the deployed versions that were trained with corrections, oldest first.

    Their bundles are read, so keep the result until the next deployment. A version whose bundle
    this machine does not have is left out; nothing is downloaded.
    """
    first: dict[ModelRef, datetime] = {}
    for event in reversed(workspace.events.rollouts(MAX_ROLLOUTS)):
        first.setdefault(event.payload.model, event.time)
    versions = (
        _learned_version(model, workspace.models.cached(model), time)
        for model, time in first.items()
    )
    return tuple(version for version in versions if version is not None)


def _learned_version(
    model: ModelRef, folder: Path | None, active_since: datetime
) -> LearnedVersion | None:
    """Return what a bundle says of the corrections in its training; None without any."""
    if folder is None:
        return None
    try:
        description = load_json((folder / "model.json").read_bytes())
    except (OSError, ValueError):
        return None  # a damaged bundle is the page of models' to complain about
    record = corrections_record(description) if isinstance(description, dict) else {}
    if not record.get("decisions"):
        return None
    until = _time_of(record.get("last_event")) or active_since
    return LearnedVersion(model, until, decisions_by_actor(record))


def _time_of(event: object) -> datetime | None:
    """Return the time of a recorded event; None where there is none that can be read."""
    try:
        time = datetime.fromisoformat(str(event["time"])) if isinstance(event, Mapping) else None
    except (KeyError, ValueError):
        return None
    return time if time is not None and time.tzinfo is not None else None
