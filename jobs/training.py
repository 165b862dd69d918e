"""Training as a job: what `python -m training` does, and the finished bundle goes to the workspace's models.

Here: `python -m jobs.training clips --data FOLDER`. On Modal, once the data are on the volume (`modal volume put earmark-training FOLDER
/clips`): `modal run -m jobs.training --arguments "clips --data /data/clips"`. After a preemption or a retry it goes on from the last epoch.
"""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import click
import modal

from core import command_line
from core.id2prediction import ModelRef
from core.settings import Settings, settings
from jobs.modal_image import HOURS, hopsworks_secret, training_image

DATA = "/data"
app = modal.App("earmark-training")
volume = modal.Volume.from_name("earmark-training", create_if_missing=True)


@app.function(
    image=training_image(),
    secrets=[hopsworks_secret()],
    gpu=["L4", "A10G", "T4"],
    volumes={DATA: volume},
    retries=modal.Retries(max_retries=3, initial_delay=30.0, backoff_coefficient=1.0),
    timeout=12 * HOURS,
    single_use_containers=True,
    cpu=4.0,
    memory=16384,
)
def train(arguments: Sequence[str]) -> str:
    """Train with the arguments of `python -m training`, keep checkpoints on the volume, and register the bundle; returns its name."""
    name = arguments[0]
    placed = [*arguments, "--run", f"{DATA}/runs/{name}", "--out", f"{DATA}/bundles/{name}"]
    try:
        return str(train_and_register(settings(), placed))
    finally:
        volume.commit()


@app.local_entrypoint()
def on_modal(arguments: str) -> None:
    """Train on a GPU, for example with --arguments "clips --data /data/clips --epochs 80"."""
    print(f"Registered {train.remote(shlex.split(arguments))}. It is in force when a maintainer rolls it out.")


def train_and_register(chosen: Settings, arguments: Sequence[str]) -> ModelRef:
    """Train here, and keep the bundle in the workspace. Raises `EarmarkError`, and `click.ClickException` for wrong arguments."""
    from core.model import bundle
    from core.workspace import open_workspace
    from training.__main__ import main as training

    workspace = open_workspace(chosen)
    workspace.mirror()  # what is wrong with the shared home is known before the hours, not after
    training(list(arguments), standalone_mode=False)
    model = workspace.push(bundle.load(_out(arguments)))
    workspace.settle()
    return model


def _out(arguments: Sequence[str]) -> Path:
    """Where the training was told to put the bundle; the last one counts, as on the command line."""
    from training.__main__ import main as training

    command = training.commands[arguments[0]]
    context = command.make_context(arguments[0], list(arguments[1:]), resilient_parsing=True)
    return Path(context.params["out"])


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("arguments", nargs=-1, required=True, type=click.UNPROCESSED)
def main(arguments: tuple[str, ...]) -> None:
    """Train on this machine: the arguments are those of `python -m training`."""
    from training.__main__ import main as training

    if arguments[0] not in training.commands:  # --help, or a mistake: the training says what there is
        training(list(arguments), standalone_mode=False)
        return
    click.echo(f"Registered {train_and_register(settings(), arguments)}.", err=True)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("Say what to train on: python -m jobs.training clips --data FOLDER; python -m training --help tells more.")
    command_line.run(main, "Stopped. The same command goes on from the last finished epoch.")
