"""The worker of a backfill: fetches the previews of a batch of sounds and analyses them.

It needs no key of Freesound's and writes nothing; a thread or a container on Modal can be one.
"""

import json
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import lru_cache

from core.audio.errors import AudioError
from core.audio.types import AudioLimits
from core.events.types import ModelRef
from core.freesound.previews import PreviewReader
from core.freesound.types import FreesoundSound
from core.model.predictor import Predictor
from core.pipeline.analysis import Analysis, from_prediction
from core.pipeline.errors import AnalysisError, SourceError, SourceUnavailable
from core.pipeline.sources import FreesoundItem
from core.pipeline.tagging import ItemError, LoadedItem, load_item, log_skipped
from core.settings import Settings
from core.storage.active_model import load_default_bundle
from core.storage.opening import open_workspace
from core.untrusted import load_json

FETCH_THREADS = 8
PREDICT_BATCH_SIZE = 10
_loading = threading.Lock()


@dataclass(frozen=True)
class BackfillTask:
    """A batch of sounds for a worker.

    Attributes:
        model: The version to predict with.
        api: Address of the Freesound API.
        preview_hosts: Hosts that previews may be fetched from.
        limits: Longest sound and largest file that are accepted.
        sounds: Rows of Freesound's list.
    """

    model: ModelRef
    api: str
    preview_hosts: tuple[str, ...]
    limits: AudioLimits
    sounds: tuple[FreesoundSound, ...]

    @classmethod
    def from_settings(
        cls, settings: Settings, model: ModelRef, sounds: Sequence[FreesoundSound]
    ) -> "BackfillTask":
        """Return a task within the limits that the settings name."""
        limits = AudioLimits.from_settings(settings)
        return cls(
            model, settings.freesound_api, tuple(settings.preview_hosts), limits, tuple(sounds)
        )

    def to_json(self) -> str:
        """Return the task as JSON."""
        return json.dumps(
            {
                "model": self.model.model_dump(mode="json"),
                "api": self.api,
                "preview_hosts": self.preview_hosts,
                "limits": asdict(self.limits),
                "sounds": [sound.model_dump(mode="json") for sound in self.sounds],
            }
        )

    @classmethod
    def from_json(cls, text: str) -> "BackfillTask":
        """Read what `to_json` wrote.

        Raises:
            AnalysisError: The text is no task.
        """
        try:
            fields = load_json(text)
            if not isinstance(fields, dict):
                raise TypeError("it is no object")
            return cls(
                model=ModelRef.model_validate(fields["model"]),
                api=fields["api"],
                preview_hosts=tuple(fields["preview_hosts"]),
                limits=AudioLimits(**fields["limits"]),
                sounds=tuple(map(FreesoundSound.model_validate, fields["sounds"])),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise AnalysisError(f"Not a backfill task: {error}.") from error


@dataclass(frozen=True)
class BackfillResult:
    """The outcome for one sound.

    Attributes:
        name: What to call it in messages.
        analysis: `Analysis.to_bytes`; empty for a skipped sound.
        skip_reason: Why it could not be used; empty if it could.
    """

    name: str
    analysis: bytes = field(default=b"", repr=False)
    skip_reason: str = ""


def analyse_task(task: BackfillTask, settings: Settings) -> list[BackfillResult]:
    """Fetch the previews of a batch and analyse them.

    Args:
        task: The batch.
        settings: Name the workspace whose registry has the model, where it is not the default one.

    Returns:
        A result for each sound, in any order.

    Raises:
        SourceUnavailable: Not one preview could be had because the way to them is blocked.
        StorageError: The model cannot be had.
    """
    with _loading:  # of several threads one loads the model
        predictor = _load_predictor(task.model, settings)
    reader = PreviewReader(task.api, task.preview_hosts)
    items = [FreesoundItem(sound, reader) for sound in task.sounds]

    def load(item: FreesoundItem) -> LoadedItem | ItemError:
        try:
            return load_item(item, predictor.rate, task.limits)
        except (AudioError, SourceError, OSError) as error:
            return error

    with ThreadPoolExecutor(FETCH_THREADS) as pool:
        outcomes = list(pool.map(load, items))
    _check_available(outcomes)
    results = [
        _skipped(item, outcome)
        for item, outcome in zip(items, outcomes, strict=True)
        if not isinstance(outcome, LoadedItem)
    ]
    loaded = [outcome for outcome in outcomes if isinstance(outcome, LoadedItem)]
    return results + _analyse(predictor, task.model, loaded)


def _check_available(outcomes: Sequence[LoadedItem | ItemError]) -> None:
    """Raise where no preview at all could be reached."""
    unavailable = [outcome for outcome in outcomes if isinstance(outcome, SourceUnavailable)]
    if unavailable and len(unavailable) == len(outcomes):
        raise unavailable[0]


def _analyse(
    predictor: Predictor, model: ModelRef, loaded: Sequence[LoadedItem]
) -> list[BackfillResult]:
    """Return the results of decoded sounds, several of them per pass of the network."""
    results: list[BackfillResult] = []
    for start in range(0, len(loaded), PREDICT_BATCH_SIZE):
        batch = loaded[start : start + PREDICT_BATCH_SIZE]
        predictions = predictor.predict_many([item.recording for item in batch])
        for item, prediction in zip(batch, predictions, strict=True):
            analysis = from_prediction(
                item.recording, prediction, model, item.item.sound_id, item.sound
            )
            results.append(BackfillResult(item.item.name, analysis.to_bytes()))
    return results


def _skipped(item: FreesoundItem, reason: ItemError) -> BackfillResult:
    log_skipped(item.sound_id, reason)
    return BackfillResult(item.name, skip_reason=str(reason))


@lru_cache(maxsize=1)
def _load_predictor(model: ModelRef, settings: Settings) -> Predictor:
    """Return the loaded model: the default one is here, any other in the workspace's registry."""
    default = load_default_bundle()
    if model.fingerprint == default.fingerprint:
        return Predictor(default)
    return Predictor.from_folder(open_workspace(settings).models.fetch(model))


def unpack(result: BackfillResult) -> Analysis:
    """Return the analysis of a sound that was not skipped.

    Raises:
        AnalysisError: The result is damaged.
    """
    return Analysis.from_bytes(result.analysis)
