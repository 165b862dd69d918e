"""People's corrections as labels: removed is 0, kept or added is 1, all other tags are unknown.

Decisions count as `core.events.fold` says: an undone one does not, a publication counts like a
review. A withdrawn sound teaches nothing, and neither does one that people are not sure about or
that cannot be tagged. Of a sound that was changed, only the changes are known. Corrections join the
training part alone, and never with a recording that is held out.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.events.fold import SoundState
from core.model import bundle
from core.storage.folder import has_workspace
from core.storage.local import open_local_workspace
from core.storage.workspace import Workspace
from core.tags import display_tags
from training.datasets.clips import Clip, load_frames
from training.datasets.types import Labels, Subset, trained_facts
from training.errors import CorrectionsError

SPLITS = Path(__file__).parents[1] / "splits"
DOUBTFUL = ("not sure", "untaggable")
"""States of review in which earlier decisions do not count as labels."""
Known = NDArray[np.bool_]


@dataclass(frozen=True)
class Correction:
    """A sound with people's decisions about its tags.

    Attributes:
        sound_id: `freesound:<id>` or `file:<sha256>`.
        path: Its audio.
        recording: Its Freesound id, or the sound id of a file.
        decisions: By tag, True where the sound has it; oldest decision first.
    """

    sound_id: str
    path: Path
    recording: str
    decisions: Mapping[str, bool]


@dataclass(frozen=True)
class CorrectionCounts:
    """Corrected sounds and decisions that joined, and sounds left out by reason."""

    sounds: int = 0
    decisions: int = 0
    held_out: int = 0
    no_audio: int = 0
    no_known_tag: int = 0


def join(
    train: Subset,
    clips: Sequence[Clip],
    subset_of: NDArray[np.int64],
    workspace: Workspace,
    tags: tuple[str, ...],
    cache: Path,
) -> tuple[Subset, CorrectionCounts]:
    """Add a workspace's corrections to the training part.

    A held-out clip is recognised by its Freesound id or by its bytes. Where the corrected file
    itself is in the training part, the decisions replace its labels.

    Args:
        train: The training part of `clips`.
        clips: All labelled clips.
        subset_of: Each clip's subset; nothing of validation (1) and test (2) is taken.
        workspace: Holds the corrections.
        tags: The vocabulary.
        cache: Where log-mels are kept.

    Raises:
        AudioError: A corrected sound cannot be decoded.
    """
    corrections, no_audio = read_corrections(workspace)
    clip_of = _clips_by_sound_id(clips, corrections)
    excluded = _held_out(clips, subset_of, clip_of)
    usable = [c for c in corrections if not excluded & {c.recording, c.sound_id}]
    _, known = correction_labels(usable, tags)
    joining = [correction for correction, row in zip(usable, known, strict=True) if row.any()]
    labels, known = correction_labels(joining, tags)
    counts = CorrectionCounts(
        sounds=len(joining),
        decisions=int(known.sum()),
        held_out=len(corrections) - len(usable),
        no_audio=no_audio,
        no_known_tag=len(usable) - len(joining),
    )
    if not joining:
        return train, counts
    indices = np.array([clip_of.get(correction.sound_id, -1) for correction in joining])
    corrected = _replace_labels(train, indices, labels, known)
    new = np.flatnonzero(indices < 0)
    return _append(corrected, [joining[row] for row in new], labels[new], known[new], cache), counts


def _held_out(
    clips: Sequence[Clip], subset_of: NDArray[np.int64], clip_of: Mapping[str, int]
) -> set[str]:
    """Return the recordings and sound ids that must not be trained on."""
    recordings = {clip.recording for clip, n in zip(clips, subset_of, strict=True) if n}
    sound_ids = {sound_id for sound_id, clip in clip_of.items() if subset_of[clip]}
    return recordings | sound_ids | published_test_recordings()


def open_workspace(folder: Path) -> Workspace:
    """Open the workspace in `folder`.

    Raises:
        CorrectionsError: There is none.
        StorageError: It cannot be used.
    """
    if not has_workspace(folder):
        raise CorrectionsError(
            f"{folder} holds no workspace; name the folder that EARMARK_WORKSPACE names."
        )
    return open_local_workspace(folder)


def read_corrections(workspace: Workspace) -> tuple[list[Correction], int]:
    """Return all sounds with decisions, by sound id, and how many more have lost their audio."""
    corrections, no_audio = [], 0
    for state in workspace.sounds.all():
        if state.withdrawn or not state.decisions or state.review_state in DOUBTFUL:
            continue
        path = workspace.media.path(state.media.audio)
        if path is None:
            no_audio += 1
            continue
        recording = state.sound_id.removeprefix("freesound:")
        corrections.append(Correction(state.sound_id, path, recording, _decisions(state)))
    return sorted(corrections, key=lambda correction: correction.sound_id), no_audio


def _decisions(state: SoundState) -> dict[str, bool]:
    """Return a sound's decisions, oldest first."""
    decisions = sorted(state.decisions.values(), key=lambda decision: decision.event.order)
    return {decision.tag: decision.is_positive for decision in decisions}


def correction_labels(
    corrections: Sequence[Correction], tags: tuple[str, ...]
) -> tuple[Labels, Known]:
    """Return labels float32 and known bool, both [corrections, tags].

    A tag counts as the data spell it (`bas`) and as it is shown (`bass`).
    """
    spellings = (display_tags(tags), tags)
    column = {tag: index for words in spellings for index, tag in enumerate(words)}
    labels = np.zeros((len(corrections), len(tags)), np.float32)
    known = np.zeros(labels.shape, np.bool_)
    for row, correction in enumerate(corrections):
        for tag, is_positive in correction.decisions.items():
            if tag in column:
                labels[row, column[tag]], known[row, column[tag]] = is_positive, True
    return labels, known


def published_test_recordings() -> frozenset[str]:
    """Return the test recordings of the default model and of the lists in `splits/`.

    They are never trained on, so that later models can be compared on them.
    """
    default_test = trained_facts(bundle.load()).get("test_recordings", ())
    lists = (json.loads(path.read_text("utf-8"))["test"] for path in sorted(SPLITS.glob("*.json")))
    return frozenset(default_test).union(*lists)


def _clips_by_sound_id(clips: Sequence[Clip], corrections: Sequence[Correction]) -> dict[str, int]:
    """Return each clip's index by its sound id as a file, if any correction is of a file."""
    if not any(correction.sound_id.startswith("file:") for correction in corrections):
        return {}
    digests = (hashlib.sha256(clip.path.read_bytes()).hexdigest() for clip in clips)
    return {f"file:{digest}": index for index, digest in enumerate(digests)}


def _replace_labels(
    subset: Subset, clip_indices: NDArray[np.int64], decided: Labels, known: Known
) -> Subset:
    """Replace labels of the subset's own clips by decisions; index -1 is another clip."""
    row_of = {int(clip): row for row, clip in enumerate(subset.clips)}
    labels = subset.labels.copy()
    all_known = np.ones(labels.shape, np.bool_) if subset.known is None else subset.known.copy()
    for clip, values, mask in zip(clip_indices.tolist(), decided, known, strict=True):
        if clip >= 0:
            row = row_of[clip]
            labels[row, mask], all_known[row, mask] = values[mask], True
    return replace(subset, labels=labels, known=all_known)


def _append(
    subset: Subset,
    corrections: Sequence[Correction],
    labels: Labels,
    known: Known,
    cache: Path,
) -> Subset:
    """Add these sounds behind the subset's own clips."""
    if not corrections or subset.known is None:
        return subset
    clips = [Clip(item.path, item.recording, frozenset()) for item in corrections]
    added = load_frames(clips, cache)
    recordings = np.array([clip.recording for clip in clips])
    return Subset(
        subset.frames.followed_by(added),
        np.concatenate([subset.clips, len(subset.frames) + np.arange(len(added))]),
        np.concatenate([subset.labels, labels]),
        np.concatenate([subset.recordings, recordings]),
        np.concatenate([subset.known, known]),
    )
