"""The active model, loaded once per process."""

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from core.events.types import ModelRef
from core.storage.active_model import resolve_model
from core.storage.tag_thresholds import current_thresholds
from core.storage.workspace import Workspace

if TYPE_CHECKING:
    from core.model.predictor import Predictor


@dataclass(frozen=True)
class ActivePredictor:
    """A model that is ready to predict.

    Attributes:
        predictor: The model, loaded.
        model: Its version.
        notice: Why it is not the active version, as a sentence; empty if it is.
    """

    predictor: "Predictor"
    model: ModelRef
    notice: str = ""


@dataclass(frozen=True)
class _Bundle:
    """A bundle's folder. Bundles of one fingerprint are the same, wherever they lie."""

    fingerprint: str
    folder: Path = field(compare=False)


def load_active_predictor(workspace: Workspace, *, allow_fallback: bool = False) -> ActivePredictor:
    """Return the active model; another one as soon as it is deployed.

    Args:
        workspace: Where models are deployed.
        allow_fallback: Use an earlier model while the active one cannot be fetched.

    Raises:
        StorageError: The active model cannot be fetched, and there is no fallback.
        BundleError: It cannot be loaded.
    """
    active = resolve_model(workspace, allow_fallback=allow_fallback)
    bundle = _Bundle(active.model.fingerprint, active.folder)
    thresholds = current_thresholds(workspace, active.model)
    predictor = _with_thresholds(bundle, tuple(sorted(thresholds.items())))
    return ActivePredictor(predictor, active.model, active.notice)


@lru_cache(maxsize=2)
def _with_thresholds(bundle: _Bundle, thresholds: tuple[tuple[str, float], ...]) -> "Predictor":
    """Return the loaded model with the thresholds that people set."""
    predictor = _load(bundle)
    return predictor.with_thresholds(dict(thresholds)) if thresholds else predictor


@lru_cache(maxsize=2)
def _load(bundle: _Bundle) -> "Predictor":
    from core.model.predictor import Predictor

    return Predictor.from_folder(bundle.folder)
