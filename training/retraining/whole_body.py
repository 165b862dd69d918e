"""Every layer of an `efficientat_mn` trained further, where the head alone is not enough."""

from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np

from core.model.networks import EfficientAT
from training.datasets.clips import Clip
from training.datasets.corrections import correction_labels
from training.datasets.types import Labels
from training.evaluate import sigmoid
from training.fine_tuning import body as tuning
from training.fine_tuning.data import few_of_each_recording, load_sounds
from training.fine_tuning.tagger import rounded_to_half
from training.retraining.challenger import Champion, LoadedData, targets_of_others
from training.retraining.errors import RetrainingError
from training.retraining.head import own_logits


def tune_body(champion: Champion, data: LoadedData, run: Path, seed: int) -> Champion:
    """Train body and head of the champion further on base data and corrections.

    Of a corrected sound, the tags that nobody decided keep the champion's own answer.

    Args:
        champion: Where to begin; it is left as it is.
        data: What to learn from, with the champion's features.
        run: For checkpoints and log-mels; the same again goes on.
        seed: Of all random numbers.

    Returns:
        The tuned network in the place of the champion's.

    Raises:
        RetrainingError: There are no other sounds, without which it forgets when to be silent.
        AudioError: A sound cannot be decoded.
        CheckpointError: `run` holds something else, or cannot be written.
    """
    if not data.others:
        raise RetrainingError("Training every layer needs other sounds: give --others FOLDER.")
    clips, targets = _training_clips(champion, data, seed)
    sounds = replace(load_sounds(clips, champion.own, run), targets=targets)
    others = replace(
        load_sounds(data.base.others, champion.own, run),
        targets=targets_of_others(data, champion.own),
    )
    network = cast(EfficientAT, champion.bundle.network())
    folder = run / f"whole-{champion.bundle.fingerprint[:12]}"
    process = tuning.FineTuning(network.body, network.head, folder, seed)
    process.run(sounds, others)
    network.body.load_state_dict(rounded_to_half(process.body).state_dict())
    network.head.load_state_dict(rounded_to_half(process.head).state_dict())
    return Champion(champion.bundle, network.eval(), champion.own)


def _training_clips(champion: Champion, data: LoadedData, seed: int) -> tuple[list[Clip], Labels]:
    """Return the clips and the corrected sounds to learn from, with a target for every own tag."""
    recordings = np.array([clip.recording for clip in data.base.clips])
    random = np.random.default_rng(seed)
    train = few_of_each_recording(data.base.rows(0), recordings, random)
    corrections = data.corrections.trained
    decided, known = correction_labels(corrections, champion.own)
    head, pooling = champion.network.head, champion.bundle.pooling
    answers = sigmoid(own_logits(head, data.corrected[0], pooling))
    clips = [
        *(data.base.clips[row] for row in train),
        *(Clip(item.path, item.recording, frozenset()) for item in corrections),
    ]
    targets = np.concatenate([data.targets[train], np.where(known, decided, answers)])
    return clips, np.asarray(targets, np.float32)
