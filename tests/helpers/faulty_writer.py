"""One curator's machine, which edits while Hopsworks fails, and prints what a page would show.

Run by test_hopsworks_faults.py as `python -m tests.helpers.faulty_writer ...`. Prints one JSON line
per change: {"edited": id}, {"saved": id}; at the start {"waiting": [...]}. Ends when nothing waits,
or is killed.
"""

import contextlib
import json
import os
import sys
import threading
from pathlib import Path

from pydantic import SecretStr

from core.storage.background_sync import BackgroundSync
from core.storage.errors import StorageError
from core.storage.hopsworks.client import Account
from core.storage.hopsworks.workspace import open_shared_workspace
from core.storage.workspace import Workspace
from tests.helpers.events import reviewed


def say(**values: object) -> None:
    """Print a line at once and whole, for whoever may kill this process."""
    os.write(1, (json.dumps(values) + "\n").encode())


def main(
    host: str,
    port: str,
    key: str,
    certificate: str,
    folder: str,
    name: str,
    edits: str,
    sounds: str,
) -> None:
    """Edit, and wait until everything is saved.

    Args:
        host: Of the double.
        port: Of the double.
        key: Of the double.
        certificate: Of the double.
        folder: This machine's workspace.
        name: The curator.
        edits: How many to make.
        sounds: How many sounds to wait for first.
    """
    account = Account(host, "demo", SecretStr(key), int(port), Path(certificate))
    workspace = open_shared_workspace(Path(folder), account)
    waiting = workspace.sync.waiting(event.event_id for event in workspace.events.all())
    say(waiting=sorted(waiting))
    with BackgroundSync(workspace, interval_s=0.02):
        while workspace.sounds.counts().sounds < int(sounds):
            with contextlib.suppress(StorageError):
                workspace.sync.pull()
        for number in range(int(edits)):
            waiting.add(edit(workspace, f"freesound:{1 + number % int(sounds)}", name, number))
            waiting = tell_saved(workspace, waiting)
        pause = threading.Event()
        while waiting:
            pause.wait(0.01)
            waiting = tell_saved(workspace, waiting)


def edit(workspace: Workspace, sound_id: str, name: str, number: int) -> str:
    """Add a tag to a sound; returns the event's id."""
    history = workspace.events.of_sound(sound_id)
    state = workspace.sounds.get(sound_id)
    assert state is not None
    event = reviewed(history, [*state.tags, f"{name}-{number}"], actor=name)
    workspace.events.append([event])
    say(edited=event.event_id)
    return event.event_id


def tell_saved(workspace: Workspace, waiting: set[str]) -> set[str]:
    """Say which of these are saved now; returns those that still wait."""
    still = workspace.sync.waiting(waiting)
    for event_id in waiting - still:
        say(saved=event_id)
    return still


if __name__ == "__main__":
    main(*sys.argv[1:])
