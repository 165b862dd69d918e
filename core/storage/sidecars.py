"""Arrays beside a prediction's event: activations, their times, the embedding."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from core.events.types import ModelRef
from core.storage.errors import StorageError
from core.storage.media import delete_files, write_files

Arrays = Mapping[str, NDArray[np.generic]]


@dataclass(frozen=True)
class Sidecar:
    """The arrays of a sound's prediction by a model version."""

    sound_id: str
    model: ModelRef
    arrays: Arrays

    @cached_property
    def data(self) -> bytes:
        """Return the contents of its file."""
        return encode_arrays(self.arrays)


class SidecarStore(Protocol):
    """A store of sidecars, by sound and model version."""

    def put(self, sound_id: str, model: ModelRef, arrays: Arrays) -> None:
        """Keep a prediction's arrays in half precision."""

    def put_all(self, sidecars: Sequence[Sidecar]) -> None:
        """Keep many; faster than `put` for each. All are on the disk when this returns."""

    def get(self, sound_id: str, model: ModelRef) -> dict[str, NDArray[np.generic]] | None:
        """Return the arrays, or None where there are none that can be read."""

    def delete(self, sound_id: str, models: Iterable[ModelRef]) -> int:
        """Delete a sound's sidecars; returns the number of files deleted on this machine.

        Raises:
            StorageError: Not all could be deleted.
        """


class LocalSidecars:
    """Sidecars in `folder`/sidecars."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, sound_id: str, model: ModelRef, arrays: Arrays) -> None:
        """Keep a prediction's arrays in half precision.

        Raises:
            StorageError: The file cannot be written.
        """
        self.put_all([Sidecar(sound_id, model, arrays)])

    def put_all(self, sidecars: Sequence[Sidecar]) -> None:
        """Keep many; faster than `put` for each.

        Raises:
            StorageError: A file cannot be written.
        """
        write_files(
            (self.file(sidecar.sound_id, sidecar.model), sidecar.data) for sidecar in sidecars
        )

    def get(self, sound_id: str, model: ModelRef) -> dict[str, NDArray[np.generic]] | None:
        """Return the arrays, or None where there are none that can be read."""
        try:
            return decode_arrays(self.file(sound_id, model).read_bytes())
        except (OSError, StorageError):
            return None  # activations are an extra: the page does without

    def delete(self, sound_id: str, models: Iterable[ModelRef]) -> int:
        """Delete a sound's sidecars; returns the number of files deleted.

        Raises:
            StorageError: A file cannot be deleted.
        """
        return delete_files(self.file(sound_id, model) for model in models)

    def file(self, sound_id: str, model: ModelRef) -> Path:
        """Return where a sidecar is kept."""
        name = sound_id.replace(":", "-")
        folder = self._folder / "sidecars" / f"{model.name}-{model.version}" / name[-2:]
        return folder / f"{name}.safetensors"


def encode_arrays(arrays: Arrays, metadata: Mapping[str, str] | None = None) -> bytes:
    """Serialise arrays as safetensors; floats in half precision.

    Args:
        arrays: Arrays by name, of any shape.
        metadata: Texts for the file's header.
    """
    from safetensors.numpy import save

    halves = {
        name: np.ascontiguousarray(
            values, dtype=np.float16 if values.dtype.kind == "f" else values.dtype
        )
        for name, values in arrays.items()
    }
    return save(halves, dict(metadata) if metadata else None)


def decode_arrays(data: bytes) -> dict[str, NDArray[np.generic]]:
    """Read what `encode_arrays` wrote.

    Raises:
        StorageError: The bytes are no safetensors file.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        return dict(load(data))
    except (SafetensorError, KeyError, ValueError) as error:  # also types that numpy lacks
        raise StorageError(f"Damaged arrays: {error}.") from error
