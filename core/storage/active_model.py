"""The model version that predicts now: one policy for command line, app, jobs, deployment."""

import logging
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from core.events.types import ModelRef, RolledOut, RolledOutEvent, new_event
from core.model import bundle as bundles
from core.model.bundle import DEFAULT_BUNDLE, Bundle
from core.storage.errors import ModelNotFound, StorageError
from core.storage.models import BEST_BY, VersionChoice
from core.storage.workspace import Workspace

logger = logging.getLogger(__name__)

AUTOMATIC = "earmark"
"""The actor of what no person decided."""
FROM_REGISTRY = "earmark (registry)"
"""The actor of a first rollout of a registered model; a new default model does not replace it."""
DEFAULT_MODEL_NAMES = ("earmark_default", "earmark_starter")
"""Names under which the default model is or was registered, the current one first."""


@dataclass(frozen=True)
class ActiveModel:
    """A model version to predict with.

    Attributes:
        model: The version.
        folder: Its bundle on this machine.
        notice: Why it is not the active version, as a sentence; empty if it is.
    """

    model: ModelRef
    folder: Path
    notice: str = ""


def resolve_model(workspace: Workspace, *, allow_fallback: bool = False) -> ActiveModel:
    """Return the active model version and its bundle.

    It is the one that the latest *rolled_out* event names. A workspace without one starts with the
    best registered version of the default model's name, or else with the default model; where only
    this function ever chose, it follows the default model that ships with the project.

    Args:
        workspace: Where rollouts are recorded and bundles registered.
        allow_fallback: While the active version cannot be fetched, use the latest earlier one that
            this machine has, at last the default model. For people who try a sound; what a job
            predicts is kept, so a job uses nothing but the active version.

    Raises:
        StorageError: The active version cannot be found out or fetched, and there is no fallback.
    """
    try:
        model = _active_version(workspace)
        return ActiveModel(model, workspace.models.fetch(model))
    except StorageError as error:
        if not allow_fallback:
            raise
        logger.warning("active model unavailable reason=%s", error)
        return _fallback(workspace, str(error))


def active_version(workspace: Workspace) -> ModelRef | None:
    """Return the version that the latest *rolled_out* event names; nothing is changed or fetched.

    None where no model was ever rolled out.
    """
    rollouts = workspace.events.rollouts(1)
    return rollouts[0].payload.model if rollouts else None


def deploy_model(
    workspace: Workspace,
    name: str,
    version: VersionChoice,
    actor: str,
    reason: str,
) -> ModelRef:
    """Make a registered version the active one.

    Args:
        workspace: Where it is registered.
        name: The model's name.
        version: A number, "latest", or "best" by PR-AUC macro.
        actor: Who decides.
        reason: Why.

    Raises:
        ModelNotFound: There is no such version.
        StorageError: It cannot be fetched, or the rollout not be recorded.
        BundleError: It is not a bundle that this version of Earmark can use.
    """
    model = workspace.models.find(name, version, BEST_BY)
    bundles.load(workspace.models.fetch(model))
    rollouts = workspace.events.rollouts(1)
    _roll_out(workspace, model, actor, reason, rollouts[0] if rollouts else None)
    return model


def load_default_bundle() -> Bundle:
    """Return the bundle that ships with the project, read once per process."""
    return _load_default(DEFAULT_BUNDLE)


def _active_version(workspace: Workspace) -> ModelRef:
    """Return the active version; the first one, or a newer default model, is rolled out here."""
    rollouts = workspace.events.rollouts()
    current = rollouts[0] if rollouts else None
    if current is not None and current.actor != AUTOMATIC:
        return current.payload.model
    default = load_default_bundle()
    if current is None:
        best = _best_registered(workspace)
        if best is not None:
            reason = "first start: the best in the registry"
            _roll_out(workspace, best, FROM_REGISTRY, reason, None)
            return best
    elif default.fingerprint in {event.payload.model.fingerprint for event in rollouts}:
        return current.payload.model  # active already, or replaced by a newer program's default
    model = workspace.models.register(default)
    reason = "first start" if current is None else "the project ships a new default model"
    _roll_out(workspace, model, AUTOMATIC, reason, current)
    return model


def _best_registered(workspace: Workspace) -> ModelRef | None:
    """Return the best version that was registered before this workspace was first used."""
    for name in DEFAULT_MODEL_NAMES:
        try:
            return workspace.models.find(name, "best")
        except ModelNotFound:
            continue
    return None


def _roll_out(
    workspace: Workspace,
    model: ModelRef,
    actor: str,
    reason: str,
    current: RolledOutEvent | None,
) -> None:
    """Record that a version is active from now on, after the rollout `current`."""
    event = new_event(RolledOut(model=model, reason=reason), None, actor, base=current)
    workspace.events.append([event])
    logger.info("deploy model=%s actor=%s reason=%s", model, actor, reason)


def _fallback(workspace: Workspace, reason: str) -> ActiveModel:
    """Return the latest earlier version that this machine has, or else the default model."""
    for model in _earlier_versions(workspace):
        folder = workspace.models.cached(model)
        if folder is not None:
            notice = f"{reason} Until then {model} is used, the last model that this machine has."
            return ActiveModel(model, folder, notice)
    default = load_default_bundle()
    model = ModelRef(name=default.name, version=1, fingerprint=default.fingerprint)
    notice = f"{reason} Until then the model that ships with Earmark is used."
    return ActiveModel(model, default.folder, notice)


def _earlier_versions(workspace: Workspace) -> list[ModelRef]:
    """Return the versions that were rolled out, newest first, as far as that is known here."""
    try:
        return [event.payload.model for event in workspace.events.rollouts()]
    except StorageError:
        return []


@lru_cache(maxsize=1)
def _load_default(folder: Path) -> Bundle:
    """Return the bundle in a folder, read once."""
    return bundles.load(folder)
