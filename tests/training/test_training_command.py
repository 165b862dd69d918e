"""The command line as a person calls it: in a process of its own, with signals and a full disk."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from core.audio.decode import decode
from core.errors import EarmarkError
from core.model import bundle
from core.model.predictor import Predictor
from training.cli import main

ROOT = Path(__file__).parents[2]
EPOCHS = 6
ENDLESS = 1_000_000
ONE_THREAD = os.environ | {"OMP_NUM_THREADS": "1"}
SMALL_FILES = """
import resource, runpy
resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
runpy.run_module("training", run_name="__main__")
"""
INTERRUPTED = """
import logging, os, runpy, signal

class CtrlC(logging.Handler):
    def emit(self, record):
        if record.getMessage().startswith("epoch number=2 "):
            os.kill(os.getpid(), signal.SIGINT)

logging.getLogger("training").addHandler(CtrlC())
runpy.run_module("training", run_name="__main__")
"""
"""Ctrl-C exactly when the second epoch is done, however fast or busy the machine is."""


def options(data: Path, folder: Path, epochs: int = EPOCHS) -> list[str]:
    places = {"--data": data, "--out": folder / "bundle", "--run": folder / "run"}
    sizes = {"--epochs": epochs, "--channels": "4,4,8,8", "--hidden": 8, "--min-recordings": 4}
    texts = {"--name": "tiny", "--license": "CC0"}
    return ["clips", *(str(part) for pair in (places | sizes | texts).items() for part in pair)]


def training(
    *arguments: str, code: tuple[str, ...] = ("-m", "training")
) -> subprocess.CompletedProcess:
    command = [sys.executable, *code, *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=ONE_THREAD, capture_output=True, text=True, timeout=300
    )


@pytest.fixture(scope="module")
def never_stopped(clip_folder, tmp_path_factory) -> Path:
    """The folder of a run that was never stopped."""
    folder = tmp_path_factory.mktemp("whole")
    done = training(*options(clip_folder, folder))
    assert done.returncode == 0, done.stderr
    assert "held-out" in done.stdout
    return folder


def test_a_run_writes_a_bundle_that_the_predictor_loads(never_stopped, clip_folder):
    folder = never_stopped / "bundle"
    assert sorted(path.name for path in folder.iterdir()) == sorted(bundle.FILES)
    predictor = Predictor.from_folder(folder)
    assert predictor.vocabulary == ("click", "hiss", "hum")
    prediction = predictor.predict(decode(next(clip_folder.glob("hiss-*.wav"))))
    assert len(prediction.top) == 3


def test_metrics_say_how_good_it_is_on_what_and_how_it_got_there(never_stopped):
    metrics = json.loads((never_stopped / "bundle" / "metrics.json").read_text())
    model = json.loads((never_stopped / "bundle" / "model.json").read_text())
    trained, rows = model["trained"], metrics["per_tag"].values()
    parts = {"overall", "per_tag", "curves", "reliability", "split", "baseline", "validation"}
    assert set(metrics) >= parts | {"history", "thresholds", "intervals"}
    assert set(metrics["per_tag"]) == {"click", "hiss", "hum"}
    assert all(row["clips"] >= row["recordings"] >= 1 for row in rows)
    assert sum(row["clips"] for row in rows) == metrics["clips"] == trained["clips"]["test"]
    assert metrics["recordings"] == len(trained["test_recordings"])
    assert metrics["recordings"] == trained["recordings"]["test"]
    assert [row["epoch"] for row in metrics["history"]] == list(range(1, EPOCHS + 1))
    assert metrics["history"][trained["best_epoch"] - 1] == metrics["validation"]
    assert model["license"] == "CC0"


def await_file(path: Path, process: subprocess.Popen) -> None:
    """Wait until the running process has written the file."""
    deadline = time.monotonic() + 120
    while not path.exists():
        assert process.poll() is None, "the process ended before"
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_ctrl_c_stops_at_once_and_says_how_to_go_on(clip_folder, tmp_path):
    command = [sys.executable, "-m", "training", *options(clip_folder, tmp_path, ENDLESS)]
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, env=ONE_THREAD, text=True, **pipes) as process:
        await_file(tmp_path / "run" / "last.safetensors", process)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Run the same command again to go on" in said
    assert "Traceback" not in said
    assert not (tmp_path / "bundle").exists()


@pytest.fixture(scope="module")
def stopped(clip_folder, tmp_path_factory) -> Path:
    """The folder of a run that Ctrl-C stopped after its second epoch."""
    folder = tmp_path_factory.mktemp("stopped")
    done = training(*options(clip_folder, folder), code=("-c", INTERRUPTED))
    assert done.returncode == 130, done.stderr
    assert "epoch number=3 " not in done.stderr
    assert not (folder / "bundle").exists()
    return folder


def test_neither_ctrl_c_nor_a_full_disk_changes_the_bundle_in_the_end(
    never_stopped, stopped, clip_folder, caplog
):
    before = (stopped / "run" / "last.safetensors").read_bytes()
    # The write of a checkpoint ends half-way, as on a full disk.
    full = training(*options(clip_folder, stopped), code=("-c", SMALL_FILES))
    assert full.returncode != 0
    assert "cannot be written" in full.stderr
    assert "Traceback" not in full.stderr
    assert (stopped / "run" / "last.safetensors").read_bytes() == before
    caplog.set_level("INFO", "training")
    main(options(clip_folder, stopped), standalone_mode=False)
    assert "training resumed epoch=2 of=6" in caplog.messages
    assert_same_bundle(stopped, never_stopped)


def test_a_full_disk_while_the_bundle_is_written_is_one_sentence(
    never_stopped, clip_folder, tmp_path
):
    shutil.copytree(never_stopped / "run", tmp_path / "run")  # all epochs are done
    full = training(*options(clip_folder, tmp_path), code=("-c", SMALL_FILES))
    assert full.returncode != 0
    assert "cannot be written" in full.stderr.strip().splitlines()[-1]
    assert "Traceback" not in full.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    main(options(clip_folder, tmp_path), standalone_mode=False)
    assert_same_bundle(tmp_path, never_stopped)


def assert_same_bundle(folder: Path, other: Path) -> None:
    for name in bundle.FILES:
        data = (folder / "bundle" / name).read_bytes()
        assert data == (other / "bundle" / name).read_bytes(), name


def test_a_bundle_is_scored_again_from_the_command_line(never_stopped, clip_folder, tmp_path):
    places = {"--bundle": never_stopped / "bundle", "--data": clip_folder, "--run": tmp_path}
    arguments = [str(part) for pair in places.items() for part in pair]
    done = CliRunner().invoke(main, ["evaluate", *arguments], catch_exceptions=False)
    assert done.exit_code == 0
    stated = bundle.load(never_stopped / "bundle").metrics["overall"]["pr_auc_macro"]
    [line] = [line for line in done.stdout.splitlines() if line.startswith("pr_auc_macro")]
    assert float(line.split()[1]) == pytest.approx(stated, abs=2e-3)


def test_help_names_the_options():
    done = training("clips", "--help")
    assert done.returncode == 0
    options = ("--data", "--out", "--run", "--epochs", "--seed")
    assert all(option in done.stdout for option in options)


def test_help_imports_neither_torch_nor_librosa_nor_h5py():
    code = (
        "import sys, training.cli; print(sorted({'torch', 'librosa', 'h5py'} & set(sys.modules)))"
    )
    done = training(code=("-c", code))
    assert done.stdout.strip() == "[]"


def test_training_on_clips_imports_neither_librosa_nor_h5py():
    modules = "training.pipeline, training.datasets.clips, training.coala, training.datasets.coala"
    code = f"import sys, {modules}; print(sorted({{'librosa', 'h5py'}} & set(sys.modules)))"
    done = training(code=("-c", code))
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["--data", "no-such-folder"], "no-such-folder"),
        (["--channels", "32,64"], "four whole numbers"),
        (["--channels", "a,b,c,d"], "four whole numbers"),
        (["--channels", "32,64,0,8"], "four whole numbers"),
        (["--name", "My Model"], "a-z, 0-9 and _"),
        (["--epochs", "0"], "--epochs"),
    ],
)
def test_a_wrong_option_is_refused_before_anything_is_done(clip_folder, tmp_path, wrong, said):
    done = training(*options(clip_folder, tmp_path), *wrong)
    assert done.returncode != 0
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def without_list(folder: Path) -> str:
    return "There is no clips.csv in"


def single_recording(folder: Path) -> str:
    (folder / "a.wav").write_bytes(b"not sound")
    (folder / "clips.csv").write_text("file,freesound_id,tags\na.wav,1,dog\n")
    return "too few"


def not_sound(folder: Path) -> str:
    (folder / "a.wav").write_bytes(b"not sound")
    rows = [["file", "freesound_id", "tags"], *(["a.wav", str(n), "dog"] for n in range(40))]
    with (folder / "clips.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return "a.wav"


@pytest.mark.parametrize("spoil", [without_list, single_recording, not_sound])
def test_data_that_cannot_be_used_give_one_sentence(tmp_path, spoil):
    folder = tmp_path / "clips"
    folder.mkdir()
    said = spoil(folder)
    with pytest.raises(EarmarkError) as raised:
        main(options(folder, tmp_path), standalone_mode=False)
    assert said in str(raised.value)
    assert str(raised.value).endswith(".")
    assert "\n" not in str(raised.value)


def test_an_error_is_shown_without_a_traceback(tmp_path):
    done = training(*options(tmp_path, tmp_path))
    assert done.returncode != 0
    assert done.stderr.strip() == f"There is no clips.csv in {tmp_path}."
