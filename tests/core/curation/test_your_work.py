"""A person's own work."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from core.curation.your_work import LearnedVersion, learned_versions, your_work
from core.events.fold import undo
from core.events.types import RolledOut, new_event
from core.model import bundle as bundles
from tests.helpers.events import V1, V2, predicted, reviewed

MORNING = datetime(2026, 11, 26, tzinfo=UTC)


@pytest.fixture
def review_at(workspace):
    """Adds a sound and a review of it at a time."""

    def review_at(number, time, tags, actor="ada"):
        first = predicted(number, "dog", "bark").model_copy(
            update={"time": MORNING - timedelta(days=30)}
        )
        event = reviewed([first], tags, actor).model_copy(update={"time": time})
        workspace.events.append([first, event])
        return event

    return review_at


def test_work_is_counted_by_person_and_day(curation, review_at):
    review_at(1, MORNING - timedelta(seconds=1), ["dog"])
    review_at(2, MORNING, ["dog", "howl"])
    review_at(3, MORNING + timedelta(hours=3), ["wolf"])
    review_at(4, MORNING + timedelta(hours=3), ["wolf"], "bob")
    work = your_work(curation.reviews, "ada", MORNING, ())
    assert (work.today, work.reviews) == (2, 3)
    assert work.corrections == 1 + 2 + 3
    assert (work.learned, work.waiting) == ((), 6)
    assert your_work(curation.reviews, "nobody", MORNING, ()).reviews == 0


def test_what_was_undone_does_not_count_and_what_was_done_again_does(
    workspace, curation, review_at
):
    event = review_at(1, MORNING, ["dog"])
    first = undo(workspace.sounds.get("freesound:1"), event.event_id, "bob")
    workspace.events.append([first])
    assert your_work(curation.reviews, "ada", MORNING, ()).reviews == 0
    workspace.events.append([undo(workspace.sounds.get("freesound:1"), first.event_id, "bob")])
    assert your_work(curation.reviews, "ada", MORNING, ()).corrections == 1


def test_corrections_are_in_the_first_version_that_learned_after_them(curation, review_at):
    versions = (LearnedVersion(V1, MORNING), LearnedVersion(V2, MORNING + timedelta(days=2)))
    for number, days in enumerate([-2, -1, 1, 3], start=1):
        review_at(number, MORNING + timedelta(days=days), ["dog"])
    work = your_work(curation.reviews, "ada", MORNING, versions)
    assert work.learned == ((V1, 2), (V2, 1))
    assert work.waiting == 1
    later = MORNING + timedelta(days=9)
    versions = (LearnedVersion(V1, MORNING - timedelta(days=9)), LearnedVersion(V2, later))
    assert your_work(curation.reviews, "ada", MORNING, versions).learned == ((V2, 4),)


def test_versions_that_learned_are_those_whose_bundle_says_so(workspace, tmp_path):
    models = []
    record = {
        "decisions": 7,
        "by_actor": {"ada": 5, "bob": 2},
        "last_event": {"time": "2026-11-20T10:00:00.000000Z", "event_id": "0" * 32},
    }
    for name, corrections in (("plain", None), ("old", {"decisions": 7}), ("taught", record)):
        folder = tmp_path / name
        bundles.copy(bundles.load(), folder)
        description = json.loads((folder / "model.json").read_text())
        if name == "old":  # where bundles of earlier versions have it
            description["corrections"] = corrections
        elif corrections:
            description["trained"]["corrections"] = corrections
        (folder / "model.json").write_text(json.dumps(description | {"name": name}))
        models.append(workspace.models.register(bundles.load(folder)))
    for model in (*models, models[2]):
        rollout = new_event(RolledOut(model=model, reason="better"), None, "ada")
        workspace.events.append([rollout])
    old, taught = learned_versions(workspace)
    rolled_out = {event.payload.model: event.time for event in workspace.events.rollouts()[1:]}
    assert old == LearnedVersion(models[1], rolled_out[models[1]])
    last = datetime(2026, 11, 20, 10, tzinfo=UTC)
    assert taught == LearnedVersion(models[2], last, {"ada": 5, "bob": 2})


def test_decisions_are_those_that_the_bundle_names_and_newer_corrections_wait(curation, review_at):
    for number, days in enumerate([-2, -1, 1, 3], start=1):
        review_at(number, MORNING + timedelta(days=days), ["dog"])
    versions = (LearnedVersion(V1, MORNING, {"ada": 7, "bob": 1}),)
    work = your_work(curation.reviews, "ada", MORNING, versions)
    assert (work.learned, work.waiting) == (((V1, 7),), 2)
    assert your_work(curation.reviews, "eve", MORNING, versions).learned == ()


def test_events_from_before_are_counted_when_the_tables_are_made(workspace, review_at):
    from core.curation.opening import open_curation

    review_at(1, MORNING, ["dog"])
    assert your_work(open_curation(workspace).reviews, "ada", MORNING, ()).reviews == 1
