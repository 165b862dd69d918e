"""Sounds that are alike: nearest by the embedding that the model made of them."""

import logging
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import sqlalchemy as sql
from numpy.typing import NDArray

from core.curation.vector_index import MAX_MISSING, Manifest, VectorIndex, Vectors
from core.errors import EarmarkError
from core.events import schema
from core.events.fold import SoundState
from core.events.sounds import SoundIndex
from core.events.types import ModelRef
from core.sqlite import Database
from core.storage.sidecars import LocalSidecars
from core.work import Checkpoint, WorkStopped, no_checkpoint

logger = logging.getLogger(__name__)

BATCH_SIZE = 2_000
"""Events that are read, and sidecars that are opened, before the index is written."""
SPARE = 20
"""Neighbours that are looked up beyond those asked for: some may be withdrawn since."""

Embedding: TypeAlias = NDArray[np.generic]


@dataclass(frozen=True)
class Neighbour:
    """A sound like another one; `similarity` is the cosine of their embeddings, at most 1."""

    state: SoundState
    similarity: float


@dataclass(frozen=True)
class _Batch:
    """Predicted and withdrawn sounds of a stretch of the event log, and its last event."""

    predicted: list[str]
    withdrawn: list[str]
    sequence: int


class SimilarSounds:
    """The nearest sounds in a workspace, with an index on the disk for each model version.

    Only embeddings whose sidecar is on this machine are in it; nothing is downloaded.
    """

    def __init__(self, folder: Path, database: Database, sounds: SoundIndex) -> None:
        """Prepare; nothing is read yet.

        Args:
            folder: This machine's part of the workspace.
            database: Of its event log.
            sounds: Queries over it.
        """
        self._folder = folder / "similar"
        self._database = database
        self._sounds = sounds
        self._sidecars = LocalSidecars(folder)
        self._indices: dict[str, VectorIndex] = {}
        self._extending = threading.Lock()

    def nearest(self, sound_id: str, model: ModelRef, limit: int = 10) -> list[Neighbour]:
        """Return the sounds most like a sound, most similar first; none without an embedding.

        Args:
            sound_id: The sound.
            model: The version whose embeddings are compared: they are in no relation to another's.
            limit: Sounds at most.
        """
        embedding = self._embedding(sound_id, model)
        if embedding is None:
            return []
        vector = np.asarray(embedding, np.float32)
        matches = self._index(model).nearest(vector, limit + SPARE)
        states = self._sounds.get_many([match.sound_id for match in matches])
        neighbours = (
            Neighbour(states[match.sound_id], match.similarity)
            for match in matches
            if match.sound_id in states and match.sound_id != sound_id
        )
        return [each for each in neighbours if not each.state.withdrawn][:limit]

    def bring_up_to_date(self, model: ModelRef, seconds: float) -> bool:
        """Extend a version's index in the background, and wait for the end for a while.

        Args:
            model: The version.
            seconds: To wait; the work goes on after that.

        Returns:
            False where it still goes on, so that some sounds are not found yet.
        """
        thread = threading.Thread(target=self._extend_logged, args=(model,), daemon=True)
        thread.start()
        thread.join(seconds)
        return not thread.is_alive() and not self._extending.locked()

    def _extend_logged(self, model: ModelRef) -> None:
        """Extend an index; a failure is the log's to tell."""
        try:
            self.extend(model)
        except (OSError, EarmarkError) as error:
            logger.warning("similar sounds not indexed model=%s reason=%s", model, error)

    def extend(self, model: ModelRef, checkpoint: Checkpoint = no_checkpoint) -> int:
        """Bring a version's index up to date with the event log.

        It costs what is new. What was done when it is stopped is kept. While another thread does
        it, nothing is done.

        Args:
            model: The version.
            checkpoint: Called before each batch; `WorkStopped` ends the work for now.

        Returns:
            The number of sounds that were added.

        Raises:
            OSError: The index cannot be written.
        """
        if not self._extending.acquire(blocking=False):
            return 0
        try:
            added = self._extend(self._index(model), model, checkpoint)
        finally:
            self._extending.release()
        if added:
            logger.info("similar model=%s added=%d", model, added)
        return added

    def _extend(self, index: VectorIndex, model: ModelRef, checkpoint: Checkpoint) -> int:
        """Do the work of `extend`."""
        manifest, added = index.manifest(), 0
        for batch in self._batches(manifest.sequence, model):
            try:
                checkpoint()
            except WorkStopped:
                break
            manifest, number = self._add(index, manifest, batch, model)
            added += number
        return added

    def _add(
        self, index: VectorIndex, manifest: Manifest, batch: _Batch, model: ModelRef
    ) -> tuple[Manifest, int]:
        """Add a batch, and what was missing before, to an index; returns it and how many."""
        gone = set(batch.withdrawn)
        candidates = dict.fromkeys([*manifest.missing, *batch.predicted])
        embeddings = {each: self._embedding(each, model) for each in candidates if each not in gone}
        known = _of_one_size(embeddings)
        missing = [sound_id for sound_id in embeddings if sound_id not in known]
        progress = replace(manifest, sequence=batch.sequence, missing=tuple(missing[-MAX_MISSING:]))
        if gone:
            progress = index.remove(gone, progress)
        vectors = np.stack(list(known.values())) if known else np.empty((0, 0), np.float32)
        return index.add(list(known), vectors, progress), len(known)

    def _embedding(self, sound_id: str, model: ModelRef) -> Embedding | None:
        """Return a sound's embedding [size], or None where there is no such sidecar here."""
        arrays = self._sidecars.get(sound_id, model) or {}
        embedding = arrays.get("embedding")
        return embedding if embedding is not None and embedding.ndim == 1 else None

    def _index(self, model: ModelRef) -> VectorIndex:
        """Return the index of a model version."""
        name = f"{model.name}-{model.version}"
        return self._indices.setdefault(name, VectorIndex(self._folder / name))

    def _batches(self, sequence: int, model: ModelRef) -> Iterator[_Batch]:
        """Yield what the event log says after an event, in stretches."""
        columns = schema.events.c
        model_name = sql.func.json_extract(columns.body, "$.payload.model.name")
        version = sql.func.json_extract(columns.body, "$.payload.model.version")
        by_model = sql.and_(model_name == model.name, version == model.version)
        query = sql.select(columns.sequence, columns.sound_id, columns.kind, by_model.label("ours"))
        query = query.where(columns.kind.in_(("predicted", "withdrawn")))
        while True:
            following = query.where(columns.sequence > sequence).order_by(columns.sequence)
            with self._database.reading() as connection:
                rows = connection.execute(following.limit(BATCH_SIZE)).all()
            if not rows:
                return
            sequence = rows[-1].sequence
            predicted = [row.sound_id for row in rows if row.kind == "predicted" and row.ours]
            withdrawn = [row.sound_id for row in rows if row.kind == "withdrawn"]
            yield _Batch(predicted, withdrawn, sequence)


def _of_one_size(embeddings: Mapping[str, Embedding | None]) -> dict[str, Vectors]:
    """Return the embeddings that there are, without damaged ones of another size than the rest."""
    vectors = {
        sound_id: np.asarray(embedding, np.float32)
        for sound_id, embedding in embeddings.items()
        if embedding is not None
    }
    sizes = Counter(len(vector) for vector in vectors.values())
    size = sizes.most_common(1)[0][0] if sizes else 0
    return {sound_id: vector for sound_id, vector in vectors.items() if len(vector) == size}
