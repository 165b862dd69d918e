"""Drift: whether new sounds look to the model like those it was made with, or like earlier ones.

Of the highest probability of each sound, the population stability index (PSI) of ten bins is
measured; of the embeddings, how far the means of their dimensions have moved, in standard
deviations. What chance alone explains is no drift.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from core.curation.feedback import Feedback
from core.events.feedback_facts import PROBABILITY_BINS
from core.events.query import Query
from core.events.types import ModelRef
from core.storage.sidecars import LocalSidecars
from core.storage.workspace import Workspace

MIN_SOUNDS = 100
"""Fewer say nothing about drift."""
NEWEST = 1000
"""Newest sounds that are compared, in whole days."""
MAX_EMBEDDINGS = 300
"""Newest sounds whose embeddings are read."""
SOME_PSI, STRONG_PSI = 0.1, 0.25
"""The customary limits."""
SOME_SHIFT, STRONG_SHIFT = 0.2, 0.5
"""A small and a medium difference of means in standard deviations (Cohen 1988)."""
_BINS = 10
_CHI_SQUARE_95 = 16.918978
"""95 % quantile of the chi-square distribution with nine degrees of freedom."""
_CORRELATED = 1.5
"""The expected shift without drift, times this, is its 95 % quantile where dimensions are so
correlated that they count for five."""

Level = Literal["none", "some", "strong", "too few"]
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Drift:
    """A measure of drift.

    Attributes:
        level: What it means.
        value: PSI, or the mean shift in standard deviations; None for too few sounds.
        by_chance: What is still likely without any drift.
        sounds: New sounds that were compared.
        reference: Sounds or clips that they were compared with.
    """

    level: Level
    value: float | None
    by_chance: float | None
    sounds: int
    reference: int


class Reference(Protocol):
    """A summary of a model's predictions on its own data, see `core.model.reference`."""

    @property
    def clips(self) -> int:
        """Return how many clips were predicted."""

    @property
    def highest(self) -> Counts:
        """Return the clips by bin of their highest probability."""

    @property
    def mean(self) -> NDArray[np.float64]:
        """Return the mean of the embeddings, [size]; of size 0 where there are none."""

    @property
    def variance(self) -> NDArray[np.float64]:
        """Return the variance of the embeddings, [size]."""


@dataclass(frozen=True)
class DriftReport:
    """Drift of the newest sounds of a model version.

    Attributes:
        since: The first day of the newest sounds; empty where there are none.
        scores: Of the highest probabilities, against the training reference; None without one.
        embeddings: Of the embeddings, against the same; None without one.
        over_time: Of the highest probabilities, against all sounds before `since`.
    """

    since: str
    scores: Drift | None
    embeddings: Drift | None
    over_time: Drift

    @property
    def level(self) -> Level:
        """Return the strongest drift; *too few* where nothing could be measured."""
        levels = [each.level for each in (self.scores, self.embeddings, self.over_time) if each]
        order: tuple[Level, ...] = ("strong", "some", "none", "too few")
        return next(level for level in order if level in levels)


def drift_report(
    workspace: Workspace, feedback: Feedback, model: ModelRef, reference: Reference | None
) -> DriftReport:
    """Return how far the newest sounds of a version differ from its reference and from earlier.

    Sidecars are read, up to `MAX_EMBEDDINGS`, so keep the result for a while.

    Args:
        workspace: Holds the sounds.
        feedback: Of the workspace.
        model: The version.
        reference: Of the version's bundle, where it has one.
    """
    newest, earlier, since = newest_and_earlier(feedback.probabilities(str(model)))
    over_time = score_drift(newest, earlier)
    if reference is None:
        return DriftReport(since, None, None, over_time)
    scores = score_drift(newest, reference.highest)
    embeddings = None
    if reference.mean.size:
        vectors = newest_embeddings(workspace, model)
        embeddings = embedding_drift(vectors, reference.mean, reference.variance, reference.clips)
    return DriftReport(since, scores, embeddings, over_time)


def score_drift(new: Counts, reference: Counts) -> Drift:
    """Compare the highest probabilities of two sets of sounds.

    Args:
        new: Number of new sounds by bin of their highest probability.
        reference: The same of what they are compared with, with as many bins.
    """
    sounds, earlier = int(new.sum()), int(reference.sum())
    if min(sounds, earlier) < MIN_SOUNDS:
        return Drift("too few", None, None, sounds, earlier)
    parts = [counts.reshape(_BINS, -1).sum(axis=1) for counts in (new, reference)]
    value = psi(parts[0], parts[1])
    by_chance = _CHI_SQUARE_95 * (1 / sounds + 1 / earlier)
    return Drift(_level(value, by_chance, SOME_PSI, STRONG_PSI), value, by_chance, sounds, earlier)


def psi(new: Counts, reference: Counts) -> float:
    """Return the population stability index of two histograms.

    Half a sound is added to each bin, so that an empty one has a logarithm.

    Args:
        new: Counts [bins].
        reference: Counts [bins].
    """
    first, second = (
        (counts + 0.5) / (counts.sum() + len(counts) / 2) for counts in (new, reference)
    )
    return float(((first - second) * np.log(first / second)).sum())


def embedding_drift(
    embeddings: NDArray[np.floating],
    mean: NDArray[np.floating],
    variance: NDArray[np.floating],
    reference: int,
) -> Drift:
    """Compare embeddings with the mean and variance of others.

    The shift is the root mean square over the dimensions of the difference of means, in standard
    deviations of the reference.

    Args:
        embeddings: Of the new sounds, [sounds, size].
        mean: [size].
        variance: [size].
        reference: Clips that mean and variance were computed from.
    """
    sounds = len(embeddings)
    if min(sounds, reference) < MIN_SOUNDS or embeddings.shape[1:] != mean.shape:
        return Drift("too few", None, None, sounds, reference)
    used = variance > 0
    if not used.any():
        return Drift("too few", None, None, sounds, reference)
    moved = (embeddings.mean(axis=0) - mean)[used] / np.sqrt(variance[used])
    value = float(np.sqrt((moved**2).mean()))
    by_chance = _CORRELATED * float(np.sqrt(1 / sounds + 1 / reference))
    return Drift(
        _level(value, by_chance, SOME_SHIFT, STRONG_SHIFT), value, by_chance, sounds, reference
    )


def newest_and_earlier(numbers: Mapping[tuple[str, str], int]) -> tuple[Counts, Counts, str]:
    """Split a version's predictions into the newest days and all before.

    Args:
        numbers: Sounds by (day, bin of the highest probability), as `Feedback.probabilities`
            returns them.

    Returns:
        Counts of the newest `NEWEST` sounds or a few more, those of the earlier ones, and the first
        of the newest days.
    """
    by_day: dict[str, Counts] = {}
    for (day, value), number in numbers.items():
        if value.isdecimal():
            counts = by_day.setdefault(day, np.zeros(PROBABILITY_BINS, np.int64))
            counts[int(value)] += number
    newest, earlier = (np.zeros(PROBABILITY_BINS, np.int64) for _ in range(2))
    first_day = ""
    for day in sorted(by_day, reverse=True):
        if newest.sum() < NEWEST:
            newest, first_day = newest + by_day[day], day
        else:
            earlier = earlier + by_day[day]
    return newest, earlier, first_day


def newest_embeddings(workspace: Workspace, model: ModelRef) -> NDArray[np.float32]:
    """Return the embeddings of the newest sounds that this machine has, float32 [sounds, size].

    Args:
        workspace: Holds the sounds.
        model: The version that made them.
    """
    sidecars = LocalSidecars(workspace.folder)
    sound_ids = workspace.sounds.ids(Query(), limit=MAX_EMBEDDINGS)
    arrays = [sidecars.get(sound_id, model) or {} for sound_id in sound_ids]
    vectors = [each["embedding"] for each in arrays if "embedding" in each]
    return _of_one_size([vector for vector in vectors if vector.ndim == 1])


def _of_one_size(vectors: Sequence[NDArray[np.generic]]) -> NDArray[np.float32]:
    """Return vectors [rows, size] without damaged ones of another size than the first."""
    size = len(vectors[0]) if vectors else 0
    same = [np.asarray(vector, np.float32) for vector in vectors if len(vector) == size]
    stacked: NDArray[np.float32] = np.stack(same) if same else np.zeros((0, 0), np.float32)
    return stacked


def _level(value: float, by_chance: float, limit: float, strong: float) -> Level:
    """Return what a measure means; what chance explains is no drift."""
    if value < limit or value <= by_chance:
        return "none"
    return "some" if value < strong else "strong"
