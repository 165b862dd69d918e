"""One file or folder that cannot be read holds up nothing, and is reported by its name."""

import hashlib
import json
import logging
import time
from datetime import UTC, datetime

import pytest

from core.storage.errors import StorageError
from core.storage.hopsworks import passed_by, segments
from core.storage.hopsworks.errors import Unavailable
from core.storage.runs import Run, run_to_json
from tests.helpers.events import V1, predicted
from tests.helpers.shared_workspace import EVENTS, SHARED_FOLDER, compact, put_event_file

WHOLE = segments.encode("events", [predicted(9).to_json()])
HEADER, _, BODY = WHOLE.partition(b"\n")
TODAY = datetime.now(UTC).strftime("%Y-%m-%d")
FILE = segments.new_name()


def with_right_hash(body):
    header = json.loads(HEADER) | {"sha256": hashlib.sha256(body).hexdigest()}
    return json.dumps(header).encode() + b"\n" + body


FILES = {
    "no JSON": (f"events/{TODAY}/{FILE}", b"{not json\n{}\n"),
    "bad line": (f"events/{TODAY}/{FILE}", segments.encode("events", ["{not json"])),
    "no event": (f"events/{TODAY}/{FILE}", segments.encode("events", ['{"kind": 7}', "[]"])),
    "not UTF-8": (
        f"events/{TODAY}/{FILE}",
        with_right_hash(BODY.replace(b"sound 9", b"so\xffnd 9")),
    ),
    "UTF-16": (f"events/{TODAY}/{FILE}", "\n".join(["{}", "{}"]).encode("utf-16")),
    "changed": (f"events/{TODAY}/{FILE}", WHOLE.replace(b"dog", b"cat")),
    "another kind": (f"events/{TODAY}/{FILE}", segments.encode("segment", ["[]"])),
    "more lines": (f"events/{TODAY}/{FILE}", with_right_hash(BODY * 2)),
    "enormous": (f"events/{TODAY}/{FILE}", b"x" * (segments.MAX_READ_BYTES + 1)),
    "a folder": (f"events/{TODAY}/{FILE}/inside", b"x"),
    "name of a foreign file": (f"events/{TODAY}/notes – été %2F.txt", WHOLE),
    "name that turns text": (f"events/{TODAY}/\u202egnp.\x07jsonl", WHOLE),
    "no day": (f"events/2026-99-99/{FILE}", WHOLE),
    "no date": (f"events/archive/{FILE}", WHOLE),
    "Arabic digits": (f"events/٢٠٢٦-١١-٢٠/{FILE}", WHOLE),
    "a file as a day": ("events/2026-11-20", b"x"),
    "a folder as a segment": (f"segments/{FILE}/inside", b"x"),
    "a segment of nothing": (f"segments/{FILE}", segments.encode("segment", ["no list"])),
    "a run that is none": ("runs/20261122T100000000000Z_r9_finished.json", b"[]"),
    "a folder as a run": ("runs/20261122T100000000000Z_r9_finished.json/inside", b"x"),
}


@pytest.mark.parametrize("name", sorted(FILES))
def test_all_else_is_taken_over_and_the_file_is_named(server, shared, name, caplog):
    path, data = FILES[name]
    put_event_file(server, predicted(1), day="2026-11-19")
    put_event_file(server, predicted(2), day="2026-11-21")
    put_event_file(server, predicted(3))
    run = Run("r1", "2026-11-22T10:00:00.000000Z", "freesound", V1, "earmark", state="finished")
    runs = f"{SHARED_FOLDER}/runs/20261122T100000000000Z_r1_finished.json"
    server.store.put(runs, run_to_json(run).encode())
    server.store.put(f"{SHARED_FOLDER}/{path}", data)
    caplog.set_level(logging.WARNING)
    ada = shared("ada")
    assert ada.sync.pull() == 3
    assert [run.run_id for run in ada.runs.latest()] == ["r1"]
    assert ada.sync.status().last_contact
    problem = ada.sync.status().problem
    assert problem.isprintable()
    assert shown_part(path.removesuffix("/inside")) in problem
    put_event_file(server, predicted(4))
    assert ada.sync.refresh() == 1
    assert ada.sync.pull(everything=True) == 0
    assert compact(ada, 1) >= 4
    assert caplog.text.count("shared file passed by path=") <= 1
    server.store.remove(SHARED_FOLDER)


def shown_part(path):
    """Return what of a path is printed in any case."""
    for folder in ("2026-99-99", "archive", "٢٠٢٦-١١-٢٠"):
        if folder in path:
            return f"events/{folder}"
    return path.replace("\u202e", " ").replace("\x07", " ")


def test_a_file_that_the_server_cannot_give_holds_up_no_other(server, shared):
    bad = put_event_file(server, predicted(1))
    put_event_file(server, predicted(2))
    server.fail(bad.rpartition("/")[2], None, status=500)
    ada = shared("ada")
    assert ada.sync.pull() == 1
    assert bad in ada.sync.status().problem
    assert "(HTTP 500)" in ada.sync.status().problem
    server.heal()
    assert ada.sync.pull(everything=True) == 1
    assert ada.sync.status().problem == ""


def test_a_folder_that_the_server_cannot_list_holds_up_no_other(server, shared):
    put_event_file(server, predicted(1), day="2026-11-19")
    put_event_file(server, predicted(2), day="2026-11-20")
    server.fail("events/2026-11-19", None, status=403, code=110050)
    ada = shared("ada")
    assert ada.sync.pull() == 1
    assert "events/2026-11-19" in ada.sync.status().problem
    server.heal()
    assert ada.sync.pull(everything=True) == 1
    assert ada.sync.status().problem == ""


def test_while_nothing_can_be_read_nothing_is_passed_by(server, shared):
    put_event_file(server, predicted(1))
    ada = shared("ada")
    ada.sync.pull()
    path = put_event_file(server, predicted(2))
    server.fail(path.rpartition("/")[2], None, status=503)
    server.after = lambda request: "with_auth" in request.path and server.fail("", None, status=503)
    with pytest.raises(Unavailable):
        ada.sync.pull()
    server.after = lambda request: None
    server.heal()
    assert ada.sync.pull() == 1
    assert ada.sync.status().problem == ""


def test_what_was_put_right_is_read_and_what_was_removed_is_forgotten(server, shared):
    path = put_event_file(server, data=b"{no header\n")
    server.store.put(f"{EVENTS}/2026-99-99/x", b"")
    ada = shared("ada")
    ada.sync.pull()
    assert "2 files or folders" in ada.sync.status().problem
    server.store.put(f"{SHARED_FOLDER}/{path}", WHOLE)
    server.store.remove(f"{EVENTS}/2026-99-99")
    assert ada.sync.pull() == 1
    assert ada.sync.status().problem == ""


def test_a_file_that_stays_bad_is_read_less_and_less_often(server, shared, monkeypatch):
    path = put_event_file(server, data=b"{no header\n")
    ada, now = shared("ada"), [time.time()]
    monkeypatch.setattr(passed_by.time, "time", lambda: now[0])
    for _ in range(120):  # an hour
        ada.sync.refresh()
        now[0] += 30
    name = path.rpartition("/")[2]
    assert sum(name in request.path for request in server.requests) < 25
    server.store.put(f"{SHARED_FOLDER}/{path}", WHOLE)
    now[0] += passed_by.MAX_RETRY_INTERVAL_S
    assert ada.sync.pull() == 1


def test_one_event_that_contradicts_another_costs_no_other_of_its_file(server, shared):
    event = predicted(1)
    put_event_file(server, event)
    ada = shared("ada")
    ada.sync.pull()
    forged = event.model_copy(update={"actor": "mallory"})
    path = put_event_file(server, predicted(2), forged, predicted(3))
    assert ada.sync.pull() == 2
    assert path in ada.sync.status().problem
    assert [event.actor for event in ada.events.of_sound("freesound:1")] == ["job"]


def test_a_thousand_bad_files_are_counted_and_a_few_named(server, shared):
    for _ in range(30):
        put_event_file(server, data=b"{no header\n")
    ada = shared("ada")
    assert ada.sync.pull() == 0
    problem = ada.sync.status().problem
    assert problem.startswith("30 files or folders of the shared workspace cannot be read")
    assert problem.endswith("and 27 more.")


def test_a_foreign_file_among_the_media_hides_no_sound(server, shared):
    ada, ben = shared("ada"), shared("ben")
    name = ada.media.put(b"OggS" * 10, "ogg")
    ada.sync.wait_until_synced()
    server.store.put(f"{SHARED_FOLDER}/media/20261122T100000000000Z_r1", b"a file")
    server.store.put(f"{SHARED_FOLDER}/media/aaa/{'0' * 64}.ogg/inside", b"x")
    assert ben.media.path(name) is not None
    assert ben.media.path(f"{'0' * 64}.ogg") is None
    ada.sync.maintain(keep_runs=1)


def test_a_shared_folder_that_is_a_file_is_one_sentence(server, shared):
    server.store.put(EVENTS, b"a file")
    with pytest.raises(StorageError, match=r"has a file there, not a folder\.$"):
        shared("ada").sync.pull()


def test_what_an_older_version_knew_of_incomplete_files_is_kept(shared, run_sql):
    ada = shared("ada")
    run_sql(ada, "DROP TABLE torn")
    run_sql(ada, "CREATE TABLE torn (path TEXT PRIMARY KEY, since FLOAT NOT NULL)")
    run_sql(ada, "INSERT INTO torn VALUES ('events/2026-11-20/half.jsonl', 1e9)")
    run_sql(ada, "UPDATE schema_versions SET version = 2 WHERE component = 'sync_state'")
    problem = shared("ada").sync.status().problem
    assert "events/2026-11-20/half.jsonl (it is incomplete)" in problem
