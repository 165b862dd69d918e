"""Run by test_killed.py: a writer that is killed (SIGKILL) before the n-th step, for every n, each time in a fresh workspace.

A step is a database statement, a commit, or anything done to a file. After each death the workspace is opened and examined.
Prints one JSON line per death.
"""

import json
import os
import signal
import sqlite3
import sys
from pathlib import Path

import numpy as np
import sqlalchemy as sql
from events import V1, predicted, reviewed

from core.id2prediction import Media, RolledOut, new_event
from core.model import bundle
from core.workspace import Run
from core.workspace.local import LocalWorkspace

FILE_EVENTS = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "sqlite3.connect")
TABLES = ("sounds", "sound_tags", "decisions", "predictions")


def write(folder: Path, acknowledge) -> None:
    """What jobs and curators do to a workspace."""
    workspace = LocalWorkspace(folder)
    for number in (1, 2):
        media = Media(audio=workspace.put_media(f"sound {number}".encode(), "ogg"))
        workspace.put_sidecar(f"freesound:{number}", V1, {"times": np.zeros((1, 2))})
        workspace.append([event := predicted(number, media=media)], once_per_model=True)
        acknowledge(event)
    workspace.record_run(Run(run_id="r", started="now", source="test", model=V1, actor="job"))
    history = workspace.events("freesound:1")
    workspace.append([event := reviewed(history, ["dog", f"howl-{len(history)}"])])
    acknowledge(event)
    model = workspace.push(bundle.load())
    workspace.append([event := new_event(RolledOut(model=model, reason="test"), None, "ada")])
    acknowledge(event)


def die_before(step: int, folder: Path) -> None:
    """Arrange for this process to kill itself just before its `step`-th step."""
    done = 0

    def count(*_args) -> None:
        nonlocal done
        done += 1
        if done == step:
            os.kill(os.getpid(), signal.SIGKILL)

    def audit(name: str, arguments: tuple) -> None:
        if name in FILE_EVENTS and str(folder) in str(arguments[0]):
            count()

    sys.addaudithook(audit)
    for moment in ("before_cursor_execute", "after_cursor_execute", "commit"):
        sql.event.listen(sql.engine.Engine, moment, count)


def run_until_death(step: int, folder: Path) -> tuple[bool, list[str]]:
    """Whether the writer was killed, and the ids of the events whose writing it had been told was done."""
    readable, writable = os.pipe()
    child = os.fork()
    if child == 0:
        die_before(step, folder)
        write(folder, lambda event: os.write(writable, event.event_id.encode()))
        os._exit(0)
    os.close(writable)
    with os.fdopen(readable) as pipe:
        told = pipe.read()
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status), [told[at : at + 32] for at in range(0, len(told), 32)]


def examine(folder: Path, acknowledged: list[str]) -> list[str]:
    """What is wrong with the workspace."""
    workspace = LocalWorkspace(folder)
    wrong = []
    there = {event.event_id: event for event in workspace.log()}
    wrong += [f"lost {event_id}" for event_id in acknowledged if event_id not in there]
    for event in there.values():
        if event.kind == "predicted" and workspace.media_path(event.payload.media.audio) is None:
            wrong.append(f"no media for {event.sound_id}")
    if workspace.rolled_out():
        bundle.load(workspace.pull(workspace.rolled_out().payload.model)).network()
    derived = dump(workspace.path)
    workspace.rebuild()
    if dump(workspace.path) != derived:
        wrong.append("derived tables were out of step")
    workspace.close()
    write(folder, lambda event: None)
    after = LocalWorkspace(folder)
    if len(list(after.states())) != 2 or len([event for event in after.log() if event.kind == "predicted"]) != 2:
        wrong.append("a second run did not complete the first")
    return wrong


def dump(path: Path) -> dict:
    with sqlite3.connect(path) as connection:
        return {table: sorted(connection.execute(f"SELECT * FROM {table}")) for table in TABLES}


def main(folder: Path) -> None:
    step, killed = 0, True
    while killed:
        step += 1
        place = folder / str(step)
        killed, acknowledged = run_until_death(step, place)
        print(json.dumps({"step": step, "killed": killed, "acknowledged": len(acknowledged), "wrong": examine(place, acknowledged)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
