"""Publishes a sound and is killed on the way: `killed_publisher FOLDER MOMENT API SECRET TOKEN ID`.

FOLDER holds sound.wav, and gets the workspace and the upload log.
"""

import os
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from pydantic import SecretStr

from core.events.store import EventStore
from core.events.types import Event
from core.freesound.client import FreesoundClient
from core.freesound.rate_limit import Budget
from core.people import Person
from core.publishing.upload import Publisher
from core.storage.local import open_local_workspace
from tests.helpers.publishing import ANALYSIS, PLENTY, upload_form

KILLED = 9


class KilledLog:
    """An event log whose process dies just before or after events are appended."""

    def __init__(self, log: EventStore, moment: str) -> None:
        self._log, self._moment = log, moment

    def __getattr__(self, name: str) -> object:
        return getattr(self._log, name)

    def append(self, events: Iterable[Event], *, once_per_model: bool = False) -> int:
        """Append the events, or die."""
        if self._moment == "before the events":
            os._exit(KILLED)
        added = self._log.append(events, once_per_model=once_per_model)
        if self._moment == "after the events":
            os._exit(KILLED)
        return added


def main() -> None:
    """Publish FOLDER/sound.wav and die at MOMENT."""
    folder, moment, api, secret, token, user_id = Path(sys.argv[1]), *sys.argv[2:]

    def progress(stage: str, share: float) -> None:
        if moment == "before sending" and stage.startswith("Sending"):
            os._exit(KILLED)
        if moment == "after sending" and stage.startswith("Keeping"):
            os._exit(KILLED)

    data = (folder / "sound.wav").read_bytes()
    client = FreesoundClient(SecretStr(secret), Budget(folder / "budget.sqlite", PLENTY), api)
    workspace = open_local_workspace(folder / "workspace")
    workspace = replace(workspace, events=KilledLog(workspace.events, moment))
    publisher = Publisher(folder / "publications", client, workspace)
    alice = Person(int(user_id), "alice")
    publisher.publish(
        alice, lambda call: call(SecretStr(token)), upload_form(data), data, ANALYSIS, progress
    )


if __name__ == "__main__":
    main()
