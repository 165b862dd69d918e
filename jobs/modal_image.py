"""What the jobs need on Modal: two apps, two images from the project's own pins, secrets, and limits. Nothing heavy is imported here.

There are two apps because a deployment publishes exactly the functions of its app: deploying the training must not drop the schedule.
"""

from pathlib import Path

import modal

MINUTES = 60
HOURS = 60 * MINUTES
PYTHON = "3.11"
ROOT = Path(__file__).parents[1]
REMOTE_ROOT = "/root"
CPU_WHEELS = "https://download.pytorch.org/whl/cpu"
ONLY_FOR_THE_APP = frozenset({"streamlit", "starlette", "plotly", "modal"})
ONLY_FOR_TRAINING = frozenset({"librosa", "scikit-learn"})

HOPSWORKS_KEYS = ("EARMARK_HOPSWORKS_HOST", "EARMARK_HOPSWORKS_PROJECT", "EARMARK_HOPSWORKS_API_KEY")
FREESOUND_KEYS = ("EARMARK_FREESOUND_API_KEY",)


def pins(*, leave_out: frozenset[str] = frozenset()) -> list[str]:
    """The lines of requirements.txt, without some packages. Empty inside a container, where images are made already."""
    if not modal.is_local():
        return []
    lines = (line.strip() for line in (ROOT / "requirements.txt").read_text("utf-8").splitlines())
    return [line for line in lines if "==" in line and not line.startswith("#") and line.partition("==")[0] not in leave_out]


def _pinned_torch() -> list[str]:
    return [pin for pin in pins() if pin.startswith("torch==")]


def _with_code(image: modal.Image, *packages: str) -> modal.Image:
    """The project's code at the place that it has here. The starter's files come too: `add_local_python_source` takes only .py files."""
    starter = f"{REMOTE_ROOT}/core/starter"
    return image.add_local_python_source(*packages).add_local_dir(ROOT / "core" / "starter", starter, ignore=["*.py", "__pycache__"])


def tagging_image() -> modal.Image:
    """For listening: no GPU libraries, no Streamlit."""
    image = modal.Image.debian_slim(python_version=PYTHON).uv_pip_install(*_pinned_torch(), index_url=CPU_WHEELS)
    rest = pins(leave_out=ONLY_FOR_THE_APP | ONLY_FOR_TRAINING | {"torch"})
    return _with_code(image.uv_pip_install(*rest), "core", "jobs")


def training_image() -> modal.Image:
    """For training on a GPU: PyPI's torch brings CUDA."""
    image = modal.Image.debian_slim(python_version=PYTHON).uv_pip_install(*pins(leave_out=ONLY_FOR_THE_APP))
    return _with_code(image, "core", "jobs", "training")


def hopsworks_secret() -> modal.Secret:
    """`modal secret create earmark-hopsworks EARMARK_HOPSWORKS_HOST=... EARMARK_HOPSWORKS_PROJECT=... EARMARK_HOPSWORKS_API_KEY=...`"""
    return modal.Secret.from_name("earmark-hopsworks", required_keys=list(HOPSWORKS_KEYS))


def freesound_secret() -> modal.Secret:
    """`modal secret create earmark-freesound EARMARK_FREESOUND_API_KEY=...`"""
    return modal.Secret.from_name("earmark-freesound", required_keys=list(FREESOUND_KEYS))
