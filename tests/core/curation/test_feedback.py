"""Feedback on suggestions from kept numbers: worked examples over small workspaces."""

from datetime import UTC, datetime, timedelta

import pytest

from core.curation.feedback import OwnTags, Replacement, Verdicts, open_feedback
from core.curation.reviews import ReviewLog
from core.curation.taught import taught
from core.events.fold import confirm, fold
from core.events.types import Predicted, Published, Sound, Suggestion, new_event
from core.sqlite import Database
from core.storage.local import open_local_workspace
from tests.helpers.events import V1, V2

FIRST = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.fixture
def workspace(tmp_path):
    return open_local_workspace(tmp_path / "workspace")


@pytest.fixture
def feedback(workspace):
    return open_feedback(workspace)


def add(workspace, number, suggested, given, *, model=V1, days=0, published=False, own=()):
    """Add a sound with suggestions above their thresholds, and what a person made of them."""
    top = tuple(Suggestion(tag=tag, probability=0.9, above_threshold=True) for tag in suggested)
    sound = Sound(title="a sound", source="test", tags=tuple(own))
    now = FIRST + timedelta(days=days)
    payload = Predicted(model=model, top=top, sound=sound)
    shown = new_event(payload, f"freesound:{number}", "job", now=now)
    events = [shown]
    if given is not None:
        decisions = confirm(fold([shown]), given, "ada").payload
        verdict = Published(decisions=decisions.decisions, basis=shown.event_id)
        person = "freesound:7" if published else "ada"
        payload = verdict if published else decisions
        events.append(new_event(payload, shown.sound_id, person, base=shown, now=now))
    workspace.events.append(events)


def test_verdicts_are_counted_by_tag_person_version_and_month(workspace, feedback):
    add(workspace, 1, ["dog", "bark"], ["dog"])
    add(workspace, 2, ["dog"], ["dog", "howl"], model=V2, days=1)
    add(workspace, 3, ["dog"], [], published=True)
    assert feedback.by_tag("curator") == {
        "dog": Verdicts(kept=2),
        "bark": Verdicts(removed=1),
        "howl": Verdicts(added=1),
    }
    assert feedback.by_tag("curator", "cnn v2") == {
        "dog": Verdicts(kept=1),
        "howl": Verdicts(added=1),
    }
    assert feedback.by_tag("curator", since="2026-02")["dog"] == Verdicts(kept=1)
    assert feedback.by_tag("uploader") == {"dog": Verdicts(removed=1)}
    assert feedback.over_time("curator") == {
        "2026-01": Verdicts(kept=1, removed=1),
        "2026-02": Verdicts(kept=1, added=1),
    }
    assert list(feedback.over_time("curator", tag="bark")) == ["2026-01"]
    assert list(feedback.by_day("curator")) == ["2026-01-31", "2026-02-01"]
    share = feedback.by_tag("curator")["dog"].accepted
    assert (share.part, share.n) == (2, 2)


def test_versions_come_with_what_they_suggested_and_what_became_of_it(workspace, feedback):
    add(workspace, 1, ["dog", "bark"], ["dog"])
    add(workspace, 2, [], None)
    add(workspace, 3, ["dog"], ["cat"], model=V2, days=1)
    new, old = feedback.versions("curator")
    assert (new.model, new.since, new.sounds, new.suggested) == ("cnn v2", "2026-02-01", 1, 1)
    assert new.verdicts == Verdicts(removed=1, added=1)
    assert (old.model, old.sounds, old.suggested, old.without) == ("cnn v1", 2, 2, 1)
    assert (old.best_five.part, old.best_five.n, old.best_five.clusters) == (1, 2, 1)
    assert feedback.best_five("curator").n == 3
    assert feedback.best_five("uploader").value is None


def test_replacements_come_most_frequent_first(workspace, feedback):
    for number, given in enumerate((["wolf"], ["wolf"], ["fox"]), start=1):
        add(workspace, number, ["dog"], given)
    assert feedback.replacements("curator") == [
        Replacement("dog", "wolf", 2),
        Replacement("dog", "fox", 1),
    ]
    assert feedback.replacements("curator", limit=1) == [Replacement("dog", "wolf", 2)]


def test_added_tags_that_the_model_lacks_come_most_frequent_first(workspace, feedback):
    for number, given in enumerate((["wolf"], ["wolf", "fox"], ["bark"]), start=1):
        add(workspace, number, ["dog"], given)
    assert feedback.unknown_tags(["dog", "bark"], "curator") == [("wolf", 2), ("fox", 1)]


def test_agreement_with_own_tags_leaves_out_what_the_model_cannot_know(workspace, feedback):
    add(workspace, 1, ["dog", "bark"], None, own=["Dog", "rain", "my-garden"])
    add(workspace, 2, ["rain"], None, own=["rain"])
    add(workspace, 3, ["rain"], ["rain"], own=["rain"], published=True)
    sounds, total, by_tag = feedback.own_tags("cnn v1", ["dog", "bark", "rain"])
    assert (sounds, total) == (2, OwnTags(both=2, suggested=1, given=1))
    assert by_tag["rain"] == OwnTags(both=1, given=1)
    assert (total.precision.value, total.recall.value) == (2 / 3, 2 / 3)
    assert "my-garden" not in by_tag


def test_what_nobody_said_has_no_share_of_own_tags():
    assert OwnTags(given=1).precision.value is None
    assert OwnTags(suggested=1).recall.value is None
    assert OwnTags(suggested=1).precision.value == 0.0


@pytest.mark.parametrize(
    ("description", "learned", "from_all"),
    [
        ({}, 0, 0),
        ({"corrections": {"decisions": 9, "sounds": 4}}, None, 9),
        ({"trained": {"corrections": {"decisions": 9, "by_actor": {"ada": 5, "bob": 4}}}}, 5, 9),
        ({"trained": {"corrections": {"decisions": 4, "by_actor": {"bob": 4}}}}, 0, 4),
        ({"trained": {"corrections": {"decisions": "x", "by_actor": {"ada": "x"}}}}, 0, 0),
    ],
)
def test_a_version_says_how_much_it_learned_from_a_person(
    workspace, description, learned, from_all
):
    reviews = ReviewLog(Database(workspace.folder / "index.sqlite"))
    add(workspace, 1, ["dog"], ["wolf"])
    work = taught(reviews, "ada", description)
    assert (work.corrections, work.learned, work.from_all) == (2, learned, from_all)
