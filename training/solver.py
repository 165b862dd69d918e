"""The training loop: one window per clip and epoch, a checkpoint after every epoch, exact resume, best epoch kept.

Checkpoints are safetensors (tensors) with the rest as JSON beside them in the same file's header: no pickles.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from core.errors import EarmarkError
from core.model.bundle import Pooling
from core.model.networks import build
from core.model.tagger import pool
from training import augment
from training.datasets import Frames
from training.evaluate import clip_logits

console = Console(stderr=True)


class CheckpointError(EarmarkError):
    """A checkpoint that cannot be continued from."""


@dataclass(frozen=True)
class Recipe:
    """All that decides how a network is trained; two runs with the same recipe and data are the same run."""

    architecture: str = "seed_cnn"
    arguments: dict[str, Any] = field(default_factory=dict)
    epochs: int = 40
    batch: int = 48
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    warm_up: float = 0.1
    mixup: float = 0.3
    masks: bool = True
    pooling: Pooling = "top_half"
    seed: int = 1


@dataclass(frozen=True)
class Part:
    """One part of the data: scaled on the fly by the solver. `labels` float32 [clips, tags], `weights` float [clips]."""

    frames: Frames
    clips: np.ndarray
    labels: np.ndarray
    recordings: np.ndarray

    @property
    def weights(self) -> np.ndarray:
        """Chance of each clip to be drawn: a recording cut into n clips counts as sqrt(n), not as n."""
        _, which, counts = np.unique(self.recordings, return_inverse=True, return_counts=True)
        weights = 1 / np.sqrt(counts[which])
        return weights / weights.sum()


@dataclass
class Progress:
    """Where a run stands; everything needed to go on exactly as if it had never stopped."""

    epoch: int = 0
    best_epoch: int = 0
    best_score: float = -1.0
    history: list[dict[str, Any]] = field(default_factory=list)


def train(recipe: Recipe, train_part: Part, validation: Part, scaler, folder: Path) -> tuple[nn.Module, Progress]:
    """Train, or go on with the run that `folder` holds; returns the network of the best validation PR-AUC and the history.

    Raises `CheckpointError` if `folder` holds a run of another recipe or other data, or cannot be written.
    """
    from core.metrics import overall

    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(recipe.seed)
    random = np.random.default_rng(recipe.seed)
    network: nn.Module = build(recipe.architecture, train_part.labels.shape[1], recipe.arguments)
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack this form
    optimizer = torch.optim.AdamW(network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    progress, data = Progress(), _fingerprint(train_part, validation)
    if (folder / "last.safetensors").exists():
        progress = _resume(folder / "last.safetensors", recipe, data, network, optimizer, random)
        console.print(f"Going on after epoch {progress.epoch} of {recipe.epochs}.")
    nothing = [scaler(sound) for sound in augment.sounds_without_tags(_spec(), np.random.default_rng(0))]
    while progress.epoch < recipe.epochs:
        loss = _epoch(recipe, progress.epoch, network, optimizer, train_part, scaler, nothing, random)
        logits = clip_logits(network, validation.frames, validation.clips, scaler, lambda windows: pool(windows, recipe.pooling))
        scores = overall(validation.labels, 1 / (1 + np.exp(-logits)))
        progress.epoch += 1
        progress.history.append({"epoch": progress.epoch, "loss": loss, **scores})
        score = scores["pr_auc_macro"] or 0.0
        better = score > progress.best_score
        if better:
            progress.best_score, progress.best_epoch = score, progress.epoch
            _save(folder / "best.safetensors", recipe, data, progress, network)
        _save(folder / "last.safetensors", recipe, data, progress, network, optimizer, random)
        console.print(
            f"epoch {progress.epoch:3d}  loss {loss:.4f}  validation PR-AUC {score:.3f} macro "
            f"{scores['pr_auc_micro']:.3f} micro, ROC-AUC {scores['roc_auc_macro']:.3f}{'  best' if better else ''}"
        )
    network.load_state_dict(_tensors(folder / "best.safetensors", "network."))
    return network.eval(), progress


def _fingerprint(*parts: Part) -> str:
    """SHA-256 over the clips and labels of all parts: a run goes on only with the data that it began with."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(json.dumps([part.frames.offsets.tolist(), part.clips.tolist(), part.recordings.tolist()]).encode())
        digest.update(np.ascontiguousarray(part.labels).tobytes())
    return digest.hexdigest()


def _spec():
    from core.model.logmel import COALA

    return COALA


def _epoch(recipe, epoch, network, optimizer, part: Part, scaler, nothing, random) -> float:
    """One pass over as many windows as there are clips; returns the mean loss."""
    network.train()
    drawn = random.choice(len(part.clips), len(part.clips), p=part.weights)
    steps, losses = range(0, len(drawn), recipe.batch), []
    for step, start in enumerate(steps):
        patches, labels = _batch(recipe, network, part, drawn[start : start + recipe.batch], scaler, nothing, random)
        _set_learning_rate(optimizer, recipe, (epoch + step / len(steps)) / recipe.epochs)
        loss = functional.binary_cross_entropy_with_logits(network(patches).logits, labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        losses.append(float(loss.detach()))
    return float(np.mean(losses))


def _batch(recipe, network, part: Part, chosen, scaler, nothing, random) -> tuple[Tensor, Tensor]:
    """Augmented, scaled patches [n, bands, window] and their labels; one in sixteen is a sound without tags."""
    patches, labels = [], part.labels[chosen].copy()
    for row, index in enumerate(chosen):
        if random.random() < 1 / 16:
            patches.append(augment.crop(nothing[int(random.integers(len(nothing)))], network.window, random))
            labels[row] = 0
            continue
        patch = augment.gain(augment.crop(part.frames.clip(part.clips[index]), network.window, random), random)
        patches.append(scaler(augment.mask(patch, random) if recipe.masks else patch))
    mixed, targets = augment.mixup(np.stack(patches), labels, random, recipe.mixup)
    return torch.from_numpy(mixed.astype(np.float32)), torch.from_numpy(targets.astype(np.float32))


def _set_learning_rate(optimizer, recipe: Recipe, done: float) -> None:
    """Linear warm-up, then a cosine to zero; `done` is the share of the whole run, 0..1."""
    if done < recipe.warm_up:
        share = done / recipe.warm_up + 0.01
    else:
        share = 0.5 * (1 + np.cos(np.pi * (done - recipe.warm_up) / (1 - recipe.warm_up)))
    for group in optimizer.param_groups:
        group["lr"] = recipe.learning_rate * float(min(1, share))


def _save(path: Path, recipe: Recipe, data: str, progress: Progress, network, optimizer=None, random=None) -> None:
    """Write a checkpoint as a whole or not at all. Raises `CheckpointError`."""
    tensors = {f"network.{name}": tensor.contiguous() for name, tensor in network.state_dict().items()}
    state: dict[str, Any] = {"recipe": asdict(recipe), "data": data, "progress": asdict(progress)}
    if optimizer is not None:
        for index, values in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{name}": tensor.contiguous() for name, tensor in values.items()}
        tensors["random.torch"] = torch.get_rng_state()
        state["random"] = random.bit_generator.state
    partial = path.with_suffix(".partial")
    try:
        save_file(tensors, partial, metadata={"state": json.dumps(state)})
        partial.replace(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"The checkpoint {path} cannot be written ({error}); the one before it is whole.") from error


def _resume(path: Path, recipe: Recipe, data: str, network, optimizer, random) -> Progress:
    """Put everything back to where the checkpoint was made. Raises `CheckpointError`."""
    try:
        with safe_open(path, "pt") as file:
            state = json.loads(file.metadata()["state"])
    except (SafetensorError, OSError, TypeError, KeyError) as error:
        raise CheckpointError(f"{path} is no checkpoint of this program or is damaged; remove it to begin again.") from error
    for part, now in (("recipe", json.loads(json.dumps(asdict(recipe)))), ("data", data)):
        if state.get(part) != now:
            other = "another recipe" if part == "recipe" else "other data"
            raise CheckpointError(f"{path.parent} holds a run of {other}; choose another --run folder, or remove it.")
    network.load_state_dict(_tensors(path, "network."))
    saved: dict[int, dict[str, Tensor]] = {}
    for key, tensor in _tensors(path, "optimizer.").items():
        index, name = key.split(".", 1)
        saved.setdefault(int(index), {})[name] = tensor
    optimizer.load_state_dict({"state": saved, "param_groups": optimizer.state_dict()["param_groups"]})
    torch.set_rng_state(_tensors(path, "random.")["torch"])
    random.bit_generator.state = state["random"]
    return Progress(**state["progress"])


def _tensors(path: Path, prefix: str) -> dict[str, Tensor]:
    with safe_open(path, "pt") as file:
        return {key.removeprefix(prefix): file.get_tensor(key) for key in file.keys() if key.startswith(prefix)}  # noqa: SIM118
