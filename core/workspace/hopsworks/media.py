"""Sounds, spectrograms and sidecars in the shared home: `media/<run>/<name>`, and `media/kept/` for what is to stay.

A medium's name is its content's SHA-256, so that what came is what was asked for. A sidecar's name ends in its content's:
`<sound>.<model>-<version>.<first 16 digits>.safetensors`. What was fetched once lies in this machine's folder.
"""

import hashlib
import re
import time
from collections.abc import Iterable
from contextlib import suppress

from core.files import write_atomic
from core.id2prediction import Event, ModelRef
from core.workspace import WorkspaceError
from core.workspace.hopsworks.client import Away, HopsworksError, Missing, Project, Refused
from core.workspace.hopsworks.home import Home

KEPT = "media/kept"
NAME = re.compile(r"([0-9a-f]{64})(-\d+)?\.(ogg|webp)|.+\.([0-9a-f]{16})(-\d+)?\.safetensors")
RUN_FOLDER = re.compile(r"media/\d{8}T\d+Z_\w+")
"""Nothing else is ever removed."""
SOUND_DIGITS = 32
"""Of a sound id, in a sidecar's name: all of Freesound's, and half of a hash."""
LIST_AGAIN_S = 60
"""A medium that is not found is looked for again only after so long, or when there are new events: a page may ask for many."""
TRY_AGAIN_S = 10


class SharedMedia:
    """The media of one `Home`."""

    def __init__(self, home: Home) -> None:
        self.home, self.ledger = home, home.ledger
        self.run_folder = KEPT
        """Where new media go: the folder of the run that is going on in this process, if one is."""
        self._listed = self._failed = float("-inf")

    def post(self, name: str, *, body: bytes | None = None) -> None:
        """Put a medium of this machine's folder, or `body` under that name, into the outbox."""
        if all(folder != self.run_folder for folder, _ in self.ledger.places(name)):
            with self.home.index.writing() as connection:
                self.ledger.post(connection, f"{self.run_folder}/{name}", body=body, medium=None if body else name)

    def sidecar_key(self, sound_id: str, model: ModelRef) -> str:
        kind, _, number = sound_id.partition(":")
        return f"{kind}-{number[:SOUND_DIGITS]}.{model.name}-{model.version}."

    def fetch(self, beginning: str) -> bytes | None:
        """The medium whose name begins so, from the shared home; None if it is not there, or Hopsworks is away."""
        if time.monotonic() - self._failed < TRY_AGAIN_S:
            return None
        try:
            project = self.home.project()
            data = self._read_first(project, beginning)
            if data is None and self._look_around(project):
                data = self._read_first(project, beginning)
            return data
        except (Away, Refused):
            self._failed = time.monotonic()
            return None

    def _read_first(self, project: Project, beginning: str) -> bytes | None:
        """From the first folder that is known to have it and still does."""
        found = (self._read(project, f"{folder}/{name}") for folder, name in self.ledger.places(beginning))
        return next((data for data in found if data is not None), None)

    def look_again(self) -> None:
        """There may be new media."""
        self._listed = float("-inf")

    def _read(self, project: Project, path: str) -> bytes | None:
        """A medium that is what its name says, or None."""
        with suppress(Missing):
            data = project.read(self.home.path(path))
            named = NAME.fullmatch(path.rpartition("/")[2])
            if named and hashlib.sha256(data).hexdigest().startswith(named[1] or named[4]):
                return data
        return None

    def _look_around(self, project: Project) -> bool:
        """List the folders, as many as there are runs kept, and forget those that are gone; False if that was done just now."""
        if time.monotonic() - self._listed < LIST_AGAIN_S:
            return False
        there = self.folders(project)
        for folder in there:
            with suppress(Missing):
                names = project.names(self.home.path(folder))
                with self.home.index.writing() as connection:
                    self.ledger.put_places(connection, folder, filter(NAME.fullmatch, names))
        with self.home.index.writing() as connection:
            for folder in self.ledger.folders().difference(there):
                self.ledger.drop_places(connection, folder)
        self._listed = time.monotonic()
        return True

    def folders(self, project: Project) -> list[str]:
        """Folders with media, by the time when their run began; `kept` comes first."""
        try:
            names = project.names(self.home.path("media"))
        except Missing:
            return []
        return sorted((f"media/{name}" for name in names), key=lambda folder: (folder != KEPT, folder))

    def purge(self, beginnings: Iterable[str]) -> None:
        """Delete media whose names begin so, wherever they lie in the shared home or wait to be sent.

        Raises `WorkspaceError` where Hopsworks is away; `upkeep` tries again.
        """
        for beginning in beginnings:
            with self.home.index.writing() as connection:
                self.ledger.take_back(connection, beginning)
            if not self.ledger.places(beginning):
                self._look_around(self.home.project())
            for folder, name in self.ledger.places(beginning):
                self.home.project().remove(self.home.path(f"{folder}/{name}"))
                with self.home.index.writing() as connection:
                    self.ledger.drop_place(connection, folder, name)

    # Retention

    def keep_last(self, runs: int, histories: Iterable[list[Event]]) -> int:
        """Remove the folders of all but the last so many runs; returns how many were.

        `histories` are those of the sounds that somebody decided about: their media are copied to `kept` first. One that cannot be
        copied, because it is damaged, keeps its folder.
        """
        project = self.home.project()
        old = [folder for folder in self.folders(project) if RUN_FOLDER.fullmatch(folder)][:-runs]
        wanted = {beginning for history in histories for beginning in self.beginnings(history)} if old else set()
        removed = 0
        for folder in old:
            if self._rescue(project, folder, wanted):
                project.remove(self.home.path(folder))
                with self.home.index.writing() as connection:
                    self.ledger.drop_places(connection, folder)
                removed += 1
        return removed

    def beginnings(self, history: list[Event]) -> list[str]:
        """How the names of a sound's media begin."""
        found: list[str] = []
        for event in history:
            if event.kind == "predicted":
                audio, spectrogram = event.payload.media.audio, event.payload.media.spectrogram
                found += [name.partition(".")[0] for name in (audio, spectrogram) if name]
                found.append(self.sidecar_key(str(event.sound_id), event.payload.model))
        return found

    def _rescue(self, project: Project, folder: str, wanted: set[str]) -> bool:
        """Copy what is wanted of a folder to `kept`; whether all of it is there now."""
        try:
            names = [name for name in project.names(self.home.path(folder)) if NAME.fullmatch(name) and _beginning(name) in wanted]
            with self.home.index.writing() as connection:
                self.ledger.put_places(connection, folder, names)
            return all(self._copy(project, folder, name) for name in names)
        except Missing:
            return False  # another job removes it just now

    def _copy(self, project: Project, folder: str, name: str) -> bool:
        data = self._read(project, f"{folder}/{name}")
        if data is None:
            return False
        try:
            project.create(self.home.path(f"{KEPT}/{name}"), data)
        except (Away, Refused):
            raise
        except HopsworksError:
            return False
        with self.home.index.writing() as connection:
            self.ledger.put_places(connection, KEPT, [name])
        return True

    def store(self, relative: str, data: bytes) -> None:
        """Keep what was fetched on this machine. Raises `WorkspaceError`."""
        try:
            write_atomic(self.home.cache / relative, data)
        except OSError as error:
            raise WorkspaceError(f"The workspace {self.home.cache} cannot be written ({error.strerror}).") from error


def _beginning(name: str) -> str:
    """What `wanted` holds for a name: the hash of a medium, sound and model of a sidecar."""
    if name.endswith(".safetensors"):
        return name[: name.removesuffix(".safetensors").rindex(".") + 1]
    return name.partition(".")[0].partition("-")[0]
