"""The shared home: a folder of a Hopsworks project, and its model registry.

Everything is kept on this machine first, in the index and files of a local workspace, and every question is answered from there. What is
to be shared goes into a durable outbox in the same transaction; `flush` sends it and `mirror` takes over what others have sent. A save
is *waiting* while only the outbox holds it, and *saved* once it has been read back from Hopsworks.
"""

import hashlib
import json
import re
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import numpy as np

from core.id2prediction import Event, EventError, ModelRef, from_seed_format, to_seed_format
from core.model.bundle import Bundle
from core.settings import Settings
from core.workspace import BEST_BY, Run, Sharing, WorkspaceError
from core.workspace.hopsworks.client import Account, Away, HopsworksError, Missing, connect
from core.workspace.hopsworks.disk import passing_disk
from core.workspace.hopsworks.home import Home
from core.workspace.hopsworks.log import SharedLog
from core.workspace.hopsworks.media import KEPT, SharedMedia
from core.workspace.hopsworks.models import SharedModels
from core.workspace.index import run_to_json
from core.workspace.local import LocalWorkspace

SETTLE_FOR_S = 300
"""How long a job tries to send its events before it gives up; they then wait on its machine."""
RETRY_S = 0.5
FEWEST_FILES_IN_A_SEGMENT = 100
DERIVED = "id2prediction.json"


def account_of(settings: Settings) -> Account:
    """What the settings say about Hopsworks. Raises `WorkspaceError` if something is missing."""
    if not settings.hopsworks_project or settings.hopsworks_api_key is None:
        raise WorkspaceError("EARMARK_HOPSWORKS_HOST is set, but EARMARK_HOPSWORKS_PROJECT or EARMARK_HOPSWORKS_API_KEY is not.")
    return Account(
        settings.hopsworks_host, settings.hopsworks_project, settings.hopsworks_api_key, settings.hopsworks_port,
        settings.hopsworks_certificate, settings.hopsworks_verify,
    )  # fmt: skip


def look_at(settings: Settings) -> Sharing:
    """Open the project and look, without changing anything there or here. Raises `WorkspaceError` with what is in the way."""
    connect(account_of(settings)).names(settings.hopsworks_folder.split("/")[0])
    folder = settings.workspace_folder
    if not (folder / "index.sqlite").exists():
        return Sharing(0, warning=passing_disk(folder))
    return HopsworksWorkspace(folder, account_of(settings), settings.hopsworks_folder).sharing()


class HopsworksWorkspace(LocalWorkspace):
    """The workspace in `shared_folder` of a Hopsworks project, with this machine's part of it in `folder`."""

    def __init__(self, folder: Path, account: Account, shared_folder: str = "Resources/earmark", seed_file: str = "") -> None:
        """Asks Hopsworks nothing yet. `seed_file` is the project's path of an id2prediction.json that `upkeep` imports at the first run.

        Raises `WorkspaceError` if the folder cannot be written or holds another workspace.
        """
        super().__init__(folder)
        self.home = Home(self, self.folder, account, shared_folder)
        self.shared_log, self.shared_media, self.shared_models = SharedLog(self.home), SharedMedia(self.home), SharedModels(self.home)
        self.seed_file = seed_file
        self.problem = ""

    # Events

    def append(self, events: Iterable[Event], *, once_per_model: bool = False) -> int:
        if once_per_model:
            with suppress(HopsworksError):  # another job may have been faster; if that cannot be asked, twice is better than never
                self.mirror()
        with self.writing() as connection:
            fresh = self.add(connection, events, once_per_model)
            self.shared_log.post(connection, fresh)
        self.posted.set()
        return len(fresh)

    def rollouts(self) -> list[Event]:
        """Every rolled_out event, newest first. Raises `WorkspaceError` while the shared log was never read: "none" might be wrong."""
        if not self.shared_log.mirrored:
            self.mirror()
        return super().rollouts()

    def waiting(self, event_ids: Iterable[str]) -> set[str]:
        return self.home.ledger.waiting(event_ids)

    def flush(self) -> int:
        """Send what waits; returns how much was sent. Raises `WorkspaceError`, and what is left goes on waiting."""
        return self._noting_problems(self.shared_log.flush)

    def mirror(self) -> int:
        before = self.withdrawn_ids()
        added = self._noting_problems(self.shared_log.mirror)
        if added:
            self.shared_media.look_again()
        for sound_id in self.withdrawn_ids() - before:
            super().purge(sound_id)  # in the shared home, whoever withdrew it does that
        return added

    def _noting_problems(self, work) -> int:
        try:
            done = work()
        except HopsworksError as error:
            self.problem = str(error)
            raise
        self.problem = ""
        return done

    def settle(self, patience_s: float = SETTLE_FOR_S) -> None:
        """Raises `WorkspaceError` if something still waits after `patience_s`; it goes on waiting then."""
        until = time.monotonic() + patience_s
        while True:
            try:
                self.flush()
                if not self.home.ledger.count_waiting():
                    return
                reason = self.shared_log.problem()
            except Away as error:
                reason = str(error)
            if time.monotonic() > until:
                raise WorkspaceError(f"{self.home.ledger.count_waiting()} saves wait in {self.folder} to be sent. {reason}")
            time.sleep(RETRY_S)

    def sharing(self) -> Sharing:
        problem = self.problem or self.shared_log.problem()
        return Sharing(self.home.ledger.count_waiting(), self.shared_log.mirrored, problem, passing_disk(self.folder))

    # Media

    def put_media(self, data: bytes, suffix: str) -> str:
        name = super().put_media(data, suffix)
        self.shared_media.post(name)
        return name

    def media_path(self, name: str) -> Path | None:
        path = super().media_path(name)
        if path is None and self.is_media_name(name):
            data = self.shared_media.fetch(name.partition(".")[0])
            if data is not None:
                self.shared_media.store(f"media/{name[:2]}/{name}", data)
                path = super().media_path(name)
        return path

    def put_sidecar(self, sound_id: str, model: ModelRef, arrays: Mapping[str, np.ndarray]) -> None:
        super().put_sidecar(sound_id, model, arrays)
        data = self.sidecar_file(sound_id, model).read_bytes()
        name = f"{self.shared_media.sidecar_key(sound_id, model)}{hashlib.sha256(data).hexdigest()[:16]}.safetensors"
        self.shared_media.post(name, body=data)

    def sidecar(self, sound_id: str, model: ModelRef) -> dict[str, np.ndarray] | None:
        arrays = super().sidecar(sound_id, model)
        if arrays is None:
            data = self.shared_media.fetch(self.shared_media.sidecar_key(sound_id, model))
            if data is not None:
                self.shared_media.store(str(self.sidecar_file(sound_id, model).relative_to(self.folder)), data)
                arrays = super().sidecar(sound_id, model)
        return arrays

    def purge(self, sound_id: str) -> int:
        shared = [name for name in self.shared_media.beginnings(self.events(sound_id)) if not self.shown_elsewhere(name, sound_id)]
        gone = super().purge(sound_id)
        with suppress(HopsworksError):  # `upkeep` tries again
            self.shared_media.purge(shared)
        return gone

    # Models

    def push(self, bundle: Bundle) -> ModelRef:
        return self.shared_models.push(bundle)

    def pull(self, model: ModelRef) -> Path:
        return self.shared_models.pull(model)

    def copy_of(self, model: ModelRef) -> Path | None:
        return self.shared_models.copy_of(model)

    def find_model(self, name: str, version: int | Literal["best", "latest"], metric: str = BEST_BY) -> ModelRef:
        return self.shared_models.find(name, version, metric)

    # Runs

    def record_run(self, run: Run) -> None:
        """Keep the record here and send it. While the run goes on, media go to its folder."""
        name = f"{re.sub('[^0-9TZ]', '', run.started)}_{run.run_id}"
        self.shared_media.run_folder = f"media/{name}" if run.state == "running" else KEPT
        with self.writing() as connection:
            self.keep_run(connection, run)
            self.home.ledger.post(connection, f"runs/{name}_{run.state}.json", body=run_to_json(run).encode())

    # Upkeep

    def upkeep(self, keep_runs: int) -> None:
        self.settle()
        self.shared_log.mirror(everything=True)
        self.import_seed()
        self.shared_log.compact(FEWEST_FILES_IN_A_SEGMENT)
        for sound_id in self.withdrawn_ids():
            self.purge(sound_id)
        self.shared_media.keep_last(keep_runs, self.decided())
        entries = to_seed_format(self.states())
        self.home.project().replace(self.home.path(DERIVED), (json.dumps(entries, indent=1, ensure_ascii=False) + "\n").encode())

    def import_seed(self) -> int:
        """Take over the seed's id2prediction.json, once; returns how many sounds were new. Without such a file nothing happens."""
        if not self.seed_file or any(event.kind == "imported" for event in self.log()):
            return 0
        try:
            data = self.home.project().read(self.seed_file)
            today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)  # two who import make the same events
            added = self.append(from_seed_format(data, self.seed_file, today))
        except (Missing, EventError):
            return 0
        self.settle()
        return added
