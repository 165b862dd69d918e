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
    record = corrections_record(description)
    by_actor = decisions_by_actor(record)
    learned = by_actor.get(actor, 0) if by_actor is not None else None if record else 0
    return Taught(reviews.totals(actor).corrections, learned, _number(record.get("decisions", 0)))


def decisions_by_actor(record: Mapping[str, object]) -> dict[str, int] | None:
    """Return whose decisions are in a record of corrections; None where it does not say."""
    by_actor = record.get("by_actor")
    if not isinstance(by_actor, Mapping):
        return None
    return {str(actor): _number(number) for actor, number in by_actor.items()}


def corrections_record(description: Mapping[str, object]) -> Mapping[str, object]:
    """Return what a bundle says about the corrections that it was trained with.

    Args:
        description: The contents of model.json; bundles of earlier versions have the record in
            another place.
    """
    trained = description.get("trained")
    within = trained.get("corrections") if isinstance(trained, Mapping) else None
    record = within if isinstance(within, Mapping) else description.get("corrections")
    return record if isinstance(record, Mapping) else {}


def _number(value: object) -> int:
    return value if isinstance(value, int) and value >= 0 else 0
