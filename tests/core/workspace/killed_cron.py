"""Run by test_hopsworks_faults.py: a scheduled job that is killed (SIGKILL) at its n-th request, before or after the server worked on it,
for every n, each time against an empty project; then it is run again, on a new machine or on the same one, and the project is examined.

Prints one JSON line per death.
"""

import hashlib
import json
import os
import signal
import sys
import threading
import types
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from events import V1, predicted, reviewed
from pydantic import SecretStr

from core.id2prediction import Media, iso
from core.model import bundle
from core.workspace import Run
from core.workspace.hopsworks import Account, HopsworksWorkspace, client, files
from tests.servers.hopsworks import HopsworksServer
from tests.servers.hopsworks_store import Store

SOUNDS = ("freesound:1", "freesound:2")
PUSH = "push"


def job(workspace: HopsworksWorkspace, with_model: bool) -> None:
    """What a scheduled job does, without the listening."""
    workspace.mirror()
    if with_model:
        workspace.push(bundle.load())
    run = Run(run_id=os.urandom(4).hex(), started=iso(datetime.now(UTC)), source="test", model=V1, actor="job")
    workspace.record_run(run)
    known = workspace.known(SOUNDS, V1)
    for number in (1, 2):
        if f"freesound:{number}" not in known:
            media = Media(audio=workspace.put_media(f"OggS {number}".encode(), "ogg"))
            workspace.put_sidecar(f"freesound:{number}", V1, {"times": np.zeros((1, 2))})
            workspace.append([predicted(number, media=media)], once_per_model=True)
    workspace.settle()
    workspace.record_run(Run(**{**run.__dict__, "state": "finished"}))
    workspace.upkeep(keep_runs=2)


def opened(server: HopsworksServer, folder: Path) -> HopsworksWorkspace:
    return HopsworksWorkspace(folder, Account(server.host, "demo", SecretStr(server.key), server.port, server.certificate))


def in_a_child(server: HopsworksServer, work, watch=lambda pid: None) -> int:
    """The exit status of a process that does this. No thread of the server's may be at work while it is forked: it could hold a lock of
    OpenSSL's, and the child would wait for it for ever."""
    server.away()
    for thread in threading.enumerate():
        if thread is not threading.current_thread():
            thread.join(10)
    readable, writable = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writable)
        os.read(readable, 1)
        try:
            work()
            os._exit(0)
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
            os._exit(1)
    server.back()
    watch(child)
    os.close(readable)
    os.close(writable)  # now it may begin
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def kill_at(server: HopsworksServer, step: int, when: str, pid: int) -> None:
    """Arrange for the process to die at its `step`-th request, just before or just after the server works on it."""
    done = 0

    def count(_request) -> None:
        nonlocal done
        done += 1
        if done == step:
            os.kill(pid, signal.SIGKILL)

    setattr(server, when, count)


def populate(store: Store) -> None:
    """An old run whose one sound somebody has decided about: its media are to be kept when the run's folder goes."""
    medium = f"{hashlib.sha256(b'OggS 3').hexdigest()}.ogg"
    old = predicted(3, media=Media(audio=medium))
    lines = [old.to_json(), reviewed([old], ["howl"]).to_json()]
    store.put(f"Resources/earmark/{files.event_path(files.new_name())}", files.encode("events", lines))
    store.put(f"Resources/earmark/media/20250101T100000000000Z_old/{medium}", b"OggS 3")


def examine(reader: HopsworksWorkspace) -> list[str]:
    """What is wrong with the project after the job was run again."""
    reader.mirror()
    wrong = []
    predictions = [event.sound_id for event in reader.log() if event.kind == "predicted"]
    if sorted(predictions) != ["freesound:1", "freesound:2", "freesound:3"]:
        wrong.append(f"predictions of {predictions}")
    for state in reader.states():
        if reader.media_path(state.media.audio) is None or (state.sound_id in SOUNDS and reader.sidecar(state.sound_id, V1) is None):
            wrong.append(f"no media for {state.sound_id}")
    if not any(run.state == "finished" for run in reader.runs()):
        wrong.append("no run is finished")
    project = reader.home.project()
    if json.loads(project.read("Resources/earmark/id2prediction.json")).keys() != {"1", "2", "3"}:
        wrong.append("id2prediction.json does not name the sounds")
    for model in project.models(bundle.load().name):
        if not set(bundle.FILES) <= set(project.names(f"Models/{model.name}/{model.version}/Files")):
            wrong.append(f"version {model.version} is registered without its files")
    return wrong


def run_again(server: HopsworksServer, machine: Path, reader: Path, with_model: bool) -> list[str]:
    """Run the job to its end in a process of its own; returns what another machine then finds wrong."""
    readable, writable = os.pipe()

    def work() -> None:
        job(opened(server, machine), with_model)
        os.write(writable, json.dumps(examine(opened(server, reader))).encode())

    failed = in_a_child(server, work)
    os.close(writable)
    with os.fdopen(readable) as pipe:
        told = pipe.read()
    return ["the second run failed"] if failed else json.loads(told)


def main(folder: Path, when: str, every: int, with_model: bool) -> None:
    client._client()
    from hsml.engine import model_engine

    model_engine.time = types.SimpleNamespace(sleep=lambda seconds: None)
    with HopsworksServer() as server:
        step, killed = 1, True
        while killed:
            server.store = Store("demo")
            populate(server.store)
            place = folder / str(step)

            def first_run(place: Path = place) -> None:
                job(opened(server, place / "machine"), with_model)

            code = in_a_child(server, first_run, lambda pid: kill_at(server, step, when, pid))  # noqa: B023 - at once
            killed = code == -signal.SIGKILL
            server.before = server.after = lambda request: None
            machine = place / ("machine" if step % 2 else "another machine")
            print(
                json.dumps({"step": step, "killed": killed, "wrong": run_again(server, machine, place / "reader", with_model)}), flush=True
            )
            step += every
        assert server.errors == []


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4] == PUSH)
