"""A challenger of a network that was trained on our clips alone: every layer goes on."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.events.types import ModelRef
from core.model.bundle import Bundle
from core.model.related_tags import rank
from training.datasets.clips import Clip, load_frames, multi_hot, subsets
from training.datasets.corrections import Correction, append, correction_labels, replace_labels
from training.datasets.corrections import clips_by_sound_id as rows_by_sound_id
from training.datasets.types import DataDescription, Labels, Subset, TrainingData, trained_facts
from training.evaluate import clip_logits
from training.fine_tuning.tagger import MAX_TAGS
from training.pipeline import train_and_evaluate
from training.recipes import RECIPES, Recipe
from training.retraining.comparison import Answers, Truth, compare, compare_shares
from training.retraining.errors import RetrainingError
from training.retraining.material import BaseData, CorrectedSounds
from training.retraining.measured import agreements
from training.retraining.verdict import bundle_changes, verdict

logger = logging.getLogger(__name__)

EPOCHS, RATE_SHARE = 10, 0.1
"""Of a network that goes on: fewer epochs than from random weights, at a share of their rate."""


@dataclass(frozen=True)
class Places:
    """Folders: `run` for checkpoints and log-mels, `out` for the bundle."""

    run: Path
    out: Path


def train_whole(
    champion: Bundle,
    base: BaseData,
    corrections: CorrectedSounds,
    places: Places,
    seed: int,
    epochs: int = EPOCHS,
) -> Bundle:
    """Train every layer of the champion further, and write a scored bundle.

    Args:
        champion: Where to begin.
        base: Clips and other sounds.
        corrections: Corrected sounds.
        places: Where things go.
        seed: Of all random numbers.
        epochs: Of the training.

    Raises:
        AudioError: A sound cannot be decoded.
        CheckpointError: `places.run` cannot be written.
        BundleError: The bundle cannot be written.
    """
    data = _training_data(champion, base, corrections, places.run)
    # a folder of its own for each start: the checkpoints do not tell them apart
    run = places.run / f"from-{champion.fingerprint[:12]}"
    written = train_and_evaluate(
        data,
        _recipe(champion, seed, epochs),
        name=champion.name,
        run=run,
        out=places.out,
        start=champion.network().state_dict(),
    )
    if written is None:
        raise RetrainingError("Retraining needs one process only.")
    return written


def compare_bundles(
    model: ModelRef,
    champion: Bundle,
    challenger: Bundle,
    base: BaseData,
    corrections: CorrectedSounds,
    cache: Path,
    tags: tuple[str, ...],
) -> dict[str, Any]:
    """Return the contents of comparison.json.

    Args:
        model: The champion's version.
        champion: Its bundle.
        challenger: The other's.
        base: Its test clips and other sounds are scored.
        corrections: Those that are held back are scored.
        cache: Where log-mels are kept.
        tags: That are scored, as the data spell them.
    """
    both = (champion, challenger)
    test = [base.clips[row] for row in base.rows(2)]
    before, after = (_answers(bundle, test, cache) for bundle in both)
    columns = [champion.spelled.index(tag) for tag in tags]
    parts = {"test": compare(_truth(test, tags), before.of(columns), after.of(columns))}
    people: dict[str, dict[str, Any]] = {}
    for name, items in (("trained", corrections.trained), ("held_back", corrections.held_back)):
        if not items:
            continue
        then, now = (_answers(bundle, _clips(items), cache).of(columns) for bundle in both)
        if name == "held_back":
            labels, known = correction_labels(items, tags)
            names = np.array([item.recording for item in items])
            parts[name] = compare(Truth(labels, known, names), then, now)
        for actor, counts in agreements(items, tags, then, now).items():
            people.setdefault(actor, {})[name] = counts
    suggestions = _suggestion_changes(champion, before, after)
    return {
        "format": 1,
        "champion": model.model_dump(mode="json"),
        "challenger": {"name": challenger.name, "fingerprint": challenger.fingerprint},
        "parts": parts,
        "others": _on_others(both, base, cache, tags),
        "changes": {**bundle_changes(champion, challenger), "suggestions": suggestions},
        "by_actor": people,
        "corrections": corrections.described(tags),
        "verdict": verdict(parts),
    }


def _training_data(
    champion: Bundle, base: BaseData, corrections: CorrectedSounds, cache: Path
) -> TrainingData:
    """Return the champion's data with other sounds and corrections in the training part."""
    tags, spec = champion.spelled, champion.front_end
    frames = load_frames(base.clips, cache, spec)
    train, validation, test = subsets(base.clips, base.subset_of, tags, frames)
    labels, known = correction_labels(corrections.trained, tags)
    row_of = rows_by_sound_id(base.clips, corrections.trained)
    rows = np.array([row_of.get(item.sound_id, -1) for item in corrections.trained], np.int64)
    train = replace_labels(train, rows, labels, known)
    new = np.flatnonzero(rows < 0)
    added = [corrections.trained[row] for row in new]
    train = append(train, added, labels[new], known[new], cache, spec)
    others = [_as_correction(clip) for clip in base.others]
    all_known = np.ones((len(others), len(tags)), np.bool_)
    train = append(train, others, multi_hot(base.others, tags), all_known, cache, spec)
    return TrainingData(
        train,
        validation,
        validation,
        test,
        champion.vocabulary,
        tags,
        champion.scaler,
        _described(champion, base, corrections),
    )


def _described(champion: Bundle, base: BaseData, corrections: CorrectedSounds) -> DataDescription:
    """Return the bundle's statement about its data."""
    facts = trained_facts(champion)
    names = {base.clips[row].recording for row in base.rows(1)}
    return DataDescription(
        champion.data,
        champion.license,
        str(champion.metrics["split"]),
        {
            "started_from": {"name": champion.name, "fingerprint": champion.fingerprint},
            "test_recordings": facts.get("test_recordings")
            or sorted({base.clips[row].recording for row in base.rows(2)}),
            "validation_recordings": sorted(names, key=lambda name: (len(name), name)),
            "corrections": corrections.described(champion.spelled),
        },
    )


def _recipe(champion: Bundle, seed: int, epochs: int) -> Recipe:
    """Return the recipe of the champion's kind of network, slower and shorter."""
    recipe = RECIPES["earmark" if champion.architecture == "earmark_cnn" else "prototype"]
    return replace(
        recipe,
        architecture=champion.architecture,
        arguments=dict(champion.arguments),
        pooling=champion.pooling,
        learning_rate=recipe.learning_rate * RATE_SHARE,
        epochs=epochs,
        seed=seed,
    )


def _answers(bundle: Bundle, clips: list[Clip], cache: Path) -> Answers:
    """Return what a bundle says of clips."""
    frames = load_frames(clips, cache, bundle.front_end)
    labels = np.zeros((len(clips), len(bundle.vocabulary)), np.float32)
    subset = Subset(frames, np.arange(len(clips)), labels, np.array([c.recording for c in clips]))
    network, scaler = bundle.network(), bundle.scaler
    logits = clip_logits(network, subset, scaler, bundle.pooling, bundle.front_end)
    return Answers(bundle.calibration.probabilities(logits), bundle.calibration.threshold)


def _truth(clips: list[Clip], tags: tuple[str, ...]) -> Truth:
    labels: Labels = multi_hot(clips, tags)
    recordings = np.array([clip.recording for clip in clips])
    return Truth(labels, np.ones(labels.shape, np.bool_), recordings)


def _on_others(
    both: tuple[Bundle, Bundle], base: BaseData, cache: Path, tags: tuple[str, ...]
) -> dict[str, Any]:
    """Compare the shares of other sounds with a suggestion among `tags` that their labels lack."""
    if not base.others:
        return {}
    labels = multi_hot(base.others, tags)
    columns = [both[0].spelled.index(tag) for tag in tags]
    wrong = []
    for bundle in both:
        answers = _answers(bundle, base.others, cache).of(columns)
        is_suggested = answers.probabilities >= answers.thresholds
        wrong.append(np.any(is_suggested & (labels < 0.5), axis=1))
    recordings = np.array([clip.recording for clip in base.others])
    return {"wrong_suggestion": compare_shares(wrong[0], wrong[1], recordings)}


def _suggestion_changes(champion: Bundle, before: Answers, after: Answers) -> dict[str, float]:
    """Return what is expected to change in suggestions, measured on test clips."""
    tags = champion.vocabulary
    first, second = _suggested(tags, before), _suggested(tags, after)
    return {
        "clips": len(first),
        "changed": round(float((first != second).any(axis=1).mean()), 4),
        "champion": round(float(first.sum(axis=1).mean()), 3),
        "challenger": round(float(second.sum(axis=1).mean()), 3),
    }


def _suggested(tags: tuple[str, ...], answers: Answers) -> NDArray[np.bool_]:
    suggested = np.zeros(answers.probabilities.shape, np.bool_)
    for row, values in zip(suggested, answers.probabilities, strict=True):
        row[rank(tags, values, answers.thresholds, MAX_TAGS).suggested] = True
    return suggested


def _clips(corrections: list[Correction]) -> list[Clip]:
    return [Clip(item.path, item.recording, frozenset()) for item in corrections]


def _as_correction(clip: Clip) -> Correction:
    return Correction(clip.recording, clip.path, clip.recording, {})
