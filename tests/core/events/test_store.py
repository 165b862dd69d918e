"""The event log in SQLite: migrations, and that pages' queries use an index."""

import sqlite3
from contextlib import closing, contextmanager
from typing import get_args

import pytest
import sqlalchemy as sql

from core.events import store as store_module
from core.events.fold import confirm, fold
from core.events.query import Order, Query
from core.events.sounds import SoundIndex
from core.events.store import EventStore
from core.events.types import Media, RolledOut, Withdrawn, new_event
from core.sqlite import Database, DatabaseError
from core.storage.purges import Purges
from tests.helpers.events import V1, predicted

NAMES = [f"{number:064x}.ogg" for number in range(4)]

VERSION_3 = ("positions", "columns", "tag_lists", "counters", "codes", "rarities", "fill")
VERSION_4 = ("feedback_counts", "feedback_fill")
DROP_VERSION_3 = "DROP INDEX threshold_changes; " + " ".join(
    f"DROP TABLE {table};" for table in (*VERSION_4, *VERSION_3, "sound_text")
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "index.sqlite"


def run_sql(path, script):
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(script)


def read_rows(path, query):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


# ---- migrations


@pytest.mark.parametrize("user_version", [0, 1])
def test_an_index_from_before_numbered_migrations_is_migrated(path, user_version):
    store = EventStore(Database(path))
    events = [predicted(number, media=Media(audio=NAMES[number])) for number in (1, 2)]
    gone = new_event(Withdrawn(reason="gone"), "freesound:2", "ada", base=events[1])
    store.append([*events, gone, predicted(3)])
    expected = sorted(read_rows(path, "SELECT * FROM sound_media"))
    run_sql(path, "DROP TABLE sound_media; DROP TABLE schema_versions")
    run_sql(path, f"{DROP_VERSION_3} PRAGMA user_version = {user_version}")
    migrated = EventStore(Database(path))
    assert sorted(read_rows(path, "SELECT * FROM sound_media")) == expected
    assert expected == [(NAMES[1], "freesound:1"), (NAMES[2], "freesound:2")]
    assert read_rows(path, "PRAGMA user_version") == [(2,)]
    assert [event.to_json() for event in migrated.all()] == [e.to_json() for e in store.all()]


@pytest.mark.parametrize(
    "script",
    [
        "PRAGMA user_version = 999",
        "UPDATE schema_versions SET version = 999 WHERE component = 'events'",
    ],
)
def test_an_index_of_a_newer_earmark_is_refused(path, script):
    EventStore(Database(path))
    run_sql(path, script)
    with pytest.raises(DatabaseError, match=r"written by a newer Earmark; please update this"):
        EventStore(Database(path))


def of_version_2(path, sounds=9):
    """Make a log as a workspace of schema version 2 has it; returns what queries answer."""
    database = Database(path)
    store, index = EventStore(database), SoundIndex(database)
    events = [predicted(number, *(["dog"] if number % 3 else [])) for number in range(1, sounds)]
    gone = new_event(Withdrawn(reason="gone"), "freesound:2", "ada", base=events[1])
    reviews = [confirm(fold([event]), ["dog", "howl"], "ada") for event in events[4:6]]
    store.append([*events, gone, *reviews])
    expected = answers(index)
    database.close()
    run_sql(path, f"{DROP_VERSION_3} UPDATE schema_versions SET version = 2")
    return expected


def answers(index):
    found = index.page(Query(text="sound"), size=100)
    facets = index.facets(Query()), index.facets(Query("reviewed", "howl"))
    return index.counts(), index.tag_counts(), index.verdict_counts(), found, facets


def test_sounds_of_an_earlier_version_can_be_filtered_counted_and_searched(path, caplog):
    expected = of_version_2(path)
    with caplog.at_level("INFO"):
        database = Database(path)
        EventStore(database)
    assert answers(SoundIndex(database)) == expected
    assert "events=0 of=11" in caplog.text


def test_a_migration_that_was_interrupted_anywhere_goes_on_later(path, monkeypatch):
    monkeypatch.setattr(store_module, "FILL_SIZE", 3)
    expected = of_version_2(path)
    interruptions = 0
    for patience in range(30, 400, 25):
        database = Database(path)
        left = iter(range(patience))

        def interrupt(*_arguments, left=left):
            if next(left, None) is None:
                raise KeyboardInterrupt

        sql.event.listen(database.engine, "before_cursor_execute", interrupt)
        try:
            EventStore(database)
        except KeyboardInterrupt:
            interruptions += 1
        database.close()
    assert interruptions > 2
    database = Database(path)
    EventStore(database)
    assert answers(SoundIndex(database)) == expected
    assert read_rows(path, "SELECT * FROM fill") == []


# ---- plans of queries


@contextmanager
def recorded_statements(database):
    """Collect the statements that are executed meanwhile, with their parameters."""
    statements = []

    def record(_connection, _cursor, statement, parameters, _context, _many):
        if statement.startswith(("SELECT", "WITH")):
            statements.append((statement, parameters))

    sql.event.listen(database.engine, "before_cursor_execute", record)
    try:
        yield statements
    finally:
        sql.event.remove(database.engine, "before_cursor_execute", record)


def plans(database, work):
    """Return SQLite's plans of all queries that some work makes, one step a line."""
    with recorded_statements(database) as statements:
        work()
    assert statements
    with closing(sqlite3.connect(database.path)) as connection:
        return [
            row[3]
            for statement, parameters in statements
            for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
        ]


@pytest.fixture
def database(path):
    """An event log with some sounds, two of them withdrawn."""
    database = Database(path)
    events = [predicted(number, media=Media(audio=NAMES[number % 4])) for number in range(1, 30)]
    gone = [
        new_event(Withdrawn(reason="gone"), event.sound_id, "ada", base=event)
        for event in events[:2]
    ]
    rollout = new_event(RolledOut(model=V1, reason="first"), None, "ada")
    EventStore(database).append([*events, *gone, rollout])
    return database


def test_media_names_are_looked_up_by_index(database):
    index = SoundIndex(database)
    steps = plans(database, lambda: index.shown_by_others(NAMES, "freesound:1"))
    assert any(step.startswith("SEARCH sound_media USING PRIMARY KEY") for step in steps)
    assert not any("SCAN" in step or "events" in step for step in steps)


def test_media_that_another_sound_in_view_names_are_known(database):
    index = SoundIndex(database)
    assert index.shown_by_others(NAMES, "freesound:1") == set(NAMES)
    assert index.shown_by_others([], "freesound:1") == set()
    only = f"{99:064x}.ogg"
    events = [predicted(number, media=Media(audio=only)) for number in (101, 102)]
    gone = new_event(Withdrawn(reason="gone"), "freesound:102", "ada", base=events[1])
    EventStore(database).append([*events, gone])
    assert index.shown_by_others([only], "freesound:101") == set()
    assert index.shown_by_others([only], "freesound:102") == {only}


def test_what_a_page_or_a_sync_round_asks_reads_no_whole_log(database):
    store, index, purges = EventStore(database), SoundIndex(database), Purges(database)

    def ask():
        store.rollouts(1)
        store.threshold_changes()
        store.of_sound("freesound:1")
        index.get("freesound:1")
        index.tagged(["freesound:1"], V1)
        index.added_tags()
        index.tag_counts()
        index.counts()
        index.with_tag("dog")
        for query in (Query(), Query("reviewed", "dog", text="sound 7")):
            index.facets(query)
            for order in get_args(Order):
                page = index.page(query, order=order, size=3)
                index.page(query, order=order, cursor=page.next or "", size=3)
        assert sorted(purges.pending("local")) == ["freesound:1", "freesound:2"]
        purges.last_event("freesound:1")

    steps = plans(database, ask)
    small = (
        "USING INDEX rollouts",
        "USING INDEX threshold_changes",
        "SCAN rarities",
        "SCAN sound_text VIRTUAL TABLE INDEX",
    )
    scans = [step for step in steps if step.startswith("SCAN")]
    large = ("events", "sounds", "positions", "sound_tags", "decisions", "columns", "tag_lists")
    large += ("sound_text", "counters", "codes")
    scans = [step for step in scans if not any(name in step for name in small)]
    assert not any(name in step for step in scans for name in large), scans


def test_a_save_reads_and_writes_what_the_sound_has_and_no_table_whole(database):
    store, index = EventStore(database), SoundIndex(database)
    event = confirm(index.get("freesound:9"), ["dog", "howl"], "ada")
    steps = plans(database, lambda: store.append([event]))
    scans = [step for step in steps if step.startswith("SCAN")]
    by_rowid = "SCAN sound_text VIRTUAL TABLE INDEX 0:="
    of_one_row = ("SCAN rarities", "SCAN feedback_fill")
    assert not [step for step in scans if not step.startswith(of_one_row) and step != by_rowid]


def test_the_number_of_statements_of_a_page_does_not_depend_on_its_size(database):
    index = SoundIndex(database)
    numbers = set()
    for size in (1, 10, 20):
        with recorded_statements(database) as statements:
            index.page(Query("to review", "dog"), size=size)
        numbers.add(len(statements))
    assert len(numbers) == 1


# ---- purges


def test_a_purge_counts_until_a_new_event_of_the_sound_arrives(database):
    store, purges = EventStore(database), Purges(database)
    last = purges.last_event("freesound:1")
    purges.note("freesound:1", "local", last)
    assert purges.pending("local") == ["freesound:2"]
    assert sorted(purges.pending("shared")) == ["freesound:1", "freesound:2"]
    purges.note("freesound:1", "shared", last)
    assert purges.pending("shared") == ["freesound:2"]
    store.append([predicted(1, "dog")])
    assert sorted(purges.pending("local")) == ["freesound:1", "freesound:2"]
    assert purges.last_event("freesound:1") > last
    assert purges.last_event("freesound:9999") == 0


def test_a_purge_of_the_shared_folder_covers_this_machine_too(database):
    purges = Purges(database)
    purges.note("freesound:2", "shared", purges.last_event("freesound:2"))
    assert purges.pending("local") == ["freesound:1"]
