"""Training on Modal, on a GPU.

Once the data are on the volume (`modal volume put earmark-training FOLDER /clips`):
`modal run --detach -m jobs.modal_training --arguments "clips --data /data/clips"`. After a
preemption or a retry it goes on from the last finished epoch.
"""

import hashlib
import shlex
from collections.abc import Sequence
from typing import TypedDict

import click
import modal

from jobs.modal_image import HOURS, hopsworks_secret, training_image

DATA = "/data"
NOT_IN_THE_NAME = ("--run", "--out")
"""Options that do not decide what is trained."""
app = modal.App("earmark-training")
volume = modal.Volume.from_name("earmark-training", create_if_missing=True)


class Outcome(TypedDict):
    """The registered version's name, or why there is none."""

    model: str
    problem: str


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
def train(arguments: Sequence[str]) -> Outcome:
    """Train with the arguments of `python -m training`, and register the bundle."""
    try:
        return outcome_of(on_volume(arguments))
    finally:
        volume.commit()


def outcome_of(arguments: Sequence[str]) -> Outcome:
    """Train and register; what fails in the same way each time is returned, not raised.

    Modal tries what raises again, on a GPU.

    Raises:
        Unavailable: Hopsworks cannot be reached; it may be later.
        DownloadError: Something could not be downloaded, likewise.
    """
    from core.errors import EarmarkError
    from core.logging import configure
    from core.settings import read_settings
    from core.storage.hopsworks.errors import Unavailable
    from jobs.training import train_and_register
    from training.errors import DownloadError

    try:
        settings = read_settings()
        configure(settings.log_level, settings.secrets)
        return {"model": str(train_and_register(settings, arguments)), "problem": ""}
    except (Unavailable, DownloadError):
        raise
    except click.ClickException as error:
        return {"model": "", "problem": error.format_message()}
    except EarmarkError as error:
        return {"model": "", "problem": str(error)}


def on_volume(arguments: Sequence[str]) -> list[str]:
    """Return arguments whose checkpoints and bundle go to the volume, unless they say otherwise.

    Other arguments have another folder for checkpoints: other data or another recipe do not meet
    the run of the last ones.
    """
    from jobs.training import with_defaults

    name = f"{arguments[0]}-{_digest(arguments)}"
    defaults = {"--run": f"{DATA}/runs/{name}", "--out": f"{DATA}/bundles/{name}"}
    return with_defaults(arguments, defaults)


@app.local_entrypoint()
def main(arguments: str) -> None:
    """Train on a GPU, for example with --arguments "clips --data /data/clips --epochs 80"."""
    outcome = train.remote(shlex.split(arguments))
    if outcome["problem"]:
        raise click.ClickException(outcome["problem"])
    print(f"Registered {outcome['model']}. It becomes active when a maintainer deploys it.")


def _digest(arguments: Sequence[str]) -> str:
    """Return a short name of what is trained: the arguments but for folders of the run."""
    kept, skip = list[str](), False
    for argument in arguments:
        name, has_value, _ = argument.partition("=")
        if not skip and name not in NOT_IN_THE_NAME:
            kept.append(argument)
        skip = not skip and name in NOT_IN_THE_NAME and not has_value
    return hashlib.sha256(shlex.join(kept).encode()).hexdigest()[:10]
