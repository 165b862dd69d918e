import logging
import sqlite3
import threading
from contextlib import closing

import pytest
import sqlalchemy as sql

from core.sqlite import Database, DatabaseError, open_database

METADATA = sql.MetaData()
NOTES = sql.Table("notes", METADATA, sql.Column("text", sql.Text, nullable=False))


def add_table(connection):
    METADATA.create_all(connection)


def add_column(connection):
    connection.exec_driver_sql("ALTER TABLE notes ADD COLUMN author TEXT")


def fail(connection):
    add_column(connection)
    raise sql.exc.OperationalError("ALTER TABLE", {}, sqlite3.OperationalError("disk full"))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "folder" / "notes.sqlite"


def columns(path):
    with closing(sqlite3.connect(path)) as connection:
        return [row[1] for row in connection.execute("PRAGMA table_info(notes)")]


def versions(path):
    with closing(sqlite3.connect(path)) as connection:
        return dict(connection.execute("SELECT component, version FROM schema_versions"))


def test_each_migration_runs_once_and_in_order(path, caplog):
    caplog.set_level(logging.INFO)
    Database(path).migrate("notes", [add_table])
    assert versions(path) == {"notes": 1}
    assert caplog.text == ""
    for _ in range(2):
        Database(path).migrate("notes", [add_table, add_column])
    assert columns(path) == ["text", "author"]
    assert versions(path) == {"notes": 2}
    assert caplog.text.count("component=notes from=1 to=2") == 1


def test_a_migration_that_fails_changes_nothing(path):
    Database(path).migrate("notes", [add_table])
    with pytest.raises(DatabaseError, match=r"disk full\); move it away or restore it\.$"):
        Database(path).migrate("notes", [add_table, fail])
    assert columns(path) == ["text"]
    assert versions(path) == {"notes": 1}


def test_components_in_one_file_have_versions_of_their_own(path):
    database = Database(path)
    database.migrate("notes", [add_table, add_column])
    database.migrate("other", [lambda connection: None])
    assert versions(path) == {"notes": 2, "other": 1}


def test_a_newer_schema_version_is_refused_with_a_sentence(path):
    Database(path).migrate("notes", [add_table, add_column])
    newer = r"notes\.sqlite was written by a newer Earmark; please update this one\.$"
    with pytest.raises(DatabaseError, match=newer):
        Database(path).migrate("notes", [add_table])
    assert columns(path) == ["text", "author"]


def test_tables_from_before_numbered_migrations_are_accepted(path):
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE notes (text TEXT NOT NULL)")
        connection.execute("INSERT INTO notes VALUES ('kept')")
    database = open_database(path, "notes", METADATA)
    with database.reading() as connection:
        assert connection.execute(sql.select(NOTES.c.text)).scalars().all() == ["kept"]
    assert versions(path) == {"notes": 1}


def test_a_file_that_is_no_database_is_an_error(path):
    path.parent.mkdir()
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(DatabaseError, match="is not a readable Earmark database"):
        open_database(path, "notes", METADATA)


def test_a_folder_that_cannot_be_created_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DatabaseError, match="cannot be created"):
        Database(tmp_path / "file" / "folder" / "notes.sqlite")


def test_a_transaction_is_kept_whole_or_not_at_all(path):
    database = open_database(path, "notes", METADATA)

    def write_and_fail():
        with database.writing() as connection:
            connection.execute(NOTES.insert(), [{"text": "lost"}])
            connection.execute(NOTES.insert(), [{"text": None}])

    with pytest.raises(DatabaseError, match=r"cannot be written .*; nothing was saved\.$"):
        write_and_fail()
    with database.reading() as connection:
        assert connection.execute(sql.select(NOTES)).all() == []


def test_readers_do_not_wait_for_a_writer(path):
    database = open_database(path, "notes", METADATA)
    read = threading.Event()

    def read_all():
        with database.reading() as connection:
            assert connection.execute(sql.select(NOTES)).all() == []
        read.set()

    with database.writing() as connection:
        connection.execute(NOTES.insert(), [{"text": "not committed"}])
        thread = threading.Thread(target=read_all)
        thread.start()
        assert read.wait(10)
    thread.join()


def test_a_table_that_was_taken_away_is_an_error_with_a_sentence(path):
    database = open_database(path, "notes", METADATA)
    with database.writing() as connection:
        connection.exec_driver_sql("DROP TABLE notes")

    def read_all():
        with database.reading() as connection:
            connection.execute(sql.select(NOTES))

    with pytest.raises(DatabaseError, match=r"notes\.sqlite cannot be read \(no such table"):
        read_all()
