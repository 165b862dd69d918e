"""Features of the windows of clips, computed once by a body that stays as it is.

They are kept by what they depend on: the bytes of the audio, the weights of the body and the
front-end. A stopped computation goes on after the last finished part.
"""

import hashlib
import logging
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save
from torch import Tensor

from core.audio.decode import decode
from core.files import write_atomic
from core.model.efficientat import Features
from core.model.front_end import network_frames, sounding_frames
from core.model.logmel import LogMelSpec
from core.model.networks import EfficientAT
from core.model.windows import clip_pieces, scored_part, without_silence
from training import progress
from training.errors import DatasetError
from training.fine_tuning.data import SCALER, Change, unchanged
from training.fine_tuning.head import filled_up

logger = logging.getLogger(__name__)

PART_CLIPS = 64
"""Clips whose features are kept in one file."""


class Audio(NamedTuple):
    """A file by the SHA-256 of its bytes."""

    path: Path
    digest: str


@dataclass(frozen=True)
class Windows:
    """Features of all windows of some clips, end to end.

    Attributes:
        pooled: float32 [windows, channels].
        hidden: float32 [windows, size].
        labels: Logits of AudioSet's labels, float32 [windows, labels].
        offsets: int64 [clips + 1]; clip i has the windows `offsets[i]:offsets[i + 1]`.
    """

    pooled: Tensor
    hidden: Tensor
    labels: Tensor
    offsets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def features(self) -> Features:
        """Return the features of all windows."""
        return Features(self.pooled, self.hidden, self.labels)

    def rows(self, clips: NDArray[np.int64]) -> "Windows":
        """Return the windows of some clips."""
        counts = np.diff(self.offsets)[clips]
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        steps = np.arange(offsets[-1]) - np.repeat(offsets[:-1], counts)
        index = torch.from_numpy(np.repeat(self.offsets[:-1][clips], counts) + steps)
        return Windows(self.pooled[index], self.hidden[index], self.labels[index], offsets)

    def clip_of_window(self) -> Tensor:
        """Return the clip that each window belongs to, int64 [windows]."""
        return torch.from_numpy(np.repeat(np.arange(len(self)), np.diff(self.offsets)))

    @classmethod
    def joined(cls, parts: Sequence["Windows"]) -> "Windows":
        """Return the clips of all parts, one part after the other."""
        counts = np.concatenate([np.diff(part.offsets) for part in parts])
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        pooled, hidden, labels = (
            torch.cat(values) for values in zip(*(p.features for p in parts), strict=True)
        )
        return cls(pooled, hidden, labels, offsets)


def audio_of(paths: Sequence[Path]) -> list[Audio]:
    """Return files with the SHA-256 of their bytes.

    Raises:
        DatasetError: One cannot be read.
    """
    try:
        return [Audio(path, hashlib.sha256(path.read_bytes()).hexdigest()) for path in paths]
    except OSError as error:
        raise DatasetError(f"{error.filename} cannot be read: {error.strerror}.") from error


def load_windows(
    sounds: Sequence[Audio],
    network: EfficientAT,
    spec: LogMelSpec,
    cache: Path,
    change: Change = unchanged,
) -> Windows:
    """Return the features of clips; what is missing in `cache` is computed and kept there.

    Args:
        sounds: The clips.
        network: Its body gives the features; its head does not matter.
        spec: The front-end.
        cache: Folder that may be shared by many bodies.
        change: Of the samples, before the front-end.

    Raises:
        AudioError: A clip cannot be decoded.
        DatasetError: The folder cannot be written.
    """
    folder = cache / f"features-{_key(network, spec, change)}"
    known = _read(folder)
    missing = list({audio.digest: audio for audio in sounds if audio.digest not in known}.values())
    for start in range(0, len(missing), PART_CLIPS):
        part = missing[start : start + PART_CLIPS]
        features = list(_computed(part, network, spec, change))
        digests = [audio.digest for audio in part]
        _keep(folder, digests, features)
        known |= dict(zip(digests, features, strict=True))
        progress.report(start + len(part), len(missing), "Computing features")
        logger.info("features computed=%d of=%d", start + len(part), len(missing))
    return Windows.joined([known[audio.digest] for audio in sounds])


@torch.inference_mode()
def window_features(
    network: EfficientAT, log_mel: NDArray[np.float32], sounding: NDArray[np.bool_]
) -> Features:
    """Return features of the windows that the network scores of a recording.

    Args:
        network: Its body gives the features.
        log_mel: Before scaling, float32 [bands, frames].
        sounding: False for frames of digital silence, [frames].
    """
    frames = torch.from_numpy(SCALER(filled_up(log_mel)))
    part = scored_part(frames.shape[1], network.window, network.loop_frames, sounding)
    mask = sounding if part is None else part.sounding
    if part is not None:
        frames = frames[:, torch.from_numpy(part.frames)]
    pooled = []
    for piece in clip_pieces(frames.shape[1]):
        windows, kept = without_silence(piece, mask)
        columns = network.body.columns(frames[:, piece.frames].unsqueeze(0))[0]
        pooled.append(columns[torch.from_numpy(windows)].mean(dim=1)[torch.from_numpy(kept)])
    return network.body.classify(torch.cat(pooled))


def _computed(
    sounds: Sequence[Audio], network: EfficientAT, spec: LogMelSpec, change: Change
) -> Iterator[Windows]:
    """Compute the features of clips, in order."""

    def compute(audio: Audio) -> Windows:
        frames = network_frames(change(decode(audio.path, rate=spec.rate).samples), spec)
        # half precision, as the log-mels of the other trainings are kept
        stored = frames.astype(np.float16).astype(np.float32)
        features = window_features(network, stored, sounding_frames(stored, spec))
        return Windows(*features, np.array([0, len(features.pooled)], np.int64))

    network.eval()
    with one_thread(), ThreadPoolExecutor(os.cpu_count()) as threads:
        yield from threads.map(compute, sounds)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread, which is faster for small networks and for clips in parallel."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _key(network: EfficientAT, spec: LogMelSpec, change: Change) -> str:
    """Return what the features depend on besides the audio, as a short name."""
    digest = hashlib.sha256(repr((spec, change.__name__, network.loop_frames)).encode())
    for name, values in sorted(network.body.state_dict().items()):
        digest.update(name.encode() + values.cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


def _read(folder: Path) -> dict[str, Windows]:
    """Return the features in a folder by the SHA-256 of the audio; a damaged file is left out."""
    known: dict[str, Windows] = {}
    for path in sorted(folder.glob("*.safetensors")):
        try:
            part = load_file(path)
            digests = part.pop("digests").tobytes().decode().split()
            offsets = part.pop("offsets")
            values = {name: torch.from_numpy(array).float() for name, array in part.items()}
            windows = Windows(values["pooled"], values["hidden"], values["labels"], offsets)
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            logger.warning("features unreadable file=%s reason=%s", path, error)
            continue
        known |= {digest: windows.rows(np.array([row])) for row, digest in enumerate(digests)}
    return known


def _keep(folder: Path, digests: Sequence[str], clips: Sequence[Windows]) -> None:
    """Write the features of some clips as one file."""
    joined = Windows.joined(clips)
    arrays = {
        name: values.numpy() for name, values in zip(Features._fields, joined.features, strict=True)
    }
    names = " ".join(digests).encode()
    arrays |= {"offsets": joined.offsets, "digests": np.frombuffer(names, np.uint8)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(folder / f"{hashlib.sha256(names).hexdigest()[:16]}.safetensors", save(arrays))
    except OSError as error:
        raise DatasetError(f"{folder} cannot be written: {error.strerror}.") from error
