"""Training on Modal, on a GPU.

Once the data are on the volume (`modal volume put earmark-training FOLDER /clips`):
`modal run -m jobs.modal_training --arguments "clips --data /data/clips"`. After a preemption or a
retry it goes on from the last finished epoch.
"""

import shlex
from collections.abc import Sequence

import modal

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
    """Train with the arguments of `python -m training`, and register the bundle.

    Returns:
        The registered version's name.
    """
    from core.logging import configure
    from core.settings import read_settings
    from jobs.training import train_and_register

    settings = read_settings()
    configure(settings.log_level, settings.secrets)
    try:
        return str(train_and_register(settings, on_volume(arguments)))
    finally:
        volume.commit()


def on_volume(arguments: Sequence[str]) -> list[str]:
    """Return arguments whose checkpoints and bundle go to the volume, unless they say otherwise."""
    from jobs.training import with_defaults

    name = arguments[0]
    defaults = {"--run": f"{DATA}/runs/{name}", "--out": f"{DATA}/bundles/{name}"}
    return with_defaults(arguments, defaults)


@app.local_entrypoint()
def main(arguments: str) -> None:
    """Train on a GPU, for example with --arguments "clips --data /data/clips --epochs 80"."""
    model = train.remote(shlex.split(arguments))
    print(f"Registered {model}. It becomes active when a maintainer deploys it.")
