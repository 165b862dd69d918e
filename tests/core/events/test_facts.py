"""What a query can ask about a sound."""

from datetime import UTC, date, datetime

import pytest

from core.events.facts import day_number, facts_of
from core.events.fold import confirm, fold
from core.events.types import Imported, Predicted, Sound, Suggestion, new_event
from tests.helpers.events import V1

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def facts(suggestions=(), **metadata):
    """The facts of an untouched sound; suggestions are (tag, probability, above threshold)."""
    top = [
        Suggestion(tag=tag, probability=probability, above_threshold=above)
        for tag, probability, above in suggestions
    ]
    sound = Sound(**{"title": "x", "source": "test"} | metadata)
    payload = Predicted(model=V1, top=tuple(top), sound=sound)
    return facts_of(fold([new_event(payload, "freesound:1", "job", now=NOON)]))


@pytest.mark.parametrize(
    ("own", "agreement"),
    [
        ((), "no uploader tags"),
        (("Dog", "bark", "loud"), "same"),
        (("dog", "loud"), "some"),
        (("cat", "loud"), "none"),
    ],
)
def test_confident_suggestions_are_compared_with_the_uploaders_tags(own, agreement):
    suggestions = [("dog", 0.9, True), ("bark", 0.8, True), ("cat", 0.1, False)]
    assert facts(suggestions, tags=own).agreement == agreement


def test_without_a_confident_suggestion_nothing_agrees():
    assert facts([("dog", 0.2, False)], tags=("dog",)).agreement == "none"
    assert facts([], tags=("dog",)).agreement == "none"


def test_the_suggestion_nearest_to_a_half_is_the_uncertain_one():
    certain = facts([("dog", 0.98, True), ("bark", 0.01, False)])
    assert (certain.uncertain_tag, certain.uncertainty, certain.best) == ("dog", 400, 9800)
    doubtful = facts([("dog", 0.98, True), ("bark", 0.45, False)])
    assert (doubtful.uncertain_tag, doubtful.uncertainty) == ("bark", 9000)
    assert (facts().uncertain_tag, facts().uncertainty, facts().best) == ("", 0, None)


@pytest.mark.parametrize(
    ("created", "day"),
    [
        ("2020-02-29T23:59:59", date(2020, 2, 29)),
        ("2020-02-29", date(2020, 2, 29)),
        (" 2020-02-29 10:00", date(2020, 2, 29)),
        *((text, NOON.date()) for text in ("", "2021-02-29", "yesterday", "2020-02-299", "29.2.")),
        *((text, NOON.date()) for text in ("0000-01-01", "٢٠٢٠-٠٢-٣٣")),
    ],
)
def test_the_day_is_that_of_the_recording_else_of_the_arrival(created, day):
    assert facts(created=created).day == day_number(day)


def test_parts_of_a_recording_are_recognised_by_their_numbering_or_their_pack():
    def recording(title, author="ada", pack=""):
        return facts(title=title, author=author, pack=pack).recording

    assert recording("Rain 1.wav") == recording("rain_02.WAV") == recording("Rain.ogg")
    assert recording("Rain 1.wav") != recording("Train 1.wav")
    assert recording("Rain 1.wav") != recording("Rain 1.wav", author="bob")
    assert recording("a", pack="Walk") == recording("b", pack="Walk")
    assert recording("a", pack="Walk") != recording("b", pack="Talk")
    assert recording("0001.wav") != recording("0002.wav")
    assert recording("") == recording("")


def test_an_imported_sound_has_facts_too():
    imported = new_event(Imported(tags=("dog",)), "freesound:1", "import", now=NOON)
    state = fold([imported])
    assert facts_of(state).agreement == "no uploader tags"
    assert facts_of(state).run == facts_of(state).uploader == ""
    done = confirm(state, ["dog"], "ada")
    assert facts_of(fold([imported, done])).review_state == "reviewed"
