"""The training loop: a checkpoint after every epoch, exact resume, the best epoch kept.

A run that was stopped goes on as if it never had been: to the last bit on a CPU, on a GPU as far as
its own arithmetic repeats itself. Under `torchrun` every process takes its share of each batch.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as ProgressBar
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, SequentialLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from core.model.bundle import Scaler
from core.model.metrics import overall
from core.model.metrics_types import Numbers
from core.model.networks import Network, build
from training import checkpoints
from training.batches import BatchMaker
from training.checkpoints import BEST, LAST
from training.datasets.types import Subset
from training.errors import CheckpointError
from training.evaluate import clip_logits, sigmoid
from training.processes import Processes, best_device
from training.progress import report
from training.recipes import Recipe

logger = logging.getLogger(__name__)

MAX_GRADIENT_NORM = 5.0
FIRST_LEARNING_RATE = 0.01
"""Of the warm-up, as a share of the highest."""


@dataclass
class Progress:
    """The state of a run: epochs done, the best of them on validation, and each one's numbers."""

    epoch: int = 0
    best_epoch: int = 0
    best_score: float = -1.0
    history: list[Numbers] = field(default_factory=list)


def train(
    recipe: Recipe,
    train_subset: Subset,
    validation: Subset,
    scaler: Scaler,
    folder: Path,
    device: torch.device | None = None,
    start: Mapping[str, Tensor] | None = None,
) -> tuple[Network, Progress]:
    """Train a network, or go on with the run that `folder` holds.

    Args:
        recipe: Everything that decides how.
        train_subset: Teaches the network.
        validation: Scored after every epoch.
        scaler: Standardisation of the log-mels.
        folder: For checkpoints.
        device: The best of this machine by default.
        start: Weights to begin with, instead of random ones.

    Returns:
        The network of the epoch with the best macro PR-AUC on validation, and the history.

    Raises:
        CheckpointError: `folder` holds a run of another recipe, other data or another kind of
            device, or cannot be written.
    """
    run = _Run(recipe, train_subset, validation, scaler, folder, device or best_device(), start)
    clips, tags = train_subset.labels.shape
    facts = f"network={recipe.architecture} clips={clips} tags={tags} epochs={recipe.epochs}"
    logger.info("training start %s device=%s folder=%s", facts, run.device, folder)
    run.resume()
    with _progress_bar(run.processes.is_main_process) as bar:
        task = bar.add_task("Training", total=recipe.epochs, completed=run.progress.epoch, note="")
        while run.progress.epoch < recipe.epochs:
            report(run.progress.epoch, recipe.epochs, "Training")
            note = run.run_epoch()
            bar.update(task, advance=1, note=note)
    run.processes.barrier()
    best = cast(Network, run.averaged.module)
    best.load_state_dict(checkpoints.read_tensors(folder / BEST, "averaged.module."))
    logger.info("training end best_epoch=%d folder=%s", run.progress.best_epoch, folder)
    return best.eval(), run.progress


def _progress_bar(visible: bool) -> ProgressBar:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    more = (TimeRemainingColumn(), TextColumn("{task.fields[note]}"))
    return ProgressBar(*columns, *more, console=Console(stderr=True), disable=not visible)


class _Run:
    """A network, its optimizer and its random numbers on the way through a recipe."""

    def __init__(
        self,
        recipe: Recipe,
        train_subset: Subset,
        validation: Subset,
        scaler: Scaler,
        folder: Path,
        device: torch.device,
        start: Mapping[str, Tensor] | None,
    ) -> None:
        self.recipe, self.validation, self.scaler = recipe, validation, scaler
        self.folder, self.device, self.processes = folder, device, Processes.join(device)
        _make_folder(folder)
        torch.manual_seed(recipe.seed)
        network = build(recipe.architecture, train_subset.labels.shape[1], recipe.arguments)
        if start is not None:
            network.load_state_dict(start)
        # torch's stubs do not know this form; the layout is faster on GPUs
        self.network = network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.averaged = AveragedModel(self.network, multi_avg_fn=_ema(recipe.ema), use_buffers=True)
        self.forward = self._forward_function()
        self.steps = _steps_per_epoch(len(train_subset.clips), recipe, self.processes)
        self.optimizer = _optimizer(self.network, recipe, device)
        self.scheduler = _scheduler(self.optimizer, recipe, self.steps)
        self.progress = Progress()
        self.data = checkpoints.fingerprint(train_subset, validation)
        width = recipe.patch_frames or self.network.window
        self.batches = BatchMaker(recipe, train_subset, scaler, width, device)

    def run_epoch(self) -> str:
        """Train and validate for an epoch, and write checkpoints; return a note for the display."""
        began = time.monotonic()
        loss = self._train_epoch()
        scores = self._validate() if self.processes.is_main_process else {}
        score = self.processes.broadcast(float(scores.get("pr_auc_macro") or 0.0))
        progress = self.progress
        progress.epoch += 1
        progress.history.append({"epoch": progress.epoch, "loss": loss, **scores})
        is_best = score > progress.best_score
        if is_best:
            progress.best_score, progress.best_epoch = score, progress.epoch
        if self.processes.is_main_process:
            self._save(is_best)
            seconds, result = time.monotonic() - began, f"loss={loss:.4f} pr_auc_macro={score:.3f}"
            logger.info("epoch number=%d %s seconds=%.1f", progress.epoch, result, seconds)
        return f"loss {loss:.4f}, PR-AUC {score:.3f}, best {progress.best_score:.3f}"

    def resume(self) -> None:
        """Go back to the last checkpoint, if the folder holds one of this run.

        Raises:
            CheckpointError: It holds one of another run.
        """
        path = self.folder / LAST
        if not path.exists():
            return
        state = checkpoints.read_state(path)
        for key, what in (("recipe", "another recipe"), ("data", "other data")):
            if state.get(key) != self._identity()[key]:
                advice = "choose another --run folder, or remove it"
                raise CheckpointError(f"{self.folder} holds a run of {what}; {advice}.")
        if state.get("device") != self.device.type:
            began_on = f"{self.folder} holds a run begun on {state.get('device')}"
            raise CheckpointError(
                f"{began_on}, not {self.device.type}; choose another --run folder."
            )
        self.network.load_state_dict(checkpoints.read_tensors(path, "network."))
        self.averaged.load_state_dict(checkpoints.read_tensors(path, "averaged."))
        self._load_optimizer(checkpoints.read_tensors(path, "optimizer."), state)
        self.progress = Progress(**state["progress"])
        logger.info("training resumed epoch=%d of=%d", self.progress.epoch, self.recipe.epochs)

    def _load_optimizer(self, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        moments: dict[int, dict[str, Tensor]] = {}
        for key, tensor in tensors.items():
            index, name = key.split(".", 1)
            moments.setdefault(int(index), {})[name] = tensor
        groups = state["parameter_groups"]
        self.optimizer.load_state_dict({"state": moments, "param_groups": groups})
        self.scheduler.load_state_dict(state["scheduler"])

    def _identity(self) -> dict[str, Any]:
        """Return what must be the same when a run goes on."""
        return {"recipe": asdict(self.recipe), "data": self.data, "device": self.device.type}

    def _save(self, is_best: bool) -> None:
        """Write the checkpoint to go on from, and the best one's weights."""
        state = {**self._identity(), "progress": asdict(self.progress)}
        averaged = {f"averaged.{name}": t for name, t in self.averaged.state_dict().items()}
        if is_best:
            checkpoints.save(self.folder / BEST, averaged, state)
        optimizer = self.optimizer.state_dict()
        state["parameter_groups"] = optimizer["param_groups"]
        state["scheduler"] = self.scheduler.state_dict()
        network = {f"network.{name}": t for name, t in self.network.state_dict().items()}
        moments = {
            f"optimizer.{index}.{name}": tensor
            for index, values in optimizer["state"].items()
            for name, tensor in values.items()
        }
        checkpoints.save(self.folder / LAST, averaged | network | moments, state)

    def _forward_function(self) -> Callable[[Tensor], Tensor]:
        """Return the function from patches to logits, distributed and in mixed precision."""
        network: nn.Module = self.network
        if self.processes.world > 1:
            devices = [self.device] if self.device.type == "cuda" else None
            network = nn.parallel.DistributedDataParallel(network, device_ids=devices)
        is_mixed = self.recipe.mixed_precision and self.device.type == "cuda"

        def forward(patches: Tensor) -> Tensor:
            with torch.autocast(self.device.type, torch.bfloat16, enabled=is_mixed):
                logits: Tensor = network(patches).logits
            return logits.float()

        return forward

    def _train_epoch(self) -> float:
        """Train for an epoch; return the mean loss."""
        self.network.train()
        self.batches.start_epoch(self.progress.epoch, self.processes)
        total = torch.zeros((), device=self.device)
        for step in range(self.steps):
            patches, labels, known = self.batches.batch(step, self.processes)
            loss = masked_loss(self.forward(patches), labels, known)
            self.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(self.network.parameters(), MAX_GRADIENT_NORM)
            self.optimizer.step()
            self.scheduler.step()
            self.averaged.update_parameters(self.network)
            total += loss.detach()
        return float(total) / self.steps

    def _validate(self) -> Numbers:
        """Return the averaged network's scores on the validation subset."""
        network, subset = cast(Network, self.averaged.module), self.validation
        logits = clip_logits(network, subset, self.scaler, self.recipe.pooling)
        return overall(subset.labels, sigmoid(logits))


def masked_loss(logits: Tensor, labels: Tensor, known: Tensor) -> Tensor:
    """Return the mean binary cross-entropy over the labels that are known."""
    each = functional.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    return (each * known).sum() / known.sum().clamp(min=1)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        what = f"The folder {folder} cannot be created"
        raise CheckpointError(f"{what}: {error.strerror}.") from error


def _steps_per_epoch(clips: int, recipe: Recipe, processes: Processes) -> int:
    """Return the number of batches, of which a smaller last one counts if it is large enough.

    Batch norms need two patches, and every process needs some.
    """
    whole, rest = divmod(clips * recipe.repeats_per_epoch, recipe.batch_size)
    return max(1, whole + (rest > 1 and processes.world == 1))


def _optimizer(network: Network, recipe: Recipe, device: torch.device) -> torch.optim.AdamW:
    """Return AdamW with weight decay on matrices, not on biases and batch norms."""
    matrices = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    vectors = [parameter for parameter in network.parameters() if parameter.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": recipe.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, fused=device.type == "cuda")


def _scheduler(optimizer: torch.optim.Optimizer, recipe: Recipe, steps: int) -> SequentialLR:
    """Return a linear warm-up that a cosine down to zero follows."""
    total = recipe.epochs * steps
    warm_up = max(1, round(recipe.warm_up * total))
    rising = LinearLR(optimizer, FIRST_LEARNING_RATE, total_iters=warm_up)
    falling = CosineAnnealingLR(optimizer, max(1, total - warm_up))
    return SequentialLR(optimizer, [rising, falling], [warm_up])


def _ema(decay: float) -> Callable[..., None]:
    """Return torch's moving average, with less decay in the first steps.

    Otherwise the random weights of the beginning would stay in the average of a short run.
    """

    def update(averaged: Any, current: Any, count: Any) -> None:
        step = int(count)
        decay_now = min(decay, (1 + step) / (10 + step))
        get_ema_multi_avg_fn(decay_now)(averaged, current, count)  # type: ignore[no-untyped-call]

    return update
