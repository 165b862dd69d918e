"""What the jobs need on Modal: images from the project's own pins, secrets, and limits.

Nothing heavy is imported here. There are two apps, because a deployment publishes exactly the
functions of its app: deploying the training must not drop the schedule.
"""

from pathlib import Path

import modal

from core.settings import read_settings

MINUTES = 60
HOURS = 60 * MINUTES
PYTHON = "3.11"
ROOT = Path(__file__).parents[1]
REMOTE_ROOT = "/root"
"""Modal's containers import from there."""
REMOTE_CERTIFICATE = f"{REMOTE_ROOT}/hopsworks.pem"
ONLY_FOR_THE_APP = frozenset({"streamlit", "starlette", "plotly", "modal"})
ONLY_FOR_TRAINING = frozenset({"h5py", "librosa", "onnx", "scikit-learn", "torch"})

HOPSWORKS_KEYS = (
    "EARMARK_HOPSWORKS_HOST",
    "EARMARK_HOPSWORKS_PROJECT",
    "EARMARK_HOPSWORKS_API_KEY",
)
FREESOUND_KEYS = ("EARMARK_FREESOUND_API_KEY",)


def pins(*, without: frozenset[str] = frozenset()) -> list[str]:
    """Return the lines of requirements.txt, but for some packages.

    In a container, where the images are made already, there are none.
    """
    if not modal.is_local():
        return []
    lines = (ROOT / "requirements.txt").read_text("utf-8").splitlines()
    pinned = [line.strip() for line in lines if "==" in line and not line.startswith("#")]
    return [line for line in pinned if line.partition("==")[0] not in without]


def tagging_image() -> modal.Image:
    """Return the image for tagging: no PyTorch, no Streamlit."""
    image = modal.Image.debian_slim(python_version=PYTHON)
    image = image.uv_pip_install(*pins(without=ONLY_FOR_THE_APP | ONLY_FOR_TRAINING))
    return _with_code(image, "core", "jobs")


def training_image() -> modal.Image:
    """Return the image for training on a GPU: PyPI's torch brings CUDA.

    The example sounds are there because a bundle's network is checked on them.
    """
    image = modal.Image.debian_slim(python_version=PYTHON)
    image = image.uv_pip_install(*pins(without=ONLY_FOR_THE_APP))
    return _with_code(image, "core", "jobs", "training", "examples")


def local_certificate() -> Path | None:
    """Return the certificate to trust for Hopsworks, if the settings of this machine name one.

    In a container, where it is already, there is none.
    """
    if not modal.is_local():
        return None
    certificate = read_settings().hopsworks_certificate
    return certificate.expanduser().resolve() if certificate else None


def hopsworks_secret() -> modal.Secret:
    """Return the secret `earmark-hopsworks`, made with `modal secret create` and these keys."""
    return modal.Secret.from_name("earmark-hopsworks", required_keys=list(HOPSWORKS_KEYS))


def freesound_secret() -> modal.Secret:
    """Return the secret `earmark-freesound`, made with `modal secret create` and this key."""
    return modal.Secret.from_name("earmark-freesound", required_keys=list(FREESOUND_KEYS))


def _with_code(image: modal.Image, *packages: str) -> modal.Image:
    """Add whole packages, the files that are not Python too: the default model is among them.

    A certificate that this machine's settings name goes along.
    """
    certificate = local_certificate()
    if certificate is not None:
        image = image.env({"EARMARK_HOPSWORKS_CERTIFICATE": REMOTE_CERTIFICATE})
        image = image.add_local_file(certificate, REMOTE_CERTIFICATE)
    for package in packages:
        image = image.add_local_dir(
            ROOT / package, f"{REMOTE_ROOT}/{package}", ignore=["**/__pycache__", "**/.*"]
        )
    return image
