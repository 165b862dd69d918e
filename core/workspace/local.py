"""The default home: one folder on this machine.

index.sqlite     events and what is derived from them
media/           sounds to play and spectrograms, named by their content
sidecars/        activations and embedding by model version and sound
models/          versions of bundles
"""

import hashlib
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from core.files import write_atomic
from core.id2prediction import ModelRef
from core.model import bundle as bundles
from core.model.bundle import Bundle, BundleError
from core.workspace import WorkspaceError
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

    def put_media(self, data: bytes, suffix: str) -> str:
        name = f"{hashlib.sha256(data).hexdigest()}.{suffix}"
        path = self._media_file(name)
        if not path.exists():
            self._write(path, data)
        return name

    def media_path(self, name: str) -> Path | None:
        if not MEDIA_NAME.fullmatch(name):
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
        files += [self._sidecar_file(sound_id, model) for model in models]
        there = [path for path in files if path.is_file()]
        for path in there:
            path.unlink(missing_ok=True)
        return len(there)

    def put_sidecar(self, sound_id: str, model: ModelRef, arrays: Mapping[str, np.ndarray]) -> None:
        from safetensors.numpy import save

        halves = {name: np.ascontiguousarray(values, dtype=np.float16) for name, values in arrays.items()}
        self._write(self._sidecar_file(sound_id, model), save(halves))

    def sidecar(self, sound_id: str, model: ModelRef) -> dict[str, np.ndarray] | None:
        from safetensors import SafetensorError
        from safetensors.numpy import load

        try:
            return load(self._sidecar_file(sound_id, model).read_bytes())
        except (OSError, SafetensorError):
            return None  # activations are an extra; the page does without

    def _sidecar_file(self, sound_id: str, model: ModelRef) -> Path:
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
