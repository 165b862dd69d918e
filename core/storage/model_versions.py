"""The registered versions of the model with what is known of each: scores, rollouts, decisions."""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from core.events.types import ModelRef, RolledOutEvent, iso
from core.storage.active_model import DEFAULT_MODEL_NAMES
from core.storage.errors import StorageError
from core.storage.model_notes import Note
from core.storage.workspace import Workspace

logger = logging.getLogger(__name__)


class Decision(BaseModel):
    """A maintainer's decision about a version that they did not deploy."""

    decision: Literal["rejected"]
    actor: str
    time: datetime
    reason: str


@dataclass(frozen=True)
class Version:
    """A registered version.

    Attributes:
        model: Which it is.
        scores: The overall scores of its own metrics.json; empty where this machine has no copy.
        intervals: Of those scores, by recording.
        test: Its clips, recordings and split, in words; empty likewise.
        rollout: The latest rollout of it; None where it was never active.
        is_active: It predicts now.
        comparison: With the model that was active when it was trained; None for others.
        decision: The latest decision about it, if it is newer than the rollout.
    """

    model: ModelRef
    scores: dict[str, float | None]
    intervals: dict[str, list[float] | None]
    test: str
    rollout: RolledOutEvent | None
    is_active: bool
    comparison: Note | None
    decision: Decision | None


def list_versions(workspace: Workspace) -> list[Version]:
    """Return the versions of the default model's names and of all that were active, newest first.

    Raises:
        StorageError: The registry or the log cannot be read.
    """
    rollouts = workspace.events.rollouts()
    names = dict.fromkeys([*(event.payload.model.name for event in rollouts), *DEFAULT_MODEL_NAMES])
    models = [model for name in names for model in workspace.models.versions(name)]
    return [_version(workspace, model, rollouts) for model in models]


def previous_model(workspace: Workspace) -> ModelRef | None:
    """Return the version that was active before the active one; None if there was none."""
    rollouts = workspace.events.rollouts()
    models = [event.payload.model for event in rollouts]
    return next((model for model in models[1:] if model != models[0]), None)


def reject_version(workspace: Workspace, model: ModelRef, actor: str, reason: str) -> None:
    """Note that a version shall not be deployed, where the whole team sees it.

    Raises:
        StorageError: It cannot be written.
    """
    content = {
        "decision": "rejected",
        "actor": actor,
        "time": iso(datetime.now(UTC)),
        "reason": reason,
    }
    workspace.models.add_note(model, "decision", content)
    logger.info("reject model=%s actor=%s reason=%s", model, actor, reason)


def _version(workspace: Workspace, model: ModelRef, rollouts: Sequence[RolledOutEvent]) -> Version:
    rollout = next((event for event in rollouts if event.payload.model == model), None)
    comparisons = workspace.models.notes(model, "comparison")
    metrics = _metrics(workspace, model)
    decision = _latest_decision(workspace, model)
    if decision and rollout and decision.time < rollout.time:
        decision = None
    return Version(
        model=model,
        scores=metrics.get("overall", {}),
        intervals=metrics.get("intervals", {}).get("recordings", {}),
        test=_test(metrics),
        rollout=rollout,
        is_active=bool(rollouts) and rollouts[0].payload.model == model,
        comparison=comparisons[-1] if comparisons else None,
        decision=decision,
    )


def _latest_decision(workspace: Workspace, model: ModelRef) -> Decision | None:
    """Return the latest decision; one that this version of Earmark cannot read is left out."""
    for note in reversed(workspace.models.notes(model, "decision")):
        try:
            return Decision.model_validate(note)
        except ValidationError as error:
            logger.warning("decision unreadable model=%s reason=%s", model, error)
    return None


def _metrics(workspace: Workspace, model: ModelRef) -> dict[str, Any]:
    """Return the contents of metrics.json, or nothing where this machine has no copy."""
    folder = workspace.models.cached(model)
    if folder is None:
        return {}
    try:
        metrics: dict[str, Any] = json.loads((folder / "metrics.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise StorageError(f"The scores of {model} cannot be read.") from error
    return metrics


def _test(metrics: dict[str, Any]) -> str:
    if not metrics:
        return ""
    return f"{metrics['clips']:,} clips of {metrics['recordings']:,} recordings"
