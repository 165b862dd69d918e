"""The bundle to listen with: the one in force, or the next best thing where that cannot be had."""

from dataclasses import dataclass
from pathlib import Path

from core.id2prediction import ModelRef
from core.model import bundle as bundles
from core.tagging import model_in_force
from core.workspace import Workspace, WorkspaceError


@dataclass(frozen=True)
class UsableModel:
    """A model version, the `folder` with its bundle, and a `notice` for people if it is not the one in force."""

    model: ModelRef
    folder: Path
    notice: str = ""


def usable_model(workspace: Workspace) -> UsableModel:
    """The model in force; while it cannot be fetched, the latest one in force before it that this machine has; at last the starter.

    Only for people who want to try a sound: what a job predicts is kept, so a job uses nothing but the model in force.
    """
    try:
        model = model_in_force(workspace)
        return UsableModel(model, workspace.pull(model))
    except WorkspaceError as error:
        reason = str(error)
    for before in _once_in_force(workspace):
        folder = workspace.copy_of(before)
        if folder is not None:
            return UsableModel(before, folder, f"{reason} Until then {before} is used, the last model that this machine has.")
    starter = bundles.load()
    model = ModelRef(name=starter.name, version=1, fingerprint=starter.fingerprint)
    return UsableModel(model, starter.folder, f"{reason} Until then the model that ships with Earmark is used.")


def _once_in_force(workspace: Workspace) -> list[ModelRef]:
    try:
        return [event.payload.model for event in workspace.rollouts()]
    except WorkspaceError:
        return []
