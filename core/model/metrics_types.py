"""The types of metrics.json, which JSON can hold: numbers that are not defined are None."""

from typing import NotRequired

from typing_extensions import TypedDict

Numbers = dict[str, float | None]
"""Numbers by name; None where one is not defined."""
Intervals = dict[str, list[float] | None]
"""95 % intervals by the name of the score: [low, high], None where it is not defined."""


class RocCurve(TypedDict):
    """A ROC curve on an even grid."""

    false_positive_rate: list[float]
    true_positive_rate: list[float]


class PrecisionRecallCurve(TypedDict):
    """A precision-recall curve on an even grid."""

    recall: list[float]
    precision: list[float]


class Curves(TypedDict):
    """Both curves."""

    roc: RocCurve
    precision_recall: PrecisionRecallCurve


class Reliability(TypedDict):
    """Expected calibration error, and per filled bin: predicted and observed share, count."""

    ece: float | None
    predicted: list[float]
    observed: list[float]
    count: list[int]


class ErrorExample(TypedDict):
    """A test clip on which a tag is missed or wrongly suggested.

    Attributes:
        recording: The Freesound id that it was cut from.
        file: Its name in the data set; empty where unknown.
        start_s: From where in the recording it was cut; None where unknown.
        probability: Of the tag.
        tags: What the clip has.
    """

    recording: str
    file: str
    start_s: float | None
    probability: float
    tags: list[str]


class TagDetail(TypedDict):
    """The details of a tag.

    Attributes:
        intervals: Of its scores, by recording.
        curves: Its own.
        reliability: Of its probabilities.
        suggested: Number of clips that it is suggested for.
        true_positives: Those that have it.
        missed_for: Tags wrongly suggested where this one is missed -> number of clips.
        wrong_for: Tags that clips have for which this one is wrongly suggested -> number of clips.
        false_positives: Clips for which it is wrongly suggested, the most probable first.
        false_negatives: Clips for which it is missed, the least probable first.
    """

    intervals: Intervals
    curves: Curves
    reliability: Reliability
    suggested: int
    true_positives: int
    missed_for: dict[str, int]
    wrong_for: dict[str, int]
    false_positives: list[ErrorExample]
    false_negatives: list[ErrorExample]


class ThresholdChoice(TypedDict):
    """Suggestions at some thresholds.

    Attributes:
        threshold: From which probability on; None where none will do, and for all tags together.
        precision: Share of the suggestions that are right; None without suggestions.
        recall: Share of the true tags that are suggested; None without true tags.
        suggested: Number of suggestions.
        true_positives: Those that are right.
    """

    threshold: float | None
    precision: float | None
    recall: float | None
    suggested: int
    true_positives: int


class PrecisionChoice(TypedDict):
    """Suggestions where each tag has the lowest threshold that reaches a precision on test.

    Attributes:
        precision: That was asked for; None for the thresholds that the model has.
        overall: All tags together.
        tags: Number of tags that reach it.
        per_tag: By tag.
    """

    precision: float | None
    overall: ThresholdChoice
    tags: int
    per_tag: dict[str, ThresholdChoice]


class UnknownShares(TypedDict):
    """Suggestions for sounds outside the vocabulary, as shares of the sounds.

    Attributes:
        sounds: How many.
        wrong_own_tag: Share with a suggestion, among the tags with clips, that their labels lack.
        wrong_tag: Share of those whose kind is known with a suggestion that does not fit it.
        no_suggestion: Share without any suggestion.
    """

    sounds: int
    wrong_own_tag: float | None
    wrong_tag: float | None
    no_suggestion: float | None


class UnknownSounds(TypedDict):
    """Behaviour outside the vocabulary.

    Attributes:
        measured: By this model, whose training may have had the sounds.
        data: Name of the sounds that it was measured on.
        left_out: By models that were trained without the sound's source.
    """

    measured: NotRequired[UnknownShares]
    data: NotRequired[str]
    left_out: NotRequired[UnknownShares]


class LearningPoint(TypedDict):
    """The score of a model that learned from part of the recordings.

    Attributes:
        recordings: That it learned from.
        pr_auc_macro: On the test recordings, mean over seeds.
        low: The lowest of the seeds.
        high: The highest.
    """

    recordings: int
    pr_auc_macro: float
    low: float
    high: float


class TestData(TypedDict):
    """The data that a model was scored on.

    Attributes:
        name: For people.
        fingerprint: SHA-256 of the test clips and their labels: equal for equal data only.
        tags: Number of tags that are scored.
    """

    name: str
    fingerprint: str
    tags: int
