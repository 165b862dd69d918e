"""A scheduled job that is killed (SIGKILL) at its n-th request, before or after the server's work.

For every n, or every few, each time against an empty project; then the job is run again, on a new
machine or on the same one, and the project is examined. Run by test_hopsworks_faults.py as
`python -m tests.helpers.killed_cron FOLDER before|after EVERY model|no-model`. Prints one JSON line
per death.
"""

import hashlib
import json
import os
import signal
import sys
import threading
import types
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from core.events.types import Media, PredictedEvent, iso
from core.model import bundle
from core.storage.hopsworks import client
from core.storage.hopsworks.client import connect
from core.storage.runs import Run
from core.storage.workspace import Workspace
from tests.helpers.events import V1, predicted, reviewed
from tests.helpers.shared_workspace import (
    SHARED_FOLDER,
    account_from,
    open_shared,
    put_event_file,
)
from tests.servers.hopsworks import HopsworksServer, Store

SOUNDS = ("freesound:1", "freesound:2")
WITH_MODEL = "model"


def run_job(workspace: Workspace, with_model: bool) -> None:
    """Do what a scheduled job does, without any prediction."""
    workspace.sync.pull()
    if with_model:
        workspace.models.register(bundle.load())
    started = iso(datetime.now(UTC))
    run = Run(os.urandom(4).hex(), started, source="test", model=V1, actor="job")
    workspace.runs.record(run)
    tagged = workspace.sounds.tagged(SOUNDS, V1)
    for number in (1, 2):
        if f"freesound:{number}" not in tagged:
            media = Media(audio=workspace.media.put(f"OggS {number}".encode(), "ogg"))
            workspace.sidecars.put(f"freesound:{number}", V1, {"times": np.zeros((1, 2))})
            workspace.events.append([predicted(number, media=media)], once_per_model=True)
    workspace.sync.wait_until_synced()
    workspace.runs.record(replace(run, state="finished"))
    workspace.sync.maintain(keep_runs=2)


def run_in_child(
    server: HopsworksServer,
    work: Callable[[], None],
    watch: Callable[[int], None] = lambda pid: None,
) -> int:
    """Return the exit status of a process that does this work.

    No thread of the server's may be at work while it is forked: it could hold a lock of OpenSSL's,
    and the child would wait for it for ever.

    Args:
        server: The double; away while the process is forked.
        work: What the process does.
        watch: Called with the process id before the process begins.
    """
    server.go_offline()
    for thread in threading.enumerate():
        if thread is not threading.current_thread():
            thread.join(10)
    readable, writable = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writable)
        os.read(readable, 1)
        run_and_exit(work)
    server.go_online()
    watch(child)
    os.close(readable)
    os.close(writable)  # now it may begin
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def run_and_exit(work: Callable[[], None]) -> None:
    """Do the work and end this process."""
    try:
        work()
        os._exit(0)
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        os._exit(1)


def kill_at(server: HopsworksServer, step: int, when: str, pid: int) -> None:
    """Kill the process at its `step`-th request, just before or after the server works on it."""
    done = 0

    def count(_request: object) -> None:
        nonlocal done
        done += 1
        if done == step:
            os.kill(pid, signal.SIGKILL)

    setattr(server, when, count)


def populate(server: HopsworksServer) -> None:
    """Leave an old run whose one sound somebody has decided about.

    Its media are to be kept when the run's folder goes.
    """
    medium = f"{hashlib.sha256(b'OggS 3').hexdigest()}.ogg"
    old = predicted(3, media=Media(audio=medium))
    put_event_file(server, old, reviewed([old], ["howl"]))
    path = f"{SHARED_FOLDER}/media/20250101T100000000000Z_old/{medium}"
    server.store.put(path, b"OggS 3")


def examine(server: HopsworksServer, reader: Workspace) -> list[str]:
    """Return what is wrong with the project after the job was run again."""
    reader.sync.pull()
    return [*wrong_sounds(reader), *wrong_files(server)]


def wrong_sounds(reader: Workspace) -> list[str]:
    """Return what is wrong with events, media and runs."""
    wrong = []
    events = list(reader.events.all())
    predictions = sorted(event.sound_id for event in events if isinstance(event, PredictedEvent))
    if predictions != ["freesound:1", "freesound:2", "freesound:3"]:
        wrong.append(f"predictions of {predictions}")
    for state in reader.sounds.all():
        if reader.media.path(state.media.audio) is None:
            wrong.append(f"no media for {state.sound_id}")
        if state.sound_id in SOUNDS and reader.sidecars.get(state.sound_id, V1) is None:
            wrong.append(f"no sidecar for {state.sound_id}")
    if not any(run.state == "finished" for run in reader.runs.latest()):
        wrong.append("no run is finished")
    return wrong


def wrong_files(server: HopsworksServer) -> list[str]:
    """Return what is wrong with derived files and models."""
    wrong = []
    project = connect(account_from(server))
    tags = json.loads(project.read_file(f"{SHARED_FOLDER}/id2prediction.json"))
    if tags.keys() != {"1", "2", "3"}:
        wrong.append("id2prediction.json does not name the sounds")
    for model in project.list_models(bundle.load().name):
        names = project.list_names(f"Models/{model.name}/{model.version}/Files")
        if not set(bundle.FILES) <= set(names):
            wrong.append(f"version {model.version} is registered without its files")
    return wrong


def run_again(server: HopsworksServer, machine: Path, reader: Path, with_model: bool) -> list[str]:
    """Run the job to its end in a process of its own; returns what another machine finds wrong."""
    readable, writable = os.pipe()

    def work() -> None:
        run_job(open_shared(server, machine), with_model)
        wrong = examine(server, open_shared(server, reader))
        os.write(writable, json.dumps(wrong).encode())

    failed = run_in_child(server, work)
    os.close(writable)
    with os.fdopen(readable) as pipe:
        report = pipe.read()
    return ["the second run failed"] if failed else list(json.loads(report))


def die_and_run_again(
    server: HopsworksServer, folder: Path, step: int, when: str, with_model: bool
) -> dict[str, object]:
    """Kill the job at one request and run it again; returns what became of it."""
    server.store = Store("demo")
    populate(server)

    def first_run() -> None:
        run_job(open_shared(server, folder / "machine"), with_model)

    code = run_in_child(server, first_run, lambda pid: kill_at(server, step, when, pid))
    server.before = server.after = lambda request: None
    machine = folder / ("machine" if step % 2 else "another machine")
    wrong = run_again(server, machine, folder / "reader", with_model)
    return {"step": step, "killed": code == -signal.SIGKILL, "wrong": wrong}


def main(folder: Path, when: str, every: int, with_model: bool) -> None:
    """Kill the job at every so many requests until it comes through."""
    client.load_client()
    from hsml.engine import model_engine

    model_engine.time = types.SimpleNamespace(sleep=lambda seconds: None)
    with HopsworksServer() as server:
        step, killed = 1, True
        while killed:
            death = die_and_run_again(server, folder / str(step), step, when, with_model)
            print(json.dumps(death), flush=True)
            killed = bool(death["killed"])
            step += every
        assert server.errors == []


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4] == WITH_MODEL)
