"""What curators decided, as labels: removed is an explicit no, kept or added a yes, and of all other tags nothing is known.

Decisions count as `core.id2prediction` folds them: what was undone is none, what was published decides like a review, and a sound
that was withdrawn teaches nothing. Corrections join the training part alone, and never with a recording that is held out.
"""

import hashlib
import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from core.errors import EarmarkError
from core.id2prediction import SoundState
from core.model import bundle as bundles
from core.tags import shown_words
from core.workspace import Workspace
from core.workspace.local import LocalWorkspace
from training.datasets import Clip, Frames, load_frames
from training.solver import Part

SPLITS = Path(__file__).parent / "splits"


class CorrectionsError(EarmarkError):
    """Corrections that cannot be learned from."""


@dataclass(frozen=True)
class Correction:
    """One sound with what people decided about it: tag -> whether it is heard, oldest decision first.

    `recording` is its Freesound id, or the sound id of a file.
    """

    sound_id: str
    path: Path
    recording: str
    decided: dict[str, bool]


@dataclass(frozen=True)
class Tally:
    """What became of the corrected sounds: how many joined the training, and why the others did not."""

    sounds: int = 0
    decisions: int = 0
    held_out: int = 0
    no_audio: int = 0
    no_known_tag: int = 0

    def __str__(self) -> str:
        return (
            f"corrections: {self.sounds} sounds with {self.decisions} decisions join the training; left out: {self.held_out} held out for "
            f"validation or test, {self.no_audio} without audio, {self.no_known_tag} about other tags only"
        )


def open_workspace(folder: Path) -> Workspace:
    """The workspace in `folder`. Raises `CorrectionsError` if there is none, and `WorkspaceError`."""
    if not (folder / "index.sqlite").is_file():
        raise CorrectionsError(f"{folder} holds no workspace; name the folder that EARMARK_WORKSPACE names for the app.")
    return LocalWorkspace(folder)


def read(workspace: Workspace) -> tuple[list[Correction], int]:
    """All sounds that a person decided something about, in order of their ids, and how many more have lost their audio."""
    found, silent = [], 0
    for state in workspace.states():
        if state.withdrawn or not state.decisions:
            continue
        path = workspace.media_path(state.media.audio)
        if path is None:
            silent += 1
        else:
            found.append(Correction(state.sound_id, path, state.sound_id.removeprefix("freesound:"), _decided(state)))
    return sorted(found, key=lambda one: one.sound_id), silent


def _decided(state: SoundState) -> dict[str, bool]:
    in_order = sorted(state.decisions.values(), key=lambda one: one.event.order)
    return {one.tag: one.wanted for one in in_order}


def labels(corrections: Iterable[Correction], vocabulary: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """(labels float32, known bool), both [corrections, tags]. Tags count as the data spell them and as they are shown (`bas`, `bass`)."""
    column = {word: index for words in (shown_words(vocabulary), vocabulary) for index, word in enumerate(words)}
    rows = list(corrections)
    wanted, known = np.zeros((len(rows), len(vocabulary)), np.float32), np.zeros((len(rows), len(vocabulary)), bool)
    for row, one in enumerate(rows):
        for tag, heard in one.decided.items():
            if tag in column:
                wanted[row, column[tag]], known[row, column[tag]] = heard, True
    return wanted, known


def published_test_recordings() -> frozenset[str]:
    """The recordings that published scores stand on, the shipped starter's and those of the fixed lists in `splits/`.

    They stay unseen, so that later models can be compared on them.
    """
    starter = bundles.load(bundles.STARTER).description.get("trained", {}).get("test_recordings", ())
    lists = (json.loads(path.read_text("utf-8"))["test"] for path in sorted(SPLITS.glob("*.json")))
    return frozenset(starter).union(*lists)


def join(folder: Path, train: Part, clips: list[Clip], part_of: np.ndarray, vocabulary: tuple[str, ...], cache: Path) -> tuple[Part, Tally]:
    """`join_training` with the workspace in `folder`; what published scores stand on is never taken."""
    return join_training(train, clips, part_of, open_workspace(folder), vocabulary, cache, published_test_recordings())


def join_training(
    train: Part, clips: list[Clip], part_of: np.ndarray, workspace: Workspace, vocabulary: tuple[str, ...], cache: Path,
    never: Collection[str] = (),
) -> tuple[Part, Tally]:  # fmt: skip
    """The training part with the workspace's corrections, and what became of them.

    `clips` and `part_of` say which recordings and files are validation (1) and test (2): nothing of those is taken, whether it is
    recognised by its Freesound id or by its bytes, nor any recording in `never`. Where the corrected file itself is in the training
    part, the person's decisions replace its labels. Raises `AudioError` for audio that cannot be heard.
    """
    corrections, silent = read(workspace)
    contents = _contents(clips) if any(one.sound_id.startswith("file:") for one in corrections) else {}
    held_out = {clip.recording for clip, part in zip(clips, part_of, strict=True) if part} | set(never)
    free = [one for one in corrections if one.recording not in held_out and not _is_held_out(contents.get(one.sound_id), part_of)]
    _, known = labels(free, vocabulary)
    taught = [one for one, row in zip(free, known, strict=True) if row.any()]
    wanted, known = labels(taught, vocabulary)
    tally = Tally(len(taught), int(known.sum()), len(corrections) - len(free), silent, len(free) - len(taught))
    if not taught:
        return train, tally
    there = np.array([contents.get(one.sound_id, -1) for one in taught])
    corrected = _overruled(train, there, wanted, known)
    new = there < 0
    return _appended(corrected, [one for one, is_new in zip(taught, new, strict=True) if is_new], wanted[new], known[new], cache), tally


def _contents(clips: list[Clip]) -> dict[str, int]:
    """Sound id of each clip's file, as a source of files gives it -> the clip's index."""
    return {f"file:{hashlib.sha256(clip.path.read_bytes()).hexdigest()}": index for index, clip in enumerate(clips)}


def _is_held_out(clip: int | None, part_of: np.ndarray) -> bool:
    return clip is not None and bool(part_of[clip])


def _overruled(part: Part, there: np.ndarray, wanted: np.ndarray, known: np.ndarray) -> Part:
    """The part with the decisions about its own clips in the place of their labels; `there` is a clip's index, or -1."""
    rows = {int(clip): row for row, clip in enumerate(part.clips)}
    own = part.labels.copy()
    sure = np.ones(own.shape, bool) if part.known is None else part.known.copy()
    for clip, heard, decided in zip(there.tolist(), wanted, known, strict=True):
        if clip >= 0:
            row = rows[clip]
            own[row, decided], sure[row, decided] = heard[decided], True
    return replace(part, labels=own, known=sure)


def _appended(part: Part, corrections: list[Correction], wanted: np.ndarray, known: np.ndarray, cache: Path) -> Part:
    """The part with these sounds behind its own clips."""
    if not corrections:
        return part
    added = load_frames([Clip(one.path, one.recording, frozenset()) for one in corrections], cache)
    assert part.known is not None  # `_overruled` gave it one
    return Part(
        _joined(part.frames, added),
        np.concatenate([part.clips, len(part.frames) + np.arange(len(added))]),
        np.concatenate([part.labels, wanted]),
        np.concatenate([part.recordings, [one.recording for one in corrections]]),
        np.concatenate([part.known, known]),
    )


def _joined(one: Frames, other: Frames) -> Frames:
    offsets = np.concatenate([one.offsets, one.offsets[-1] + other.offsets[1:]])
    return Frames(np.concatenate([one.data, other.data]), offsets)
