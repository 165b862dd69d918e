"""From a network in PyTorch to model.onnx, checked on real sounds. Only training needs this."""

import io
import warnings
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from core.audio.decode import decode
from core.model.bundle import NETWORK, Bundle
from core.model.errors import InvalidBundle
from core.model.front_end import network_frames
from core.model.inference import (
    COLUMNS,
    EMBEDDING,
    FRAMES,
    LOGITS,
    PATCHES,
    WINDOWS,
    InferenceNetwork,
    open_network,
)
from core.model.logmel import LogMelSpec
from core.model.networks import EarmarkCNN, EfficientAT, Network, fuse_batch_norm
from core.settings import EXAMPLE_SOUNDS

TOLERANCE = 1e-4
"""Largest difference between PyTorch and ONNX Runtime, of logits and embeddings."""
OPSET = 17
SHORT_S = 1
"""Besides whole clips, their first parts of this length are compared."""


def export_network(bundle: Bundle) -> bytes:
    """Return the contents of model.onnx for a bundle whose weights are written.

    Raises:
        InvalidBundle: The weights do not fit, or the graph answers otherwise than the network.
    """
    network = bundle.network()
    model = to_onnx(network)
    check_parity(network, open_network(bundle, model), bundle)
    return model


def to_onnx(network: Network) -> bytes:
    """Return a network as an ONNX graph with the inputs and outputs that `inference` describes."""
    fused = fuse_batch_norm(network)
    patches = torch.zeros(2, network.bands, network.window)
    if isinstance(fused, EarmarkCNN):
        windows = torch.zeros(3, network.window // fused.STRIDE, dtype=torch.int64)
        dynamic = {
            FRAMES: {0: "clips", 2: "time"},
            WINDOWS: {0: "windows", 1: "width"},
            LOGITS: {0: "clips", 1: "windows"},
            EMBEDDING: {0: "clips", 1: "windows"},
        }
        return _export(_ColumnGraph(fused), {FRAMES: patches, WINDOWS: windows}, dynamic)
    if isinstance(fused, EfficientAT):
        clips = torch.zeros(2, network.bands, 2 * network.window)
        windows = torch.arange(6).reshape(3, 2)
        dynamic = {
            FRAMES: {0: "clips", 2: "time"},
            WINDOWS: {0: "windows", 1: "width"},
            LOGITS: {0: "clips", 1: "windows"},
            EMBEDDING: {0: "clips", 1: "windows"},
            COLUMNS: {0: "clips", 1: "columns"},
        }
        inputs, outputs = {FRAMES: clips, WINDOWS: windows}, (LOGITS, EMBEDDING, COLUMNS)
        return _export(_ClipGraph(fused), inputs, dynamic, outputs)
    dynamic = {name: {0: "patches"} for name in (PATCHES, LOGITS, EMBEDDING)}
    return _export(_PatchGraph(fused), {PATCHES: patches}, dynamic)


def check_parity(network: Network, graph: InferenceNetwork, bundle: Bundle) -> None:
    """Compare a graph with the network on the example sounds.

    Raises:
        InvalidBundle: They differ by more than `TOLERANCE`, or there are no example sounds.
    """
    where = bundle.folder.name
    log_mels = _example_log_mels(bundle.front_end)
    if not log_mels:
        reason = f"{NETWORK} cannot be checked without the sounds of {EXAMPLE_SOUNDS.name}"
        raise InvalidBundle(f"{where}: {reason} in the folder examples.")
    clips = [bundle.network_input(frames) for frames in log_mels]
    tensors = [torch.from_numpy(clip) for clip in clips]
    expected: Sequence[Sequence[Tensor]]
    with torch.inference_mode():
        if isinstance(network, EfficientAT):
            expected, compared = network.score_clips(tensors), 3
        else:
            expected, compared = network.score(tensors), 2
    for scores, answer in zip(expected, graph.score(clips), strict=True):
        exported_scores = tuple(answer)[:compared]
        for values, exported in zip(scores, exported_scores, strict=True):
            if not np.allclose(values.numpy(), exported, atol=TOLERANCE, rtol=TOLERANCE):
                reason = f"{NETWORK} answers otherwise than the weights on the example sounds"
                raise InvalidBundle(f"{where}: {reason}.")


class _PatchGraph(nn.Module):
    """Scores of patches, as a tuple."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits [n, tags] and embedding [n, size]."""
        scores = self.network(patches)
        return scores.logits, scores.embedding


class _ColumnGraph(nn.Module):
    """Scores of windows of columns, as a tuple."""

    def __init__(self, network: EarmarkCNN) -> None:
        super().__init__()
        self.network = network

    def forward(self, frames: Tensor, windows: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits [n, windows, tags] and embedding [n, windows, size]."""
        scores = self.network.score_windows(self.network.columns(frames), windows)
        return scores.logits, scores.embedding


class _ClipGraph(nn.Module):
    """Scores of windows and of columns, as a tuple."""

    def __init__(self, network: EfficientAT) -> None:
        super().__init__()
        self.network = network

    def forward(self, frames: Tensor, windows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits and embedding [n, windows, ...], and columns [n, columns, tags]."""
        scores = self.network(frames, windows)
        return scores.logits, scores.embedding, scores.columns


def _export(
    graph: nn.Module,
    inputs: dict[str, Tensor],
    dynamic: dict[str, dict[int, str]],
    outputs: Sequence[str] = (LOGITS, EMBEDDING),
) -> bytes:
    """Return a graph as ONNX, checked by the library of the format."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the other exporter needs one more library
        torch.onnx.export(
            graph.eval(),
            tuple(inputs.values()),
            file,  # type: ignore[arg-type]  # this exporter writes into a buffer too
            dynamo=False,
            opset_version=OPSET,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes=dynamic,
        )
    onnx.checker.check_model(file.getvalue(), full_check=True)
    return file.getvalue()


@lru_cache(maxsize=2)
def _example_log_mels(spec: LogMelSpec) -> tuple[NDArray[np.float32], ...]:
    """Return log-mels of the example sounds, of their first seconds, and of all in one."""
    paths = sorted(EXAMPLE_SOUNDS.glob("*.ogg"))
    sounds = [decode(path, rate=spec.rate).samples for path in paths]
    if not sounds:
        return ()
    first_seconds = [samples[: SHORT_S * spec.rate] for samples in sounds[:2]]
    clips = [*sounds, *first_seconds, np.concatenate(sounds)]
    return tuple(network_frames(samples, spec) for samples in clips)
