"""Everything kept of one analysed sound: metadata, prediction, preview, spectrogram, arrays."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from core.audio.decode import decode
from core.audio.spectrogram import spectrogram_webp
from core.audio.types import AudioLimits, Recording
from core.events.types import (
    Event,
    Media,
    ModelRef,
    Predicted,
    PredictedEvent,
    Sound,
    Suggestion,
    is_sound_id,
    new_event,
)
from core.model.predictor import Prediction, Predictor
from core.pipeline.errors import AnalysisError
from core.storage.errors import StorageError
from core.storage.sidecars import Sidecar, decode_arrays, encode_arrays
from core.storage.workspace import Workspace
from core.untrusted import load_json
from core.work import Checkpoint, no_checkpoint

HEADER = "earmark_analysis"


@dataclass(frozen=True)
class Analysis:
    """Everything kept of one analysed sound.

    Attributes:
        sound_id: `freesound:<id>` or `file:<sha256>`.
        sound: Metadata, completed by what decoding found.
        model: The version that predicted.
        suggestions: The top tags, best first.
        preview: An Ogg file to play.
        spectrogram: A WebP picture.
        arrays: `activations` [frames, tags], `times` [frames, 2] in seconds, `embedding` [size].
    """

    sound_id: str
    sound: Sound
    model: ModelRef
    suggestions: tuple[Suggestion, ...]
    preview: bytes = field(repr=False)
    spectrogram: bytes = field(repr=False)
    arrays: Mapping[str, NDArray[np.generic]] = field(repr=False)

    def to_bytes(self) -> bytes:
        """Serialise: the arrays in half precision, media as bytes, the rest in the header."""
        facts = {
            "sound_id": self.sound_id,
            "sound": self.sound.model_dump(mode="json"),
            "model": self.model.model_dump(mode="json"),
            "suggestions": [tag.model_dump(mode="json") for tag in self.suggestions],
        }
        media = {
            "media.preview": np.frombuffer(self.preview, np.uint8),
            "media.spectrogram": np.frombuffer(self.spectrogram, np.uint8),
            "media.facts": np.frombuffer(json.dumps(facts).encode(), np.uint8),
        }
        return encode_arrays({**self.arrays, **media}, {HEADER: "1"})

    @classmethod
    def from_bytes(cls, data: bytes) -> "Analysis":
        """Read what `to_bytes` wrote.

        Raises:
            AnalysisError: The bytes are no serialised analysis.
        """
        try:
            arrays = decode_arrays(data)
            facts = load_json(arrays.pop("media.facts").tobytes())
            if not isinstance(facts, dict) or not is_sound_id(facts["sound_id"]):
                raise ValueError("it is of no sound")
            return cls(
                sound_id=facts["sound_id"],
                sound=Sound.model_validate(facts["sound"]),
                model=ModelRef.model_validate(facts["model"]),
                suggestions=tuple(map(Suggestion.model_validate, facts["suggestions"])),
                preview=arrays.pop("media.preview").tobytes(),
                spectrogram=arrays.pop("media.spectrogram").tobytes(),
                arrays=arrays,
            )
        except (StorageError, KeyError, ValueError, TypeError) as error:
            raise AnalysisError(f"Not a serialised analysis: {error}.") from error


def analyse(
    recording: Recording,
    predictor: Predictor,
    model: ModelRef,
    sound_id: str,
    sound: Sound,
    checkpoint: Checkpoint = no_checkpoint,
) -> Analysis:
    """Predict a recording's tags and put together everything that is kept.

    Args:
        recording: Decoded with a preview, at the predictor's rate.
        predictor: The model, loaded.
        model: Its version.
        sound_id: `freesound:<id>` or `file:<sha256>`.
        sound: Metadata as the source gave it.
        checkpoint: Called between the steps.

    Raises:
        WorkStopped: The checkpoint stopped the work.
    """
    prediction = predictor.predict(recording, checkpoint=checkpoint)
    checkpoint()
    return from_prediction(recording, prediction, model, sound_id, sound)


def from_prediction(
    recording: Recording, prediction: Prediction, model: ModelRef, sound_id: str, sound: Sound
) -> Analysis:
    """Put together everything that is kept of a sound whose tags were predicted already."""
    return Analysis(
        sound_id=sound_id,
        sound=with_facts(sound, recording),
        model=model,
        suggestions=tuple(
            Suggestion(
                tag=score.tag,
                probability=round(score.probability, 4),
                above_threshold=score.above_threshold,
            )
            for score in prediction.top
        ),
        preview=recording.preview,
        spectrogram=spectrogram_webp(prediction.log_mel),
        arrays={
            "activations": prediction.activations,
            "times": prediction.times,
            "embedding": prediction.embedding,
        },
    )


def analyse_file(
    data: bytes,
    name: str,
    predictor: Predictor,
    model: ModelRef,
    limits: AudioLimits = AudioLimits(),
    checkpoint: Checkpoint = no_checkpoint,
) -> Analysis:
    """Decode and analyse a file whose only metadata is its name.

    Args:
        data: The file's bytes.
        name: What to call it.
        predictor: The model, loaded.
        model: Its version.
        limits: Of what is accepted.
        checkpoint: Called between the steps, each of which takes some tenths of a second at most.

    Raises:
        AudioError: The file cannot be decoded.
        WorkStopped: The checkpoint stopped the work.
    """
    checkpoint()
    rate = predictor.rate
    recording = decode(
        data, name=name, rate=rate, limits=limits, with_preview=True, checkpoint=checkpoint
    )
    checkpoint()
    sound_id = f"file:{hashlib.sha256(data).hexdigest()}"
    sound = Sound(title=name, source="upload")
    return analyse(recording, predictor, model, sound_id, sound, checkpoint)


def with_facts(sound: Sound, recording: Recording) -> Sound:
    """Return metadata completed by what decoding found."""
    facts = recording.facts
    update = {
        "seconds": round(facts.seconds, 3),
        "container": facts.container,
        "rate": facts.rate,
        "channels": facts.channels,
        "note": facts.note,
    }
    return sound.model_copy(update=update)


def published_as(analysis: Analysis, sound_id: str, sound: Sound) -> Analysis:
    """Return the analysis of a file under the id and metadata that it was published with."""
    return replace(analysis, sound_id=sound_id, sound=sound)


def save_analysis(
    workspace: Workspace, analysis: Analysis, actor: str, base: Event | None = None
) -> PredictedEvent:
    """Write media and sidecar into the workspace.

    Args:
        workspace: Where they go.
        analysis: What is kept.
        actor: Who started the analysis.
        base: The event before, if there is one; the new event is later.

    Returns:
        The *predicted* event, which the caller appends.

    Raises:
        StorageError: Something could not be written.
    """
    return save_analyses(workspace, [analysis], actor, base)[0]


def save_analyses(
    workspace: Workspace,
    analyses: Sequence[Analysis],
    actor: str,
    base: Event | None = None,
    run: str = "",
) -> list[PredictedEvent]:
    """Write the media and sidecars of many analyses, which wait for the disk together.

    Args:
        workspace: Where they go.
        analyses: What is kept.
        actor: Who started the analyses.
        base: The event before, if there is one; the new events are later.
        run: Id of the run that made the analyses, if one did.

    Returns:
        The *predicted* events, which the caller appends: what they name is on the disk.

    Raises:
        StorageError: Something could not be written.
    """
    previews = [(analysis.preview, "ogg") for analysis in analyses]
    pictures = [(analysis.spectrogram, "webp") for analysis in analyses]
    names = workspace.media.put_all(previews + pictures)
    workspace.sidecars.put_all(
        [Sidecar(analysis.sound_id, analysis.model, analysis.arrays) for analysis in analyses]
    )
    audio, spectrograms = names[: len(previews)], names[len(previews) :]
    return [
        new_event(_payload(*kept, run), kept[0].sound_id, actor, base)
        for kept in zip(analyses, audio, spectrograms, strict=True)
    ]


def _payload(analysis: Analysis, audio: str, spectrogram: str, run: str) -> Predicted:
    return Predicted(
        model=analysis.model,
        top=analysis.suggestions,
        sound=analysis.sound,
        media=Media(audio=audio, spectrogram=spectrogram),
        run=run,
    )
