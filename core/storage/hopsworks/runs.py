"""Run records of a shared workspace."""

import re

from core.storage.hopsworks.media import KEPT_FOLDER, SharedFiles
from core.storage.hopsworks.shared_folder import SharedFolder
from core.storage.runs import LocalRuns, Run, run_to_json


class SharedRuns:
    """Run records here, and their files in the shared folder."""

    def __init__(self, local: LocalRuns, shared: SharedFolder, files: SharedFiles) -> None:
        self._local, self._shared, self._files = local, shared, files

    def record(self, run: Run) -> None:
        """Write a run's record here and put it into the outbox.

        While the run goes on, this process's media go to the run's folder.

        Raises:
            DatabaseError: The record could not be written.
        """
        name = f"{re.sub('[^0-9TZ]', '', run.started)}_{run.run_id}"
        self._files.upload_folder = f"media/{name}" if run.state == "running" else KEPT_FOLDER
        path, body = f"runs/{name}_{run.state}.json", run_to_json(run).encode()
        with self._shared.database.writing() as connection:
            self._local.write(connection, run)
            self._shared.outbox.add(connection, path, body=body)
        self._shared.outbox_event.set()

    def latest(self, limit: int = 10) -> list[Run]:
        """Return the latest runs, newest first."""
        return self._local.latest(limit)
