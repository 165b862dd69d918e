"""Scores of a bundle that exists: computed again, and put into its metrics.json."""

import csv
import json
import tempfile
from pathlib import Path

import numpy as np

from core.files import write_atomic
from core.model import bundle as bundles
from core.model.bundle import Bundle
from core.model.metrics import BundleMetrics
from core.model.metrics_types import Numbers, UnknownShares, UnknownSounds
from core.model.related_tags import rank
from training import evaluate
from training.datasets.audioset import label_tags
from training.datasets.clips import load_frames, multi_hot, read_clips, read_split
from training.datasets.types import Subset, trained_facts
from training.errors import DatasetError, ResultsError
from training.fine_tuning.data import TagSpace
from training.fine_tuning.tagger import MAX_TAGS
from training.fine_tuning.unknown_sounds import count
from training.learning_curve import learning_curve


def rescore(
    bundle: Bundle,
    data: Path,
    run: Path,
    others: Path | None = None,
    left_out: Path | None = None,
    split: Path | None = None,
    weights: Path | None = None,
    must_be_held_out: bool = False,
) -> BundleMetrics:
    """Score a bundle again on its test recordings.

    Args:
        bundle: To score.
        data: Clip folder that has the recordings.
        run: Where log-mels are kept.
        others: Clip folder of sounds outside the vocabulary.
        left_out: Table of models that were trained without the sounds' sources.
        split: Names the test recordings; model.json by default.
        weights: Published weights; with them the learning curve is computed too.
        must_be_held_out: Refuse recordings other than all those that model.json names as its test.

    Raises:
        DatasetError: A folder cannot be used, or the recordings are others.
        ResultsError: The table cannot be used.
        AudioError: A clip cannot be decoded.
    """
    if must_be_held_out:
        check_held_out(bundle, data, split)
    fractions = read_left_out(left_out) if left_out else None
    scores = evaluate.evaluate_bundle(bundle, data, run, split)
    unknown: UnknownSounds = {}
    if others:
        unknown = measure_unknown_sounds(bundle, others, run)
    if fractions:
        unknown["left_out"] = fractions
    if unknown:
        scores["unknown_sounds"] = unknown
    if weights:
        if not others or not split:
            raise DatasetError("A learning curve needs other sounds and the split, too.")
        scores["learning_curve"] = learning_curve(bundle, data, others, split, weights, run)
    return scores


def check_held_out(bundle: Bundle, data: Path, split: Path | None = None) -> None:
    """Compare the test recordings with those that model.json says were held out.

    Raises:
        DatasetError: model.json names none, or the recordings are not exactly those.
    """
    listed = set(trained_facts(bundle).get("test_recordings", ()))
    clips = read_clips(data)
    present = {clip.recording for clip in clips}
    if split:
        pairs = zip(clips, read_split(split, clips), strict=True)
        present = {clip.recording for clip, subset in pairs if subset == 2}
    if not listed:
        raise DatasetError(f"The model {bundle.name} does not name the recordings held out.")
    if missing := sorted(listed - present):
        count = f"{len(missing)} of the {len(listed)} test recordings of {bundle.name}"
        raise DatasetError(f"{data} lacks {count}, {missing[0]} for one.")
    if split and (added := sorted(present - listed)):
        raise DatasetError(
            f"{split} tests on recording {added[0]}, which was not held out from {bundle.name}."
        )


def measure_unknown_sounds(bundle: Bundle, others: Path, run: Path) -> UnknownSounds:
    """Count what a bundle suggests for sounds outside the vocabulary.

    Raises:
        DatasetError: The folder cannot be used.
        AudioError: A sound cannot be decoded.
    """
    clips, own = read_clips(others), evaluate.scored_tags(bundle)
    frames = load_frames(clips, run, bundle.front_end)
    recordings = np.array([clip.recording for clip in clips])
    subset = Subset(frames, np.arange(len(clips)), multi_hot(clips, own), recordings)
    logits = evaluate.clip_logits(
        bundle.network(), subset, bundle.scaler, bundle.pooling, bundle.front_end
    )
    suggested = np.zeros(logits.shape, bool)
    thresholds = bundle.calibration.threshold
    for row, values in zip(suggested, bundle.calibration.probabilities(logits), strict=True):
        row[rank(bundle.vocabulary, values, thresholds, MAX_TAGS).suggested] = True
    counts = count(suggested, clips, TagSpace(bundle.vocabulary, own, label_tags()))
    return {"measured": counts.fractions, "data": others.name}


def read_left_out(path: Path) -> UnknownShares:
    """Return the last row of the study's table: all sounds, each unknown to the model.

    Raises:
        ResultsError: The table is of another kind.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            row = next(row for row in csv.DictReader(file) if row["part"] == "all")
        sounds = int(row["sounds"])
        fractions = [
            round(float(row[name].removesuffix("%")) / 100, 4)
            for name in ("wrong own tag", "wrong tag", "no suggestion")
        ]
    except (OSError, ValueError, KeyError, StopIteration, csv.Error) as error:
        raise ResultsError(f"{path} is no table of unknown sounds.") from error
    return {
        "sounds": sounds,
        "wrong_own_tag": fractions[0],
        "wrong_tag": fractions[1],
        "no_suggestion": fractions[2],
    }


def write_scores(bundle: Bundle, scores: BundleMetrics) -> None:
    """Put new scores into a bundle's metrics.json; entries that they lack stay.

    The new file takes the place of the old one only after the bundle was read with it.

    Raises:
        DatasetError: The bundle is a registered version, whose files never change.
        BundleError: The bundle cannot be read with the new file.
        ResultsError: The file cannot be written.
    """
    folder = bundle.folder.resolve()
    if folder.name.isdecimal() and folder.parent.parent.name == "models":
        raise DatasetError(f"{folder} is a registered version: its files never change.")
    contents = bundle.metrics | scores
    nothing: Numbers = {"clips": 0, "recordings": 0}
    not_scored: Numbers = dict.fromkeys(next(iter(scores["per_tag"].values()))) | nothing
    contents["per_tag"] = {tag: scores["per_tag"].get(tag, not_scored) for tag in bundle.vocabulary}
    text = json.dumps(contents, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    try:
        with tempfile.TemporaryDirectory() as temporary:
            trial = Path(temporary) / bundle.folder.name
            bundles.copy(bundle, trial)
            (trial / "metrics.json").write_text(text, "utf-8")
            bundles.load(trial)
        write_atomic(folder / "metrics.json", text.encode())
    except OSError as error:
        raise ResultsError(f"{folder} cannot be written ({error.strerror}).") from error
