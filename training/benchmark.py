"""Measured comparisons of ways to train: what is run, on which folds, and a manifest of what came out.

Every run is one line of `manifest.jsonl`: benchmark, configuration, seed, fold, state, scores, seconds, machine. Runs that stand
there as done are not run again, so the same command goes on where it was stopped. Protocols were fixed before any test fold was looked at:

- `esc10`: official five folds, accuracy. The configuration of each test fold is chosen without it: every pair of folds is held out in turn,
  each of the two is scored, and a configuration's mark for test fold k is its mean over the four other folds in the pairs with k.
- `us8k`: fold 1 against fold 2, both ways; PR-AUC macro over the tags of the training fold. Nothing is chosen.
- `mini`: all clips, split by recording as `splits/freesound_mini.json` says; the best epoch is chosen on the validation part.
- `ablations`: trained on mini's training part for a fixed number of epochs, scored on its validation part: the test part is not touched.
"""

import csv
import json
import os
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from core import metrics
from core.errors import EarmarkError
from core.model.tagger import pool
from training import clips as clip_training
from training import datasets
from training.datasets import DatasetError, Frames
from training.recipes import ablations, esc10_candidates, named, starter_candidates
from training.solver import Part, Recipe

SPLIT = Path(__file__).parent / "splits" / "freesound_mini.json"
FOLDS = (1, 2, 3, 4, 5)
LEAST_RECORDINGS_US8K = 2
OURS = "earmark"
console = Console(stderr=True)


@dataclass(frozen=True)
class Tier:
    """How long runs are on a kind of machine: epochs of each benchmark, and how many seeds."""

    seeds: int
    esc10_epochs: int | None  # None: as the configuration says
    us8k_epochs: int
    mini_epochs: int | None
    ablation_epochs: int


TIERS = {"gpu": Tier(3, None, 40, None, 40), "cpu": Tier(1, 2, 5, 2, 5)}


@dataclass(frozen=True)
class Task:
    """One run: train on some clips, score on others. Clips are row numbers of clips.csv.

    `fold` is what is held out; `tests` gives the clips of each part that is scored. `target`: learn each clip's `category`, scored by
    accuracy, or its `tags`, scored by the tagging metrics.
    """

    benchmark: str
    configuration: str
    recipe: Recipe
    fold: str
    train: tuple[int, ...]
    tests: dict[str, tuple[int, ...]]
    target: str

    @property
    def key(self) -> str:
        """What identifies the run in the manifest."""
        return f"{self.benchmark}/{self.configuration}/{self.fold}/{self.recipe.seed}"


class Manifest:
    """The list of runs, one JSON object a line; written to as runs end, never rewritten."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines = list(read_lines(path)) if path.exists() else []

    def done(self, key: str) -> dict[str, Any] | None:
        """The line of a run that has been done."""
        return next((line for line in self.lines if line["key"] == key and line["state"] == "done"), None)

    def add(self, line: dict[str, Any]) -> None:
        """Append a line. Raises `EarmarkError` if that cannot be."""
        self.lines.append(line)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            raise EarmarkError(f"{self.path} cannot be written: {error.strerror}.") from error


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a manifest; a last one that was cut off counts as not written. Raises `EarmarkError`."""
    lines = path.read_text("utf-8").splitlines()
    for number, line in enumerate(lines, start=1):
        try:
            yield json.loads(line)
        except ValueError as error:
            if number < len(lines):
                raise EarmarkError(f"Line {number} of {path} is no JSON; restore it, or remove the line.") from error


@dataclass(frozen=True)
class Data:
    """A clip folder with what benchmarks ask of it: `rows` of clips.csv, log-mels, and where they are kept."""

    folder: Path
    cache: Path
    rows: list[dict[str, str]]
    clips: list[datasets.Clip]
    frames: Frames

    @classmethod
    def read(cls, folder: Path, cache: Path) -> "Data":
        """Raises `DatasetError` if clips.csv does not name each clip's data set, category and fold."""
        clips = datasets.read_clips(folder)
        with (folder / "clips.csv").open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
        if missing := [column for column in ("dataset", "category", "fold") if column not in rows[0]]:
            raise DatasetError(f"{folder / 'clips.csv'} lacks the column {', '.join(missing)}, which benchmarks need.")
        return cls(folder, cache, rows, clips, datasets.load_frames(clips, cache))

    def where(self, dataset: str, folds: Iterable[int]) -> tuple[int, ...]:
        """Row numbers of a data set's clips in some folds. Raises `DatasetError` if there are none."""
        wanted = {str(fold) for fold in folds}
        found = tuple(n for n, row in enumerate(self.rows) if row["dataset"] == dataset and row["fold"] in wanted)
        if not found:
            raise DatasetError(f"{self.folder} has no clips of {dataset} in fold {', '.join(sorted(wanted))}.")
        return found

    def labels(self, task: Task) -> tuple[tuple[str, ...], np.ndarray]:
        """The task's vocabulary, from its training clips alone, and labels float32 [all clips, tags]."""
        if task.target == "category":
            names = tuple(sorted({self.rows[n]["category"] for n in task.train}))
            return names, np.array([[row["category"] == name for name in names] for row in self.rows], np.float32)
        names = datasets.vocabulary(
            [self.clips[n] for n in task.train], LEAST_RECORDINGS_US8K if task.benchmark == "us8k" else datasets.LEAST_RECORDINGS
        )
        return names, datasets.multi_hot(self.clips, names)


def choose_esc10(data: Data, tier: Tier) -> list[Task]:
    """Runs that the configuration is chosen by: every pair of folds held out, both scored."""
    return [
        Task("esc10-choose", name, _epochs(recipe, tier.esc10_epochs), f"{a}+{b}", data.where("esc10", set(FOLDS) - {a, b}),
             {str(fold): data.where("esc10", [fold]) for fold in (a, b)}, "category")
        for name, recipe in esc10_candidates().items()
        for a, b in combinations(FOLDS, 2)
    ]  # fmt: skip


def chosen_esc10(manifest: Manifest) -> dict[int, str]:
    """For each test fold the candidate of the best mark without it; of equals, the one of the lower cross-entropy.

    Raises `EarmarkError` if no candidate has all its runs.
    """
    marks: dict[int, dict[str, tuple[float, float]]] = {fold: {} for fold in FOLDS}
    for name in esc10_candidates():
        lines = {line["fold"]: line["scores"] for line in manifest.lines if line["key"].startswith(f"esc10-choose/{name}/")}
        if len(lines) < len(list(combinations(FOLDS, 2))):
            continue
        for fold in FOLDS:
            others = [scores[other] for pair, scores in lines.items() if str(fold) in pair.split("+")
                      for other in pair.split("+") if other != str(fold)]  # fmt: skip
            marks[fold][name] = (
                float(np.mean([one["accuracy"] for one in others])),
                -float(np.mean([one["cross_entropy"] for one in others])),
            )
    if not all(marks.values()):
        raise EarmarkError("No configuration has been run on every pair of folds yet: run `benchmark esc10 --stage choose` first.")
    return {fold: max(one, key=lambda name: one[name]) for fold, one in marks.items()}


def esc10(data: Data, tier: Tier, chosen: dict[int, str]) -> list[Task]:
    """The official folds: ours as chosen, and the seed's network under the same number of epochs, by its own recipe and by ours."""
    tasks = []
    for seed in range(1, tier.seeds + 1):
        for fold in FOLDS:
            ours = _epochs(esc10_candidates()[chosen[fold]], tier.esc10_epochs)
            for name, recipe in (
                (OURS, ours),
                ("seed", named("seed", epochs=ours.epochs, passes=ours.passes, loss=ours.loss)),
            ):
                train = data.where("esc10", set(FOLDS) - {fold})
                tasks.append(
                    Task("esc10", name, replace(recipe, seed=seed), str(fold), train, {str(fold): data.where("esc10", [fold])}, "category")
                )
    return tasks


def us8k(data: Data, tier: Tier) -> list[Task]:
    """One fold against the other, both ways."""
    ours = named(OURS, epochs=tier.us8k_epochs, patience=None)
    configurations = {
        OURS: ours,
        "seed": named("seed", epochs=tier.us8k_epochs),
        "seed_cnn, our levers": _with_seed_network(ours),
    }
    return [
        Task(
            "us8k",
            name,
            replace(recipe, seed=seed),
            str(test),
            data.where("us8k", [train]),
            {str(test): data.where("us8k", [test])},
            "tags",
        )
        for seed in range(1, tier.seeds + 1)
        for name, recipe in configurations.items()
        for train, test in ((1, 2), (2, 1))
    ]


def mini(data: Data, tier: Tier) -> list[Task]:
    """The whole folder, each run a bundle. The starter is the one of ours that is best on validation."""
    part_of = datasets.read_split(SPLIT, data.clips)
    train, test = (tuple(np.flatnonzero(part_of == part).tolist()) for part in (0, 2))
    configurations = starter_candidates() | {name: named(name) for name in (OURS, "seed")}
    return [
        Task("mini", name, replace(_epochs(recipe, tier.mini_epochs), seed=seed), "test", train, {"test": test}, "bundle")
        for name, recipe in configurations.items()
        for seed in range(1, (1 if name in starter_candidates() else tier.seeds) + 1)
    ]


def chosen_starter(manifest: Manifest) -> dict[str, Any]:
    """The line of the bundle of ours with the best mean of macro and micro PR-AUC on validation. Raises `EarmarkError` if there is none."""
    lines = [
        line
        for line in manifest.lines
        if line["benchmark"] == "mini" and line["configuration"] != "seed" and "validation" in line["scores"]
    ]
    if not lines:
        raise EarmarkError("No bundle has been made yet: run `benchmark mini` first.")
    return max(lines, key=lambda line: line["scores"]["validation"]["pr_auc_macro"] + line["scores"]["validation"]["pr_auc_micro"])


def ablate(data: Data, tier: Tier) -> list[Task]:
    """Our recipe with one thing changed at a time, on the validation part."""
    part_of = datasets.read_split(SPLIT, data.clips)
    train, validation = (tuple(np.flatnonzero(part_of == part).tolist()) for part in (0, 1))
    return [
        Task("ablations", name, replace(recipe, epochs=tier.ablation_epochs, seed=seed, patience=None), "validation", train,
             {"validation": validation}, "tags")
        for seed in range(1, min(2, tier.seeds) + 1)
        for name, recipe in ablations().items()
    ]  # fmt: skip


def _epochs(recipe: Recipe, epochs: int | None) -> Recipe:
    return replace(recipe, epochs=epochs) if epochs else recipe


def _with_seed_network(recipe: Recipe) -> Recipe:
    seed = named("seed")
    return replace(recipe, architecture=seed.architecture, arguments=seed.arguments, crop=None)


def execute(tasks: list[Task], data: Data, folder: Path, workers: int = 1, minutes: float | None = None, tier: str = "cpu") -> Manifest:
    """Run what the manifest in `folder` does not hold yet, `workers` at a time; with `minutes`, nothing new is begun after them."""
    manifest = Manifest(folder / "manifest.jsonl")
    waiting = [task for task in tasks if not manifest.done(task.key)]
    console.print(f"{len(tasks)} runs, {len(tasks) - len(waiting)} of them done before.")
    until = time.monotonic() + 60 * minutes if minutes else None
    if workers == 1:
        for number, task in enumerate(waiting, start=1):
            if until and time.monotonic() > until:
                break
            _note(manifest, run_task(task, data, folder) | {"tier": tier}, f"{number}/{len(waiting)}")
        return manifest
    with ProcessPoolExecutor(workers, get_context("spawn"), _start_worker, (data.folder, data.cache, folder, until)) as pool_of_workers:
        running = [pool_of_workers.submit(_work, task) for task in waiting]
        for number, future in enumerate(as_completed(running), start=1):
            if (line := future.result()) is not None:
                _note(manifest, line | {"tier": tier}, f"{number}/{len(waiting)}")
    return manifest


def _note(manifest: Manifest, line: dict[str, Any], number: str) -> None:
    manifest.add(line)
    console.print(f"{number}  {line['key']}  {_in_short(line['scores'])}  {line['seconds']:.0f} s", highlight=False)


def _in_short(scores: dict[str, Any]) -> str:
    return ", ".join(f"{part}: {one.get('accuracy', one.get('pr_auc_macro')):.4f}" for part, one in scores.items())


_worker: tuple[Data, Path, float | None]


def _start_worker(folder: Path, cache: Path, runs: Path, until: float | None) -> None:
    import torch

    global _worker
    torch.set_num_threads(1)
    _worker = Data.read(folder, cache), runs, until


def _work(task: Task) -> dict[str, Any] | None:
    data, folder, until = _worker
    return None if until and time.monotonic() > until else run_task(task, data, folder)


def run_task(task: Task, data: Data, folder: Path) -> dict[str, Any]:
    """One run and its line of the manifest; its checkpoints lie under `folder`, where a stopped run goes on from them."""
    began = time.monotonic()
    run = folder / "runs" / task.key.replace(" ", "-").replace(",", "")
    scores = _bundle_scores(task, data, run) if task.target == "bundle" else _task_scores(task, data, run)
    return {
        "key": task.key,
        "benchmark": task.benchmark,
        "configuration": task.configuration,
        "seed": task.recipe.seed,
        "fold": task.fold,
        "state": "done",
        "scores": scores,
        "epochs": task.recipe.epochs * task.recipe.passes,
        "seconds": round(time.monotonic() - began, 1),
        "machine": machine(),
        "recipe": _unusual(task.recipe),
    }


def _unusual(recipe: Recipe) -> dict[str, Any]:
    """What differs from the defaults."""
    usual = asdict(Recipe())
    return {name: value for name, value in asdict(recipe).items() if value != usual[name]}


def _task_scores(task: Task, data: Data, run: Path) -> dict[str, dict[str, Any]]:
    from training.evaluate import clip_logits
    from training.solver import train

    _, labels = data.labels(task)
    recordings = np.array([clip.recording for clip in data.clips])
    index = _without_recordings_of(task, recordings)
    part = Part(data.frames, index, labels[index], recordings[index])
    scaler = clip_training.per_band_scaler(data.frames, index)
    network, _ = train(task.recipe, part, None, scaler, run, quiet=True)
    scores = {}
    for name, held in task.tests.items():
        logits = clip_logits(network, data.frames, np.array(held), scaler, lambda windows: pool(windows, task.recipe.pooling))
        scores[name] = _scored(logits, labels[list(held)], task)
    return scores


def _without_recordings_of(task: Task, recordings: np.ndarray) -> np.ndarray:
    """The training clips, less those cut from a recording that is scored: int [clips]."""
    held = {recordings[n] for part in task.tests.values() for n in part}
    return np.array([n for n in task.train if recordings[n] not in held])


def _scored(logits: np.ndarray, labels: np.ndarray, task: Task) -> dict[str, Any]:
    if task.target == "tags":
        from training.evaluate import rounded

        return rounded(metrics.overall(labels, 1 / (1 + np.exp(-logits.clip(-60, 60))))) | {"clips": len(labels), "tags": labels.shape[1]}
    truth = labels.argmax(axis=1)
    chance = np.exp(logits - logits.max(axis=1, keepdims=True))
    chance /= chance.sum(axis=1, keepdims=True)
    right = (logits.argmax(axis=1) == truth).mean()
    entropy = -np.log(chance[np.arange(len(truth)), truth].clip(1e-9)).mean()
    scores = {"accuracy": round(float(right), 4), "cross_entropy": round(float(entropy), 4), "clips": len(labels)}
    return scores | (
        {"logits": np.round(logits, 1).tolist(), "truth": truth.tolist()} if task.benchmark == "esc10" else {}
    )  # for ensembles of seeds


def _bundle_scores(task: Task, data: Data, run: Path) -> dict[str, dict[str, Any]]:
    """A whole bundle, as it would ship."""
    name = "seed" if task.configuration == "seed" else "earmark_starter"
    bundle = clip_training.run(
        data.folder,
        run / "bundle",
        run,
        name,
        task.recipe,
        split=SPLIT,
        cache=data.cache,
        licence=LICENCE,
        provenance=PROVENANCE,
        quiet=True,
    )
    overall = bundle.metrics["overall"]
    extra = {"ece": bundle.metrics["reliability"]["ece"], "intervals": bundle.metrics["intervals"], "clips": bundle.metrics["clips"],
             "tags": len(bundle.vocabulary), "best_epoch": bundle.description["trained"]["best_epoch"]}  # fmt: skip
    on_validation = {name: bundle.metrics["validation"][name] for name in ("pr_auc_macro", "pr_auc_micro")}
    return {"test": overall | extra, "validation": on_validation}


def machine() -> str:
    """What the numbers were measured on, in words."""
    import platform

    import torch

    version = f"torch {torch.__version__}"
    if torch.cuda.is_available():
        return f"one {torch.cuda.get_device_name()}, {version}"
    return f"CPU, {os.cpu_count()} cores, {platform.machine()}, {version}"


LICENCE = (
    "CC BY-NC 4.0: non-commercial use only, because ESC-50 and UrbanSound8K, which it was trained on, are licensed for non-commercial use."
)
PROVENANCE = (
    "freesound-mini: 2,413 clips of 755 Freesound recordings, mono 24 kHz Ogg Opus: ESC-10 complete (Piczak 2015, CC BY), 252 clips of "
    "ESC-50 (Piczak 2015, CC BY-NC 3.0), UrbanSound8K folds 1 and 2 (Salamon, Jacoby and Bello 2014, CC BY-NC 3.0). Tags are Earmark's own "
    "mapping from the data sets' classes. Trained on the training recordings only; epoch chosen and calibration fitted on the validation "
    "recordings; scored once on the test recordings."
)
