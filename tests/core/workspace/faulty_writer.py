"""Run by test_hopsworks_faults.py: one curator's machine, which edits while Hopsworks is ill and tells what the page would show.

Prints one JSON line per change: {"edited": id}, {"saved": id}; then {"waiting": [...]}. Ends when nothing waits, or is killed.
"""

import contextlib
import json
import os
import sys
import threading
from pathlib import Path

from events import reviewed
from pydantic import SecretStr

from core.workspace import WorkspaceError
from core.workspace.hopsworks import Account, HopsworksWorkspace
from core.workspace.synchroniser import Synchroniser


def say(**what) -> None:
    os.write(1, (json.dumps(what) + "\n").encode())


def main(host: str, port: str, key: str, certificate: str, folder: str, name: str, edits: str, sounds: str) -> None:
    workspace = HopsworksWorkspace(Path(folder), Account(host, "demo", SecretStr(key), int(port), Path(certificate)))
    pause = threading.Event()
    waiting: set[str] = set(workspace.waiting(event.event_id for event in workspace.log()))
    say(waiting=sorted(waiting))
    with Synchroniser(workspace, every_s=0.02):
        while len({state.sound_id for state in workspace.states()}) < int(sounds):
            with contextlib.suppress(WorkspaceError):
                workspace.mirror()
        for number in range(int(edits)):
            history = workspace.events(f"freesound:{1 + number % int(sounds)}")
            tags = [*workspace.sound(history[0].sound_id).tags, f"{name}-{number}"]
            workspace.append([event := reviewed(history, tags, actor=name)])
            say(edited=event.event_id)
            waiting = tell_saved(workspace, waiting | {event.event_id})
        while waiting:
            pause.wait(0.01)
            waiting = tell_saved(workspace, waiting)


def tell_saved(workspace, waiting: set[str]) -> set[str]:
    """Say which of these are saved now; returns those that still wait."""
    still = workspace.waiting(waiting)
    for event_id in waiting - still:
        say(saved=event_id)
    return still


if __name__ == "__main__":
    main(*sys.argv[1:])
