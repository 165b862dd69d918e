"""Training as a job: the bundle is registered where the team finds it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.hopsworks import HopsworksServer
from tests.training.conftest import make_clips

ROOT = Path(__file__).parents[2]


@pytest.fixture
def train(tmp_path):
    """Runs `python -m jobs.training` on made-up clips; more settings by name."""

    def run(*arguments, **settings):
        data = make_clips(tmp_path / "clips", recordings=10)
        places = ("--data", data, "--out", tmp_path / "bundle", "--run", tmp_path / "run")
        small = ("--name", "tiny", "--epochs", 2, "--channels", "4,4,8,8", "--hidden", 8, "--least-recordings", 4)
        command = [sys.executable, "-m", "jobs.training", "clips", *map(str, (*places, *small, *arguments))]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "EARMARK_WORKSPACE": str(tmp_path / "w")}
        environment |= {f"EARMARK_HOPSWORKS_{name}": str(value) for name, value in settings.items()}
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)

    return run


def test_a_trained_bundle_is_registered_with_its_scores(train):
    with HopsworksServer() as server:
        more = {"HOST": server.host, "PORT": server.port, "PROJECT": server.project, "API_KEY": server.key}
        result = train(**more, CERTIFICATE=server.certificate)
        assert result.returncode == 0, result.stderr
        assert "Registered tiny v1." in result.stderr
        (model,) = server.store.models.values()
        assert {"pr_auc_macro", "roc_auc_macro"} <= model["metrics"].keys()
        assert server.errors == []


def test_a_shared_home_that_does_not_open_is_said_before_anything_is_trained(train, tmp_path):
    result = train(HOST="localhost", PORT=1, PROJECT="demo", API_KEY="x")
    assert result.returncode == 1
    assert "cannot be reached" in result.stderr
    assert not (tmp_path / "run").exists()


def test_help_is_that_of_the_training_and_needs_no_workspace():
    command = [sys.executable, "-m", "jobs.training", "--help"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    assert "clips" in result.stdout


def test_wrong_arguments_are_those_of_the_training(train):
    result = train("--epochs", "0")
    assert result.returncode == 2
    assert "Invalid value for '--epochs'" in result.stderr
