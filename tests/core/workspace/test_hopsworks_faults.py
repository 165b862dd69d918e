"""Faults that must lose nothing. The counts are printed with `pytest -s`; ALL_STEPS=1 kills the job at every single request, FAULT_SEED=7
draws other faults."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest
from events import V1, predicted, reviewed
from shared import everything, shared_workspace

from core.workspace.hopsworks import files

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
WRITERS, EDITS, SOUNDS = 4, 50, 5
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(HERE)])}
EVENTS = "Resources/earmark/events"
SEED = int(os.environ.get("FAULT_SEED", "11"))
ALL_STEPS = bool(os.environ.get("ALL_STEPS"))


class Writer:
    """A curator's machine as a process, and what it has told so far."""

    def __init__(self, server, folder, name, edits=EDITS):
        arguments = (server.host, server.port, server.key, server.certificate, folder / name, name, edits, SOUNDS)
        command = [sys.executable, str(HERE / "faulty_writer.py"), *map(str, arguments)]
        self.name, self.told = name, []
        self.process = subprocess.Popen(command, cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True)
        self.thread = threading.Thread(target=self.listen)
        self.thread.start()

    def listen(self):
        for line in self.process.stdout:
            self.told.append(json.loads(line))
            self.after_each()

    def after_each(self):
        pass

    def ids(self, what):
        return {line[what] for line in self.told if what in line}

    def finish(self):
        code = self.process.wait(120)
        self.thread.join()
        return code


class DoomedWriter(Writer):
    """One that is killed in the middle of its work, after 20 of its edits."""

    def after_each(self):
        if len(self.ids("edited")) == 20:
            self.process.send_signal(signal.SIGKILL)


def test_four_writers_with_503s_lost_answers_delays_and_a_death_lose_no_edit(server, tmp_path):
    for number in range(1, SOUNDS + 1):
        server.store.put(f"{EVENTS}/2026-11-22/{files.new_name()}", files.encode("events", [predicted(number).to_json()]))
    trouble = server.chaos(SEED, unavailable=0.1, drop_before=0.05, drop_after=0.05, delayed=0.1, seconds=0.02)
    names = [f"curator{number}" for number in range(WRITERS)]
    writers = [DoomedWriter(server, tmp_path, names[0]), *(Writer(server, tmp_path, name) for name in names[1:])]
    assert [writer.finish() for writer in writers] == [-signal.SIGKILL, 0, 0, 0]
    dead = writers[0]

    server.heal()
    saved = set().union(*(writer.ids("saved") for writer in writers))
    before = shared_workspace(server, tmp_path / "a reader")
    before.mirror()
    there = {event.event_id: event for event in before.log()}
    assert saved <= there.keys()

    revived = Writer(server, tmp_path, dead.name, edits=0)
    assert revived.finish() == 0
    (still,) = (set(line["waiting"]) for line in revived.told if "waiting" in line)
    unsaved = dead.ids("edited") - dead.ids("saved")
    assert unsaved <= still | there.keys()

    edited = set().union(*(writer.ids("edited") for writer in writers))
    readers = [shared_workspace(server, tmp_path / name) for name in ("another reader", *names)]
    for reader in readers:
        reader.mirror()
    logs = [everything(reader) for reader in readers]
    assert all(log == logs[0] for log in logs)
    by_id = {event.event_id: event for event in readers[0].log()}
    assert edited <= by_id.keys()
    count = Counter(event.actor for event in by_id.values() if event.kind == "reviewed")
    assert [count[name] for name in names[1:]] == [EDITS] * (WRITERS - 1)
    assert count[names[0]] >= 20
    tags = {tag for state in readers[0].states() for tag in state.tags}
    assert {f"{name}-{number}" for name in names[1:] for number in range(EDITS)} <= tags
    states = [{state.sound_id: state.tags for state in reader.states()} for reader in readers]
    assert all(state == states[0] for state in states)
    print(
        f"\n{len(edited)} edits, {len(saved)} shown as saved before the revival, {len(still)} waited with the dead writer; {trouble.done}"
    )


@pytest.mark.parametrize(("when", "every", "what"), [("before", 12, "push"), ("after", 8, "no model")])
def test_the_job_killed_at_any_request_and_run_again_tags_no_sound_twice_and_loses_none(tmp_path, when, every, what):
    script = [sys.executable, str(HERE / "killed_cron.py"), str(tmp_path), when, "1" if ALL_STEPS else str(every), what]
    result = subprocess.run(script, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=1200)
    assert result.returncode == 0, result.stderr
    deaths = [json.loads(line) for line in result.stdout.splitlines()]
    assert [death for death in deaths if death["wrong"]] == []
    assert not deaths[-1]["killed"]
    assert deaths[-1]["step"] > 40
    print(f"\n{len(deaths) - 1} deaths {when} a request, of {deaths[-1]['step']} requests")


def in_threads(*works):
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_two_jobs_at_once_show_every_sound_once_and_alike(server, shared):
    machines = [shared("one"), shared("two")]
    start = threading.Barrier(2)

    def job(machine):
        start.wait()
        machine.mirror()
        for number in range(1, 21):
            machine.append([predicted(number)], once_per_model=True)
            machine.flush()
        machine.settle()

    in_threads(*(lambda machine=machine: job(machine) for machine in machines))
    readers = [shared(name) for name in ("one", "two", "reader")]
    for reader in readers:
        reader.mirror()
    assert all(everything(reader) == everything(readers[0]) for reader in readers)
    assert [state.sound_id for state in readers[0].states()] == sorted(f"freesound:{number}" for number in range(1, 21))
    assert readers[0].counts().sounds == 20
    assert readers[0].tags_in_use() == [("bark", 20), ("dog", 20)]
    assert readers[0].known([f"freesound:{number}" for number in range(1, 21)], V1) == {f"freesound:{number}" for number in range(1, 21)}
    assert {state.tags for reader in readers for state in reader.states()} == {("dog", "bark")}
    twice = sum(event.kind == "predicted" for event in readers[0].log()) - 20
    print(f"\n{twice} of 20 sounds were heard by both jobs, and are shown once")


def test_two_compactors_at_once_do_no_harm(server, shared):
    events = [predicted(number) for number in range(1, 101)]
    for event in events:
        server.store.put(f"{EVENTS}/2026-11-20/{files.new_name()}", files.encode("events", [event.to_json()]))
    machines = [shared("one"), shared("two")]
    start = threading.Barrier(2)

    def compact(machine):
        start.wait()
        assert machine.shared_log.compact(10) == 100

    in_threads(*(lambda machine=machine: compact(machine) for machine in machines))
    assert len(server.store.files("Resources/earmark/segments")) == 2
    reader = shared("reader")
    assert reader.mirror() == 100
    assert everything(reader) == {event.to_json() for event in events}
    assert reader.shared_log.compact(1) == 0


def test_twenty_five_thousand_event_files_are_paged_and_all_known(server, shared):
    """Most are in segments, as they would be; more than a thousand of the last day are not."""
    first = predicted(1)
    templates = [first.to_json(), reviewed([first], ["howl"]).to_json().replace(first.event_id, "{}")]
    expected, gathered, last_day = set(), [], 0
    for number in range(25_000):
        event_id, kind = f"{number:032x}", templates[number >= 500]
        own_id = json.loads(kind)["event_id"]
        line = kind.replace(own_id, event_id).replace("{}", f"{number % 500:032x}").replace("freesound:1", f"freesound:{1 + number % 500}")
        day = f"2026-{1 + number // 2250:02}-{1 + number % 20:02}" if number < 23_900 else "2026-11-22"
        path = f"events/{day}/{files.new_name()}"
        server.store.put(f"Resources/earmark/{path}", files.encode("events", [line]))
        expected.add(event_id)
        if number < 23_900:
            gathered.append((path, line))
        else:
            last_day += 1
    for start in range(0, len(gathered), 4000):
        portion = gathered[start : start + 4000]
        lines = files.segment_lines([path for path, _ in portion], [line for _, line in portion])
        server.store.put(f"Resources/earmark/segments/{files.new_name()}", files.encode("segment", lines))
    assert last_day == 1100
    reader = shared("reader")
    assert reader.mirror() == 25_000
    assert {event.event_id for event in reader.log()} == expected
    assert reader.mirror() == 0
    print(f"\n25,000 event files, {len(server.requests)} requests")
