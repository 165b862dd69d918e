"""The published weights of EfficientAT mn04, which the default model's training starts from.

F. Schmid, K. Koutini, G. Widmer, "Efficient Large-Scale Audio Tagging via Transformer-to-CNN
Knowledge Distillation", ICASSP 2023; https://github.com/fschmid56/EfficientAT, MIT license.
"""

import logging
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from core.files import write_atomic
from core.model.efficientat import AudioSetNetwork
from training.datasets.download import RemoteFile, check, fetch
from training.errors import PretrainedError

logger = logging.getLogger(__name__)

RELEASE = "https://github.com/fschmid56/EfficientAT/releases/download/v0.0.1"
PUBLISHED = RemoteFile(
    "mn04_as_mAP_432.pt",
    f"{RELEASE}/mn04_as_mAP_432.pt",
    "sha256:899a8c6217063f6941793102a2780b3dd788ab11fce468d9cf5f0577c453321c",
    4_066_513,
)
CONVERTED = Path("runs/pretrained/mn04.safetensors")
"""Where the recipe looks for the weights."""
NOTICE = (
    "Fine-tuned from EfficientAT mn04 (F. Schmid, K. Koutini, G. Widmer, ICASSP 2023; "
    "github.com/fschmid56/EfficientAT, MIT license, copyright (c) 2022 Florian Schmid)."
)


def convert(source: Path, out: Path, published: RemoteFile = PUBLISHED) -> Path:
    """Write the published weights as safetensors.

    Args:
        source: The file as it was published.
        out: Where the converted weights go; an older file there is replaced.
        published: Size and checksum that `source` must have.

    Returns:
        `out`.

    Raises:
        PretrainedError: It is another file, or `out` cannot be written.
    """
    if problem := check(published, source):
        raise PretrainedError(f"{source} is not {published.name}: it {problem}.")
    # Of the pickle in the file `weights_only` makes tensors and nothing else.
    weights: dict[str, Tensor] = torch.load(source, map_location="cpu", weights_only=True)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(out, save(weights))
    except OSError as error:
        raise PretrainedError(f"{out} cannot be written: {error.strerror}.") from error
    logger.info("pretrained weights converted source=%s out=%s", source, out)
    return out


def download(folder: Path, published: RemoteFile = PUBLISHED) -> Path:
    """Return the published file, fetched into a folder unless it is there.

    Raises:
        DownloadError: It cannot be had.
    """
    return fetch(published, folder / published.name)


def load_pretrained(path: Path = CONVERTED) -> AudioSetNetwork:
    """Return the published network with its weights, in eval mode.

    Raises:
        PretrainedError: The file is missing, damaged or of another network.
    """
    network = AudioSetNetwork()
    try:
        network.load_state_dict(load_file(path))
    except FileNotFoundError as error:
        advice = "python -m training pretrained --fetch brings it"
        raise PretrainedError(f"There is no {path}; {advice}.") from error
    except (RuntimeError, SafetensorError, OSError) as error:
        raise PretrainedError(f"{path} is damaged or of another network.") from error
    return network.eval()
