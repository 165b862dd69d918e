"""Training on COALA: the prototype's recipe and ours on the same parts, and what each way of scaling the patches gives."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from core.errors import EarmarkError
from core.files import write_atomic
from core.metrics import overall
from core.model import bundle as bundles
from core.model.bundle import Scaler
from core.model.tagger import pool
from core.tags import shown_words
from training import evaluate
from training.clips import SEED_BASELINE, describe
from training.coala import PATCH, Coala, ColumnScaler
from training.recipes import EARMARK, SEED
from training.solver import Part, Processes, Progress, Recipe, best_device, train

SCALINGS: dict[str, str] = {
    "columns": "per time column, as published",
    "bands": "restored log-mel, each band standardised",
    "global": "restored log-mel, standardised as a whole",
}
AT_MOST = 8000
"""Patches of the validation part that every epoch is judged on, and as many others that calibrate: to fit 1,000 tags on these takes two
minutes on one core, on all 51,000 it would take a quarter of an hour."""
READ_AT_ONCE = 2048
PROVENANCE = "COALA (Favory et al. 2020, Zenodo record 3887261): patches of Freesound sounds with their uploaders' tags, singularised"
console = Console(stderr=True)


class CoalaRunError(EarmarkError):
    """A training on COALA that cannot be done as asked."""


@dataclass(frozen=True)
class Configuration:
    """A recipe with the scaling of its patches. Patches are 96 frames wide: nothing can be cut from them or stretched."""

    recipe: Recipe
    scaling: str


CONFIGURATIONS = {
    "seed": Configuration(SEED, "columns"),
    "earmark": Configuration(replace(EARMARK, arguments={}, crop=PATCH[1], stretch=0.0, epochs=40, batch=256), "bands"),
}
"""The prototype's way and ours, by the names that they have for clip folders too."""


@dataclass(frozen=True)
class ColumnScaling(Scaler):
    """A scaler with one mean and spread per frame of a patch instead of per band, each float32 [1, frames]."""

    @classmethod
    def of(cls, columns: ColumnScaler) -> "ColumnScaling":
        """COALA's own: x * scale + offset, said as (x - mean) / std."""
        return cls((-columns.offset / columns.scale)[None], (1 / columns.scale)[None])

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """float32 [bands, 96] -> the same shape, scaled."""
        return (frames - self.mean) / self.std


def scaler_for(scaling: str, data: Coala) -> Scaler:
    """The scaler of that kind, fitted on the training part where there is something to fit."""
    if scaling == "columns":
        return ColumnScaling.of(data.scaler)
    total, squares, count = np.zeros(PATCH[0]), np.zeros(PATCH[0]), 0
    patches = data.frames.data.reshape(-1, PATCH[1], PATCH[0])
    chosen = data.part(0)
    for start in range(0, len(chosen), READ_AT_ONCE):
        rows = patches[chosen[start : start + READ_AT_ONCE]].reshape(-1, PATCH[0]).astype(np.float64)
        total, squares, count = total + rows.sum(axis=0), squares + np.square(rows).sum(axis=0), count + len(rows)
    if scaling == "global":
        total, squares = total.mean(keepdims=True), squares.mean(keepdims=True)
    mean = total / count
    spread = np.sqrt(np.maximum(squares / count - mean**2, 0)) + 1e-3
    return Scaler(mean.astype(np.float32), spread.astype(np.float32))


def parts(data: Coala) -> list[Part]:
    """Training, validation and test part, all looking into the same map."""
    indices = [data.part(number) for number in range(3)]
    return [Part(data.frames, index, data.labels(index), data.ids[index].astype(str)) for index in indices]


def shared_out(validation: Part) -> tuple[Part, Part]:
    """Of the validation part, what every epoch is judged on and what calibrates: different patches where there are enough."""
    if len(validation.clips) <= 2 * AT_MOST:
        return validation, validation
    order = np.random.default_rng(0).permutation(len(validation.clips))
    return _some(validation, np.sort(order[:AT_MOST])), _some(validation, np.sort(order[AT_MOST : 2 * AT_MOST]))


def _some(part: Part, rows: np.ndarray) -> Part:
    return Part(part.frames, part.clips[rows], part.labels[rows], part.recordings[rows])


def arguments(name: str, channels: list[int] | None, hidden: int | None) -> dict[str, Any]:
    """The network's arguments in a configuration, with the sizes that a person wants instead."""
    own = CONFIGURATIONS[name].recipe.arguments
    return own | ({"channels": channels} if channels else {}) | ({"hidden": hidden} if hidden else {})


def configured(name: str, scaling: str | None, seed: int, epochs: int | None, arguments: dict[str, Any] | None = None) -> Configuration:
    """A configuration by name, with what was asked for instead."""
    one = CONFIGURATIONS[name]
    changes: dict[str, Any] = {"seed": seed} | ({"epochs": epochs} if epochs else {}) | ({"arguments": arguments} if arguments else {})
    return Configuration(replace(one.recipe, **changes), scaling or one.scaling)


def run(data: Coala, name: str, configuration: Configuration, folder: Path, out: Path, *, compiled: bool = False) -> bundles.Bundle | None:
    """Train a configuration in `folder` (or go on there), calibrate on validation, score on test and write a bundle to `out`.

    Its row goes to `folder`/../table.json, whatever the configuration: the same table for the prototype's recipe and ours. Under
    `torchrun` the first process does all this but the training alone, and the others return None.
    Raises `CoalaRunError` for a scaling that no bundle can hold, before anything is trained.
    """
    recipe = configuration.recipe
    if configuration.scaling == "columns" and recipe.architecture != "seed_cnn":
        raise CoalaRunError(
            f"{recipe.architecture} listens to whole clips and cannot scale them by a patch's columns; compare the scalings."
        )
    learning, validation, test = parts(data)
    watched, calibrating = shared_out(validation)
    scaler = scaler_for(configuration.scaling, data)
    network, progress = train(recipe, learning, watched, scaler, folder, compiled=compiled)
    if not Processes.join(best_device()).first:
        return None
    network = network.half().float()  # as the bundle will keep it
    tags = shown_words(data.tags)
    calibration = evaluate.calibrate(_logits(network, calibrating, scaler, recipe), calibrating.labels)
    metrics = evaluate.score(_logits(network, test, scaler, recipe), test.labels, test.recordings, calibration, tags)
    metrics |= {
        "split": f"test: COALA's published validation file, {len(test.clips):,} patches; it took no part in training or any choice",
        "baseline": SEED_BASELINE | {"data": "COALA test, 19,103 patches, as published by the prototype's makers"},
        "validation": evaluate.rounded(progress.history[progress.best_epoch - 1]),
        "history": [evaluate.rounded(row) for row in progress.history],
    }
    _keep_row(folder.parent / "table.json", folder.name, _row(configuration, progress, metrics["overall"], len(test.clips)))
    return bundles.save(
        out,
        description=_description(name, configuration, [learning, validation, test], progress, data),
        weights=network.state_dict(),
        scaler=_scaler_of_bundle(configuration, scaler),
        vocabulary=tags,
        spelled=data.tags,
        calibration=calibration,
        metrics=metrics,
    )


def _logits(network: torch.nn.Module, part: Part, scaler: Scaler, recipe: Recipe) -> np.ndarray:
    return evaluate.clip_logits(network, part.frames, part.clips, scaler, lambda windows: pool(windows, recipe.pooling))  # type: ignore[arg-type]


def _scaler_of_bundle(configuration: Configuration, scaler: Scaler) -> Scaler:
    """A bundle's scaler knows bands only; a network that scales columns itself gets log-mels as they are."""
    if configuration.scaling != "columns":
        return scaler
    return Scaler(np.zeros(1, np.float32), np.ones(1, np.float32))


def _description(name: str, configuration: Configuration, split: list[Part], progress: Progress, data: Coala) -> dict[str, Any]:
    text = describe(name, configuration.recipe, split, progress, "see the licence of each sound on Freesound", PROVENANCE)
    text["trained"]["test_recordings"] = []  # 19,000 ids; the split is the published one
    text["trained"] |= {"scaling": SCALINGS[configuration.scaling], "split": "COALA's published files, the first one 70/30 by sound"}
    text["trained"]["left_out"] = int((data.part_of < 0).sum())  # patches of sounds that are in the test part too
    if configuration.scaling == "columns":
        columns = {part: [float(value) for value in values] for part, values in asdict(data.scaler).items()}
        text |= {"architecture": "seed_cnn_columns", "arguments": configuration.recipe.arguments | columns}
    return text


def compare_scalings(
    data: Coala, name: str, folder: Path, seed: int, epochs: int | None, arguments: dict[str, Any] | None = None, *, compiled: bool = False
) -> str:
    """Train a recipe with each scaling and say how each does on validation, as a table; kept in `folder`/scalings.json.

    The test part is not touched: a scaling is a choice. A scaling that stands in the table already is not trained again.
    """
    learning, validation, _ = parts(data)
    watched, _ = shared_out(validation)
    for scaling in SCALINGS:
        configuration = configured(name, scaling, seed, epochs, arguments)
        key = f"{name}-{scaling}-seed{seed}-epochs{configuration.recipe.epochs}"
        if _rows(folder / "scalings.json").get(key, {}).get("recipe") == _as_json(configuration.recipe):
            continue
        console.print(f"{name}: {SCALINGS[scaling]}")
        scaler = scaler_for(scaling, data)
        network, progress = train(configuration.recipe, learning, watched, scaler, folder / key, compiled=compiled)
        if not Processes.join(best_device()).first:
            continue
        logits = _logits(network, validation, scaler, configuration.recipe)
        scores = evaluate.rounded(overall(validation.labels, 1 / (1 + np.exp(-logits.clip(-60, 60)))))
        _keep_row(folder / "scalings.json", key, _row(configuration, progress, scores, len(validation.clips)))
    return table(folder / "scalings.json", "COALA validation")


def _row(configuration: Configuration, progress: Progress, scores: dict[str, Any], patches: int) -> dict[str, Any]:
    recipe = configuration.recipe
    return {
        "network": recipe.architecture, "scaling": SCALINGS[configuration.scaling], "seed": recipe.seed, "epochs": recipe.epochs,
        "best_epoch": progress.best_epoch, "patches": patches, **{key: scores.get(key) for key in COLUMNS}, "recipe": _as_json(recipe),
    }  # fmt: skip


def _as_json(recipe: Recipe) -> dict[str, Any]:
    """A recipe as it comes back from a file."""
    return dict(json.loads(json.dumps(asdict(recipe))))


COLUMNS = {
    "pr_auc_macro": "PR-AUC macro", "pr_auc_micro": "PR-AUC micro", "roc_auc_macro": "ROC-AUC macro", "roc_auc_micro": "ROC-AUC micro",
    "exact_match_accuracy": "exact match",
}  # fmt: skip


def table(path: Path, title: str, also: Sequence[dict[str, Any]] = ()) -> str:
    """The rows kept in `path` as a Markdown table, `also` before them."""
    rows = [*also, *({"name": key} | row for key, row in _rows(path).items())]
    head = ("run", "network", "scaling", "seed", "best epoch", "patches", *COLUMNS.values())
    lines = [f"{title}:", "", f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for row in rows:
        epoch = f"{row['best_epoch']} of {row['epochs']}" if "epochs" in row else ""
        first = (row["name"], row.get("network", ""), row.get("scaling", ""), str(row.get("seed", "")), epoch, str(row.get("patches", "")))
        scores = ("" if row.get(key) is None else f"{row[key]:.3f}".removeprefix("0") for key in COLUMNS)
        lines.append(f"| {' | '.join((*first, *scores))} |")
    return "\n".join(lines)


def results(folder: Path) -> str:
    """The table of all configurations that were scored on the test part, with the prototype's published figures."""
    return table(folder / "table.json", "COALA test", [SEED_BASELINE | {"name": "the student prototype, as published"}])


def _rows(path: Path) -> dict[str, dict[str, Any]]:
    try:
        return dict(json.loads(path.read_text("utf-8")))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise CoalaRunError(f"{path} cannot be read; move it away to begin a new table.") from error


def _keep_row(path: Path, name: str, row: dict[str, Any]) -> None:
    try:
        write_atomic(path, (json.dumps(_rows(path) | {name: row}, indent=1) + "\n").encode())
    except OSError as error:
        raise CoalaRunError(f"{path} cannot be written ({error.strerror}).") from error
