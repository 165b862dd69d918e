"""Faults that must lose nothing.

The counts are printed with `pytest -s`; ALL_STEPS=1 kills the job at every single request,
FAULT_SEED=7 draws other faults.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest

from core.events.query import Query
from core.storage.hopsworks import segments
from tests.helpers.events import V1, predicted, reviewed
from tests.helpers.shared_workspace import (
    SHARED_FOLDER,
    all_events,
    compact,
    open_shared,
    put_event_file,
)

ROOT = Path(__file__).parents[3]
WRITERS, EDITS, SOUNDS = 4, 30, 5
EDITS_BEFORE_DEATH = 15
SEED = int(os.environ.get("FAULT_SEED", "11"))
ALL_STEPS = bool(os.environ.get("ALL_STEPS"))


class Writer:
    """A curator's machine as a process, and the lines that it has printed so far."""

    def __init__(self, server, folder, name, edits=EDITS):
        arguments = (
            server.host,
            server.port,
            server.key,
            server.certificate,
            folder / name,
            name,
            edits,
            SOUNDS,
        )
        command = [sys.executable, "-m", "tests.helpers.faulty_writer", *map(str, arguments)]
        self.name, self.lines = name, []
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        self.thread = threading.Thread(target=self.read)
        self.thread.start()

    def read(self):
        for line in self.process.stdout:
            self.lines.append(json.loads(line))
            self.after_each()

    def after_each(self):
        pass

    def ids(self, kind):
        return {line[kind] for line in self.lines if kind in line}

    def waiting_at_start(self):
        return set(self.lines[0]["waiting"])

    def finish(self):
        code = self.process.wait(120)
        self.thread.join()
        return code


class DoomedWriter(Writer):
    """A writer that is killed in the middle of its work."""

    def after_each(self):
        if len(self.ids("edited")) == EDITS_BEFORE_DEATH:
            self.process.send_signal(signal.SIGKILL)


def read_as(server, folder):
    """Return the workspace of a machine that has just pulled."""
    reader = open_shared(server, folder)
    reader.sync.pull()
    return reader


def run_in_threads(*works):
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_four_writers_with_503s_lost_answers_delays_and_a_death_lose_no_edit(server, tmp_path):
    for number in range(1, SOUNDS + 1):
        put_event_file(server, predicted(number), day="2026-11-22")
    faults = {"unavailable": 0.1, "drop_before": 0.05, "drop_after": 0.05, "delayed": 0.1}
    chaos = server.chaos(SEED, **faults, seconds=0.02)
    names = [f"curator{number}" for number in range(WRITERS)]
    dead = DoomedWriter(server, tmp_path, names[0])
    writers = [dead, *(Writer(server, tmp_path, name) for name in names[1:])]
    assert [writer.finish() for writer in writers] == [-signal.SIGKILL, 0, 0, 0]

    server.heal()
    saved = set().union(*(writer.ids("saved") for writer in writers))
    before = read_as(server, tmp_path / "a reader")
    assert saved <= {event.event_id for event in before.events.all()}

    revived = Writer(server, tmp_path, dead.name, edits=0)
    assert revived.finish() == 0
    waited = revived.waiting_at_start()
    known = {event.event_id for event in before.events.all()}
    assert dead.ids("edited") - dead.ids("saved") <= waited | known

    edited = set().union(*(writer.ids("edited") for writer in writers))
    readers = [read_as(server, tmp_path / name) for name in ("another reader", *names)]
    check_that_readers_agree(readers)
    events = list(readers[0].events.all())
    assert edited <= {event.event_id for event in events}
    edits = Counter(event.actor for event in events if event.kind == "reviewed")
    assert [edits[name] for name in names[1:]] == [EDITS] * (WRITERS - 1)
    assert edits[names[0]] >= EDITS_BEFORE_DEATH
    tags = {tag for state in readers[0].sounds.all() for tag in state.tags}
    assert {f"{name}-{number}" for name in names[1:] for number in range(EDITS)} <= tags
    counts = f"{len(edited)} edits, {len(saved)} shown as saved before the revival"
    print(f"\n{counts}, {len(waited)} waited with the dead writer; {chaos.done}")


def check_that_readers_agree(readers):
    logs = [all_events(reader) for reader in readers]
    assert all(log == logs[0] for log in logs)
    tags = [{state.sound_id: state.tags for state in reader.sounds.all()} for reader in readers]
    assert all(each == tags[0] for each in tags)


@pytest.mark.parametrize(
    ("when", "every", "model"), [("before", 12, "model"), ("after", 8, "no-model")]
)
def test_the_job_killed_at_any_request_and_run_again_tags_no_sound_twice_and_loses_none(
    tmp_path, when, every, model
):
    steps = "1" if ALL_STEPS else str(every)
    module = ["-m", "tests.helpers.killed_cron", str(tmp_path), when, steps, model]
    script = [sys.executable, *module]
    result = subprocess.run(script, cwd=ROOT, capture_output=True, text=True, timeout=1200)
    assert result.returncode == 0, result.stderr
    deaths = [json.loads(line) for line in result.stdout.splitlines()]
    assert [death for death in deaths if death["wrong"]] == []
    assert not deaths[-1]["killed"]
    assert deaths[-1]["step"] > 40
    print(f"\n{len(deaths) - 1} deaths {when} a request, of {deaths[-1]['step']} requests")


def test_two_jobs_at_once_show_every_sound_once_and_alike(server, shared):
    machines = [shared("first"), shared("second")]
    ids = [f"freesound:{number}" for number in range(1, 21)]
    start = threading.Barrier(2)

    def run_job(machine):
        start.wait()
        machine.sync.pull()
        for number in range(1, 21):
            machine.events.append([predicted(number)], once_per_model=True)
            machine.sync.push()
        machine.sync.wait_until_synced()

    run_in_threads(*(lambda machine=machine: run_job(machine) for machine in machines))
    readers = [shared(name) for name in ("first", "second", "reader")]
    for reader in readers:
        reader.sync.pull()
    check_that_readers_agree(readers)
    sounds = readers[0].sounds
    assert sorted(state.sound_id for state in sounds.all()) == sorted(ids)
    assert sounds.counts().sounds == sounds.page(Query(), size=50).total == 20
    assert sounds.tag_counts() == [("bark", 20), ("dog", 20)]
    assert sounds.tagged(ids, V1) == set(ids)
    assert {state.tags for state in sounds.all()} == {("dog", "bark")}
    twice = sum(event.kind == "predicted" for event in readers[0].events.all()) - 20
    print(f"\n{twice} of 20 sounds were predicted by both jobs, and are shown once")


def test_two_compactors_at_once_do_no_harm(server, shared):
    events = [predicted(number) for number in range(1, 101)]
    for event in events:
        put_event_file(server, event, day="2026-11-20")
    machines = [shared("first"), shared("second")]
    start = threading.Barrier(2)

    def run(machine):
        start.wait()
        assert compact(machine, 10) == 100

    run_in_threads(*(lambda machine=machine: run(machine) for machine in machines))
    assert len(server.store.files(f"{SHARED_FOLDER}/segments")) == 2
    reader = shared("reader")
    assert reader.sync.pull() == 100
    assert all_events(reader) == {event.to_json() for event in events}
    assert compact(reader, 1) == 0


def test_ten_thousand_event_files_are_paged_and_all_known(server, shared):
    """Most are in segments, as they would be; more than a thousand of the last day are not."""
    compacted, last_day = 8900, 1100
    lines = list(event_lines(compacted + last_day))
    paths = []
    for number, line in enumerate(lines):
        day = f"2026-{1 + number // 900:02}-{1 + number % 20:02}"
        day = day if number < compacted else "2026-11-22"
        data = segments.encode("events", [line])
        paths.append(put_event_file(server, day=day, data=data))
    for start in range(0, compacted, 4000):
        end = min(start + 4000, compacted)
        segment = segments.segment_lines(paths[start:end], lines[start:end])
        path = f"{SHARED_FOLDER}/segments/{segments.new_name()}"
        server.store.put(path, segments.encode("segment", segment))
    reader = shared("reader")
    assert reader.sync.pull() == len(lines)
    ids = {event.event_id for event in reader.events.all()}
    assert ids == {f"{number:032x}" for number in range(len(lines))}
    assert reader.sync.pull() == 0
    print(f"\n{len(lines)} event files, {len(server.requests)} requests")


def event_lines(count):
    """Yield the lines of 500 predictions and then of reviews of those sounds, by event number."""
    first = predicted(1)
    review = reviewed([first], ["howl"])
    for number in range(count):
        event, base = (first, None) if number < 500 else (review, f"{number % 500:032x}")
        line = event.to_json().replace(event.event_id, f"{number:032x}")
        if base:
            line = line.replace(first.event_id, base)
        yield line.replace("freesound:1", f"freesound:{1 + number % 500}")
