"""The shared home, through the real client against the double: several machines on one project."""

import json
import threading
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from events import V1, predicted, reviewed
from shared import everything, shared_workspace

from core.id2prediction import Media, Published, RolledOut, new_event
from core.model import bundle
from core.withdrawing import withdraw
from core.workspace import Query, Run, WorkspaceError
from core.workspace.hopsworks import disk, files, media
from core.workspace.local import LocalWorkspace
from core.workspace.synchroniser import Synchroniser

EVENTS = "Resources/earmark/events"
TODAY = datetime.now(UTC).strftime("%Y-%m-%d")


def put_event_file(server, *events, day=TODAY, name=None, data=None):
    """An event file as some other machine would have left it."""
    name = name or files.new_name()
    server.store.put(f"{EVENTS}/{day}/{name}", data if data is not None else files.encode("events", [event.to_json() for event in events]))
    return f"events/{day}/{name}"


def uploads(server):
    """Files that the double took."""
    return sum(request.status == 200 and "/upload/" in request.path for request in server.requests)


# ---- the log


def test_what_one_machine_saves_the_others_see(shared):
    ada, ben = shared("ada"), shared("ben")
    ada.append([first := predicted(1)])
    assert ada.flush() == 1
    assert ben.mirror() == 1
    ben.append([change := reviewed([first], ["howl"])])
    ben.flush()
    ada.mirror()
    assert ada.events("freesound:1") == ben.events("freesound:1") == [first, change]
    assert ada.sound("freesound:1").tags == ("howl",)


def test_a_save_waits_until_it_has_been_read_back(server, shared):
    ada = shared("ada")
    server.fail("with_auth", None, status=503)
    ada.append([event := predicted(1)])
    assert ada.sound("freesound:1") is not None
    with pytest.raises(WorkspaceError, match=r"out of order just now \(HTTP 503\)"):
        ada.flush()
    assert ada.waiting([event.event_id]) == {event.event_id}
    assert ada.sharing().waiting == 1
    server.heal()
    assert ada.flush() == 1
    assert ada.waiting([event.event_id]) == set()
    assert ada.sharing().waiting == 0
    assert uploads(server) == 1


def test_what_waits_survives_a_restart_and_is_sent_once(server, shared):
    ada = shared("ada")
    ada.append([event := predicted(1)])
    ada.close()
    again = shared("ada")
    assert again.waiting([event.event_id]) == {event.event_id}
    assert again.flush() == 1
    assert len(server.store.files(EVENTS)) == 1


@pytest.mark.parametrize("drop", ["before", "after"])
def test_a_lost_answer_leaves_no_doubt_and_no_double(server, shared, drop):
    ada, ben = shared("ada"), shared("ben")
    ada.flush()
    server.fail("/upload/", drop=drop)
    ada.append([predicted(1)])
    ada.settle()
    assert ben.mirror() == 1
    assert len(server.store.files(EVENTS)) == 1


def test_a_file_that_hopsworks_does_not_take_holds_up_no_other_and_is_reported(server, shared):
    ada, ben = shared("ada"), shared("ben")
    ada.put_media(b"OggS" * 1000, "ogg")
    ada.append([predicted(1)])
    server.fail("/upload/Resources/earmark/media", None, status=413, content_type="text/html")
    ada.flush()
    assert ben.mirror() == 1
    assert ada.sharing().waiting == 1
    assert ada.sharing().problem.endswith("does not take a file of this size.")
    server.heal()
    ada.settle()
    assert ada.sharing().problem == ""


def test_one_save_is_one_file_and_a_large_batch_a_few(server, shared, monkeypatch):
    monkeypatch.setattr(files, "MOST_LINES", 50)
    ada = shared("ada")
    ada.append([predicted(number) for number in range(1, 4)])
    ada.append(predicted(number) for number in range(10, 10 + files.MOST_LINES + 1))
    ada.settle()
    assert sorted(len(files.decode("events", data)) for data in server.store.files(EVENTS).values()) == [1, 3, files.MOST_LINES]


def test_names_are_chosen_once_and_files_never_change(server, shared):
    ada = shared("ada")
    for number in range(1, 4):
        ada.append([predicted(number)])
        ada.settle()
        before = server.store.files(EVENTS)
        ada.mirror()
        assert server.store.files(EVENTS) == before
    assert not any(request.method == "DELETE" for request in server.requests)


def test_empty_is_not_an_error_and_an_error_is_not_empty(server, shared):
    ada = shared("ada")
    assert ada.mirror() == 0
    put_event_file(server, predicted(1))
    server.fail("listing" and "events", None, status=500)
    with pytest.raises(WorkspaceError, match="out of order"):
        ada.mirror()
    server.heal()
    assert ada.mirror() == 1


def test_more_than_a_thousand_files_in_a_day_are_all_read(server, shared):
    for number in range(1, 1051):
        put_event_file(server, predicted(number))
    ada = shared("ada")
    assert ada.mirror() == 1050
    assert ada.counts().sounds == 1050
    assert ada.mirror() == 0


def test_torn_and_foreign_files_are_passed_by_and_a_completed_one_is_read(server, shared):
    whole = files.encode("events", [predicted(1).to_json()])
    path = put_event_file(server, data=b"")
    put_event_file(server, data=whole[:-3])
    put_event_file(server, data=whole.replace(b"dog", b"cat"))
    put_event_file(server, name="notes.txt", data=whole)
    put_event_file(server, name=files.new_name() + ".temp", data=whole)
    put_event_file(server, predicted(2), day="archive")
    ada = shared("ada")
    assert ada.mirror() == 0
    server.store.put(f"Resources/earmark/{path}", whole)
    assert ada.mirror() == 1


def test_a_file_that_stays_torn_is_reported_after_an_hour(server, shared, monkeypatch):
    path = put_event_file(server, data=b"half of it")
    ada = shared("ada")
    ada.mirror()
    assert ada.sharing().problem == ""
    monkeypatch.setattr("core.workspace.hopsworks.log.TORN_FOR_S", -1)
    assert path in ada.sharing().problem


def test_a_torn_upload_of_ones_own_is_sent_under_another_name(server, shared):
    ada, ben = shared("ada"), shared("ben")
    ada.append([predicted(1)])
    ((_, path),) = ada.home.ledger.addresses()
    server.store.put(f"Resources/earmark/{path}", b"")  # what an upload that was cut short leaves for ever
    ada.settle()
    assert ben.mirror() == 1
    assert len(server.store.files(EVENTS)) == 2


@pytest.mark.parametrize(
    ("name", "first", "second"),
    [
        ("events/2026-11-22/20261122T100000000000Z_ab12.jsonl", "Z_ab12-1.jsonl", "Z_ab12-2.jsonl"),
        ("media/kept/0123.ogg", "kept/0123-1.ogg", "kept/0123-2.ogg"),
        ("media/kept/freesound-12.cnn-3.0123456789abcdef.safetensors", "cnn-3.0123456789abcdef-1.safetensors", "abcdef-2.safetensors"),
    ],
)
def test_a_spoilt_name_is_followed_by_another(name, first, second):
    once = files.another_name(name)
    assert once.endswith(first)
    assert files.another_name(once).endswith(second)


def test_a_medium_whose_name_was_spoilt_is_found_under_its_other_name(server, shared):
    cron, app = shared("cron"), shared("app")
    name = cron.put_media(b"OggS", "ogg")
    server.store.put(f"Resources/earmark/media/kept/{name}", b"Og")
    cron.settle()
    assert app.media_path(name).read_bytes() == b"OggS"


def test_an_upload_that_readers_see_by_halves_is_taken_when_whole(server, shared):
    ada, ben = shared("ada"), shared("ben")
    server.store.merge_delay_s = 0.15
    ada.append([predicted(1)])
    thread = threading.Thread(target=ada.settle)
    thread.start()
    seen = 0
    while not seen:
        seen = ben.mirror()
    thread.join()
    assert ben.counts().sounds == 1


def test_files_that_arrive_late_are_found_the_last_days_at_once_the_others_at_the_next_sweep(server, shared):
    ada = shared("ada")
    ada.mirror()
    for days, found_now in ((1, 1), (2, 1), (30, 0)):
        put_event_file(server, predicted(days), day=(datetime.now(UTC) - timedelta(days=days)).strftime("%Y-%m-%d"))
        put_event_file(server, predicted(1000 + days))
        assert ada.mirror() == 1 + found_now
    assert shared("ada").mirror() == 1


def test_what_waited_for_days_goes_where_readers_look(server, shared):
    ada, ben = shared("ada"), shared("ben")
    ben.mirror()
    ada.append([predicted(1)])
    with ada.writing() as connection:
        ((sequence, path),) = ada.home.ledger.addresses()
        parcel = ada.home.ledger.parcel(sequence)
        ada.home.ledger.readdress(connection, parcel, path.replace(TODAY, "2026-01-02"))
    ada.settle()
    assert ben.mirror() == 1


def test_events_of_a_newer_program_are_counted_and_read_after_the_update(server, shared, monkeypatch):
    line = predicted(1).to_json()
    put_event_file(server, data=files.encode("events", [predicted(2).to_json(), line.replace('"predicted"', '"dreamt"')]))
    ada = shared("ada")
    assert ada.mirror() == 1
    assert "1 events in the shared log cannot be read" in ada.sharing().problem
    monkeypatch.setitem(__import__("core.id2prediction").id2prediction.PAYLOADS, "dreamt", type(predicted(1).payload))
    newer = shared("ada")
    assert newer.mirror() == 1
    assert newer.sharing().problem == ""


def test_a_forged_event_is_left_out_and_holds_up_nothing(server, shared):
    ada = shared("ada")
    put_event_file(server, event := predicted(1))
    ada.mirror()
    put_event_file(server, event.model_copy(update={"actor": "mallory"}))
    put_event_file(server, predicted(2))
    assert ada.mirror() == 1
    assert [one.actor for one in ada.events("freesound:1")] == ["job"]
    assert "contradict" in ada.sharing().problem


def test_a_shared_folder_is_not_mixed_with_another_workspace(server, shared, tmp_path):
    LocalWorkspace(tmp_path / "alone").append([predicted(1)])
    with pytest.raises(WorkspaceError, match=r"holds another workspace \(of this machine alone\)"):
        shared("alone")
    shared("ada")
    with pytest.raises(WorkspaceError, match="holds another workspace"):
        shared_workspace(server, tmp_path / "ada", "Resources/other")


# ---- segments


def test_a_new_reader_of_a_compacted_log_needs_few_requests_and_knows_everything(server, shared):
    events = [predicted(number) for number in range(1, 121)]
    for event in events:
        put_event_file(server, event)
    cron = shared("cron")
    assert cron.shared_log.compact(100) == 120
    assert cron.shared_log.compact(1) == 0
    late = predicted(999)
    put_event_file(server, late)
    server.requests.clear()
    reader = shared("reader")
    assert reader.mirror() == 121
    assert everything(reader) == {event.to_json() for event in [*events, late]}
    assert len(server.requests) < 15
    assert len(server.store.files(EVENTS)) == 121


def test_a_torn_segment_is_no_segment(server, shared):
    put_event_file(server, predicted(1))
    cron = shared("cron")
    cron.shared_log.compact(1)
    ((name, data),) = server.store.files("Resources/earmark/segments").items()
    server.store.put(f"Resources/earmark/segments/{name}", data[:-10])
    assert shared("reader").mirror() == 1
    other = shared("other")
    assert other.shared_log.compact(1) == 1


@pytest.mark.parametrize("lines", [[], ["no list"], ['{"a": 1}'], ["[1]"]])
def test_a_segment_that_does_not_say_what_it_repeats_is_none(server, shared, lines):
    server.store.put(f"Resources/earmark/segments/{files.new_name()}", files.encode("segment", lines))
    put_event_file(server, predicted(1))
    assert shared("reader").mirror() == 1


def test_segments_pass_on_what_the_compactor_cannot_read(server, shared):
    line = predicted(1).to_json().replace('"predicted"', '"dreamt"')
    put_event_file(server, data=files.encode("events", [line]))
    shared("cron").shared_log.compact(1)
    (segment,) = server.store.files("Resources/earmark/segments").values()
    assert line in files.decode("segment", segment)


# ---- runs, the seed's file


def test_run_records_and_their_end_reach_the_other_machines(shared):
    cron, app = shared("cron"), shared("app")
    run = Run(run_id="r1", started="2026-11-22T10:00:00.000000Z", source="freesound", model=V1, actor="earmark")
    cron.record_run(run)
    cron.settle()
    app.mirror()
    assert app.runs() == [run]
    cron.record_run(done := Run(**{**run.__dict__, "state": "finished", "tagged": 5}))
    cron.append([predicted(1)])
    cron.settle()
    app.mirror()
    assert app.runs() == [done]


def test_the_seeds_file_is_imported_once_and_a_derived_one_is_published(server, shared):
    server.store.put("Resources/id2prediction.json", b'{"123": ["dog", "bark"]}')
    cron = shared("cron", seed_file="Resources/id2prediction.json")
    cron.upkeep(keep_runs=10)
    shared("other", seed_file="Resources/id2prediction.json").upkeep(keep_runs=10)
    cron.upkeep(keep_runs=10)
    app = shared("app")
    assert app.mirror() == 1
    assert app.sound("freesound:123").tags == ("dog", "bark")
    assert json.loads(server.store.files("Resources/earmark")["id2prediction.json"]) == {"123": ["dog", "bark"]}
    assert server.store.files("Resources")["id2prediction.json"] == b'{"123": ["dog", "bark"]}'


# ---- media


def a_run(workspace, number, *sounds):
    """A run of the job that tags these sounds, with media and sidecars."""
    run = Run(run_id=f"r{number}", started=f"2026-11-{number:02}T10:00:00.000000Z", source="test", model=V1, actor="earmark")
    workspace.record_run(run)
    for sound in sounds:
        audio, picture = workspace.put_media(f"OggS {sound}".encode(), "ogg"), workspace.put_media(f"WEBP {sound}".encode(), "webp")
        kept = Media(audio=audio, spectrogram=picture)
        workspace.put_sidecar(f"freesound:{sound}", V1, {"times": np.full((1, 2), sound)})
        workspace.append([predicted(sound, media=kept)], once_per_model=True)
    workspace.record_run(Run(**{**run.__dict__, "state": "finished"}))
    workspace.settle()


def test_media_lie_in_a_folder_per_run_and_come_to_other_machines_when_asked_for(server, shared):
    cron, app = shared("cron"), shared("app")
    a_run(cron, 1, 10, 11)
    app.mirror()
    state = app.sound("freesound:10")
    assert app.media_path(state.media.audio).read_bytes() == b"OggS 10"
    assert app.media_path(state.media.spectrogram).read_bytes() == b"WEBP 10"
    assert app.sidecar("freesound:10", V1)["times"].tolist() == [[10, 10]]
    assert len(server.store.files("Resources/earmark/media/20261101T100000000000Z_r1")) == 6
    asked = len(server.requests)
    assert app.media_path(state.media.audio) is not None
    assert len(server.requests) == asked


def test_a_medium_that_came_short_is_not_kept(server, shared):
    cron, app = shared("cron"), shared("app")
    a_run(cron, 1, 10)
    app.mirror()
    name = app.sound("freesound:10").media.audio
    server.fail("with_auth", truncate=3)
    assert app.media_path(name) is None
    assert app.media_path(name).read_bytes() == b"OggS 10"


def test_media_of_old_runs_go_and_those_of_decided_sounds_stay(server, shared):
    cron = shared("cron")
    for number in range(1, 6):
        a_run(cron, number, 10 * number, 10 * number + 1)
    cron.append([reviewed(cron.events("freesound:10"), ["howl"])])
    basis = cron.events("freesound:20")[0]
    cron.append([new_event(Published(decisions={}, basis=basis.event_id), "freesound:20", "ada", base=basis)])
    server.store.put("Resources/earmark/media/my-own/notes.txt", b"not of a run")
    cron.upkeep(keep_runs=2)
    cron.upkeep(keep_runs=2)
    assert "my-own/notes.txt" in server.store.files("Resources/earmark/media")
    app = shared("app")
    app.mirror()
    audio = {number: app.media_path(app.sound(f"freesound:{number}").media.audio) for number in (10, 11, 20, 21, 30, 40, 41, 50, 51)}
    assert {number for number, path in audio.items() if path is not None} == {10, 20, 40, 41, 50, 51}
    assert app.sidecar("freesound:10", V1) is not None
    assert app.sidecar("freesound:11", V1) is None
    assert app.counts().sounds == 10
    kept = server.store.files("Resources/earmark/media/kept")
    assert len(kept) == 6


def test_media_of_a_withdrawn_sound_go_everywhere_also_those_still_waiting(server, shared):
    cron, app = shared("cron"), shared("app")
    a_run(cron, 1, 10, 11)
    app.mirror()
    audio = app.sound("freesound:10").media.audio
    assert app.media_path(audio) is not None
    withdraw(cron, "freesound:10", "asked for", "ada")
    cron.settle()
    app.mirror()
    assert app.page(Query(), 1, 10).total == 1
    assert app.media_path(audio) is None
    assert [name for name in server.store.files("Resources/earmark/media") if audio[:64] in name or "freesound-10" in name] == []
    unsent = Media(audio=cron.put_media(b"OggS 12", "ogg"))
    cron.append([predicted(12, media=unsent)])
    withdraw(cron, "freesound:12", "asked for", "ada")
    cron.settle()
    assert [name for name in server.store.files("Resources/earmark/media") if unsent.audio[:64] in name] == []


def test_media_of_a_sound_withdrawn_while_hopsworks_is_away_go_at_the_next_upkeep(server, shared):
    cron = shared("cron")
    a_run(cron, 1, 10)
    audio = cron.sound("freesound:10").media.audio
    server.fail("", times=None, status=503)
    withdraw(cron, "freesound:10", "asked for", "ada")
    server.heal()
    assert any(audio[:64] in name for name in server.store.files("Resources/earmark/media"))
    cron.upkeep(keep_runs=10)
    assert not any(audio[:64] in name for name in server.store.files("Resources/earmark/media"))


def test_a_machine_that_knew_the_old_place_finds_what_was_kept(shared, monkeypatch):
    monkeypatch.setattr(media, "LIST_AGAIN_S", 0)
    cron, app = shared("cron"), shared("app")
    a_run(cron, 1, 10, 11)
    app.mirror()
    assert app.media_path(app.sound("freesound:11").media.audio) is not None
    cron.append([reviewed(cron.events("freesound:10"), ["howl"])])
    a_run(cron, 2, 20)
    cron.upkeep(keep_runs=1)
    assert app.media_path(app.sound("freesound:10").media.audio).read_bytes() == b"OggS 10"


def test_a_decided_sound_whose_medium_cannot_be_copied_keeps_its_folder(server, shared):
    cron = shared("cron")
    a_run(cron, 1, 10)
    a_run(cron, 2, 20)
    cron.append([reviewed(cron.events("freesound:10"), ["howl"])])
    server.fail("media/kept", None, method="GET", status=400, code=110050)
    cron.upkeep(keep_runs=1)
    folder = "Resources/earmark/media/20261101T100000000000Z_r1"
    assert len(server.store.files(folder)) == 3
    server.heal()
    cron.upkeep(keep_runs=1)
    assert server.store.files(folder) == {}
    assert len(server.store.files("Resources/earmark/media/kept")) == 3


def test_looking_for_media_while_hopsworks_is_away_costs_one_try(server, shared, monkeypatch):
    app = shared("app")
    app.mirror()
    server.away()
    try:
        assert app.media_path("a" * 64 + ".ogg") is None
        monkeypatch.setattr(app.home, "project", lambda: pytest.fail("asked again"))
        assert app.media_path("b" * 64 + ".ogg") is None
    finally:
        server.back()


# ---- models


def test_a_pushed_model_comes_to_another_machine_byte_by_byte(server, shared):
    model = shared("trainer").push(bundle.load())
    app = shared("app")
    assert app.find_model(model.name, "best") == app.find_model(model.name, "latest") == app.find_model(model.name, 1) == model
    assert bundle.fingerprint(app.pull(model)) == model.fingerprint
    (registered,) = server.store.models.values()
    assert registered["metrics"]["pr_auc_macro"] == bundle.load().metrics["overall"]["pr_auc_macro"]
    assert "README.md" in server.store.files(f"Models/{model.name}/1/Files")


def test_a_damaged_copy_is_fetched_anew(server, shared):
    app = shared("app")
    model = app.push(bundle.load())
    metrics = app.pull(model) / "metrics.json"
    metrics.write_text(metrics.read_text() + " ")
    assert bundle.fingerprint(app.pull(model)) == model.fingerprint


def test_a_model_that_came_short_does_not_replace_the_copy(server, shared):
    app = shared("app")
    model = app.push(bundle.load())
    server.fail("with_auth", truncate=10)
    with pytest.raises(WorkspaceError, match="came incomplete or changed"):
        app.pull(model)
    assert list((app.folder / "models" / model.name).iterdir()) == []
    assert app.pull(model).is_dir()


@pytest.mark.parametrize(
    ("fault", "times"),
    [
        ({"path": "/upload//Projects", "status": 500}, 1),
        ({"path": "modelregistries", "method": "PUT", "status": 503}, 1),
        ({"path": "modelregistries", "method": "PUT", "drop": "after"}, 1),
        ({"path": "/upload//Projects", "drop": "after"}, 1),
    ],
)
def test_a_failed_save_leaves_no_half_registered_version(server, shared, fault, times):
    app = shared("app")
    app.mirror()
    server.fail(times=times, **fault)
    with pytest.raises(WorkspaceError):
        app.push(bundle.load())
    assert server.store.models == {}
    assert server.store.files("Models") == {}
    server.heal()
    assert app.push(bundle.load()).fingerprint == bundle.load().fingerprint


def test_an_error_while_waiting_for_the_registration_leaves_nothing_half(server, shared):
    """The client deletes the files then, although the model is registered."""
    app = shared("app")
    registered = []

    def fail_after_registration(request):
        if request.method == "PUT":
            server.fail("modelregistries", method="GET", status=500)
            registered.append(request.path)

    server.after = fail_after_registration
    with pytest.raises(WorkspaceError, match="out of order"):
        app.push(bundle.load())
    assert registered
    assert server.store.models == {}


def test_a_version_without_its_files_is_never_the_best(server, shared):
    app = shared("app")
    model = app.push(bundle.load())
    body = {"name": model.name, "metrics": {"pr_auc_macro": 1.0}, "description": f"fingerprint {'0' * 64}"}
    server.store.register(f"{model.name}_2", body)
    assert app.find_model(model.name, "best") == model


def test_two_machines_that_push_at_once_take_two_numbers_and_spoil_nothing(shared, tmp_path):
    starters = []
    for number in range(3):
        bundle.copy(bundle.load(), folder := tmp_path / str(number))
        metrics = json.loads((folder / "metrics.json").read_text()) | {"number": number}
        (folder / "metrics.json").write_text(json.dumps(metrics))
        starters.append(bundle.load(folder))
    machines, models = [shared(f"machine{number}") for number in range(3)], {}
    start = threading.Barrier(3)

    def push(number):
        start.wait()
        models[number] = machines[number].push(starters[number])

    threads = [threading.Thread(target=push, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({model.version for model in models.values()}) == 3
    reader = shared("reader")
    assert [bundle.fingerprint(reader.pull(models[number])) for number in range(3)] == [one.fingerprint for one in starters]


# ---- the synchroniser


def until(condition):
    """Waits for a condition that another thread brings about."""
    waiting = threading.Event()
    for _ in range(2000):
        if condition():
            return
        waiting.wait(0.01)
    pytest.fail("it never came about")


def test_the_synchroniser_sends_at_once_and_takes_over_what_others_send(shared):
    ada, ben = shared("ada"), shared("ben")
    with Synchroniser(ada, every_s=0.05), Synchroniser(ben, every_s=0.05):
        ada.append([first := predicted(1)])
        until(lambda: ben.sound("freesound:1"))
        ben.append([reviewed([first], ["howl"])])
        until(lambda: ada.sound("freesound:1").tags == ("howl",))
    assert ada.sharing().waiting == ben.sharing().waiting == 0
    assert not any(thread.name == "synchroniser" for thread in threading.enumerate())


def test_hopsworks_away_at_the_start_and_in_the_middle_of_an_edit(server, shared):
    first = predicted(1)
    put_event_file(server, first)
    shared("ada").mirror()
    server.away()
    ada = shared("ada")
    with Synchroniser(ada, every_s=0.05):
        assert [state.sound_id for state in ada.page(Query(), 1, 10).sounds] == ["freesound:1"]
        ada.append([change := reviewed([first], ["howl"])])
        assert ada.sound("freesound:1").tags == ("howl",)
        until(lambda: ada.sharing().problem)
        assert ada.waiting([change.event_id]) == {change.event_id}
        assert ada.sharing().problem.endswith("cannot be reached.")
        server.back()
        until(lambda: not ada.waiting([change.event_id]))
        until(lambda: not ada.sharing().problem)
    ben = shared("ben")
    ben.mirror()
    assert ben.sound("freesound:1").tags == ("howl",)


def test_the_synchroniser_has_nothing_to_do_for_a_workspace_that_is_its_own_home(tmp_path):
    with Synchroniser(LocalWorkspace(tmp_path)) as synchroniser:
        assert synchroniser._thread is None


def test_a_job_that_cannot_send_says_how_much_waits(server, shared):
    ada = shared("ada")
    ada.mirror()
    ada.append([predicted(1)])
    server.fail("/upload/", None, status=503)
    with pytest.raises(WorkspaceError, match=r"1 saves wait in .* to be sent\. Hopsworks at localhost:\d+ is out of order"):
        ada.settle(patience_s=0)


# ---- hosts


@pytest.mark.parametrize(("kind", "warned"), [("overlay", True), ("tmpfs", True), ("ext4", False), ("nfs4", False)])
def test_a_disk_that_passes_is_warned_of(tmp_path, kind, warned, monkeypatch):
    monkeypatch.delenv("MODAL_TASK_ID", raising=False)
    mounts = tmp_path / "mounts"
    mounts.write_text(f"proc /proc proc rw 0 0\nx / ext4 rw 0 0\ny {tmp_path.parent} {kind} rw 0 0\n")
    assert bool(disk.passing_disk(tmp_path, mounts)) is warned
    assert disk.passing_disk(tmp_path, tmp_path / "nothing") == ""


def test_a_rollout_on_one_machine_is_in_force_on_the_other(shared):
    ada, ben = shared("ada"), shared("ben")
    ada.append([rollout := new_event(RolledOut(model=V1, reason="better"), None, "ada")])
    ada.settle()
    assert ben.rollouts() == [rollout]
