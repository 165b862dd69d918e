"""The default home: one folder on this machine.

index.sqlite     events and what is derived from them
media/           sounds to play and spectrograms, named by their content
sidecars/        activations and embedding by model version and sound
models/          versions of bundles
"""

import hashlib
import json
import os
import re
import tempfile
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

import numpy as np

from core.files import write_atomic
from core.id2prediction import ModelRef
from core.model import bundle as bundles
from core.model.bundle import Bundle, BundleError
from core.workspace import BEST_BY, NoSuchModel, Sharing, WorkspaceError
from core.workspace.index import Index

MEDIA_NAME = re.compile(r"[0-9a-f]{64}\.(ogg|webp)")


class LocalWorkspace(Index):
    """A workspace in `folder`, which is made where there is none. Safe for threads and processes."""

    def __init__(self, folder: Path) -> None:
        """Raises `WorkspaceError` if the folder cannot be written or holds no readable index."""
        self.folder = Path(folder)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WorkspaceError(f"The workspace {self.folder} cannot be made: {error.strerror}.") from error
        if not os.access(self.folder, os.W_OK):
            raise WorkspaceError(f"The workspace {self.folder} cannot be written to.")
        super().__init__(self.folder / "index.sqlite")
        self.posted = threading.Event()

    def put_media(self, data: bytes, suffix: str) -> str:
        name = f"{hashlib.sha256(data).hexdigest()}.{suffix}"
        path = self._media_file(name)
        if not path.exists():
            self._write(path, data)
        return name

    @staticmethod
    def is_media_name(name: str) -> bool:
        return MEDIA_NAME.fullmatch(name) is not None

    def media_path(self, name: str) -> Path | None:
        if not self.is_media_name(name):
            return None
        path = self._media_file(name)
        return path if path.is_file() else None

    def _write(self, path: Path, data: bytes) -> None:
        try:
            write_atomic(path, data)
        except OSError as error:
            raise WorkspaceError(f"The workspace {self.folder} cannot be written ({error.strerror}).") from error

    def _media_file(self, name: str) -> Path:
        return self.folder / "media" / name[:2] / name

    def purge(self, sound_id: str) -> int:
        mine = {name for event in self.events(sound_id) if event.kind == "predicted" for name in event.payload.media.names}
        files = [self._media_file(name) for name in mine if not self.shown_elsewhere(name, sound_id)]
        models = {event.payload.model for event in self.events(sound_id) if event.kind == "predicted"}
        files += [self.sidecar_file(sound_id, model) for model in models]
        there = [path for path in files if path.is_file()]
        for path in there:
            path.unlink(missing_ok=True)
        return len(there)

    def put_sidecar(self, sound_id: str, model: ModelRef, arrays: Mapping[str, np.ndarray]) -> None:
        from safetensors.numpy import save

        halves = {name: np.ascontiguousarray(values, dtype=np.float16) for name, values in arrays.items()}
        self._write(self.sidecar_file(sound_id, model), save(halves))

    def sidecar(self, sound_id: str, model: ModelRef) -> dict[str, np.ndarray] | None:
        from safetensors import SafetensorError
        from safetensors.numpy import load

        try:
            return load(self.sidecar_file(sound_id, model).read_bytes())
        except (OSError, SafetensorError):
            return None  # activations are an extra; the page does without

    def sidecar_file(self, sound_id: str, model: ModelRef) -> Path:
        slug = sound_id.replace(":", "-")
        return self.folder / "sidecars" / f"{model.name}-{model.version}" / slug[-2:] / f"{slug}.safetensors"

    def push(self, bundle: Bundle) -> ModelRef:
        versions = self.folder / "models" / bundle.name
        versions.mkdir(parents=True, exist_ok=True)
        while True:
            there = sorted(int(path.name) for path in versions.iterdir() if path.name.isdecimal())
            for version in there:
                if bundles.fingerprint(versions / str(version)) == bundle.fingerprint:
                    return ModelRef(name=bundle.name, version=version, fingerprint=bundle.fingerprint)
            version = there[-1] + 1 if there else 1
            with tempfile.TemporaryDirectory(dir=versions, prefix=".push-") as temporary:
                bundles.copy(bundle, Path(temporary) / "bundle")
                try:
                    os.rename(Path(temporary) / "bundle", versions / str(version))
                except OSError as error:
                    if (versions / str(version)).exists():
                        continue  # another process took this version number; look again
                    raise WorkspaceError(f"The model cannot be kept in {versions} ({error.strerror}).") from error
            return ModelRef(name=bundle.name, version=version, fingerprint=bundle.fingerprint)

    def pull(self, model: ModelRef) -> Path:
        folder = self.folder / "models" / model.name / str(model.version)
        try:
            whole = bundles.fingerprint(folder) == model.fingerprint
        except BundleError as error:
            raise WorkspaceError(f"The model {model} is not in the workspace {self.folder}.") from error
        if not whole:
            raise WorkspaceError(f"The model {model} in the workspace {self.folder} was changed after it was kept there.")
        return folder

    def copy_of(self, model: ModelRef) -> Path | None:
        try:
            return self.pull(model)
        except WorkspaceError:
            return None

    def find_model(self, name: str, version: int | Literal["best", "latest"], metric: str = BEST_BY) -> ModelRef:
        folder = self.folder / "models" / name
        there = sorted(int(path.name) for path in folder.glob("[0-9]*") if path.name.isdecimal())
        if version == "best":
            there = sorted(there, key=lambda one: _score(folder / str(one), metric))
        elif version != "latest":
            there = [one for one in there if one == version]
        if not there:
            raise NoSuchModel(f"The workspace {self.folder} keeps no such version of the model {name}: {version}.")
        return ModelRef(name=name, version=there[-1], fingerprint=bundles.fingerprint(folder / str(there[-1])))

    def sharing(self) -> Sharing | None:
        return None

    def waiting(self, event_ids: Iterable[str]) -> set[str]:
        return set()

    def flush(self) -> int:
        return 0

    def mirror(self) -> int:
        return 0

    def settle(self) -> None:
        """Everything is in its home already."""

    def upkeep(self, keep_runs: int) -> None:
        """The local home keeps everything."""


def _score(folder: Path, metric: str) -> float:
    """A kept bundle's overall score; lowest where it has none."""
    value = json.loads((folder / "metrics.json").read_text("utf-8"))["overall"].get(metric)
    return float("-inf") if value is None else float(value)
