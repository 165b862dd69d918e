"""Training as a job: what `python -m training` does, and then the model is registered."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from core.events.types import ModelRef
from core.settings import Settings

logger = logging.getLogger(__name__)

MODEL_COMMANDS = ("clips", "coala")
"""The commands of the training that make a model."""


def train_and_register(settings: Settings, arguments: Sequence[str]) -> ModelRef:
    """Train here, and register the bundle in the workspace's models.

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
    from training.cli import main as training

    complete = with_defaults(arguments, {"--out": f"runs/{arguments[0]}/bundle"})
    workspace = open_workspace(settings)
    workspace.sync.pull()  # what is wrong with the shared folder shows before the hours, not after
    training.main(list(complete), prog_name="python -m jobs train", standalone_mode=False)
    model = workspace.models.register(bundles.load(_bundle_folder(complete)))
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


def _bundle_folder(arguments: Sequence[str]) -> Path:
    """Return where the training put the bundle."""
    from training.cli import main as training

    name, *options = arguments
    context = training.commands[name].make_context(name, options, resilient_parsing=True)
    return Path(context.params["out"])
