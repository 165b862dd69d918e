"""People's corrections as labels: removed is 0, kept or added is 1, all other tags are unknown.

Decisions count as `core.events.fold` says: an undone one does not, a publication counts like a
review. A withdrawn sound teaches nothing, and neither does one that people are not sure about or
that cannot be tagged. Of a sound that was changed, only the changes are known. Corrections join the
training part alone, and never with a recording that is held out. Every fifth corrected recording is
held back for ever: models are compared on it, and none learns from it.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.events.fold import SoundState
from core.events.types import iso
from core.model import bundle
from core.model.logmel import COALA, LogMelSpec
from core.storage.folder import has_workspace
from core.storage.local import open_local_workspace
from core.storage.workspace import Workspace
from core.tags import display_tags
from training.datasets.clips import Clip, load_frames
from training.datasets.types import Labels, Subset, trained_facts
from training.errors import CorrectionsError
from training.fine_tuning.material import is_noncommercial

SPLITS = Path(__file__).parents[1] / "splits"
DOUBTFUL = ("not sure", "untaggable")
"""States of review in which earlier decisions do not count as labels."""
HELD_BACK_ONE_IN = 5
"""Corrected recordings, of which one is held back."""
Known = NDArray[np.bool_]


@dataclass(frozen=True)
class Correction:
    """A sound with people's decisions about its tags.

    Attributes:
        sound_id: `freesound:<id>` or `file:<sha256>`.
        path: Its audio.
        recording: Its Freesound id, or the sound id of a file.
        decisions: By tag, True where the sound has it; oldest decision first.
        actors: By tag, who decided.
        license: As the sound's source names it; empty if it does not.
        gen_ai_preference: The uploader's wish about generative models, likewise.
        last_event: Time and id of the newest decision.
    """

    sound_id: str
    path: Path
    recording: str
    decisions: Mapping[str, bool]
    actors: Mapping[str, str] = field(default_factory=dict)
    license: str = ""
    gen_ai_preference: str = ""
    last_event: tuple[str, str] = ("", "")


@dataclass(frozen=True)
class CorrectionPolicy:
    """The sounds that may be learned from, beside what people decided.

    Attributes:
        commercial: The model shall be free for every use: leave out sounds under licenses that
            forbid some, and sounds from Freesound whose license is unknown.
        respect_gen_ai: Leave out sounds whose uploader wants no generative AI trained on them, and
            where the model is commercial, those that want only non-commercial models.
    """

    commercial: bool = False
    respect_gen_ai: bool = True

    def refusal(self, correction: Correction) -> str:
        """Return why a sound must not be learned from; empty if it may be."""
        is_of_freesound = correction.sound_id.startswith("freesound:")
        if self.commercial and is_noncommercial(correction.license):
            return "license does not allow commercial use"
        if self.commercial and is_of_freesound and not correction.license:
            return "license unknown"
        refused = {"no-gen-ai"} | (
            {"noncommercial-open-source-models"} if self.commercial else set()
        )
        if self.respect_gen_ai and correction.gen_ai_preference in refused:
            return "uploader's wish about generative AI"
        return ""


@dataclass(frozen=True)
class CorrectionCounts:
    """Corrected sounds and decisions that joined, and sounds left out by reason."""

    sounds: int = 0
    decisions: int = 0
    held_out: int = 0
    held_back: int = 0
    refused: int = 0
    no_audio: int = 0
    no_known_tag: int = 0


def join(
    train: Subset,
    clips: Sequence[Clip],
    subset_of: NDArray[np.int64],
    workspace: Workspace,
    tags: tuple[str, ...],
    cache: Path,
    policy: CorrectionPolicy = CorrectionPolicy(),
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
        policy: Which sounds may be learned from.

    Raises:
        AudioError: A corrected sound cannot be decoded.
    """
    corrections, no_audio = read_corrections(workspace)
    clip_of = clips_by_sound_id(clips, corrections)
    excluded = held_out_ids(clips, subset_of, clip_of)
    allowed = [c for c in corrections if not policy.refusal(c)]
    in_no_test = [c for c in allowed if not excluded & {c.recording, c.sound_id}]
    in_clips = {clip.recording for clip in clips} | clip_of.keys()
    usable = [
        c
        for c in in_no_test
        if in_clips & {c.recording, c.sound_id} or not is_held_back(c.recording)
    ]
    _, known = correction_labels(usable, tags)
    joining = [correction for correction, row in zip(usable, known, strict=True) if row.any()]
    labels, known = correction_labels(joining, tags)
    counts = CorrectionCounts(
        sounds=len(joining),
        decisions=int(known.sum()),
        held_out=len(allowed) - len(in_no_test),
        held_back=len(in_no_test) - len(usable),
        refused=len(corrections) - len(allowed),
        no_audio=no_audio,
        no_known_tag=len(usable) - len(joining),
    )
    if not joining:
        return train, counts
    indices = np.array([clip_of.get(correction.sound_id, -1) for correction in joining])
    corrected = replace_labels(train, indices, labels, known)
    new = np.flatnonzero(indices < 0)
    return append(corrected, [joining[row] for row in new], labels[new], known[new], cache), counts


def held_out_ids(
    clips: Sequence[Clip],
    subset_of: NDArray[np.int64],
    clip_of: Mapping[str, int],
    published: frozenset[str] | None = None,
) -> set[str]:
    """Return the recordings and sound ids that must not be trained on.

    Args:
        clips: All labelled clips.
        subset_of: Each clip's subset.
        clip_of: Each clip's index by its sound id as a file.
        published: Further test recordings; by default those that all models have.
    """
    if published is None:
        published = published_test_recordings()
    recordings = {clip.recording for clip, n in zip(clips, subset_of, strict=True) if n}
    sound_ids = {sound_id for sound_id, clip in clip_of.items() if subset_of[clip]}
    return recordings | sound_ids | published


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
        corrections.append(_correction(state, path))
    return sorted(corrections, key=lambda correction: correction.sound_id), no_audio


def _correction(state: SoundState, path: Path) -> Correction:
    """Return a sound's decisions, oldest first, and what decides about their use."""
    decisions = sorted(state.decisions.values(), key=lambda decision: decision.event.order)
    last = decisions[-1].event
    return Correction(
        state.sound_id,
        path,
        state.sound_id.removeprefix("freesound:"),
        {decision.tag: decision.is_positive for decision in decisions},
        {decision.tag: decision.event.actor for decision in decisions},
        state.sound.license,
        state.sound.gen_ai_preference,
        (iso(last.time), last.event_id),
    )


def is_held_back(recording: str) -> bool:
    """Return True if a recording's corrections are kept for comparing models, for ever.

    It depends on the recording's name alone, so that no model ever learns from it.
    """
    digest = hashlib.sha256(f"earmark held back {recording}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % HELD_BACK_ONE_IN == 0


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


def clips_by_sound_id(clips: Sequence[Clip], corrections: Sequence[Correction]) -> dict[str, int]:
    """Return each clip's index by its sound id as a file, if any correction is of a file."""
    if not any(correction.sound_id.startswith("file:") for correction in corrections):
        return {}
    digests = (hashlib.sha256(clip.path.read_bytes()).hexdigest() for clip in clips)
    return {f"file:{digest}": index for index, digest in enumerate(digests)}


def replace_labels(
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


def append(
    subset: Subset,
    corrections: Sequence[Correction],
    labels: Labels,
    known: Known,
    cache: Path,
    spec: LogMelSpec = COALA,
) -> Subset:
    """Add these sounds behind the subset's own clips.

    Args:
        subset: With `known`.
        corrections: The sounds.
        labels: Of them.
        known: Which labels were decided.
        cache: Where log-mels are kept.
        spec: The front-end.

    Raises:
        AudioError: A sound cannot be decoded.
    """
    if not corrections or subset.known is None:
        return subset
    clips = [Clip(item.path, item.recording, frozenset()) for item in corrections]
    added = load_frames(clips, cache, spec)
    recordings = np.array([clip.recording for clip in clips])
    return Subset(
        subset.frames.followed_by(added),
        np.concatenate([subset.clips, len(subset.frames) + np.arange(len(added))]),
        np.concatenate([subset.labels, labels]),
        np.concatenate([subset.recordings, recordings]),
        np.concatenate([subset.known, known]),
    )
