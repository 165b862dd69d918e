"""What happens to a save when the database's file is removed, replaced or damaged meanwhile."""

import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from core.curation.opening import open_curation
from core.events.query import Query
from core.sqlite import DatabaseError
from core.storage.folder import DATABASE_NAME
from core.storage.local import open_local_workspace
from tests.helpers.events import predicted, reviewed

GONE = r"The workspace .* was removed or replaced while Earmark was running; .* restart Earmark\.$"


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "workspace"


@pytest.fixture
def workspace(folder):
    """A workspace with one sound, whose database is open."""
    workspace = open_local_workspace(folder)
    workspace.events.append([predicted(1)])
    return workspace


def event_count(folder):
    with closing(sqlite3.connect(folder / DATABASE_NAME)) as connection:
        return connection.execute("SELECT count(*) FROM events").fetchone()[0]


def remove(folder):
    shutil.rmtree(folder)


def remove_and_make_empty(folder):
    shutil.rmtree(folder)
    folder.mkdir()


def move(folder):
    folder.rename(folder.with_name("elsewhere"))


def remove_database(folder):
    (folder / DATABASE_NAME).unlink()


@pytest.mark.parametrize("lose", [remove, remove_and_make_empty, move, remove_database])
def test_a_save_into_a_workspace_that_is_gone_fails_and_makes_no_new_one(workspace, folder, lose):
    lose(folder)
    for _ in range(2):
        with pytest.raises(DatabaseError, match=GONE):
            workspace.events.append([predicted(2)])
        with pytest.raises(DatabaseError, match=GONE):
            workspace.sounds.counts()
        with pytest.raises(DatabaseError, match=GONE):
            open_curation(workspace)
    assert not (folder / DATABASE_NAME).exists()


@pytest.mark.parametrize("lose", [remove, move, remove_database])
def test_a_workspace_that_goes_during_the_save_is_an_error_too(workspace, folder, lose):
    database = workspace.events.database

    def save():
        with database.writing() as connection:
            workspace.events.add(connection, [predicted(2)])
            lose(folder)

    with pytest.raises(DatabaseError, match=GONE):
        save()


def test_changes_that_lose_their_file_of_changes_are_an_error(workspace, folder):
    event = predicted(2)
    (folder / f"{DATABASE_NAME}-wal").unlink()
    with pytest.raises(DatabaseError, match=GONE):
        workspace.events.append([event])
    workspace.events.append([event])
    assert {event.event_id for event in workspace.events.all()} >= {event.event_id}
    assert event_count(folder) == 2


def test_a_workspace_that_comes_back_is_used_again(workspace, folder):
    elsewhere = folder.with_name("elsewhere")
    folder.rename(elsewhere)
    with pytest.raises(DatabaseError, match=GONE):
        workspace.events.append([predicted(2)])
    elsewhere.rename(folder)
    workspace.events.append([predicted(2)])
    assert event_count(folder) == 2


def test_a_workspace_in_its_place_is_opened_and_brought_up_to_date(workspace, folder, tmp_path):
    other = open_local_workspace(tmp_path / "other")
    first = predicted(7)
    other.events.append([first])
    other.events.database.close()
    remove(folder)
    (tmp_path / "other").rename(folder)
    with closing(sqlite3.connect(folder / DATABASE_NAME)) as connection, connection:
        connection.execute("DROP TABLE notices")
        connection.execute("DELETE FROM schema_versions WHERE component = 'notices'")
    workspace.events.append([reviewed([first], ["howl"])])
    assert workspace.sounds.get("freesound:7").tags == ("howl",)
    assert workspace.sounds.page(Query(), size=10).total == 1
    assert workspace.notices.claim("run_failed", "r1")
    assert event_count(folder) == 2


def test_a_newer_workspace_in_its_place_is_refused_each_time(workspace, folder):
    copy = folder.with_name("copy")
    workspace.events.database.close()
    shutil.copytree(folder, copy)
    with closing(sqlite3.connect(copy / DATABASE_NAME)) as connection, connection:
        connection.execute("UPDATE schema_versions SET version = 99 WHERE component = 'runs'")
    remove(folder)
    copy.rename(folder)
    for _ in range(2):
        with pytest.raises(DatabaseError, match="written by a newer Earmark"):
            workspace.events.append([predicted(2)])
    assert event_count(folder) == 1


def overwrite(path, position, data):
    """Change bytes of a file that is open elsewhere."""
    with path.open("r+b") as file:
        file.seek(position)
        file.write(data)


def checkpoint(folder):
    """Bring all changes into the database's file itself, so that damage to it shows."""
    with closing(sqlite3.connect(folder / DATABASE_NAME)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def damage_schema(path):
    overwrite(path, 100, b"\xff" * 3000)


def damage_header(path):
    overwrite(path, 0, b"no database at all" * 10)


def damage_all_other_pages(path):
    overwrite(path, 4096, b"\xfa" * (path.stat().st_size - 4096))


def cut(path):
    with path.open("r+b") as file:
        file.truncate(5000)


def drop_tables(path):
    with closing(sqlite3.connect(path)) as connection, connection:
        for table in ("counters", "columns", "events"):
            connection.execute(f"DROP TABLE {table}")


@pytest.mark.parametrize(
    "damage", [damage_schema, damage_header, damage_all_other_pages, cut, drop_tables]
)
def test_every_read_and_save_of_a_damaged_database_is_one_sentence(workspace, folder, damage):
    checkpoint(folder)
    workspace.events.database.close()
    damage(folder / DATABASE_NAME)
    sentences = []
    for work in (
        workspace.sounds.counts,
        lambda: workspace.sounds.page(Query(), size=10),
        lambda: workspace.events.append([predicted(2)]),
    ):
        with pytest.raises(DatabaseError) as caught:
            work()
        sentences.append(str(caught.value))
    assert all(sentence.isprintable() and sentence.endswith(".") for sentence in sentences)


def test_tables_that_contradict_each_other_are_a_sentence(workspace, run_sql_in):
    run_sql_in("UPDATE sounds SET sound_id = 'x'")
    with pytest.raises(DatabaseError, match="contradict each other"):
        list(workspace.sounds.all())


@pytest.fixture
def run_sql_in(folder):
    """Run a statement in the workspace's database, past the program."""

    def execute(statement):
        with closing(sqlite3.connect(folder / DATABASE_NAME)) as connection, connection:
            connection.execute(statement)

    return execute


def test_a_workspace_that_takes_the_place_loses_nothing_to_the_one_that_was_there(
    workspace, folder, tmp_path
):
    """What another program has just saved is in its file of changes, whose name both share."""
    elsewhere = tmp_path / "elsewhere"
    folder.rename(elsewhere)
    other = open_local_workspace(folder)
    other.events.append([predicted(7)])
    changes = folder / f"{DATABASE_NAME}-wal"
    assert changes.stat().st_size > 0
    assert [event.sound_id for event in workspace.events.all()] == ["freesound:7"]
    assert changes.exists()
    other.events.append([predicted(8)])
    assert event_count(folder) == 2
    assert workspace.sounds.counts().sounds == 2


@pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc")
def test_a_file_that_is_refused_each_time_leaves_no_connection_open(workspace, folder):
    copy = folder.with_name("copy")
    checkpoint(folder)
    shutil.copytree(folder, copy)
    with closing(sqlite3.connect(copy / DATABASE_NAME)) as connection, connection:
        connection.execute("UPDATE schema_versions SET version = 99 WHERE component = 'runs'")
    remove(folder)
    copy.rename(folder)
    open_files = Path("/proc/self/fd")
    for attempt in range(30):
        with pytest.raises(DatabaseError):
            workspace.sounds.counts()
        if attempt == 5:
            before = len(list(open_files.iterdir()))
    assert len(list(open_files.iterdir())) <= before
