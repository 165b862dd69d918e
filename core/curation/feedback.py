"""Feedback on suggestions, from kept numbers: verdicts by tag, time, person and model version.

Nothing here reads the event log, so the answers come as fast for a million sounds.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from core.events.feedback_counts import read_numbers
from core.events.feedback_facts import ActorKind, Kind
from core.proportions import Proportion
from core.sqlite import Database
from core.storage.folder import DATABASE_NAME
from core.storage.workspace import Workspace

MIN_VERDICTS = 20
"""Below so many, a percentage says more about chance than about the model."""
TOP = 5
"""Of precision@5."""

_VERSION = re.compile(r".+ v(\d+)")


@dataclass(frozen=True)
class Verdicts:
    """Last decisions on tags.

    Attributes:
        kept: Suggested and right.
        removed: Suggested and wrong.
        added: Not suggested, and right.
    """

    kept: int = 0
    removed: int = 0
    added: int = 0

    @property
    def accepted(self) -> Proportion:
        """Return the share of the judged suggestions that were kept."""
        return Proportion(self.kept, self.kept + self.removed)

    @property
    def total(self) -> int:
        """Return the number of decisions."""
        return self.kept + self.removed + self.added


@dataclass(frozen=True)
class Replacement:
    """A suggested tag that was removed in `number` sounds where `new` was added with it."""

    old: str
    new: str
    number: int


@dataclass(frozen=True)
class VersionFeedback:
    """A model version's predictions in numbers, and people's verdicts on them.

    Attributes:
        model: Name and version, as `str(ModelRef)` writes them.
        since: Day of its first prediction, `2026-11-22`; empty where there is none.
        sounds: That it predicted.
        suggested: Tags that it suggested for them.
        without: Sounds that it suggested nothing for.
        verdicts: On its suggestions.
        best_five: Of its five best tags, those that were right, where all tags were judged.
    """

    model: str
    since: str
    sounds: int
    suggested: int
    without: int
    verdicts: Verdicts
    best_five: Proportion


@dataclass(frozen=True)
class OwnTags:
    """Agreement of suggestions with the uploader's own tags; a tag counts once per sound.

    Attributes:
        both: Suggested, and given by the uploader.
        suggested: Suggested only.
        given: Given by the uploader only.
    """

    both: int = 0
    suggested: int = 0
    given: int = 0

    @property
    def precision(self) -> Proportion:
        """Return the share of the suggestions that the uploader gave too."""
        return Proportion(self.both, self.both + self.suggested)

    @property
    def recall(self) -> Proportion:
        """Return the share of the uploader's tags that were suggested."""
        return Proportion(self.both, self.both + self.given)


class Feedback:
    """Questions about the feedback in one workspace."""

    def __init__(self, database: Database) -> None:
        """Prepare; nothing is read yet.

        Args:
            database: Of the event log.
        """
        self._database = database

    def by_tag(
        self, actor: ActorKind, model: str | None = None, since: str = ""
    ) -> dict[str, Verdicts]:
        """Return the verdicts on each tag.

        Args:
            actor: Whose verdicts.
            model: Only on suggestions of that version.
            since: Only from that month on.
        """
        rows = self._numbers("verdict", ["tag", "value"], actor=actor, model=model, since=since)
        return _verdicts(rows)

    def over_time(
        self, actor: ActorKind, model: str | None = None, tag: str | None = None
    ) -> dict[str, Verdicts]:
        """Return the verdicts of each month, the earliest first.

        Args:
            actor: Whose verdicts.
            model: Only on suggestions of that version.
            tag: Only on that tag.
        """
        rows = self._numbers("verdict", ["period", "value"], actor=actor, model=model, tag=tag)
        return dict(sorted(_verdicts(rows).items()))

    def by_day(self, actor: ActorKind, model: str | None = None) -> dict[str, Verdicts]:
        """Return the verdicts of each day, the earliest first; see `over_time`."""
        rows = self._numbers("verdict of a day", ["period", "value"], actor=actor, model=model)
        return dict(sorted(_verdicts(rows).items()))

    def versions(self, actor: ActorKind) -> list[VersionFeedback]:
        """Return what is known about each model version, the one first used last at the top."""
        verdicts = _verdicts(self._numbers("verdict", ["model", "value"], actor=actor))
        best_five = _best_five(self._numbers("best five", ["model", "value"], actor=actor))
        sounds: dict[str, dict[int, int]] = {}
        for (model, value), number in self._numbers("suggestions", ["model", "value"]).items():
            sounds.setdefault(model, {})[int(value)] = number
        since: dict[str, str] = {}
        for model, day in self._numbers("probability", ["model", "period"]):
            since[model] = min(day, since.get(model, day))
        known = [
            _version(
                model,
                since.get(model, ""),
                sounds.get(model, {}),
                verdicts.get(model, Verdicts()),
                best_five.get(model, Proportion(0, 0)),
            )
            for model in sounds.keys() | verdicts.keys()
        ]
        return sorted(known, key=lambda each: (each.since, _number(each.model)), reverse=True)

    def best_five(self, actor: ActorKind, model: str | None = None) -> Proportion:
        """Return precision@5: of the five best tags those that are right; see `by_tag`."""
        rows = self._numbers("best five", ["value"], actor=actor, model=model)
        parts = (rows.get((value,), 0) for value in ("right", "shown", "sounds"))
        return Proportion(*parts)

    def replacements(
        self, actor: ActorKind, model: str | None = None, limit: int = 100
    ) -> list[Replacement]:
        """Return the tags that people replaced by another, the most frequent pair first."""
        rows = self._numbers("replaced", ["tag", "value"], actor=actor, model=model)
        ranked = sorted(rows.items(), key=lambda item: (-item[1], item[0]))
        return [Replacement(old, new, number) for (old, new), number in ranked[:limit]]

    def unknown_tags(
        self, vocabulary: Collection[str], actor: ActorKind, limit: int = 100
    ) -> list[tuple[str, int]]:
        """Return the tags that people added and a model lacks, the most frequent first.

        Args:
            vocabulary: The model's tags.
            actor: Who added them.
            limit: Tags at most.
        """
        known = set(vocabulary)
        rows = self._numbers("verdict", ["tag", "value"], actor=actor)
        added = [
            (tag, number)
            for (tag, value), number in rows.items()
            if value == "added" and tag not in known
        ]
        return sorted(added, key=lambda item: (-item[1], item[0]))[:limit]

    def own_tags(
        self, model: str, vocabulary: Collection[str]
    ) -> tuple[int, OwnTags, dict[str, OwnTags]]:
        """Return how suggestions agree with the tags that uploaders gave their own sounds.

        Args:
            model: The version; a sound counts for the one that predicted it last.
            vocabulary: The model's tags, cleaned; other tags of uploaders do not count.

        Returns:
            The number of sounds, the total, and the counts by tag.
        """
        known = set(vocabulary)
        sounds = self._numbers("own tags", ["value"], model=model).get(("sounds",), 0)
        parts: dict[str, dict[str, int]] = {}
        for (tag, value), number in self._numbers("own tag", ["tag", "value"], model=model).items():
            if tag in known or value != "given":
                parts.setdefault(tag, {})[value] = number
        by_tag = {tag: OwnTags(**counts) for tag, counts in parts.items()}
        total = OwnTags(
            sum(each.both for each in by_tag.values()),
            sum(each.suggested for each in by_tag.values()),
            sum(each.given for each in by_tag.values()),
        )
        return sounds, total, by_tag

    def scores(self, model: str, actor: ActorKind = "curator") -> dict[str, dict[str, int]]:
        """Return by tag how often a suggestion of a score was right or wrong.

        The keys are bins as `core.events.feedback_facts` writes them: `180 right`.
        """
        by_tag: dict[str, dict[str, int]] = {}
        rows = self._numbers("score", ["tag", "value"], actor=actor, model=model)
        for (tag, value), number in rows.items():
            by_tag.setdefault(tag, {})[value] = number
        return by_tag

    def probabilities(self, model: str) -> dict[tuple[str, str], int]:
        """Return by (day, bin) how many sounds have their highest probability there."""
        rows = self._numbers("probability", ["period", "value"], model=model)
        return {(day, value): number for (day, value), number in rows.items()}

    def suggested_tags(self, model: str) -> dict[tuple[str, str], int]:
        """Return by (month, tag) how many sounds a version suggested a tag for."""
        rows = self._numbers("suggested", ["period", "tag"], model=model)
        return {(period, tag): number for (period, tag), number in rows.items()}

    def _numbers(
        self,
        kind: Kind,
        by: Sequence[str],
        *,
        actor: ActorKind | None = None,
        model: str | None = None,
        tag: str | None = None,
        since: str = "",
    ) -> dict[tuple[str, ...], int]:
        with self._database.reading() as connection:
            return read_numbers(
                connection, kind, by, actor=actor, model=model, tag=tag, since=since
            )


def open_feedback(workspace: Workspace) -> Feedback:
    """Return the feedback in a workspace."""
    return Feedback(Database(workspace.folder / DATABASE_NAME, create=False))


def _verdicts(rows: Mapping[tuple[str, ...], int]) -> dict[str, Verdicts]:
    """Return verdicts by the first field of (field, value)."""
    parts: dict[str, dict[str, int]] = {}
    for (name, value), number in rows.items():
        parts.setdefault(name, {})[value] = number
    return {name: Verdicts(**numbers) for name, numbers in parts.items()}


def _best_five(rows: Mapping[tuple[str, ...], int]) -> dict[str, Proportion]:
    """Return precision@5 by model version; the interval is made for the sounds."""
    return {
        model: Proportion(
            rows.get((model, "right"), 0),
            rows.get((model, "shown"), 0),
            rows.get((model, "sounds"), 0),
        )
        for model, _ in rows
    }


def _version(
    model: str,
    since: str,
    suggestions: Mapping[int, int],
    verdicts: Verdicts,
    best_five: Proportion,
) -> VersionFeedback:
    """Return what is known about one version, from sounds by their number of suggestions."""
    return VersionFeedback(
        model=model,
        since=since,
        sounds=sum(suggestions.values()),
        suggested=sum(number * sounds for number, sounds in suggestions.items()),
        without=suggestions.get(0, 0),
        verdicts=verdicts,
        best_five=best_five,
    )


def _number(model: str) -> int:
    """Return the number of a model version."""
    match = _VERSION.fullmatch(model)
    return int(match[1]) if match else 0
