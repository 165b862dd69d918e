"""The training loop: random stretches of clips, a checkpoint after every epoch, exact resume, the best epoch kept.

Checkpoints are safetensors (tensors) with the rest as JSON beside them in the same file's header: no pickles. All random numbers
of an epoch come from the recipe's seed and the epoch's number, so a run that was stopped goes on as if it never had been: to the
last bit on a CPU; on a GPU as far as its own arithmetic repeats itself. Under `torchrun` every process takes its share of each batch.
"""

import hashlib
import json
import os
from collections.abc import Callable
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from rich.console import Console
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, distributed, nn
from torch.nn import functional

from core.errors import EarmarkError
from core.metrics import overall
from core.model.bundle import Pooling, Scaler
from core.model.logmel import COALA
from core.model.networks import Network, build
from core.model.tagger import pool
from training import augment
from training.crops import Crops
from training.datasets import Frames
from training.evaluate import clip_logits

console = Console(stderr=True)
LAST, BEST = "last.safetensors", "best.safetensors"
GRADIENT_NORM = 5.0


class CheckpointError(EarmarkError):
    """A checkpoint that cannot be continued from."""


@dataclass(frozen=True)
class Recipe:
    """All that decides how a network is trained; two runs with the same recipe and data are the same run.

    An epoch shows as many stretches as there are clips, `passes` times, each of `crop` frames (None: the network's window).
    `mixup` is the Beta distribution's parameter (0: no mixing), `mixing` how: weighted means of log-mels, or both sounds at once.
    `gain_db`, `equalise_db`: most decibels; `hiss`, `without_tags`: share of the batch; `stretch`: most change of speed, as 1 + x;
    `shift_bands`: most change of pitch, in mel bands; `masks`, `roll`: whether. `balance`: how strongly rare tags are drawn more
    often (0 not, 1 as often as common ones). `smoothing`: labels' distance from 0 and 1. `ema`: decay of the averaged weights (0:
    none). `patience`: epochs without a better validation score before stopping. `mixed_precision` acts on GPUs alone.
    """

    architecture: str = "earmark_cnn"
    arguments: dict[str, Any] = field(default_factory=dict)
    epochs: int = 40
    passes: int = 1
    batch: int = 48
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    warm_up: float = 0.1
    loss: Literal["binary", "softmax"] = "binary"
    crop: int | None = None
    mixup: float = 0.3
    mixing: Literal["blend", "overlay"] = "blend"
    gain_db: float = 10.0
    equalise_db: float = 0.0
    hiss: float = 0.0
    stretch: float = 0.0
    shift_bands: float = 0.0
    roll: bool = False
    masks: bool = True
    balance: float = 0.0
    smoothing: float = 0.0
    ema: float = 0.0
    without_tags: float = 1 / 16
    patience: int | None = None
    mixed_precision: bool = True
    pooling: Pooling = "top_half"
    seed: int = 1


@dataclass(frozen=True)
class Part:
    """One part of the data: scaled on the fly by the solver. `labels` float32 [clips, tags], `recordings` [clips].

    `known` bool [clips, tags], if given, says which labels somebody decided; the others teach nothing.
    """

    frames: Frames
    clips: np.ndarray
    labels: np.ndarray
    recordings: np.ndarray
    known: np.ndarray | None = None

    @property
    def weights(self) -> np.ndarray:
        """Chance of each clip to be drawn: a recording cut into n clips counts as sqrt(n), not as n."""
        _, which, counts = np.unique(self.recordings, return_inverse=True, return_counts=True)
        weights = 1 / np.sqrt(counts[which])
        return weights / weights.sum()

    def balanced(self, strength: float) -> np.ndarray:
        """As `weights`, but clips with rare tags are drawn more often: by (clips per tag) ** -`strength`, the mean over a clip's tags."""
        if not strength:
            return self.weights
        support = np.maximum(self.labels.sum(axis=0), 1.0)
        rarity = self.labels @ support**-strength / np.maximum(self.labels.sum(axis=1), 1)
        weights = self.weights * np.where(rarity > 0, rarity, rarity[rarity > 0].mean())
        return weights / weights.sum()


@dataclass
class Progress:
    """Where a run stands: how many epochs are done, which was best on validation, and every epoch's numbers."""

    epoch: int = 0
    best_epoch: int = 0
    best_score: float = -1.0
    history: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Processes:
    """This process among those that `torchrun` started; without it, the only one."""

    rank: int = 0
    world: int = 1

    @classmethod
    def join(cls, device: torch.device) -> "Processes":
        """Meet the others, if there are any."""
        world = int(os.environ.get("WORLD_SIZE", "1"))
        if world == 1:
            return cls()
        if not distributed.is_initialized():
            distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
        return cls(distributed.get_rank(), world)

    @property
    def first(self) -> bool:
        """Whether this is the one that writes and speaks."""
        return self.rank == 0

    def wait(self) -> None:
        """Go on when all are here."""
        if self.world > 1:
            distributed.barrier()

    def agreed(self, value: float) -> float:
        """The first process's `value`, in every process."""
        if self.world == 1:
            return value
        shared = torch.tensor([value], dtype=torch.float64)
        if distributed.get_backend() == "nccl":
            shared = shared.cuda()
        distributed.broadcast(shared, 0)
        return float(shared)


def best_device() -> torch.device:
    """The GPU that is this process's, if there is one, else the CPU."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))


def train(
    recipe: Recipe,
    train_part: Part,
    validation: Part | None,
    scaler: Scaler,
    folder: Path,
    *,
    device: torch.device | None = None,
    compiled: bool = False,
    quiet: bool = False,
    watch: Callable[[Progress], None] | None = None,
) -> tuple[Network, Progress]:
    """Train, or go on with the run that `folder` holds; returns the network of the best validation PR-AUC and the history.

    Without `validation` the last epoch's network is the best: the number of epochs was decided before. `compiled` runs the
    network through `torch.compile`, which costs half a minute and pays on long runs. `watch` is called after every epoch.
    Raises `CheckpointError` if `folder` holds a run of another recipe, other data or another kind of device, or cannot be written.
    """
    run = _Run(recipe, train_part, validation, scaler, folder, device or best_device(), compiled, quiet)
    while not run.finished:
        run.one_more_epoch()
        if watch:
            watch(run.progress)
    run.processes.wait()
    run.averaged.load_state_dict(_tensors(folder / BEST, "network."))
    return run.averaged.eval(), run.progress


class _Run:
    """A network, its optimizer and its random numbers on the way through a recipe."""

    def __init__(
        self,
        recipe: Recipe,
        train_part: Part,
        validation: Part | None,
        scaler: Scaler,
        folder: Path,
        device: torch.device,
        compiled: bool,
        quiet: bool,
    ) -> None:
        self.recipe, self.part, self.validation, self.scaler, self.folder = recipe, train_part, validation, scaler, folder
        self.device, self.quiet, self.processes = device, quiet, Processes.join(device)
        self._make_folder()
        torch.manual_seed(recipe.seed)
        self.network = build(recipe.architecture, train_part.labels.shape[1], recipe.arguments).to(device)
        self.network = self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack this form
        self.averaged = deepcopy(self.network) if recipe.ema else self.network
        pairs = list(zip(self.averaged.state_dict().values(), self.network.state_dict().values(), strict=True))
        self.averages = [ours for ours, _ in pairs if ours.is_floating_point()]
        self.sources = [theirs for _, theirs in pairs if theirs.is_floating_point()]
        self.counters = [pair for pair in pairs if not pair[0].is_floating_point()]
        self.forward = self._forward(compiled)
        self.optimizer = _optimizer(self.network, recipe, device)
        self.progress, self.data = Progress(), _fingerprint(train_part, validation)
        self.batches = _Batches(recipe, train_part, scaler, device, self.network.window)
        self.steps = self._steps_per_epoch()
        if (folder / LAST).exists():
            self._resume()
            self._say(f"Going on after epoch {self.progress.epoch} of {recipe.epochs}.")

    @property
    def finished(self) -> bool:
        """All epochs done, or none of the last `patience` better than the best before."""
        progress, patience = self.progress, self.recipe.patience
        tired = patience is not None and progress.epoch - progress.best_epoch >= patience
        return progress.epoch >= self.recipe.epochs or (tired and self.validation is not None)

    def one_more_epoch(self) -> None:
        """Train an epoch, score it on validation, keep a checkpoint (and another if it is the best so far), say so."""
        loss = self._learn()
        scores = self._validate() if self.processes.first else {}
        progress = self.progress
        score = self.processes.agreed(float(scores.get("pr_auc_macro") or 0.0))
        progress.epoch += 1
        progress.history.append({"epoch": progress.epoch, "loss": loss, **scores})
        better = score > progress.best_score or self.validation is None
        if better:
            progress.best_score, progress.best_epoch = score, progress.epoch
        if self.processes.first:
            if better:
                self._save(BEST)
            self._save(LAST, to_go_on=True)
        said = f"  validation PR-AUC {score:.3f} macro {scores['pr_auc_micro'] or 0:.3f} micro" if scores else ""
        self._say(f"epoch {progress.epoch:3d}  loss {loss:.4f}{said}{'  best' if scores and better else ''}")

    def _make_folder(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CheckpointError(f"The folder {self.folder} cannot be made: {error.strerror}.") from error

    def _say(self, text: str) -> None:
        if self.processes.first and not self.quiet:
            console.print(text)

    def _forward(self, compiled: bool) -> Callable[[Tensor], Tensor]:
        """Patches to logits, through whatever stands between the loop and the network."""
        network: nn.Module = self.network
        if self.processes.world > 1:
            network = nn.parallel.DistributedDataParallel(network, device_ids=[self.device] if self.device.type == "cuda" else None)
        run = torch.compile(network) if compiled else network
        mixed = self.recipe.mixed_precision and self.device.type == "cuda"

        def forward(patches: Tensor) -> Tensor:
            with torch.autocast(self.device.type, torch.bfloat16, enabled=mixed):
                logits = run(patches).logits
            return logits.float()

        return forward

    def _steps_per_epoch(self) -> int:
        """Whole batches, or with a smaller last one; never one that leaves a process, or a batch norm, with too little."""
        drawn = len(self.part.clips) * self.recipe.passes
        whole, rest = divmod(drawn, self.recipe.batch)
        return max(1, whole + (rest > 1 and self.processes.world == 1))

    def _learn(self) -> float:
        """One epoch; returns the mean loss."""
        recipe, epoch = self.recipe, self.progress.epoch
        self.network.train()
        self.batches.begin(epoch, self.processes)
        losses = torch.zeros((), device=self.device)
        for step in range(self.steps):
            patches, targets, known = self.batches.take(step, self.processes)
            self._set_learning_rate((epoch + step / self.steps) / recipe.epochs)
            loss = masked_loss(self.forward(patches), targets, known, recipe.loss)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(self.network.parameters(), GRADIENT_NORM)
            self.optimizer.step()
            self._average(epoch * self.steps + step)
            losses += loss.detach()
        return float(losses) / self.steps

    def _average(self, step: int) -> None:
        """Move the averaged weights a little towards the network's (Polyak averaging); faster at the beginning, when there is no past."""
        if self.averaged is self.network:
            return
        decay = min(self.recipe.ema, (1 + step) / (10 + step))
        torch._foreach_lerp_(self.averages, self.sources, 1 - decay)
        for ours, theirs in self.counters:
            ours.copy_(theirs)

    def _validate(self) -> dict[str, Any]:
        part = self.validation
        if part is None:
            return {}
        logits = clip_logits(self.averaged, part.frames, part.clips, self.scaler, lambda windows: pool(windows, self.recipe.pooling))
        scores = 1 / (1 + np.exp(-logits.clip(-60, 60)))
        if part.known is None:
            return overall(part.labels, scores)
        return overall(np.where(part.known, part.labels, 0), np.where(part.known, scores, 0))

    def _set_learning_rate(self, done: float) -> None:
        """Linear warm-up, then a cosine to zero; `done` is the share of the whole run, 0..1."""
        warm_up = self.recipe.warm_up
        share = done / warm_up + 0.01 if done < warm_up else 0.5 * (1 + np.cos(np.pi * (done - warm_up) / (1 - warm_up)))
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.learning_rate * float(min(1, share))

    def _save(self, name: str, *, to_go_on: bool = False) -> None:
        """Write a checkpoint as a whole or not at all. Raises `CheckpointError`."""
        tensors = {f"network.{key}": tensor for key, tensor in self.averaged.state_dict().items()}
        state: dict[str, Any] = {
            "recipe": asdict(self.recipe),
            "data": self.data,
            "device": self.device.type,
            "progress": asdict(self.progress),
        }
        if to_go_on:
            if self.averaged is not self.network:
                tensors |= {f"learning.{key}": tensor for key, tensor in self.network.state_dict().items()}
            for index, values in self.optimizer.state_dict()["state"].items():
                tensors |= {f"optimizer.{index}.{key}": tensor for key, tensor in values.items()}
        path = self.folder / name
        partial = path.with_suffix(".partial")
        try:
            save_file({key: tensor.contiguous().cpu() for key, tensor in tensors.items()}, partial, metadata={"state": json.dumps(state)})
            partial.replace(path)
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"The checkpoint {path} cannot be written ({error}); the one before it is whole.") from error

    def _resume(self) -> None:
        """Put everything back to where the last checkpoint was made. Raises `CheckpointError`."""
        path = self.folder / LAST
        state = _state(path)
        _check_same_run(state, self.recipe, self.data, self.device, self.folder)
        self.averaged.load_state_dict(_tensors(path, "network."))
        if self.averaged is not self.network:
            self.network.load_state_dict(_tensors(path, "learning."))
        saved: dict[int, dict[str, Tensor]] = {}
        for key, tensor in _tensors(path, "optimizer.").items():
            index, name = key.split(".", 1)
            saved.setdefault(int(index), {})[name] = tensor
        self.optimizer.load_state_dict({"state": saved, "param_groups": self.optimizer.state_dict()["param_groups"]})
        self.progress = Progress(**state["progress"])


class _Batches:
    """Augmented, scaled patches and their labels, made where the network is."""

    def __init__(self, recipe: Recipe, part: Part, scaler: Scaler, device: torch.device, window: int) -> None:
        self.recipe, self.device, self.width = recipe, device, recipe.crop or window
        self.crops = Crops(part.frames, device)
        self.without_tags = Crops(_sounds_without_tags(), device)
        self.clips = torch.from_numpy(np.asarray(part.clips, np.int64)).to(device)
        self.labels = torch.from_numpy(np.asarray(part.labels, np.float32)).to(device)
        self.known = None if part.known is None else torch.from_numpy(np.asarray(part.known, bool)).to(device)
        self.weights = part.balanced(recipe.balance)
        self.mean = torch.from_numpy(np.asarray(scaler.mean, np.float32)).to(device)[:, None]
        self.std = torch.from_numpy(np.asarray(scaler.std, np.float32)).to(device)[:, None]
        self.generator = torch.Generator(device)

    def begin(self, epoch: int, processes: Processes) -> None:
        """Draw an epoch's clips; from here on everything random follows from the seed, the epoch and which process this is."""
        seed = np.random.SeedSequence([self.recipe.seed & 0xFFFFFFFF, epoch])
        self.random = np.random.default_rng(seed)
        self.drawn = self.random.choice(len(self.clips), len(self.clips) * self.recipe.passes, p=self.weights)
        own = int(np.random.SeedSequence([self.recipe.seed & 0xFFFFFFFF, epoch, processes.rank]).generate_state(1)[0])
        self.generator.manual_seed(own)
        torch.manual_seed(own)  # dropout

    def take(self, step: int, processes: Processes) -> tuple[Tensor, Tensor, Tensor | None]:
        """Batch number `step`: patches [n, bands, width], targets [n, tags], and which of them are known, or None for all."""
        recipe = self.recipe
        chosen = self.drawn[step * recipe.batch : (step + 1) * recipe.batch]
        share = augment.shares(len(chosen), self.random, recipe.mixup)
        quiet = int(self.random.binomial(len(chosen), recipe.without_tags))
        mine = slice(processes.rank, None, processes.world)
        index = torch.from_numpy(chosen[mine]).to(self.device)
        quiet = min(quiet // processes.world, len(index))
        patches, labels = self._changed(self._stretches(index, quiet)), self._smooth(self.labels[index])
        labels[:quiet] = 0
        known = None if self.known is None else self.known[index]
        if known is not None:
            known[:quiet] = True
        patches, labels, known = self._mixed(patches, labels, known, torch.from_numpy(share[mine]).to(self.device))
        patches = augment.hiss(patches, self.generator, recipe.hiss) if recipe.hiss else patches
        patches = augment.mask(patches, self.generator) if recipe.masks else patches
        return (patches - self.mean) / self.std, labels, known

    def _stretches(self, index: Tensor, quiet: int) -> Tensor:
        """Stretches of the chosen clips, the first `quiet` replaced by sounds without tags."""
        width = int(np.ceil(self.width * (1 + self.recipe.stretch)))
        patches = self.crops.cut(self.clips[index], width, self.generator)
        if quiet:
            other = torch.randint(len(self.without_tags.length), (quiet,), generator=self.generator, device=self.device)
            patches = torch.cat([self.without_tags.cut(other, width, self.generator), patches[quiet:]])
        return patches

    def _changed(self, patches: Tensor) -> Tensor:
        recipe, random = self.recipe, self.generator
        if recipe.stretch or recipe.shift_bands:
            patches = augment.stretch(patches, random, self.width, recipe.stretch, recipe.shift_bands)
        if recipe.equalise_db:
            patches = augment.equalise(patches, random, recipe.equalise_db)
        if recipe.gain_db:
            patches = augment.gain(patches, random, recipe.gain_db)
        return augment.roll(patches, random) if recipe.roll else patches

    def _smooth(self, labels: Tensor) -> Tensor:
        """Labels a little away from 0 and 1, always a copy."""
        smoothing = self.recipe.smoothing
        middle = 0.5 if self.recipe.loss == "binary" else 1 / labels.shape[1]
        return labels * (1 - smoothing) + smoothing * middle

    def _mixed(self, patches: Tensor, labels: Tensor, known: Tensor | None, share: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        if not self.recipe.mixup:
            return patches, labels, known
        other = torch.randperm(len(patches), generator=self.generator, device=self.device)
        mix = augment.blend if self.recipe.mixing == "blend" else augment.overlay
        both = None if known is None else known & known[other]
        return mix(patches, patches[other], share), augment.mixed_labels(labels, labels[other], share), both


@lru_cache(1)
def _sounds_without_tags() -> Frames:
    return Frames.joined(augment.sounds_without_tags(COALA, np.random.default_rng(0)))


def masked_loss(logits: Tensor, targets: Tensor, known: Tensor | None, kind: str) -> Tensor:
    """Mean loss over what is known. `binary`: per decision, cross-entropy of each tag by itself; `softmax`: per clip, of all tags together.

    Softmax takes no `known`: its tags exclude each other, so an unknown one makes all of them unknown.
    """
    if kind == "softmax":
        return functional.cross_entropy(logits, targets)
    if known is None:
        return functional.binary_cross_entropy_with_logits(logits, targets)
    each = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    return (each * known).sum() / known.sum().clamp(min=1)


def _optimizer(network: Network, recipe: Recipe, device: torch.device) -> torch.optim.Optimizer:
    """AdamW that pulls at the matrices, not at biases and batch norms (Loshchilov & Hutter 2019)."""
    matrices = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in network.parameters() if parameter.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, fused=device.type == "cuda")


def _check_same_run(state: dict[str, Any], recipe: Recipe, data: str, device: torch.device, folder: Path) -> None:
    """Raise `CheckpointError` if a checkpoint belongs to another run than this."""
    if state.get("recipe") != json.loads(json.dumps(asdict(recipe))):
        raise CheckpointError(f"{folder} holds a run of another recipe; choose another --run folder, or remove it.")
    if state.get("data") != data:
        raise CheckpointError(f"{folder} holds a run of other data; choose another --run folder, or remove it.")
    if state.get("device") != device.type:
        raise CheckpointError(f"{folder} holds a run begun on {state.get('device')}, not {device.type}; choose another --run folder.")


def _fingerprint(*parts: Part | None) -> str:
    """SHA-256 over the clips and labels of all parts: a run goes on only with the data that it began with."""
    digest = hashlib.sha256()
    for part in parts:
        if part is None:
            digest.update(b"none")
            continue
        digest.update(json.dumps([part.frames.offsets.tolist(), part.clips.tolist(), part.recordings.tolist()]).encode())
        digest.update(np.ascontiguousarray(part.labels).tobytes())
        if part.known is not None:
            digest.update(np.packbits(part.known).tobytes())
    return digest.hexdigest()


def _state(path: Path) -> dict[str, Any]:
    try:
        with safe_open(path, "pt") as file:
            return cast(dict[str, Any], json.loads(file.metadata()["state"]))
    except (SafetensorError, OSError, TypeError, KeyError) as error:
        raise CheckpointError(f"{path} is no checkpoint of this program or is damaged; remove it to begin again.") from error


def _tensors(path: Path, prefix: str) -> dict[str, Tensor]:
    with safe_open(path, "pt") as file:
        return {key.removeprefix(prefix): file.get_tensor(key) for key in file.keys() if key.startswith(prefix)}  # noqa: SIM118
