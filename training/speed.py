"""How fast a network learns: patches per second, an epoch of COALA's size, and memory. The patches are made up; speed does not mind."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from core.model.bundle import Scaler
from core.model.logmel import COALA
from core.model.networks import build, fuse_batch_norm
from training.benchmark import machine
from training.datasets import Frames
from training.recipes import RECIPES, named
from training.solver import Part, Progress, Recipe, best_device, train

COALA_PATCHES, COALA_TAGS, BANDS, WIDTH = 170_793, 1000, 96, 96
DIFFERENT = 2048
LABELS_PER_CLIP = 3


def made_up(patches: int, tags: int = COALA_TAGS) -> Part:
    """A set of COALA's shape: patches of 96 x 96 in half precision (`DIFFERENT` of them, again and again) with random labels."""
    random = np.random.default_rng(0)
    rows = random.normal(-7, 2, (min(patches, DIFFERENT) * WIDTH, BANDS)).astype(np.float16)
    data = np.tile(rows, (-(-patches * WIDTH // len(rows)), 1))[: patches * WIDTH]
    labels = np.zeros((patches, tags), np.float32)
    labels[np.arange(patches)[:, None], random.integers(tags, size=(patches, LABELS_PER_CLIP))] = 1
    return Part(Frames(data, np.arange(0, (patches + 1) * WIDTH, WIDTH)), np.arange(patches), labels, np.arange(patches).astype(str))


def measure(recipe: Recipe, part: Part, compiled: bool) -> dict[str, Any]:
    """Train some epochs; the first does not count (it warms up and compiles). Seconds per epoch, patches per second, peak memory."""
    device = best_device()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    marks: list[float] = []

    def watch(_: Progress) -> None:
        marks.append(time.perf_counter())

    scaler = Scaler(np.full(BANDS, -7, np.float32), np.full(BANDS, 2, np.float32))
    with tempfile.TemporaryDirectory() as folder:
        train(recipe, part, None, scaler, Path(folder), device=device, compiled=compiled, quiet=True, watch=watch)
    seconds = float(np.median(np.diff(marks)))
    return {
        "network": recipe.architecture,
        "batch": recipe.batch,
        "precision": "bfloat16" if recipe.mixed_precision and device.type == "cuda" else "float32",
        "compiled": compiled,
        "patches": len(part.clips),
        "seconds_per_epoch": round(seconds, 2),
        "patches_per_second": round(len(part.clips) * recipe.passes / seconds),
        "peak_memory_gb": round(torch.cuda.max_memory_allocated() / 1e9, 2) if device.type == "cuda" else None,
        "machine": machine(),
    }


def rows(patches: int, batch: int, epochs: int = 2, compile_too: bool = True) -> Iterator[dict[str, Any]]:
    """Both networks, ours also with `torch.compile` and in single precision; each as it is measured."""
    part = made_up(patches)
    variants = [("earmark", True, False), ("earmark", True, True), ("seed", True, False), ("earmark", False, False)]
    for name, mixed, compiled in variants if compile_too else [one for one in variants if not one[2]]:
        recipe = named(name, epochs=epochs, passes=1, batch=batch, crop=WIDTH, patience=None, mixed_precision=mixed)
        yield measure(recipe, part, compiled)


def listening(seconds: float = 10.0, rounds: int = 60) -> list[dict[str, Any]]:
    """Milliseconds that each network needs for a clip, one thread, as the tagger runs it: the networks take turns."""
    torch.set_num_threads(1)
    clip = torch.randn(BANDS, COALA.frames(int(seconds * COALA.rate)))
    networks = {name: build(recipe.architecture, 45, recipe.arguments) for name, recipe in RECIPES.items()}
    ready = {name: fuse_batch_norm(one).to(memory_format=torch.channels_last) for name, one in networks.items()}  # type: ignore[call-overload]
    taken: dict[str, list[float]] = {name: [] for name in ready}
    with torch.inference_mode():
        for _ in range(rounds):
            for name, network in ready.items():
                began = time.perf_counter()
                network.score([clip])
                taken[name].append(1000 * (time.perf_counter() - began))
    return [
        {
            "network": RECIPES[name].architecture,
            "parameters": sum(parameter.numel() for parameter in networks[name].parameters()),
            "seconds": seconds,
            "median_ms": round(float(np.median(values)), 1),
            "least_ms": round(min(values), 1),
            "machine": machine(),
        }
        for name, values in taken.items()
    ]
