"""What a model version learned from a person: how many of their corrections it was trained with."""

from collections.abc import Mapping
from dataclasses import dataclass

from core.curation.reviews import ReviewLog


@dataclass(frozen=True)
class Taught:
    """A person's corrections and a model version.

    Attributes:
        corrections: Tags that they added or removed, in all.
        learned: Decisions of theirs that the version was trained with; None where its bundle does
            not say whose it learned from.
        from_all: Decisions of everybody that it was trained with.
    """

    corrections: int
    learned: int | None
    from_all: int


def taught(reviews: ReviewLog, actor: str, description: Mapping[str, object]) -> Taught:
    """Return what a model version learned from a person.

    Args:
        reviews: Of the workspace.
        actor: The person.
        description: The contents of the version's model.json.
    """
    record = _record(description)
    by_actor = record.get("by_actor")
    learned = None
    if isinstance(by_actor, Mapping):
        learned = _number(by_actor.get(actor, 0))
    elif not record:
        learned = 0
    return Taught(reviews.totals(actor).corrections, learned, _number(record.get("decisions", 0)))


def _record(description: Mapping[str, object]) -> Mapping[str, object]:
    """Return what a bundle says about the corrections that it was trained with."""
    trained = description.get("trained")
    within = trained.get("corrections") if isinstance(trained, Mapping) else None
    record = within if isinstance(within, Mapping) else description.get("corrections")
    return record if isinstance(record, Mapping) else {}


def _number(value: object) -> int:
    return value if isinstance(value, int) and value >= 0 else 0
