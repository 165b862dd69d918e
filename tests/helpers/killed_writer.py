"""A writer that is killed (SIGKILL) before its n-th step, for every n, each in a new workspace.

Run by test_killed.py as `python -m tests.helpers.killed_writer FOLDER`. A step is a database
statement that writes, a commit, or anything done to a file: between two of them nothing changes.
After each death the workspace is opened and examined. Prints one JSON line per death.
"""

import json
import os
import signal
import sqlite3
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sql

from core.events.types import Event, Media, PredictedEvent, RolledOut, new_event
from core.model import bundle
from core.storage.active_model import active_version
from core.storage.folder import DATABASE_NAME
from core.storage.local import open_local_workspace
from core.storage.runs import Run
from core.storage.sidecars import Sidecar
from core.storage.workspace import Workspace
from tests.helpers.events import V1, predicted, reviewed

FILE_EVENTS = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "sqlite3.connect")
DERIVED_TABLES = ("sounds", "sound_tags", "decisions", "predictions", "sound_media")
READ_ONLY = ("SELECT", "PRAGMA", "BEGIN")
ID_LENGTH = 32


def write(folder: Path, acknowledge: Callable[[Event], object]) -> None:
    """Do to a workspace what jobs and curators do."""
    workspace = open_local_workspace(folder)
    for number in (1, 2):
        media = Media(audio=workspace.media.put(f"sound {number}".encode(), "ogg"))
        workspace.sidecars.put(f"freesound:{number}", V1, {"times": np.zeros((1, 2))})
        prediction = predicted(number, media=media)
        workspace.events.append([prediction], once_per_model=True)
        acknowledge(prediction)
    write_batch(workspace, (3, 4), acknowledge)
    workspace.runs.record(Run(run_id="r", started="now", source="test", model=V1, actor="job"))
    history = workspace.events.of_sound("freesound:1")
    review = reviewed(history, ["dog", f"howl-{len(history)}"])
    workspace.events.append([review])
    acknowledge(review)
    model = workspace.models.register(bundle.load())
    rollout = new_event(RolledOut(model=model, reason="test"), None, "ada")
    workspace.events.append([rollout])
    acknowledge(rollout)


def write_batch(
    workspace: Workspace, numbers: Sequence[int], acknowledge: Callable[[Event], object]
) -> None:
    """Write the files of several sounds together, then their events."""
    names = workspace.media.put_all([(f"sound {number}".encode(), "ogg") for number in numbers])
    arrays = {"times": np.zeros((1, 2))}
    workspace.sidecars.put_all([Sidecar(f"freesound:{number}", V1, arrays) for number in numbers])
    predictions = [
        predicted(number, media=Media(audio=name))
        for number, name in zip(numbers, names, strict=True)
    ]
    workspace.events.append(predictions, once_per_model=True)
    for prediction in predictions:
        acknowledge(prediction)


def die_before(step: int, folder: Path) -> None:
    """Arrange for this process to kill itself just before its `step`-th step."""
    done = 0

    def count(*_arguments: object) -> None:
        nonlocal done
        done += 1
        if done == step:
            os.kill(os.getpid(), signal.SIGKILL)

    def count_statement(
        _connection: object, _cursor: object, statement: str, *_arguments: object
    ) -> None:
        if not statement.startswith(READ_ONLY):
            count()

    def audit(name: str, arguments: tuple[object, ...]) -> None:
        if name in FILE_EVENTS and str(folder) in str(arguments[0]):
            count()

    sys.addaudithook(audit)
    sql.event.listen(sql.engine.Engine, "before_cursor_execute", count_statement)
    sql.event.listen(sql.engine.Engine, "commit", count)


def run_until_death(step: int, folder: Path) -> tuple[bool, list[str]]:
    """Return whether the writer was killed, and the ids of the events it saw saved."""
    readable, writable = os.pipe()
    child = os.fork()
    if child == 0:
        die_before(step, folder)
        write(folder, lambda event: os.write(writable, event.event_id.encode()))
        os._exit(0)
    os.close(writable)
    with os.fdopen(readable) as pipe:
        ids = pipe.read()
    _, status = os.waitpid(child, 0)
    starts = range(0, len(ids), ID_LENGTH)
    return os.WIFSIGNALED(status), [ids[start : start + ID_LENGTH] for start in starts]


def examine(folder: Path, acknowledged: list[str]) -> list[str]:
    """Return what is wrong with the workspace."""
    workspace = open_local_workspace(folder)
    events = {event.event_id: event for event in workspace.events.all()}
    wrong = [f"lost {event_id}" for event_id in acknowledged if event_id not in events]
    for event in events.values():
        if not isinstance(event, PredictedEvent):
            continue
        if workspace.media.path(event.payload.media.audio) is None:
            wrong.append(f"no media for {event.sound_id}")
        if workspace.sidecars.get(event.sound_id, event.payload.model) is None:
            wrong.append(f"no sidecar of {event.sound_id}")
    active = active_version(workspace)
    if active:
        bundle.load(workspace.models.fetch(active)).network()
    derived = derived_rows(folder)
    workspace.events.rebuild()
    if derived_rows(folder) != derived:
        wrong.append("derived tables were out of step")
    return wrong + examine_second_run(folder)


def examine_second_run(folder: Path) -> list[str]:
    """Write again; returns what is wrong then."""
    write(folder, lambda event: None)
    workspace = open_local_workspace(folder)
    sounds = list(workspace.sounds.all())
    predictions = [event for event in workspace.events.all() if isinstance(event, PredictedEvent)]
    complete = len(sounds) == len(predictions) == 4
    return [] if complete else ["a second run did not complete the first"]


def derived_rows(folder: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Return the rows of all derived tables."""
    connection = sqlite3.connect(folder / DATABASE_NAME)
    try:
        return {
            table: sorted(connection.execute(f"SELECT * FROM {table}")) for table in DERIVED_TABLES
        }
    finally:
        connection.close()


def main(folder: Path) -> None:
    """Kill a writer at every step; prints what became of its workspace."""
    os.fsync = lambda fd: None  # a killed process loses nothing that it wrote
    step, killed = 0, True
    while killed:
        step += 1
        place = folder / str(step)
        killed, acknowledged = run_until_death(step, place)
        death = {
            "step": step,
            "killed": killed,
            "acknowledged": len(acknowledged),
            "wrong": examine(place, acknowledged),
        }
        print(json.dumps(death), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
