"""The worker of a backfill: fetches the previews of a batch of sounds and analyses them.

It needs no key of Freesound's and writes nothing; a thread or a container on Modal can be one.
"""

import json
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import lru_cache

from core.audio.types import AudioLimits
from core.events.types import ModelRef
from core.freesound.previews import PreviewReader
from core.freesound.types import FreesoundSound
from core.model.predictor import Prediction, Predictor
from core.pipeline.analysis import Analysis, from_prediction
from core.pipeline.errors import AnalysisError, SourceUnavailable
from core.pipeline.sources import FreesoundItem, SourceItem
from core.pipeline.tagging import ITEM_ERRORS, ItemError, LoadedItem, decode_item, log_skipped
from core.settings import Settings
from core.storage.active_model import load_default_bundle
from core.storage.opening import open_workspace
from core.untrusted import load_json
from core.work import Turns, WorkStopped, limited_to

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
        max_work_s: Longest work on one sound, in seconds.
        sounds: Rows of Freesound's list.
        thresholds: By tag, those that people set instead of the model's own.
    """

    model: ModelRef
    api: str
    preview_hosts: tuple[str, ...]
    limits: AudioLimits
    max_work_s: float
    sounds: tuple[FreesoundSound, ...]
    thresholds: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def from_settings(
        cls,
        settings: Settings,
        model: ModelRef,
        sounds: Sequence[FreesoundSound],
        thresholds: Mapping[str, float] | None = None,
    ) -> "BackfillTask":
        """Return a task within the limits that the settings name."""
        return cls(
            model=model,
            api=settings.freesound_api,
            preview_hosts=tuple(settings.preview_hosts),
            limits=AudioLimits.from_settings(settings),
            max_work_s=settings.max_work_seconds,
            sounds=tuple(sounds),
            thresholds=thresholds or {},
        )

    def to_json(self) -> str:
        """Return the task as JSON."""
        return json.dumps(
            {
                "model": self.model.model_dump(mode="json"),
                "api": self.api,
                "preview_hosts": self.preview_hosts,
                "limits": asdict(self.limits),
                "max_work_s": self.max_work_s,
                "sounds": [sound.model_dump(mode="json") for sound in self.sounds],
                "thresholds": dict(self.thresholds),
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
                max_work_s=float(fields["max_work_s"]),
                sounds=tuple(map(FreesoundSound.model_validate, fields["sounds"])),
                thresholds={
                    str(tag): float(value) for tag, value in fields.get("thresholds", {}).items()
                },
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
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
        predictor = _load_predictor(task.model, settings).with_thresholds(task.thresholds)
    reader = PreviewReader(task.api, task.preview_hosts)
    items = [FreesoundItem(sound, reader) for sound in task.sounds]

    turns = limited_to(task.max_work_s)

    def load(item: FreesoundItem) -> LoadedItem | ItemError:
        try:
            data = item.read()
            with turns(item.name) as checkpoint:
                return decode_item(item, data, predictor.rate, task.limits, checkpoint)
        except ITEM_ERRORS as error:
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
    return results + _analyse(predictor, task.model, loaded, turns)


def _check_available(outcomes: Sequence[LoadedItem | ItemError]) -> None:
    """Raise where no preview at all could be reached."""
    unavailable = [outcome for outcome in outcomes if isinstance(outcome, SourceUnavailable)]
    if unavailable and len(unavailable) == len(outcomes):
        raise unavailable[0]


def _analyse(
    predictor: Predictor, model: ModelRef, loaded: Sequence[LoadedItem], turns: Turns
) -> list[BackfillResult]:
    """Return the results of decoded sounds, several of them per pass of the network."""
    results: list[BackfillResult] = []
    for start in range(0, len(loaded), PREDICT_BATCH_SIZE):
        batch = loaded[start : start + PREDICT_BATCH_SIZE]
        for item, outcome in zip(batch, _predict(predictor, batch, turns), strict=True):
            results.append(_result(item, outcome, model))
    return results


def _predict(
    predictor: Predictor, batch: Sequence[LoadedItem], turns: Turns
) -> Sequence[Prediction | WorkStopped]:
    """Return the predictions of sounds: together, or one by one where that takes too long."""
    try:
        with turns("A batch of sounds") as checkpoint:
            return predictor.predict_many([item.recording for item in batch], checkpoint=checkpoint)
    except WorkStopped:
        return [_predict_alone(predictor, item, turns) for item in batch]


def _predict_alone(
    predictor: Predictor, item: LoadedItem, turns: Turns
) -> Prediction | WorkStopped:
    try:
        with turns(item.item.name) as checkpoint:
            return predictor.predict(item.recording, checkpoint=checkpoint)
    except WorkStopped as error:
        return error


def _result(
    loaded: LoadedItem, outcome: Prediction | WorkStopped, model: ModelRef
) -> BackfillResult:
    if isinstance(outcome, WorkStopped):
        return _skipped(loaded.item, outcome)
    sound_id = loaded.item.sound_id
    analysis = from_prediction(loaded.recording, outcome, model, sound_id, loaded.sound)
    return BackfillResult(loaded.item.name, analysis.to_bytes())


def _skipped(item: SourceItem, reason: ItemError) -> BackfillResult:
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
