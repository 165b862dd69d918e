"""Bundles in the Hopsworks model registry, and this machine's checked copies of them.

A version number belongs to whoever finds nobody else's claim in `models/<name>/<number>/`: the
registry's own way to the next number lets two who save at once take the same one, and the first to
fail then deletes the files of both.
"""

import json
import os
import re
import tempfile
import uuid
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path

from core.events.types import ModelRef
from core.model import bundle as bundles
from core.model.bundle import Bundle
from core.model.errors import BundleError
from core.storage.errors import ModelNotFound, StorageError
from core.storage.hopsworks.client import Project, RegisteredModel
from core.storage.hopsworks.errors import HopsworksError, NotFound, Unavailable, Unreadable
from core.storage.hopsworks.registering import turn_to_register
from core.storage.hopsworks.shared_folder import SharedFolder
from core.storage.model_notes import (
    MAX_NOTE_BYTES,
    LocalNotes,
    Note,
    NoteKind,
    new_note,
    of_kind,
)
from core.storage.models import BEST_BY, VersionChoice, bundle_ref

FINGERPRINT = re.compile(r"fingerprint ([0-9a-f]{64})")
METRIC_NAME = re.compile(r"[a-z][a-z0-9_]*")
"""The client turns anything else into something else on the way back."""
MODEL_CARD = "README.md"
_WITH_NETWORK = f" with {bundles.NETWORK}"
"""In the description of a version that has it."""


class SharedModels:
    """The registry's versions of bundles; every method raises `StorageError`."""

    def __init__(self, shared: SharedFolder) -> None:
        self._shared = shared
        self._folder = shared.cache / "models"
        self._notes = LocalNotes(self._folder)

    def register(self, bundle: Bundle) -> ModelRef:
        """Register a bundle as the next version of its name; a known one keeps its version.

        Raises:
            StorageError: It could not be registered; nothing is left of it.
        """
        with self._shared.exclusive("push"):
            project = self._shared.project()
            version = self._registered(project, bundle)
            if version is None:
                with turn_to_register(self._shared, project, bundle):
                    version = self._registered(project, bundle)  # while this machine waited
                    if version is None:
                        version = self._register_next(project, bundle)
        return bundle_ref(bundle, version)

    def _registered(self, project: Project, bundle: Bundle) -> int | None:
        """Return the version under which this very bundle is registered; None if it is not."""
        for model in sorted(project.list_models(bundle.name), key=lambda model: model.version):
            if _fingerprint(model) == bundle.fingerprint and self._is_complete(
                project, model, bundles.files(bundle.folder)
            ):
                return model.version
        return None

    def _register_next(self, project: Project, bundle: Bundle) -> int:
        """Upload a bundle as the next version of its name; returns its number."""
        known = [model.version for model in project.list_models(bundle.name)]
        version = self._claim_version(project, bundle.name, max(known, default=0) + 1)
        self._upload(project, bundle, version)
        return version

    def fetch(self, model: ModelRef) -> Path:
        """Return the folder of this machine's copy, downloaded where it is missing or damaged.

        Raises:
            StorageError: There is no such version, or it came incomplete.
        """
        with self._shared.exclusive("pull"):
            return self.cached(model) or self._download(model)

    def cached(self, model: ModelRef) -> Path | None:
        """Return this machine's copy of that very bundle, or None."""
        folder = self._folder / model.name / str(model.version)
        try:
            return folder if bundles.fingerprint(folder) == model.fingerprint else None
        except BundleError:
            return None

    def find(self, name: str, version: VersionChoice, metric: str = BEST_BY) -> ModelRef:
        """Return a version: that number, the newest, or the one with the highest overall score.

        Raises:
            ModelNotFound: There is none; one without all of its files does not count.
            HopsworksError: The registry cannot be read.
        """
        project = self._shared.project()
        known = sorted(project.list_models(name), key=lambda model: model.version, reverse=True)
        if version == "best":
            known.sort(key=lambda model: model.metrics.get(metric, float("-inf")), reverse=True)
        for model in known:
            fingerprint = _fingerprint(model)
            matches = version in ("best", "latest", model.version)
            if fingerprint and matches and self._is_complete(project, model, _files(model)):
                return ModelRef(name=name, version=model.version, fingerprint=fingerprint)
        registry = f"The registry of {self._shared.account.project}"
        raise ModelNotFound(f"{registry} has no such version of the model {name}: {version}.")

    def versions(self, name: str) -> list[ModelRef]:
        """Return the complete versions of a model, newest first; none of an unknown name.

        Raises:
            HopsworksError: The registry cannot be read.
        """
        project = self._shared.project()
        known = sorted(project.list_models(name), key=lambda model: model.version, reverse=True)
        return [
            ModelRef(name=name, version=model.version, fingerprint=_fingerprint(model))
            for model in known
            if _fingerprint(model) and self._is_complete(project, model, _files(model))
        ]

    def add_note(self, model: ModelRef, kind: NoteKind, content: Mapping[str, object]) -> None:
        """Keep something about a version in the shared folder.

        Raises:
            StorageError: It cannot be written.
        """
        name, data = new_note(kind, content)
        path = self._shared.path(f"{_notes_folder(model)}/{name}")
        self._shared.project().create_file(path, data)
        self._notes.add(model, name, data)

    def notes(self, model: ModelRef, kind: NoteKind) -> list[Note]:
        """Return the notes of a kind about a version, oldest first; each is read once from there.

        Raises:
            StorageError: The shared folder cannot be read.
        """
        project, folder = self._shared.project(), _notes_folder(model)
        known = set(self._notes.names(model))
        for name in of_kind(self._shared.list_names(project, folder), kind):
            if name not in known:
                with suppress(NotFound, Unreadable):  # the others count all the same
                    data = self._shared.read_file(project, f"{folder}/{name}", MAX_NOTE_BYTES)
                    self._notes.add(model, name, data)
        return self._notes.read(model, kind)

    def _claim_version(self, project: Project, name: str, version: int) -> int:
        """Return the first number from `version` that nobody else has claimed.

        A claim is put there first and others are looked for second, so of two at most one goes on
        with a number; when neither does, both try the next.
        """
        while True:
            relative, claim = f"models/{name}/{version}", uuid.uuid4().hex
            if not self._shared.list_names(project, relative):
                project.create_file(self._shared.path(f"{relative}/{claim}"), b"claimed\n")
                if self._shared.list_names(project, relative) == [claim]:
                    return version
            version += 1

    def _upload(self, project: Project, bundle: Bundle, version: int) -> None:
        """Upload and register a bundle; what is incomplete is taken out again."""
        model = _described(bundle, version)
        with tempfile.TemporaryDirectory(prefix="earmark-") as temporary:
            folder = Path(temporary) / "bundle"
            try:
                bundles.copy(bundle, folder)
                (folder / MODEL_CARD).write_text(model_card(bundle), "utf-8")
            except OSError as error:
                reason = f"The model cannot be copied to {folder} ({error.strerror})."
                raise StorageError(reason) from error
            try:
                project.save_model(model, folder)
                if not self._is_complete(project, model, bundles.files(folder)):
                    raise Unavailable(
                        "Hopsworks registered a model without all of its files; it is taken out "
                        "again."
                    )
            except BaseException:
                with suppress(HopsworksError):
                    project.delete_model(bundle.name, version)
                raise

    def _is_complete(
        self, project: Project, model: RegisteredModel, files: Collection[str]
    ) -> bool:
        """Return True if all files of a version are there: a failed save may leave it without."""
        try:
            names = project.list_names(f"Models/{model.name}/{model.version}/Files")
        except NotFound:
            return False
        return set(files) <= set(names)

    def _download(self, model: ModelRef) -> Path:
        """Download a version; it takes its place only when every byte is right."""
        versions = self._folder / model.name
        try:
            versions.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"{versions} cannot be created ({error.strerror}).") from error
        with tempfile.TemporaryDirectory(dir=versions, prefix=".pull-") as temporary:
            new = Path(temporary) / "bundle"
            try:
                self._shared.project().download_model(model.name, model.version, new)
                complete = bundles.fingerprint(new) == model.fingerprint
            except NotFound as error:
                raise StorageError(f"The model {model} is not in the registry: {error}") from error
            except BundleError:
                complete = False
            if not complete:
                raise Unavailable(
                    f"The model {model} came incomplete or changed from Hopsworks; it is not used. "
                    "Try again."
                )
            _replace(versions / str(model.version), new, Path(temporary) / "older")
        return versions / str(model.version)


def model_card(bundle: Bundle) -> str:
    """Return what the registry shows about a bundle: what it is, its data, its scores."""
    overall = bundle.metrics["overall"]
    scores = "\n".join(f"| {name} | {value} |" for name, value in overall.items())
    versions = bundle.description.get("versions")
    facts = {"license": bundle.license, "data": bundle.data, "versions": versions}
    counts = f"{bundle.metrics['clips']} clips, {bundle.metrics['recordings']} recordings"
    return (
        f"# {bundle.name}\n\n{bundle.architecture}, {len(bundle.vocabulary)} tags, for Earmark."
        f"\n\nScores on the {bundle.metrics['split']} split ({counts}):\n\n"
        f"| score | value |\n|---|---|\n{scores}\n\n"
        f"```json\n{json.dumps(facts, indent=1, ensure_ascii=False)}\n```\n\n"
        f"Tags: {', '.join(bundle.vocabulary)}\n"
    )


def _described(bundle: Bundle, version: int) -> RegisteredModel:
    """Return what the registry keeps about a bundle."""
    metrics = {
        name: float(value)
        for name, value in bundle.metrics["overall"].items()
        if value is not None and METRIC_NAME.fullmatch(name)
    }
    description = (
        f"{bundle.architecture}, {len(bundle.vocabulary)} tags; "
        f"Earmark bundle{_WITH_NETWORK * (bundles.NETWORK in bundles.files(bundle.folder))}, "
        f"fingerprint {bundle.fingerprint}"
    )
    return RegisteredModel(bundle.name, version, metrics, description)


def _notes_folder(model: ModelRef) -> str:
    """Return the folder of a version's notes; no version number is claimed by it."""
    return f"model_notes/{model.name}/{model.version}"


def _fingerprint(model: RegisteredModel) -> str:
    """Return the fingerprint in a version's description, or ""."""
    match = FINGERPRINT.search(model.description)
    return match[1] if match else ""


def _files(model: RegisteredModel) -> tuple[str, ...]:
    """Return the files that a version must have: those of version 0.1 came without model.onnx."""
    return bundles.FILES if _WITH_NETWORK in model.description else bundles.NEEDED_FILES


def _replace(folder: Path, new: Path, older: Path) -> None:
    """Put `new` in the place of `folder`, if there is one, which becomes `older`."""
    if folder.exists():
        os.rename(folder, older)
    os.rename(new, folder)
