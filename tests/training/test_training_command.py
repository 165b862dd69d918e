"""The command line as a person calls it: in a process of its own, with signals and a full disk."""

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from core.model import audio, bundle
from core.model.tagger import Tagger

ROOT = Path(__file__).parents[2]
EPOCHS = 25  # enough of them that a run is still under way when its second epoch has been reported
ONE_THREAD = os.environ | {"OMP_NUM_THREADS": "1"}
SMALL_FILES = """
import resource, runpy
resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
runpy.run_module("training", run_name="__main__")
"""


def options(data: Path, folder: Path, epochs: int = EPOCHS) -> list[str]:
    return [
        "clips", "--data", str(data), "--out", str(folder / "bundle"), "--run", str(folder / "run"), "--name", "tiny", "--epochs",
        str(epochs), "--channels", "4,4,8,8", "--hidden", "8", "--least-recordings", "4", "--licence", "CC0",
    ]  # fmt: skip


def training(*arguments: str, code: tuple[str, ...] = ("-m", "training")) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, *code, *arguments], cwd=ROOT, env=ONE_THREAD, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def never_stopped(clip_folder, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    done = training(*options(clip_folder, folder))
    assert done.returncode == 0, done.stderr
    assert "held-out" in done.stdout
    return folder / "bundle"


def stop_after_epoch(number: int, arguments: list[str]) -> tuple[int, str]:
    """Run until that epoch is reported, press Ctrl-C, and return the exit status and what was said from then on."""
    command = [sys.executable, "-m", "training", *arguments]
    with subprocess.Popen(command, cwd=ROOT, env=ONE_THREAD, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.split()[:2] == ["epoch", str(number)]:
                process.send_signal(signal.SIGINT)
                break
        rest = process.stderr.read()
    return process.returncode, rest


def test_a_run_writes_a_bundle_that_the_tagger_loads(never_stopped, clip_folder):
    assert sorted(path.name for path in never_stopped.iterdir()) == sorted(bundle.FILES)
    tagger = Tagger.from_folder(never_stopped)
    assert tagger.vocabulary == ("click", "hiss", "hum")
    tagging = tagger.tag(audio.load(next(clip_folder.glob("hiss-*.wav"))))
    assert len(tagging.top) == 3


def test_metrics_say_how_good_it_is_on_what_and_how_it_got_there(never_stopped):
    metrics = json.loads((never_stopped / "metrics.json").read_text())
    model = json.loads((never_stopped / "model.json").read_text())
    assert set(metrics) >= {"overall", "per_tag", "curves", "reliability", "split", "baseline", "validation", "history"}
    assert set(metrics["per_tag"]) == {"click", "hiss", "hum"}
    assert all(row["clips"] >= row["recordings"] >= 1 for row in metrics["per_tag"].values())
    assert sum(row["clips"] for row in metrics["per_tag"].values()) == metrics["clips"] == model["trained"]["clips"]["test"]
    assert metrics["recordings"] == len(model["trained"]["test_recordings"]) == model["trained"]["recordings"]["test"]
    assert [row["epoch"] for row in metrics["history"]] == list(range(1, EPOCHS + 1))
    assert metrics["history"][model["trained"]["best_epoch"] - 1] == metrics["validation"]
    assert model["licence"] == "CC0"


@pytest.fixture(scope="module")
def stopped(clip_folder, tmp_path_factory) -> tuple[Path, int, str]:
    """The folder of a run that was stopped with Ctrl-C on its way, its exit status and what it said."""
    folder = tmp_path_factory.mktemp("stopped")
    return folder, *stop_after_epoch(2, options(clip_folder, folder))


def test_ctrl_c_stops_at_once_and_says_how_to_go_on(stopped):
    folder, status, said = stopped
    assert status != 0
    assert "Run the same command again to go on" in said
    assert "Traceback" not in said
    assert (folder / "run" / "last.safetensors").exists()
    assert not (folder / "bundle").exists()


def test_neither_ctrl_c_nor_a_full_disk_changes_the_bundle_in_the_end(never_stopped, stopped, clip_folder):
    folder, _, _ = stopped
    before = (folder / "run" / "last.safetensors").read_bytes()
    full = training(*options(clip_folder, folder), code=("-c", SMALL_FILES))  # the write ends half-way, as on a full disk
    assert full.returncode != 0
    assert "cannot be written" in full.stderr
    assert "Traceback" not in full.stderr
    assert (folder / "run" / "last.safetensors").read_bytes() == before
    done = training(*options(clip_folder, folder))
    assert "Going on after epoch" in done.stderr
    for name in bundle.FILES:
        assert (folder / "bundle" / name).read_bytes() == (never_stopped / name).read_bytes(), name


def test_help_names_the_options():
    done = training("clips", "--help")
    assert done.returncode == 0
    assert all(option in done.stdout for option in ("--data", "--out", "--run", "--epochs", "--seed"))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["--data", "no-such-folder"], "no-such-folder"),
        (["--channels", "32,64"], "four whole numbers"),
        (["--channels", "a,b,c,d"], "four whole numbers"),
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


def one_recording_each(folder: Path) -> str:
    (folder / "a.wav").write_bytes(b"not sound")
    (folder / "clips.csv").write_text("file,freesound_id,tags\na.wav,1,dog\n")
    return "too few"


def not_sound(folder: Path) -> str:
    (folder / "a.wav").write_bytes(b"not sound")
    with (folder / "clips.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["file", "freesound_id", "tags"], *(["a.wav", str(n), "dog"] for n in range(40))])
    return "a.wav"


@pytest.mark.parametrize("spoil", [without_list, one_recording_each, not_sound])
def test_data_that_cannot_be_used_give_one_sentence_and_no_traceback(tmp_path, spoil):
    folder = tmp_path / "clips"
    folder.mkdir()
    said = spoil(folder)
    done = training(*options(folder, tmp_path))
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert said in last
    assert last.endswith(".")
    assert "Traceback" not in done.stderr
