"""How far two curators agree: Cohen's kappa over sounds that both judged independently."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from core.curation.reviews import ReviewLog
from core.curation.second_opinion import MAX_RECENT, ReviewPair, find_pair
from core.storage.workspace import Workspace

MIN_JUDGEMENTS = 20
"""Below so many, kappa says more about chance than about people."""

MAX_HISTORIES = 500
"""Of sounds that two people have reviewed, the latest."""

Judgements = Iterable[tuple[bool, bool]]
"""If the first and if the second person said that a sound has a tag."""


@dataclass(frozen=True)
class Kappa:
    """Cohen's kappa of two people's judgements.

    Attributes:
        value: 1 for full agreement, 0 for that of chance; None below `MIN_JUDGEMENTS`, and where
            both always said the same single thing, so that chance would agree, too.
        n: Judgements of a tag of a sound by both people.
        same: Those on which both said the same.
    """

    value: float | None
    n: int
    same: int


@dataclass(frozen=True)
class AgreementReport:
    """The agreement over all pairs of independent reviews.

    Attributes:
        sounds: Sounds with such a pair.
        overall: Over every tag of every sound.
        by_tag: (tag, kappa), those with most judgements first.
    """

    sounds: int
    overall: Kappa
    by_tag: tuple[tuple[str, Kappa], ...]


def agreement_report(workspace: Workspace, reviews: ReviewLog) -> AgreementReport:
    """Return the agreement on the latest sounds that two people have reviewed.

    Histories are read and folded, up to `MAX_HISTORIES`, so keep the result for a while.

    Args:
        workspace: Holds the histories.
        reviews: Its reviews, of which the latest `second_opinion.MAX_RECENT` are looked at.
    """
    return report_of(_pairs(workspace, reviews))


def report_of(pairs: Iterable[ReviewPair]) -> AgreementReport:
    """Return the agreement of some pairs of reviews."""
    everything: list[tuple[bool, bool]] = []
    by_tag: dict[str, list[tuple[bool, bool]]] = {}
    sounds = 0
    for pair in pairs:
        sounds += 1
        for tag, judgement in pair.judgements.items():
            everything.append(judgement)
            by_tag.setdefault(tag, []).append(judgement)
    ranked = sorted(by_tag.items(), key=lambda item: (-len(item[1]), item[0]))
    return AgreementReport(
        sounds, cohen_kappa(everything), tuple((tag, cohen_kappa(each)) for tag, each in ranked)
    )


def cohen_kappa(judgements: Judgements, min_judgements: int = MIN_JUDGEMENTS) -> Kappa:
    """Return Cohen's kappa of two people's judgements (Cohen 1960).

    Args:
        judgements: Each of a tag of a sound, by both.
        min_judgements: Fewer give no value.
    """
    rows: Sequence[tuple[bool, bool]] = list(judgements)
    n, same = len(rows), sum(first == second for first, second in rows)
    if n < max(1, min_judgements):
        return Kappa(None, n, same)
    first, second = (sum(row[person] for row in rows) / n for person in (0, 1))
    by_chance = first * second + (1 - first) * (1 - second)
    if by_chance == 1:
        return Kappa(None, n, same)
    return Kappa((same / n - by_chance) / (1 - by_chance), n, same)


def _pairs(workspace: Workspace, reviews: ReviewLog) -> Iterator[ReviewPair]:
    """Yield the pairs of independent reviews among the latest."""
    latest = reviews.latest_sounds(MAX_RECENT)
    people = reviews.reviewers(latest)
    by_several = [sound_id for sound_id in latest if len(people[sound_id]) > 1]
    for sound_id in by_several[:MAX_HISTORIES]:
        pair = find_pair(workspace.events.of_sound(sound_id))
        if pair is not None:
            yield pair
