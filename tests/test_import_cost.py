"""Heavy libraries are loaded where they are used, and not before."""

import os
import subprocess
import sys

import pytest

from tests.helpers.source_tree import ROOT

TIMEOUT_S = 240
HEAVY = (
    *("av", "h5py", "hopsworks", "librosa", "modal", "numpy", "plotly", "scipy", "sklearn"),
    *("onnx", "onnxruntime", "soundfile", "sqlalchemy", "streamlit", "torch"),
)
REPORT = "import sys; print('loaded', *sorted(sys.modules))"
RUN_MODULE = """
import contextlib, runpy, sys
sys.argv = {arguments!r}
with contextlib.suppress(SystemExit):
    runpy.run_module(sys.argv[0], run_name="__main__")
"""
RUN_MONITOR = """
from streamlit.testing.v1 import AppTest
app = AppTest.from_file("app/main.py", default_timeout=200).run()
assert not app.exception, app.exception
"""
LOAD_MODEL_OF_THE_APP = """
from app.predictor import load_active_predictor
from core.settings import settings
from core.storage.opening import open_workspace
assert load_active_predictor(open_workspace(settings())).predictor.vocabulary
"""


def loaded(program: str, tmp_path) -> set[str]:
    """Return the heavy libraries that a program has loaded at its end."""
    environment = os.environ | {"EARMARK_WORKSPACE": str(tmp_path / "workspace")}
    result = subprocess.run(
        [sys.executable, "-c", f"{program}\n{REPORT}"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    assert result.returncode == 0, result.stderr
    names = result.stdout.splitlines()[-1].split()
    return set(HEAVY) & set(names)


def test_the_base_modules_load_nothing_heavy(tmp_path):
    base = "core.settings, core.errors, core.logging, core.people, core.tags, core.files"
    assert loaded(f"import {base}", tmp_path) == set()


@pytest.mark.parametrize(
    ("command", "not_loaded"),
    [
        ("core --help", set(HEAVY)),
        ("core tag --help", set(HEAVY)),
        ("jobs --help", {"torch", "librosa", "sklearn", "h5py", "hopsworks", "modal", "streamlit"}),
        ("jobs tag --help", {"torch", "librosa", "sklearn", "h5py", "hopsworks", "modal"}),
        ("training --help", {"librosa", "h5py", "hopsworks", "modal", "streamlit"}),
        ("benchmarks --help", {"librosa", "h5py", "hopsworks", "modal", "streamlit"}),
    ],
)
def test_a_command_says_what_it_can_do_without_heavy_libraries(command, not_loaded, tmp_path):
    program = RUN_MODULE.format(arguments=command.split())
    assert loaded(program, tmp_path) & not_loaded == set()


def test_a_file_is_tagged_without_the_libraries_of_training_and_the_app(examples, tmp_path):
    program = RUN_MODULE.format(arguments=["core", "tag", str(examples / "rooster.ogg")])
    not_needed = {"librosa", "sklearn", "h5py", "hopsworks", "modal", "streamlit", "plotly"}
    not_needed |= {"torch", "onnx", "scipy", "av", "sqlalchemy"}
    assert loaded(program, tmp_path) & not_needed == set()


def test_the_tagging_job_needs_no_library_of_training(tmp_path):
    program = RUN_MODULE.format(arguments=["jobs", "tag", "--limit", "1"])
    libraries = loaded(program, tmp_path)
    assert "onnxruntime" in libraries
    assert libraries & {"torch", "onnx", "librosa", "sklearn", "h5py", "streamlit"} == set()


def test_the_app_loads_its_model_without_torch(tmp_path):
    assert loaded(LOAD_MODEL_OF_THE_APP, tmp_path) & {"torch", "onnx", "librosa"} == set()


def test_the_server_starts_without_heavy_libraries(tmp_path):
    not_needed = {"torch", "librosa", "sklearn", "h5py", "av", "hopsworks", "modal"}
    assert loaded("import streamlit_app", tmp_path) & not_needed == set()


def test_the_monitor_opens_without_heavy_libraries(tmp_path):
    not_needed = {"torch", "librosa", "sklearn", "h5py", "av", "hopsworks", "modal"}
    assert loaded(RUN_MONITOR, tmp_path) & not_needed == set()
