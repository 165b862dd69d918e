"""Thresholds of a model version's tags that people set instead of the model's own.

They follow from the *thresholds_set* events. Predictions that were made before a change stay as
they are: each holds which of its suggestions reached their thresholds.
"""

from collections.abc import Iterable

from core.events.types import ModelRef, ThresholdsSetEvent
from core.storage.workspace import Workspace


def current_thresholds(workspace: Workspace, model: ModelRef) -> dict[str, float]:
    """Return the thresholds that a model version uses instead of its own, by tag."""
    return thresholds_after(changes_of(workspace, model))


def changes_of(workspace: Workspace, model: ModelRef) -> list[ThresholdsSetEvent]:
    """Return the changes of a model version's thresholds, oldest first."""
    own = model.name, model.version, model.fingerprint
    return [
        event
        for event in workspace.events.threshold_changes()
        if own
        == (event.payload.model.name, event.payload.model.version, event.payload.model.fingerprint)
    ]


def thresholds_after(changes: Iterable[ThresholdsSetEvent]) -> dict[str, float]:
    """Return the thresholds by tag after some changes, oldest first; without the model's own."""
    thresholds: dict[str, float | None] = {}
    for event in changes:
        thresholds |= event.payload.thresholds
    return {tag: value for tag, value in thresholds.items() if value is not None}
