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
from core.metrics import overall
from core.model.bundle import Pooling, Scaler
from core.model.logmel import COALA
from core.model.networks import build
from core.model.tagger import pool
from training import augment
from training.datasets import Frames
from training.evaluate import clip_logits

console = Console(stderr=True)
LAST, BEST = "last.safetensors", "best.safetensors"
WITHOUT_TAGS = 1 / 16
GRADIENT_NORM = 5.0


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


def train(recipe: Recipe, train_part: Part, validation: Part, scaler: Scaler, folder: Path) -> tuple[nn.Module, Progress]:
    """Train, or go on with the run that `folder` holds; returns the network of the best validation PR-AUC and the history.

    Raises `CheckpointError` if `folder` holds a run of another recipe or other data, or cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    run = _Run(recipe, train_part, validation, scaler, folder)
    while run.progress.epoch < recipe.epochs:
        run.one_more_epoch()
    run.network.load_state_dict(_tensors(folder / BEST, "network."))
    return run.network.eval(), run.progress


class _Run:
    """A network, its optimizer and its random numbers on the way through a recipe."""

    def __init__(self, recipe: Recipe, train_part: Part, validation: Part, scaler: Scaler, folder: Path) -> None:
        self.recipe, self.part, self.validation, self.scaler, self.folder = recipe, train_part, validation, scaler, folder
        torch.manual_seed(recipe.seed)
        self.random = np.random.default_rng(recipe.seed)
        network = build(recipe.architecture, train_part.labels.shape[1], recipe.arguments)
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack this form
        self.optimizer = torch.optim.AdamW(network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
        self.progress, self.data = Progress(), _fingerprint(train_part, validation)
        self.without_tags = augment.sounds_without_tags(COALA, np.random.default_rng(0))
        if (folder / LAST).exists():
            self._resume()
            console.print(f"Going on after epoch {self.progress.epoch} of {recipe.epochs}.")

    def one_more_epoch(self) -> None:
        """Train an epoch, score it on validation, keep a checkpoint (and another if it is the best so far), say so."""
        loss, scores, progress = self._learn(), self._validate(), self.progress
        score = scores["pr_auc_macro"] or 0.0
        progress.epoch += 1
        progress.history.append({"epoch": progress.epoch, "loss": loss, **scores})
        better = score > progress.best_score
        if better:
            progress.best_score, progress.best_epoch = score, progress.epoch
            self._save(BEST)
        self._save(LAST, to_go_on=True)
        console.print(
            f"epoch {progress.epoch:3d}  loss {loss:.4f}  validation PR-AUC {score:.3f} macro "
            f"{scores['pr_auc_micro']:.3f} micro, ROC-AUC {scores['roc_auc_macro']:.3f}{'  best' if better else ''}"
        )

    def _validate(self) -> dict[str, Any]:
        part = self.validation
        logits = clip_logits(self.network, part.frames, part.clips, self.scaler, lambda windows: pool(windows, self.recipe.pooling))
        return overall(part.labels, 1 / (1 + np.exp(-logits)))

    def _learn(self) -> float:
        """One pass over as many windows as there are clips; returns the mean loss."""
        self.network.train()
        drawn = self.random.choice(len(self.part.clips), len(self.part.clips), p=self.part.weights)
        steps, losses = range(0, len(drawn), self.recipe.batch), []
        for step, start in enumerate(steps):
            patches, labels = self._batch(drawn[start : start + self.recipe.batch])
            self._set_learning_rate((self.progress.epoch + step / len(steps)) / self.recipe.epochs)
            loss = functional.binary_cross_entropy_with_logits(self.network(patches).logits, labels)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(self.network.parameters(), GRADIENT_NORM)
            self.optimizer.step()
            losses.append(float(loss.detach()))
        return float(np.mean(losses))

    def _batch(self, chosen: np.ndarray) -> tuple[Tensor, Tensor]:
        """Augmented, scaled patches [n, bands, window] and their labels; one in sixteen is a sound without tags."""
        patches, labels, random = [], self.part.labels[chosen].copy(), self.random
        for row, index in enumerate(chosen):
            if random.random() < WITHOUT_TAGS:
                sound = self.without_tags[int(random.integers(len(self.without_tags)))]
                patch = augment.crop(sound, self.network.window, random, tries=1)
                labels[row] = 0
            else:
                clip = self.part.frames.clip(self.part.clips[index])
                patch = augment.gain(augment.crop(clip, self.network.window, random), random)
                patch = augment.mask(patch, random) if self.recipe.masks else patch
            patches.append(self.scaler(patch))
        mixed, targets = augment.mixup(np.stack(patches), labels, random, self.recipe.mixup)
        return torch.from_numpy(mixed.astype(np.float32)), torch.from_numpy(targets.astype(np.float32))

    def _set_learning_rate(self, done: float) -> None:
        """Linear warm-up, then a cosine to zero; `done` is the share of the whole run, 0..1."""
        warm_up = self.recipe.warm_up
        share = done / warm_up + 0.01 if done < warm_up else 0.5 * (1 + np.cos(np.pi * (done - warm_up) / (1 - warm_up)))
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.learning_rate * float(min(1, share))

    def _save(self, name: str, *, to_go_on: bool = False) -> None:
        """Write a checkpoint as a whole or not at all. Raises `CheckpointError`."""
        tensors = {f"network.{key}": tensor.contiguous() for key, tensor in self.network.state_dict().items()}
        state: dict[str, Any] = {"recipe": asdict(self.recipe), "data": self.data, "progress": asdict(self.progress)}
        if to_go_on:
            for index, values in self.optimizer.state_dict()["state"].items():
                tensors |= {f"optimizer.{index}.{key}": tensor.contiguous() for key, tensor in values.items()}
            tensors["random.torch"] = torch.get_rng_state()
            state["random"] = self.random.bit_generator.state
        path = self.folder / name
        partial = path.with_suffix(".partial")
        try:
            save_file(tensors, partial, metadata={"state": json.dumps(state)})
            partial.replace(path)
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"The checkpoint {path} cannot be written ({error}); the one before it is whole.") from error

    def _resume(self) -> None:
        """Put everything back to where the last checkpoint was made. Raises `CheckpointError`."""
        path = self.folder / LAST
        state = _state(path)
        for part, now in (("recipe", json.loads(json.dumps(asdict(self.recipe)))), ("data", self.data)):
            if state.get(part) != now:
                other = "another recipe" if part == "recipe" else "other data"
                raise CheckpointError(f"{self.folder} holds a run of {other}; choose another --run folder, or remove it.")
        self.network.load_state_dict(_tensors(path, "network."))
        saved: dict[int, dict[str, Tensor]] = {}
        for key, tensor in _tensors(path, "optimizer.").items():
            index, name = key.split(".", 1)
            saved.setdefault(int(index), {})[name] = tensor
        self.optimizer.load_state_dict({"state": saved, "param_groups": self.optimizer.state_dict()["param_groups"]})
        torch.set_rng_state(_tensors(path, "random.")["torch"])
        self.random.bit_generator.state = state["random"]
        self.progress = Progress(**state["progress"])


def _fingerprint(*parts: Part) -> str:
    """SHA-256 over the clips and labels of all parts: a run goes on only with the data that it began with."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(json.dumps([part.frames.offsets.tolist(), part.clips.tolist(), part.recordings.tolist()]).encode())
        digest.update(np.ascontiguousarray(part.labels).tobytes())
    return digest.hexdigest()


def _state(path: Path) -> dict[str, Any]:
    try:
        with safe_open(path, "pt") as file:
            return json.loads(file.metadata()["state"])
    except (SafetensorError, OSError, TypeError, KeyError) as error:
        raise CheckpointError(f"{path} is no checkpoint of this program or is damaged; remove it to begin again.") from error


def _tensors(path: Path, prefix: str) -> dict[str, Tensor]:
    with safe_open(path, "pt") as file:
        return {key.removeprefix(prefix): file.get_tensor(key) for key in file.keys() if key.startswith(prefix)}  # noqa: SIM118
