"""The shared event log, through the real client: several machines on one Hopsworks project."""

import json
import logging
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from core.events.types import RolledOut, ThresholdsSet, new_event
from core.storage.active_model import active_version
from core.storage.errors import StorageError
from core.storage.hopsworks import client, ephemeral, passed_by, segments
from core.storage.hopsworks.errors import Unavailable
from core.storage.local import open_local_workspace
from core.storage.runs import Run, run_to_json
from core.storage.tag_thresholds import changes_of, current_thresholds
from tests.helpers.events import V1, predicted, reviewed
from tests.helpers.shared_workspace import (
    EVENTS,
    SHARED_FOLDER,
    all_events,
    compact,
    open_shared,
    put_event_file,
)


def uploads(server):
    """Return the number of files that the double took."""
    return sum(r.status == 200 and "/upload/" in r.path for r in server.requests)


def days_ago(days):
    return (datetime.now(UTC) - timedelta(days=days)).strftime("%Y-%m-%d")


def as_newer_kind(event):
    """Return an event's line as a newer program might write it: of a kind nobody knows yet."""
    return event.to_json().replace('"predicted"', '"dreamt"')


# ---- push and pull


def test_what_one_machine_saves_the_others_see(shared):
    ada, ben = shared("ada"), shared("ben")
    first = predicted(1)
    ada.events.append([first])
    assert ada.sync.push() == 1
    assert ben.sync.pull() == 1
    change = reviewed([first], ["howl"])
    ben.events.append([change])
    ben.sync.push()
    ada.sync.pull()
    assert ada.events.of_sound("freesound:1") == [first, change]
    assert ben.events.of_sound("freesound:1") == [first, change]
    assert ada.sounds.get("freesound:1").tags == ("howl",)


def test_a_save_waits_until_it_has_been_read_back(server, shared):
    ada = shared("ada")
    server.fail("with_auth", None, status=503)
    event = predicted(1)
    ada.events.append([event])
    assert ada.sounds.get("freesound:1") is not None
    with pytest.raises(Unavailable, match=r"out of order just now \(HTTP 503\)"):
        ada.sync.push()
    assert ada.sync.waiting([event.event_id]) == {event.event_id}
    assert ada.sync.status().waiting == 1
    server.heal()
    assert ada.sync.push() == 1
    assert ada.sync.waiting([event.event_id]) == set()
    assert ada.sync.status().waiting == 0
    assert uploads(server) == 1


def test_what_waits_survives_a_restart_and_is_sent_once(server, shared):
    event = predicted(1)
    shared("ada").events.append([event])
    again = shared("ada")
    assert again.sync.waiting([event.event_id]) == {event.event_id}
    assert again.sync.push() == 1
    assert len(server.store.files(EVENTS)) == 1


@pytest.mark.parametrize("drop", ["before", "after"])
def test_a_lost_answer_leaves_no_doubt_and_no_double(server, shared, drop):
    ada, ben = shared("ada"), shared("ben")
    ada.sync.push()
    server.fail("/upload/", drop=drop)
    ada.events.append([predicted(1)])
    ada.sync.wait_until_synced()
    assert ben.sync.pull() == 1
    assert len(server.store.files(EVENTS)) == 1


def test_a_file_that_hopsworks_does_not_take_holds_up_no_other_and_is_reported(
    server, shared, caplog
):
    ada, ben = shared("ada"), shared("ben")
    ada.media.put(b"OggS" * 1000, "ogg")
    ada.events.append([predicted(1)])
    media = f"/upload/{SHARED_FOLDER}/media"
    server.fail(media, None, status=413, content_type="text/html")
    ada.sync.push()
    ada.sync.push()
    assert ben.sync.pull() == 1
    assert ada.sync.status().waiting == 1
    assert ada.sync.status().problem.endswith("does not take a file of this size.")
    assert caplog.text.count("upload stuck path=media/kept/") == 1
    server.heal()
    ada.sync.wait_until_synced()
    assert ada.sync.status().problem == ""


def test_one_save_is_one_file_and_a_large_batch_a_few(server, shared, monkeypatch):
    monkeypatch.setattr(segments, "MAX_LINES", 50)
    ada = shared("ada")
    ada.events.append([predicted(number) for number in range(1, 4)])
    ada.events.append(predicted(number) for number in range(10, 61))
    ada.sync.wait_until_synced()
    files = server.store.files(EVENTS).values()
    assert sorted(len(segments.decode("events", data)) for data in files) == [1, 3, 50]


def test_names_are_chosen_once_and_files_never_change(server, shared):
    ada = shared("ada")
    for number in range(1, 4):
        ada.events.append([predicted(number)])
        ada.sync.wait_until_synced()
        before = server.store.files(EVENTS)
        ada.sync.pull()
        assert server.store.files(EVENTS) == before
    assert not any(request.method == "DELETE" for request in server.requests)


def test_empty_is_not_an_error_and_an_error_is_not_empty(server, shared):
    ada = shared("ada")
    assert ada.sync.pull() == 0
    put_event_file(server, predicted(1))
    server.fail("events", None, status=500)
    with pytest.raises(StorageError, match="out of order"):
        ada.sync.pull()
    server.heal()
    assert ada.sync.pull() == 1


def test_more_files_in_a_day_than_a_listing_names_at_once_are_all_read(server, shared, monkeypatch):
    monkeypatch.setattr(client, "PAGE_SIZE", 100)
    for number in range(1, 251):
        put_event_file(server, predicted(number))
    ada = shared("ada")
    assert ada.sync.pull() == 250
    assert ada.sounds.counts().sounds == 250
    assert ada.sync.pull() == 0


def test_a_job_that_cannot_send_says_how_much_waits(server, shared, monkeypatch):
    ada = shared("ada")
    ada.sync.pull()
    ada.events.append([predicted(1)])
    server.fail("/upload/", None, status=503)
    reason = (
        r"1 saves wait in .* to be sent\. Hopsworks at localhost:\d+ is out of order just now "
        r"\(HTTP 503\)\."
    )
    with pytest.raises(StorageError, match=reason):
        ada.sync.wait_until_synced(timeout_s=0)


def test_trouble_is_logged_when_it_begins_and_when_it_ends_not_in_every_round(
    server, shared, caplog
):
    caplog.set_level(logging.INFO)
    ada = shared("ada")
    server.fail("", None, status=503)
    for _ in range(3):
        assert ada.sync.push() == 0  # nothing waits: that says nothing about Hopsworks
        with pytest.raises(Unavailable):
            ada.sync.pull()
    assert ada.sync.status().problem.endswith("(HTTP 503).")
    server.heal()
    ada.sync.pull()
    ada.sync.pull()
    assert ada.sync.status().problem == ""
    assert caplog.text.count("sync trouble task=pull") == 1
    assert caplog.text.count("sync recovered task=pull") == 1


# ---- incomplete, late and foreign files


def test_incomplete_and_foreign_files_are_passed_by_and_a_completed_one_is_read(server, shared):
    whole = segments.encode("events", [predicted(1).to_json()])
    path = put_event_file(server, data=b"")
    put_event_file(server, data=whole[:-3])
    put_event_file(server, data=b"[" * 100_000)
    put_event_file(server, data=whole.replace(b"dog", b"cat"))
    put_event_file(server, name="notes.txt", data=whole)
    put_event_file(server, name=segments.new_name() + ".temp", data=whole)
    put_event_file(server, predicted(2), day="archive")
    ada = shared("ada")
    assert ada.sync.pull() == 0
    server.store.put(f"{SHARED_FOLDER}/{path}", whole)
    assert ada.sync.pull() == 1


def test_a_file_that_stays_incomplete_is_reported_after_a_while(server, shared, monkeypatch):
    path = put_event_file(server, data=b"half of it")
    ada = shared("ada")
    ada.sync.pull()
    assert ada.sync.status().problem == ""
    monkeypatch.setattr(passed_by, "INCOMPLETE_AFTER_S", -1)
    assert path in ada.sync.status().problem


def test_an_upload_that_was_cut_short_is_sent_again_under_another_name(server, shared, run_sql):
    ada, ben = shared("ada"), shared("ben")
    ada.events.append([predicted(1)])
    ((path,),) = run_sql(ada, "SELECT path FROM outbox")
    server.store.put(f"{SHARED_FOLDER}/{path}", b"")  # what such an upload leaves for ever
    ada.sync.wait_until_synced()
    assert ben.sync.pull() == 1
    assert len(server.store.files(EVENTS)) == 2


@pytest.mark.parametrize(
    ("name", "first", "second"),
    [
        (
            "events/2026-11-22/20261122T100000000000Z_ab12.jsonl",
            "Z_ab12-1.jsonl",
            "Z_ab12-2.jsonl",
        ),
        ("media/kept/0123.ogg", "kept/0123-1.ogg", "kept/0123-2.ogg"),
        (
            "media/kept/freesound-12.cnn-3.0123456789abcdef.safetensors",
            "cnn-3.0123456789abcdef-1.safetensors",
            "abcdef-2.safetensors",
        ),
    ],
)
def test_a_spoilt_name_is_followed_by_another(name, first, second):
    once = segments.next_name(name)
    assert once.endswith(first)
    assert segments.next_name(once).endswith(second)


def test_an_upload_that_readers_see_by_halves_is_taken_when_whole(server, shared):
    ada, ben = shared("ada"), shared("ben")
    server.store.merge_delay_s = 0.15
    ada.events.append([predicted(1)])
    thread = threading.Thread(target=ada.sync.wait_until_synced)
    thread.start()
    pulled = 0
    while not pulled:
        pulled = ben.sync.pull()
    thread.join()
    assert ben.sounds.counts().sounds == 1


def test_files_that_arrive_late_are_read_at_once_in_the_last_days_and_else_at_a_full_listing(
    server, shared
):
    ada = shared("ada")
    ada.sync.pull()
    for days, read_now in ((1, 1), (2, 1), (30, 0)):
        put_event_file(server, predicted(days), day=days_ago(days))
        put_event_file(server, predicted(1000 + days))
        assert ada.sync.pull() == 1 + read_now
    assert shared("ada").sync.pull() == 1


def test_what_waited_for_days_goes_where_readers_look(server, shared, run_sql):
    ada, ben = shared("ada"), shared("ben")
    ben.sync.pull()
    ada.events.append([predicted(1)])
    today = datetime.now(UTC).strftime("%Y-%m-%d")
    run_sql(ada, "UPDATE outbox SET path = replace(path, ?, ?)", (today, "2026-01-02"))
    ada.sync.wait_until_synced()
    assert ben.sync.pull() == 1


def test_events_of_a_newer_program_are_counted_and_read_after_the_update(server, shared):
    known, newer = predicted(2), predicted(1)
    lines = [known.to_json(), as_newer_kind(newer)]
    path = put_event_file(server, data=segments.encode("events", lines))
    ada = shared("ada")
    assert ada.sync.pull() == 1
    assert "1 events in the shared log cannot be read" in ada.sync.status().problem
    # An update is a restart after which the same lines can be read.
    name, day = path.rpartition("/")[2], path.split("/")[1]
    put_event_file(server, known, newer, name=name, day=day)
    updated = shared("ada")
    assert updated.sync.pull() == 1
    assert updated.sync.status().problem == ""


def test_a_forged_event_is_left_out_and_holds_up_nothing(server, shared):
    ada = shared("ada")
    event = predicted(1)
    put_event_file(server, event)
    ada.sync.pull()
    put_event_file(server, event.model_copy(update={"actor": "mallory"}))
    put_event_file(server, predicted(2))
    assert ada.sync.pull() == 1
    assert [event.actor for event in ada.events.of_sound("freesound:1")] == ["job"]
    assert "contradict" in ada.sync.status().problem


def test_a_line_that_could_not_be_kept_is_counted_and_holds_up_no_other(server, shared):
    ada, lines = shared("ada"), [predicted(number).to_json() for number in range(1, 6)]
    lines[0] = lines[0].replace('"rate":0', '"rate":0,"mood":1e400')
    lines[1] = lines[1].replace('"rate":0', f'"rate":0,"mood":{"[" * 10_000}')
    lines[2] = lines[2].replace('"actor":"job"', '"actor":"ada","actor":"job"')
    lines[3] = lines[3].replace("sound 4", r"\ud800")
    put_event_file(server, data=segments.encode("events", lines))
    assert ada.sync.pull() == 1
    assert "4 events in the shared log cannot be read" in ada.sync.status().problem
    assert [state.sound_id for state in ada.sounds.all()] == ["freesound:5"]


def test_a_shared_folder_is_not_mixed_with_another_workspace(server, shared, tmp_path):
    open_local_workspace(tmp_path / "alone").events.append([predicted(1)])
    with pytest.raises(StorageError, match="holds the workspace of this machine alone, not that"):
        shared("alone")
    shared("ada")
    with pytest.raises(StorageError, match=r"holds the workspace of .*/earmark, not that of .*/ot"):
        open_shared(server, tmp_path / "ada", "Resources/other")


# ---- segments


def test_a_new_reader_of_a_compacted_log_needs_few_requests_and_knows_everything(server, shared):
    events = [predicted(number) for number in range(1, 121)]
    for event in events:
        put_event_file(server, event)
    cron = shared("cron")
    assert compact(cron, 100) == 120
    assert compact(cron, 1) == 0
    late = predicted(999)
    put_event_file(server, late)
    server.requests.clear()
    reader = shared("reader")
    assert reader.sync.pull() == 121
    assert all_events(reader) == {event.to_json() for event in [*events, late]}
    assert len(server.requests) < 15
    assert len(server.store.files(EVENTS)) == 121


def test_an_incomplete_segment_is_no_segment(server, shared):
    put_event_file(server, predicted(1))
    compact(shared("cron"), 1)
    folder = f"{SHARED_FOLDER}/segments"
    ((name, data),) = server.store.files(folder).items()
    server.store.put(f"{folder}/{name}", data[:-10])
    assert shared("reader").sync.pull() == 1
    assert compact(shared("other"), 1) == 1


@pytest.mark.parametrize("lines", [[], ["no list"], ['{"a": 1}'], ["[1]"]])
def test_a_segment_that_does_not_say_what_it_repeats_is_none(server, shared, lines):
    data = segments.encode("segment", lines)
    server.store.put(f"{SHARED_FOLDER}/segments/{segments.new_name()}", data)
    put_event_file(server, predicted(1))
    assert shared("reader").sync.pull() == 1


def test_segments_pass_on_what_the_compactor_cannot_read(server, shared):
    line = as_newer_kind(predicted(1))
    put_event_file(server, data=segments.encode("events", [line]))
    compact(shared("cron"), 1)
    (segment,) = server.store.files(f"{SHARED_FOLDER}/segments").values()
    assert line in segments.decode("segment", segment)


def test_a_file_is_filled_by_bytes_not_by_characters(monkeypatch):
    monkeypatch.setattr(segments, "MAX_BYTES", 10)
    assert list(segments.chunked(["雨雨", "雨雨", "ab", "ab"])) == [["雨雨"], ["雨雨", "ab", "ab"]]


# ---- runs, rollouts, the prototype's file


def test_run_records_and_their_end_reach_the_other_machines(shared):
    cron, app = shared("cron"), shared("app")
    run = Run("r1", "2026-11-22T10:00:00.000000Z", "freesound", V1, "earmark")
    cron.runs.record(run)
    cron.sync.wait_until_synced()
    app.sync.pull()
    assert app.runs.latest() == [run]
    done = replace(run, state="finished", tagged=5)
    cron.runs.record(done)
    cron.events.append([predicted(1)])
    cron.sync.wait_until_synced()
    app.sync.pull()
    assert app.runs.latest() == [done]


def test_a_foreign_file_among_the_run_records_holds_up_no_other(server, shared):
    app = shared("app")
    run = Run("r1", "2026-11-22T10:00:00.000000Z", "freesound", V1, "earmark")
    fields = json.loads(run_to_json(run))
    newer = fields | {"host": "a field that this version does not know"}
    impossible = [
        fields | {"run_id": "r2"} | changed
        for changed in (
            {"started": "yesterday"},
            {"started": "2026-11-22T10:00:00"},
            {"seconds": float("inf")},
            {"seconds": -1},
        )
    ]
    files = {
        "a": b"no json",
        "b": b"[]",
        "c": b'{"started": {}}',
        "d": b"[" * 100_000,
        "e": json.dumps(newer).encode(),
        **{f"f{number}": json.dumps(fields).encode() for number, fields in enumerate(impossible)},
    }
    for name, data in files.items():
        server.store.put(f"{SHARED_FOLDER}/runs/{name}.json", data)
    app.sync.pull()
    assert app.runs.latest() == [run]


def test_a_rollout_on_one_machine_counts_on_the_other(shared):
    ada, ben = shared("ada"), shared("ben")
    rollout = new_event(RolledOut(model=V1, reason="better"), None, "ada")
    ada.events.append([rollout])
    ada.sync.wait_until_synced()
    assert ben.events.rollouts() == [rollout]
    assert active_version(ben) == V1


def test_the_prototypes_file_is_imported_once_and_a_derived_one_is_published(server, shared):
    path = "Resources/id2prediction.json"
    content = b'{"123": ["dog", "bark"]}'
    server.store.put(path, content)
    cron = shared("cron", prototype_file=path)
    cron.sync.maintain(keep_runs=10)
    shared("other", prototype_file=path).sync.maintain(keep_runs=10)
    cron.sync.maintain(keep_runs=10)
    app = shared("app")
    assert app.sync.pull() == 1
    assert app.sounds.get("freesound:123").tags == ("dog", "bark")
    published = server.store.files(SHARED_FOLDER)["id2prediction.json"]
    assert json.loads(published) == json.loads(content)
    assert server.store.files("Resources")["id2prediction.json"] == content
    server.store.put(path, b'{"456": ["rain"]}')
    cron.sync.maintain(keep_runs=10)
    assert cron.sounds.get("freesound:456") is None


# ---- hosts


@pytest.mark.parametrize(
    ("kind", "warned"), [("overlay", True), ("tmpfs", True), ("ext4", False), ("nfs4", False)]
)
def test_a_disk_that_may_not_outlive_a_restart_is_recognised(tmp_path, kind, warned, monkeypatch):
    monkeypatch.delenv("MODAL_TASK_ID", raising=False)
    mounts = tmp_path / "mounts"
    lines = ["proc /proc proc rw 0 0", "x / ext4 rw 0 0", f"y {tmp_path.parent} {kind} rw 0 0"]
    mounts.write_text("\n".join(lines))
    assert ephemeral.is_ephemeral_filesystem(tmp_path, mounts) is warned
    assert not ephemeral.is_ephemeral_filesystem(tmp_path, tmp_path / "nothing")
    monkeypatch.setenv("MODAL_TASK_ID", "ta-1")
    assert ephemeral.is_ephemeral_filesystem(tmp_path, mounts)


def test_thresholds_that_one_machine_sets_hold_on_the_others(shared):
    ada, ben = shared("ada"), shared("ben")
    first = ThresholdsSet(model=V1, thresholds={"dog": 0.7, "rain": 0.4}, precision=0.9)
    ada.events.append([new_event(first, None, "ada")])
    ada.sync.push()
    ben.sync.pull()
    assert current_thresholds(ben, V1) == {"dog": 0.7, "rain": 0.4}
    second = ThresholdsSet(model=V1, thresholds={"dog": None})
    ben.events.append([new_event(second, None, "ben", base=changes_of(ben, V1)[-1])])
    ben.sync.push()
    ada.sync.pull()
    assert current_thresholds(ada, V1) == {"rain": 0.4}
