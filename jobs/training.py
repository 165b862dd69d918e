"""Training as a job: what `python -m training` does, and then the model is registered."""

import _thread
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core.errors import EarmarkError
from core.events.types import ModelRef
from core.notifications import Notice, send_notices
from core.pipeline.run import RunRecorder
from core.settings import Settings
from core.storage.active_model import AUTOMATIC, active_version, deploy_model
from core.storage.workspace import Workspace

logger = logging.getLogger(__name__)

MODEL_COMMANDS = ("clips", "coala", "fine-tune", "retrain")
"""The commands of the training that make a model."""
RETRAINING = "earmark (retraining)"
"""The actor of a deployment that a setting allowed; a new default model does not replace it."""


def train_and_register(settings: Settings, arguments: Sequence[str]) -> ModelRef:
    """Train here, and register the bundle in the workspace's models, with its comparison.

    Args:
        settings: Name the workspace.
        arguments: Those of `python -m training`, with one of `MODEL_COMMANDS` first.

    Returns:
        The registered version. It becomes active when a maintainer deploys it.

    Raises:
        EarmarkError: The workspace cannot be used, or the training failed.
        click.ClickException: The arguments are wrong.
    """
    from core.model import bundle as bundles
    from core.storage.opening import open_workspace
    from training import progress
    from training.cli import main as training

    complete = with_defaults(arguments, {"--out": f"runs/{arguments[0]}/bundle"})
    workspace = open_workspace(settings)
    workspace.sync.pull()  # what is wrong with the shared folder shows before the hours, not after
    actor = os.environ.get("EARMARK_JOB_ACTOR") or AUTOMATIC
    what = "Corrections" if arguments[0] == "retrain" else arguments[0]
    with RunRecorder(
        workspace.runs, what, None, actor, kind="training", on_cancel=_thread.interrupt_main
    ) as recorder:
        recorder.report(0, stage="Training")
        with progress.listening(recorder.report):
            training.main(list(complete), prog_name="python -m jobs train", standalone_mode=False)
        bundle = bundles.load(_bundle_folder(complete))
        model = workspace.models.register(bundle)
        recorder.result = str(model)
        if arguments[0] == "retrain":
            _keep_comparison(workspace, settings, model, bundle.folder, recorder)
    workspace.sync.wait_until_synced()
    logger.info("model registered model=%s", model)
    return model


def with_defaults(arguments: Sequence[str], defaults: Mapping[str, str]) -> list[str]:
    """Return arguments with defaults put first, because the last of several values counts.

    Args:
        arguments: A command of the training and its options.
        defaults: Values by option.
    """
    command, *options = arguments
    added = [part for option in defaults.items() for part in option]
    return [command, *added, *options]


def _keep_comparison(
    workspace: Workspace,
    settings: Settings,
    model: ModelRef,
    folder: Path,
    recorder: RunRecorder,
) -> None:
    """Keep the comparison with the version, tell people, and deploy it if a setting says so."""
    from training.retraining.verdict import read_comparison

    comparison = read_comparison(folder)
    if comparison is None:
        return
    for reason, number in comparison["corrections"]["left_out"].items():
        recorder.skip(f"{number} sounds", reason)
    workspace.models.add_note(model, "comparison", comparison)
    text = comparison["verdict"]["text"]
    notice = Notice("challenger_ready", str(model), f"{model} is ready to compare", text)
    send_notices(workspace, settings, [notice])
    if settings.auto_deploy:
        deploy_if_no_loss(workspace, model, comparison)


def deploy_if_no_loss(workspace: Workspace, model: ModelRef, comparison: Mapping[str, Any]) -> None:
    """Deploy a challenger whose interval excludes a loss to the model that is active now."""
    champion = ModelRef.model_validate(comparison["champion"])
    verdict = comparison["verdict"]
    if active_version(workspace) != champion or not verdict["excludes_loss"]:
        logger.info("not deployed model=%s verdict=%s", model, verdict["kind"])
        return
    try:
        deploy_model(workspace, model.name, model.version, RETRAINING, verdict["text"])
    except EarmarkError as error:  # it is registered; a maintainer can deploy it
        logger.warning("not deployed model=%s reason=%s", model, error)


def _bundle_folder(arguments: Sequence[str]) -> Path:
    """Return where the training put the bundle."""
    from training.cli import main as training

    name, *options = arguments
    context = training.commands[name].make_context(name, options, resilient_parsing=True)
    return Path(context.params["out"])
