"""The kept numbers of verdicts and predictions: what they say, and that they stay right."""

import sqlite3
import tempfile
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from core.events import feedback_counts
from core.events.feedback_counts import read_numbers
from core.events.feedback_facts import feedback_of
from core.events.fold import confirm, fold, save_changes, undo
from core.events.store import EventStore
from core.events.types import (
    Imported,
    Predicted,
    Published,
    Sound,
    Suggestion,
    Withdrawn,
    new_event,
)
from core.sqlite import Database
from tests.helpers.events import V1, V2, predicted
from tests.helpers.random_logs import batches_of_events

FEW = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "index.sqlite"


def kept(path):
    """Return all numbers that are not 0, by key."""
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT * FROM feedback_counts WHERE number != 0")
        return {tuple(row[:-1]): row[-1] for row in rows}


def counted(histories):
    """Return what the numbers should be: the sum over all sounds' histories."""
    total = sum((feedback_of(history) for history in histories), start=feedback_of([]))
    return {tuple(key): number for key, number in total.items()}


def prediction(number, top, *, own=(), model=V1):
    """Make a prediction of (tag, probability, reached its threshold), at noon."""
    payload = Predicted(
        model=model,
        top=tuple(Suggestion(tag=t, probability=p, above_threshold=a) for t, p, a in top),
        sound=Sound(title="a sound", source="test", tags=tuple(own)),
    )
    return new_event(payload, f"freesound:{number}", "job", now=NOON)


def numbers(history, kind):
    """Return what a sound adds to the numbers of one kind, without what is empty in the keys."""
    return {
        tuple(part for part in key[1:] if part): number
        for key, number in feedback_of(history).items()
        if key.kind == kind
    }


# ---- the numbers stay right


@FEW
@given(batches_of_events())
def test_numbers_kept_with_each_event_are_those_of_all_histories_and_of_a_rebuild(batches):
    """Also where events arrive in another order than they happened in."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "index.sqlite"
        store, histories = EventStore(Database(path)), {}
        for batch in batches[::-1]:
            store.append(batch)
            for event in batch:
                histories.setdefault(event.sound_id, []).append(event)
        incremental = kept(path)
        assert incremental == counted(histories.values())
        store.rebuild()
        assert kept(path) == incremental
        store.database.close()


def with_reviews(path, sounds=30):
    """Make a workspace file in which half of the sounds are reviewed; returns its numbers."""
    database = Database(path)
    events = [predicted(number) for number in range(1, sounds + 1)]
    reviews = [confirm(fold([event]), ["dog", "howl"], "ada") for event in events[::2]]
    EventStore(database).append([*events, *reviews])
    database.close()
    return kept(path)


def to_version_3(path):
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(
            "DROP TABLE feedback_counts; DROP TABLE feedback_fill; DROP INDEX threshold_changes;"
            "UPDATE schema_versions SET version = 3 WHERE component = 'events'"
        )


def test_a_workspace_of_an_earlier_version_is_counted(path):
    expected = with_reviews(path)
    to_version_3(path)
    EventStore(Database(path))
    assert kept(path) == expected


def test_counting_goes_on_after_an_interruption_and_counts_new_events_once(path, monkeypatch):
    monkeypatch.setattr(feedback_counts, "FILL_SIZE", 7)
    with_reviews(path)
    to_version_3(path)
    database = Database(path)
    with monkeypatch.context() as patched:
        patched.setattr("core.events.store._fill_feedback", lambda _database: None)
        store = EventStore(database)
    with database.writing() as connection:
        assert feedback_counts.fill_next(connection) == 23
    for number in (2, 20, 31):  # counted already, still to count, new
        history = store.of_sound(f"freesound:{number}") or [predicted(number)]
        store.append([*history, confirm(fold(history), ["bark"], "bob")])
    again = EventStore(database)
    histories = [again.of_sound(f"freesound:{number}") for number in range(1, 32)]
    assert kept(path) == counted(histories)
    assert len(histories) == 31


# ---- what they say


def test_a_publication_is_the_uploaders_verdict_and_a_review_a_curators():
    shown = prediction(1, [("dog", 0.9, True), ("bark", 0.8, True)])
    decisions = confirm(fold([shown]), ["dog"], "freesound:7").payload.decisions
    payload = Published(decisions=decisions, basis=shown.event_id, tags=("dog",))
    published = new_event(payload, shown.sound_id, "freesound:7", base=shown)
    review = confirm(fold([shown, published]), ["dog", "bark"], "ada")
    month = published.time.strftime("%Y-%m")
    assert numbers([shown, published, review], "verdict") == {
        ("uploader", "cnn v1", month, "dog", "kept"): 1,
        ("uploader", "cnn v1", month, "bark", "removed"): 1,
        ("curator", "cnn v1", month, "dog", "kept"): 1,
        ("curator", "cnn v1", month, "bark", "kept"): 1,
    }


def test_a_verdict_counts_for_the_model_that_the_person_was_shown():
    shown = prediction(1, [("dog", 0.9, True)])
    review = confirm(fold([shown]), ["dog"], "ada")
    later = prediction(1, [("cat", 0.9, True)], model=V2)
    again = save_changes(fold([shown, review, later]), ["howl"], "bob")
    found = numbers([shown, review, later, again], "verdict")
    assert {key[1:2] + key[3:] for key in found} == {
        ("cnn v1", "dog", "removed"),
        ("cnn v1", "howl", "added"),
    }


def test_what_was_undone_or_withdrawn_does_not_count():
    shown = prediction(1, [("dog", 0.9, True)])
    review = confirm(fold([shown]), ["cat"], "ada")
    undone = undo(fold([shown, review]), review.event_id, "ada")
    assert numbers([shown, review, undone], "verdict") == {}
    gone = new_event(Withdrawn(reason="gone"), shown.sound_id, "ada", base=review)
    assert not feedback_of([shown, review, gone])


def test_decisions_on_an_imports_tags_are_no_verdicts_on_a_model():
    shown = prediction(1, [("dog", 0.9, True)])
    imported = new_event(Imported(tags=("cat",)), shown.sound_id, "import", base=shown)
    review = confirm(fold([shown, imported]), ["cat"], "ada")
    assert numbers([shown, imported, review], "verdict") == {}


def test_a_removed_suggestion_and_a_tag_added_with_it_are_a_replacement():
    shown = prediction(1, [("dog", 0.9, True), ("bark", 0.8, True)])
    review = confirm(fold([shown]), ["wolf", "bark"], "ada")
    assert numbers([shown, review], "replaced") == {("curator", "cnn v1", "dog", "wolf"): 1}
    corrected = save_changes(fold([shown, review]), ["dog", "bark"], "bob")
    assert numbers([shown, review, corrected], "replaced") == {}


def test_scores_of_all_shown_suggestions_count_where_all_tags_were_judged():
    shown = prediction(1, [("dog", 0.902, True), ("bark", 0.304, False), ("rain", 0.1, False)])
    review = confirm(fold([shown]), ["dog", "bark"], "ada")
    assert numbers([shown, review], "score") == {
        ("curator", "cnn v1", "dog", "180 right"): 1,
        ("curator", "cnn v1", "bark", "060 right"): 1,
        ("curator", "cnn v1", "rain", "020 wrong"): 1,
    }
    changed = save_changes(fold([shown]), ["dog", "bark"], "ada")
    assert numbers([shown, changed], "score") == {("curator", "cnn v1", "bark", "060 right"): 1}


def test_precision_at_five_counts_the_five_best_tags_of_confirmed_sounds():
    top = [(tag, 0.9 - place / 10, place < 2) for place, tag in enumerate("abcdefg")]
    shown = prediction(1, top)
    review = confirm(fold([shown]), ["a", "c", "z"], "ada")
    found = numbers([shown, review], "best five")
    assert {key[-1]: number for key, number in found.items()} == {
        "sounds": 1,
        "shown": 5,
        "right": 2,
    }
    changed = save_changes(fold([shown]), ["a"], "ada")
    assert numbers([shown, changed], "best five") == {}


def test_the_uploaders_own_tags_are_compared_as_earmark_cleans_them():
    shown = prediction(
        1, [("field-recording", 0.9, True), ("dog", 0.8, True)], own=["Field Recording", "wolf"]
    )
    assert numbers([shown], "own tag") == {
        ("cnn v1", "field-recording", "both"): 1,
        ("cnn v1", "dog", "suggested"): 1,
        ("cnn v1", "wolf", "given"): 1,
    }


def test_a_prediction_counts_by_its_highest_probability_and_what_it_suggests():
    shown = prediction(1, [("dog", 0.93, True), ("bark", 0.3, False)])
    silent = prediction(2, [])
    assert numbers([shown], "probability") == {("cnn v1", "2026-11-22", "18"): 1}
    assert numbers([shown], "suggested") == {("cnn v1", "2026-11", "dog"): 1}
    assert numbers([shown], "suggestions") == {("cnn v1", "2026-11", "1"): 1}
    assert numbers([silent], "probability") == {("cnn v1", "2026-11-22", "none"): 1}


def test_numbers_are_added_up_by_the_fields_asked_for(path):
    database = Database(path)
    store = EventStore(database)
    shown = [prediction(1, [("dog", 0.9, True)]), prediction(2, [("dog", 0.9, True)], model=V2)]
    reviews = [
        confirm(fold([shown[0]]), ["dog"], "ada"),
        confirm(fold([shown[1]]), ["cat"], "ada"),
    ]
    store.append([*shown, *reviews])
    with database.reading() as connection:
        assert read_numbers(connection, "verdict", ["tag", "value"]) == {
            ("cat", "added"): 1,
            ("dog", "kept"): 1,
            ("dog", "removed"): 1,
        }
        by_tag = read_numbers(connection, "verdict", ["tag"], model="cnn v1", actor="curator")
        assert by_tag == {("dog",): 1}
        assert read_numbers(connection, "verdict", ["tag"], actor="uploader") == {}
        assert read_numbers(connection, "verdict of a day", ["value"], since="2100-01-01") == {}
