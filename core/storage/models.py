"""Versions of model bundles: the registry's interface, and the one in the workspace's folder."""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Protocol

from core.events.types import ModelRef
from core.model import bundle as bundles
from core.model.bundle import Bundle
from core.model.errors import BundleError
from core.storage.errors import ModelNotFound, StorageError
from core.storage.model_notes import LocalNotes, Note, NoteKind, new_note

BEST_BY = "pr_auc_macro"
VersionChoice = int | Literal["best", "latest"]


class ModelRegistry(Protocol):
    """A store of bundles; every method raises `StorageError`."""

    def register(self, bundle: Bundle) -> ModelRef:
        """Keep a bundle as the next version of its name; a known one keeps its version."""

    def fetch(self, model: ModelRef) -> Path:
        """Return the folder of a registered bundle on this machine."""

    def cached(self, model: ModelRef) -> Path | None:
        """Return the folder that `fetch` would give without asking anybody, or None."""

    def find(self, name: str, version: VersionChoice, metric: str = BEST_BY) -> ModelRef:
        """Return a version: that number, the newest, or the one with the highest overall score.

        Raises:
            ModelNotFound: There is none.
        """

    def versions(self, name: str) -> list[ModelRef]:
        """Return the complete versions of a model, newest first; none of an unknown name."""

    def add_note(self, model: ModelRef, kind: NoteKind, content: Mapping[str, object]) -> None:
        """Keep something about a version beside it, where everybody finds it."""

    def notes(self, model: ModelRef, kind: NoteKind) -> list[Note]:
        """Return the notes of a kind about a version, oldest first."""


class LocalModels:
    """Bundles in `folder`/models/<name>/<version>."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "models"
        self._notes = LocalNotes(self._folder)

    def register(self, bundle: Bundle) -> ModelRef:
        """Keep a bundle as the next version of its name; a known one keeps its version.

        Raises:
            StorageError: The bundle cannot be copied.
        """
        folder = self._folder / bundle.name
        while True:
            known = self._versions(bundle.name)
            for version in known:
                if _fingerprint(folder / str(version)) == bundle.fingerprint:
                    return bundle_ref(bundle, version)
            version = known[-1] + 1 if known else 1
            try:
                if self._add(bundle, folder, version):
                    return bundle_ref(bundle, version)
            except OSError as error:
                reason = f"The model cannot be kept in {folder} ({error.strerror})."
                raise StorageError(reason) from error

    def _add(self, bundle: Bundle, folder: Path, version: int) -> bool:
        """Copy a bundle; returns False if another process took this version number."""
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".register-") as temporary:
            bundles.copy(bundle, Path(temporary) / "bundle")
            try:
                os.rename(Path(temporary) / "bundle", folder / str(version))
            except OSError:
                if (folder / str(version)).exists():
                    return False
                raise
        return True

    def fetch(self, model: ModelRef) -> Path:
        """Return the folder of a registered bundle.

        Raises:
            StorageError: There is no such bundle, or it was changed.
        """
        folder = self._folder / model.name / str(model.version)
        fingerprint = _fingerprint(folder)
        if not fingerprint:
            raise StorageError(f"The model {model} is not in {self._folder}.")
        if fingerprint != model.fingerprint:
            raise StorageError(f"The model {model} in {self._folder} was changed.")
        return folder

    def cached(self, model: ModelRef) -> Path | None:
        """Return the folder of a registered bundle, or None."""
        try:
            return self.fetch(model)
        except StorageError:
            return None

    def find(self, name: str, version: VersionChoice, metric: str = BEST_BY) -> ModelRef:
        """Return a version: that number, the newest, or the one with the highest overall score.

        Raises:
            ModelNotFound: There is none.
        """
        folder = self._folder / name
        known = self._versions(name)
        if version == "best":
            scores = {number: _score(folder / str(number), metric) for number in known}
            known = [number for number, score in scores.items() if score is not None]
            known.sort(key=lambda number: scores[number] or 0.0)
        elif version != "latest":
            known = [number for number in known if number == version]
        if not known:
            reason = f"{self._folder} has no such version of the model {name}: {version}."
            raise ModelNotFound(reason)
        fingerprint = _fingerprint(folder / str(known[-1]))
        if not fingerprint:
            damaged = folder / str(known[-1])
            raise StorageError(f"The model in {damaged} is damaged; restore it or delete it.")
        return ModelRef(name=name, version=known[-1], fingerprint=fingerprint)

    def versions(self, name: str) -> list[ModelRef]:
        """Return the complete versions of a model, newest first; none of an unknown name."""
        folder = self._folder / name
        whole = [n for n in self._versions(name) if _score(folder / str(n), BEST_BY) is not None]
        prints = ((n, _fingerprint(folder / str(n))) for n in reversed(whole))
        return [ModelRef(name=name, version=n, fingerprint=text) for n, text in prints if text]

    def add_note(self, model: ModelRef, kind: NoteKind, content: Mapping[str, object]) -> None:
        """Keep something about a version beside it.

        Raises:
            StorageError: It cannot be written.
        """
        self._notes.add(model, *new_note(kind, content))

    def notes(self, model: ModelRef, kind: NoteKind) -> list[Note]:
        """Return the notes of a kind about a version, oldest first."""
        return self._notes.read(model, kind)

    def _versions(self, name: str) -> list[int]:
        """Return the registered version numbers of a model, in order."""
        folders = (self._folder / name).glob("[0-9]*")
        return sorted(int(path.name) for path in folders if path.name.isdecimal())


def bundle_ref(bundle: Bundle, version: int) -> ModelRef:
    """Return the reference of a bundle that is registered under that version."""
    return ModelRef(name=bundle.name, version=version, fingerprint=bundle.fingerprint)


def _fingerprint(folder: Path) -> str:
    """Return a registered bundle's fingerprint, or "" where a file is missing."""
    try:
        return bundles.fingerprint(folder)
    except BundleError:
        return ""


def damaged_versions(workspace: Path) -> list[str]:
    """Return a sentence for each registered version in a workspace that is no whole bundle."""
    problems = []
    for folder in sorted((workspace / "models").glob("*/[0-9]*")):
        try:
            if folder.name.isdecimal():
                bundles.load(folder)
        except BundleError as error:
            problems.append(f"The model version in {folder} cannot be used: {error}")
    return problems


def _score(folder: Path, metric: str) -> float | None:
    """Return a registered bundle's overall score; None where it is not whole.

    One that does not record the score gets the lowest number.
    """
    try:
        score = bundles.load(folder).metrics["overall"].get(metric)
    except BundleError:
        return None
    return float("-inf") if score is None else float(score)
