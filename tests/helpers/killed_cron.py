"""A scheduled job that is killed (SIGKILL) at its n-th request, before or after the server's work.

For every n, or every few, each time against an empty project; then the job is run again, on a new
machine or on the same one, and the project is examined. Run by test_hopsworks_faults.py as
`python -m tests.helpers.killed_cron FOLDER before|after EVERY model|no-model`. Prints one JSON line
per death.
"""

import hashlib
import json
import multiprocessing
import os
import signal
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from multiprocessing.connection import Connection
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
PROCESSES = multiprocessing.get_context("forkserver")
"""Processes are forked from one without threads: a lock of OpenSSL's that a thread of the double
holds at that moment would never be free in the new process."""
PROCESSES.set_forkserver_preload(["__main__"])


def load_client() -> None:
    """Load the client, which does not sleep before it looks for a model that it registered."""
    client.load_client()
    from hsml.engine import model_engine

    model_engine.time = types.SimpleNamespace(sleep=lambda seconds: None)


load_client()  # before processes are forked: it takes seconds


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


@dataclass(frozen=True)
class Address:
    """What a process must know of the double to use it."""

    host: str
    port: int
    project: str
    key: str
    certificate: Path

    @classmethod
    def of(cls, server: HopsworksServer) -> "Address":
        """Return the address of a running double."""
        return cls(server.host, server.port, server.project, server.key, server.certificate)


def run_in_child(
    work: Callable[..., None],
    arguments: tuple[object, ...],
    watch: Callable[[int], None] = lambda pid: None,
) -> int:
    """Return the exit status of a process that does this work; minus the signal that killed it.

    Args:
        work: What the process does.
        arguments: Of the work.
        watch: Called with the process id before the process begins.
    """
    gate, opener = PROCESSES.Pipe(duplex=False)
    child = PROCESSES.Process(target=_work_when_told, args=(gate, work, arguments))
    child.start()
    assert child.pid is not None
    watch(child.pid)
    opener.send(None)
    child.join()
    assert child.exitcode is not None
    return child.exitcode


def _work_when_told(
    gate: Connection, work: Callable[..., None], arguments: tuple[object, ...]
) -> None:
    """Do the work as soon as something comes through the gate; end without cleaning up."""
    gate.recv()
    try:
        work(*arguments)
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        os._exit(1)
    os._exit(0)


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


def examine(address: Address, reader: Workspace) -> list[str]:
    """Return what is wrong with the project after the job was run again."""
    reader.sync.pull()
    return [*wrong_sounds(reader), *wrong_files(address)]


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


def wrong_files(address: Address) -> list[str]:
    """Return what is wrong with derived files and models."""
    wrong = []
    project = connect(account_from(address))
    tags = json.loads(project.read_file(f"{SHARED_FOLDER}/id2prediction.json"))
    if tags.keys() != {"1", "2", "3"}:
        wrong.append("id2prediction.json does not name the sounds")
    for model in project.list_models(bundle.load().name):
        names = project.list_names(f"Models/{model.name}/{model.version}/Files")
        if not set(bundle.FILES) <= set(names):
            wrong.append(f"version {model.version} is registered without its files")
    return wrong


def job(address: Address, machine: Path, with_model: bool) -> None:
    """Run the job on one machine."""
    run_job(open_shared(address, machine), with_model)


def job_and_report(
    address: Address, machine: Path, reader: Path, with_model: bool, report: Connection
) -> None:
    """Run the job to its end and send what another machine finds wrong."""
    job(address, machine, with_model)
    report.send(examine(address, open_shared(address, reader)))


def run_again(server: HopsworksServer, machine: Path, reader: Path, with_model: bool) -> list[str]:
    """Run the job again in a process of its own; returns what another machine finds wrong."""
    receiver, sender = PROCESSES.Pipe(duplex=False)
    arguments = (Address.of(server), machine, reader, with_model, sender)
    if run_in_child(job_and_report, arguments):
        return ["the second run failed"]
    return list(receiver.recv())


def die_and_run_again(
    server: HopsworksServer, folder: Path, step: int, when: str, with_model: bool
) -> dict[str, object]:
    """Kill the job at one request and run it again; returns what became of it."""
    server.store = Store("demo")
    populate(server)
    code = run_in_child(
        job,
        (Address.of(server), folder / "machine", with_model),
        lambda pid: kill_at(server, step, when, pid),
    )
    server.before = server.after = lambda request: None
    machine = folder / ("machine" if step % 2 else "another machine")
    wrong = run_again(server, machine, folder / "reader", with_model)
    return {"step": step, "killed": code == -signal.SIGKILL, "wrong": wrong}


def main(folder: Path, when: str, every: int, with_model: bool) -> None:
    """Kill the job at every so many requests until it comes through."""
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
