"""Texts of the feedback view: numbers as percentages, and verdicts in plain sentences."""

import pytest

from app.views.metrics_feedback_text import (
    acceptance_sentence,
    change_sentence,
    drift_sentence,
    interval_text,
    percent,
    share_text,
)
from core.curation.drift import Drift, DriftReport
from core.curation.feedback import Verdicts, VersionFeedback
from core.proportions import Proportion

FEW, NONE, SOME, STRONG = (
    Drift(level, None if level == "too few" else 0.2, 0.1, 500, 500)
    for level in ("too few", "none", "some", "strong")
)


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0%"), (0.001, "1%"), (0.504, "50%"), (0.505, "51%"), (0.999, "99%"), (1, "100%")],
)
def test_nothing_and_everything_are_only_what_they_are(share, text):
    assert percent(share) == text


def test_too_few_have_no_percentage():
    few, enough = Proportion(3, 3), Proportion(10, 20)
    assert (share_text(few), interval_text(few)) == ("–", "too few: 3")
    assert (share_text(enough), interval_text(enough)) == ("50%", "30–70%")
    assert "%" not in acceptance_sentence("curator", few)
    assert "10 of 20 judged suggestions" in acceptance_sentence("uploader", enough)


def test_many_tags_of_few_sounds_are_too_few():
    assert interval_text(Proportion(40, 50, clusters=10)) == "too few: 10"


def version(number, kept, removed):
    verdicts = Verdicts(kept, removed)
    return VersionFeedback(f"cnn v{number}", "", 0, 0, 0, verdicts, Proportion(0, 0))


def test_a_difference_of_versions_is_one_only_beyond_chance():
    better = change_sentence([version(2, 900, 100), version(1, 800, 200)])
    assert better.startswith("cnn v2 is accepted more often than cnn v1")
    worse = change_sentence([version(2, 800, 200), version(1, 900, 100)])
    assert "less often" in worse
    assert "from chance" in change_sentence([version(2, 81, 19), version(1, 80, 20)])
    assert change_sentence([version(2, 3, 1), version(1, 800, 200)]) == ""
    assert change_sentence([]) == ""


@pytest.mark.parametrize(
    ("report", "parts"),
    [
        (DriftReport("", None, None, FEW), ["too few sounds"]),
        (DriftReport("", None, None, NONE), ["No drift", "earlier sounds"]),
        (DriftReport("", NONE, NONE, NONE), ["No drift", "the training data"]),
        (DriftReport("", SOME, NONE, NONE), ["Some drift", "scores differ"]),
        (DriftReport("", SOME, STRONG, FEW), ["Strong drift", "scores differ", "sounds differ"]),
        (DriftReport("", NONE, None, SOME), ["Some drift", "earlier sounds"]),
    ],
)
def test_drift_is_a_plain_sentence(report, parts):
    sentence = drift_sentence(report)
    assert all(part in sentence for part in parts)
