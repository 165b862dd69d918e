"""A challenger made from the active model and a workspace's corrections, and its comparison."""

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.events.types import ModelRef
from core.model import bundle as bundles
from core.model.bundle import Bundle
from core.storage.active_model import resolve_model
from core.storage.workspace import Workspace
from training import progress
from training.datasets.corrections import CorrectionPolicy
from training.retraining import measured
from training.retraining.challenger import (
    Challenger,
    Champion,
    LoadedData,
    load_data,
    train_challenger,
    write_bundle,
)
from training.retraining.material import (
    BaseData,
    check_worth_training,
    divide_corrections,
    load_base,
)
from training.retraining.verdict import bundle_changes, verdict, write_comparison
from training.retraining.whole_body import tune_body
from training.retraining.whole_network import Places, compare_bundles, train_whole

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RetrainingSource:
    """Data and settings of a retraining.

    Attributes:
        data: Folder of labelled clips.
        others: Folder of other sounds, if there is one.
        split: JSON list of recordings for each subset.
        run: Where features are kept.
        policy: Which corrections may be learned from.
        seed: Of all random numbers.
        with_copies: Learn from softer, clipped, slower and faster copies of every sound.
        whole: Train every layer, not only the head.
        provenance: What the data are, for the bundle.
    """

    data: Path
    run: Path
    others: Path | None = None
    split: Path | None = None
    policy: CorrectionPolicy = field(default_factory=CorrectionPolicy)
    seed: int = 1
    with_copies: bool = False
    whole: bool = False
    provenance: str = ""


def retrain(workspace: Workspace, source: RetrainingSource, out: Path) -> Bundle:
    """Train a challenger of the active model, compare both, and write bundle and comparison.

    Args:
        workspace: Has the active model and the corrections.
        source: What else to learn from.
        out: Folder of the bundle; the comparison lies beside it.

    Raises:
        NothingToLearn: There are no corrections that may be learned from.
        DatasetError: A folder cannot be used.
        AudioError: A sound cannot be decoded.
        BundleError: The active model cannot be used, or the challenger not be written.
        StorageError: The workspace cannot be read.
    """
    active = resolve_model(workspace)
    bundle = bundles.load(active.folder)
    base = load_base(source.data, source.others, source.split, bundle)
    if bundle.architecture != "efficientat_mn":
        return _retrain_whole(workspace, active.model, bundle, base, source, out)
    champion = Champion.of(bundle)
    corrections = divide_corrections(workspace, base, source.policy, champion.own)
    check_worth_training(corrections)
    data = load_data(champion, base, corrections, source.run, with_copies=source.with_copies)
    if source.whole:
        return _retrain_body(active.model, champion, data, source, out)
    challenger = train_challenger(champion, data, source.seed)
    written = write_bundle(champion, challenger, data, out, source.seed, source.provenance)
    progress.report(0, 0, "Comparing with the active model")
    write_comparison(out, _comparison(active.model, champion, challenger, data, written))
    return written


def _retrain_body(
    model: ModelRef, champion: Champion, data: LoadedData, source: RetrainingSource, out: Path
) -> Bundle:
    """Do the work of `retrain` where every layer of the champion is trained further."""
    base, corrections, run = data.base, data.corrections, source.run
    tuned = tune_body(champion, data, run, source.seed)
    of_tuned = load_data(tuned, base, corrections, run, with_copies=source.with_copies)
    challenger = train_challenger(tuned, of_tuned, source.seed)
    provenance = source.provenance
    written = write_bundle(tuned, challenger, of_tuned, out, source.seed, provenance, "all layers")
    own, before = champion.own, champion.bundle
    comparison = compare_bundles(model, before, written, base, corrections, run, own)
    write_comparison(out, comparison)
    return written


def _retrain_whole(
    workspace: Workspace,
    model: ModelRef,
    champion: Bundle,
    base: BaseData,
    source: RetrainingSource,
    out: Path,
) -> Bundle:
    """Do the work of `retrain` for a network without a body of its own."""
    corrections = divide_corrections(workspace, base, source.policy, champion.spelled)
    check_worth_training(corrections)
    places = Places(source.run, out)
    written = train_whole(champion, base, corrections, places, source.seed)
    comparison = compare_bundles(
        model, champion, written, base, corrections, source.run, champion.spelled
    )
    write_comparison(out, comparison)
    return written


def _comparison(
    model: ModelRef, champion: Champion, challenger: Challenger, data: LoadedData, written: Bundle
) -> dict[str, Any]:
    """Return the contents of comparison.json."""
    parts = {"test": measured.on_test(champion, challenger, data)}
    held_back = measured.on_held_back(champion, challenger, data)
    if held_back:
        parts["held_back"] = held_back
    suggestions = measured.suggestion_changes(champion, challenger, data)
    return {
        "format": 1,
        "champion": model.model_dump(mode="json"),
        "challenger": {"name": written.name, "fingerprint": written.fingerprint},
        "parts": parts,
        "others": measured.on_others(champion, challenger, data),
        "changes": {**bundle_changes(champion.bundle, written), "suggestions": suggestions},
        "by_actor": measured.by_actor(champion, challenger, data),
        "corrections": data.corrections.described(champion.own),
        "verdict": verdict(parts),
    }
