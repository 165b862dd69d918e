"""From a small COALA to scored bundles and tables, with networks small enough for a test."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from core.metrics import overall
from core.model import audio, bundle
from core.model.bundle import Scaler
from core.model.networks import SeedCNN
from core.model.tagger import Tagger
from tests.training.synthetic_coala import make_coala
from training import coala, coala_training, evaluate
from training.coala import TRAIN
from training.coala_training import CoalaRunError, ColumnScaling, configured, scaler_for
from training.datasets import Frames
from training.solver import train

ROOT = Path(__file__).parents[2]
ONE_THREAD = os.environ | {"OMP_NUM_THREADS": "1"}
TINY = {"channels": [4, 4, 8, 8], "hidden": 8}


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("published")
    make_coala(folder)
    return folder


@pytest.fixture(scope="module")
def data(published, tmp_path_factory):
    return coala.prepare(coala.find(published), tmp_path_factory.mktemp("converted") / "coala")


@pytest.fixture(scope="module")
def runs(data, tmp_path_factory) -> tuple[Path, dict[str, bundle.Bundle]]:
    """Both configurations, trained and scored: the folder of the runs, and the bundles."""
    folder = tmp_path_factory.mktemp("runs")
    made = {}
    for name in ("seed", "earmark"):
        configuration = configured(name, None, seed=1, epochs=4, arguments=TINY)
        made[name] = coala_training.run(data, f"coala_{name}", configuration, folder / name, folder / name / "bundle")
    return folder, made


def patches(data, part: int) -> np.ndarray:
    return np.stack([data.frames.clip(index) for index in data.part(part)])


def test_the_scaling_as_published_gives_the_published_patches(data, published):
    with h5py.File(published / TRAIN) as file:
        wanted = file["dataset/data"][:5]
    scaler = scaler_for("columns", data)
    np.testing.assert_allclose(np.stack([scaler(data.frames.clip(index)) for index in range(5)]), wanted, atol=1e-3)


def test_bands_are_standardised_over_the_training_part_alone(data):
    scaler = scaler_for("bands", data)
    scaled = np.stack([scaler(patch) for patch in patches(data, 0)])
    np.testing.assert_allclose(scaled.mean(axis=(0, 2)), 0, atol=1e-3)
    np.testing.assert_allclose(scaled.std(axis=(0, 2)), 1, atol=2e-3)
    assert np.abs(np.stack([scaler(patch) for patch in patches(data, 2)]).mean(axis=(0, 2))).max() > 1e-2


def test_a_global_scaling_has_one_mean_and_one_spread(data):
    scaler = scaler_for("global", data)
    learned = patches(data, 0)
    assert scaler.mean.shape == scaler.std.shape == (1,)
    assert float(scaler.mean[0]) == pytest.approx(learned.mean(), abs=1e-3)
    assert float(scaler.std[0]) == pytest.approx(learned.std(), abs=5e-3)


def test_the_parts_look_into_one_map_and_share_no_sound(data):
    parts = coala_training.parts(data)
    assert all(part.frames.data is data.frames.data for part in parts)
    assert isinstance(data.frames.data, np.memmap)
    sounds = [set(part.recordings.tolist()) for part in parts]
    assert not sounds[0] & sounds[1]
    assert not (sounds[0] | sounds[1]) & sounds[2]


def test_of_a_large_validation_part_other_patches_are_watched_than_calibrate(data, monkeypatch):
    monkeypatch.setattr(coala_training, "AT_MOST", 6)
    whole = coala_training.parts(data)[1]
    watched, calibrating = coala_training.shared_out(whole)
    assert len(watched.clips) == len(calibrating.clips) == 6
    assert not set(watched.clips) & set(calibrating.clips)
    for row, clip in enumerate(watched.clips):
        np.testing.assert_array_equal(watched.labels[row], data.labels([clip])[0])


def test_the_prototypes_recipe_and_ours_write_one_table(runs):
    folder, _ = runs
    rows = json.loads((folder / "table.json").read_text())
    assert set(rows) == {"seed", "earmark"}
    assert (rows["seed"]["network"], rows["earmark"]["network"]) == ("seed_cnn", "earmark_cnn")
    assert all(row["patches"] == 18 and 0 < row["pr_auc_macro"] <= 1 for row in rows.values())
    said = coala_training.results(folder)
    lines = [line for line in said.splitlines() if line.startswith("|")]
    assert len(lines) == 5
    assert lines[2].split("|")[1].strip() == "the student prototype, as published"
    assert ".415" in lines[2]
    assert len({line.count("|") for line in lines}) == 1


def test_the_prototypes_recipe_is_plain(runs):
    recipe = json.loads((runs[0] / "table.json").read_text())["seed"]["recipe"]
    assert (recipe["mixup"], recipe["masks"], recipe["gain_db"], recipe["ema"], recipe["without_tags"]) == (0, False, 0, 0, 0)


def test_a_bundle_shows_real_words_and_says_what_it_was_scored_on(runs):
    for made in runs[1].values():
        assert made.vocabulary == ("click", "hiss", "bass", "noise", "rare")
        assert made.spelled == ("click", "his", "bas", "noise", "rare")
        assert "published validation file, 18 patches" in made.metrics["split"]
        assert made.metrics["clips"] == 18
        assert made.description["trained"]["clips"] == {"train": 42, "validation": 18, "test": 18}
        assert len(made.metrics["history"]) == 4


def test_the_prototypes_bundle_scales_columns_inside_the_network(runs, data, published):
    made = runs[1]["seed"]
    assert made.architecture == "seed_cnn_columns"
    plain = SeedCNN(5, **TINY).eval()
    plain.load_state_dict(made.network().state_dict())
    with h5py.File(published / TRAIN) as file, torch.inference_mode():
        wanted = plain(torch.from_numpy(file["dataset/data"][:4])).logits
        found = made.network()(torch.from_numpy(np.stack([made.scaler(data.frames.clip(index)) for index in range(4)]))).logits
    torch.testing.assert_close(found, wanted, atol=2e-3, rtol=1e-2)


def test_the_published_scores_are_those_of_the_bundles_own_network_and_scaler(runs, data):
    test = coala_training.parts(data)[2]
    for made in runs[1].values():
        logits = evaluate.clip_logits(made.network(), test.frames, test.clips, made.scaler, lambda windows: windows[0])
        scores = overall(test.labels, made.calibration.probabilities(logits))
        assert evaluate.rounded(scores) == pytest.approx(made.metrics["overall"], abs=2e-3)


def test_training_sees_the_columns_scaled_as_the_published_patches_are(data, published, tmp_path):
    with h5py.File(published / TRAIN) as file:
        scaled = file["dataset/data"][:]
    part = coala_training.parts(data)[0]
    as_published = replace(part, frames=Frames.joined(list(scaled)))
    plain = Scaler(np.zeros(1, np.float32), np.ones(1, np.float32))
    recipe = configured("seed", None, seed=1, epochs=2, arguments=TINY).recipe
    losses = []
    for one, scaler in ((part, scaler_for("columns", data)), (as_published, plain), (part, scaler_for("bands", data))):
        _, progress = train(recipe, one, None, scaler, tmp_path / str(len(losses)), quiet=True)
        losses.append([row["loss"] for row in progress.history])
    assert losses[0] == pytest.approx(losses[1], abs=1e-3)
    assert losses[0] != pytest.approx(losses[2], abs=1e-3)


def test_both_bundles_tag_a_whole_sound(runs, examples):
    for made in runs[1].values():
        tagging = Tagger(made).tag(audio.load(examples / "rain-on-leaves.ogg"))
        assert {one.tag for one in tagging.top} == set(made.vocabulary)
        assert np.isfinite(tagging.probabilities).all()


def test_a_scaling_that_no_bundle_can_hold_is_refused_before_anything_is_trained(data, tmp_path):
    with pytest.raises(CoalaRunError, match="cannot scale them by a patch's columns"):
        coala_training.run(data, "x", configured("earmark", "columns", 1, 1, TINY), tmp_path / "run", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def compared(data, tmp_path_factory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("scalings")
    return folder, coala_training.compare_scalings(data, "earmark", folder, seed=1, epochs=2, arguments=TINY)


def test_all_three_scalings_are_tabulated_on_validation(compared):
    folder, said = compared
    assert said.startswith("COALA validation")
    for words in coala_training.SCALINGS.values():
        assert words in said
    rows = json.loads((folder / "scalings.json").read_text())
    assert len(rows) == 3
    assert len({row["pr_auc_macro"] for row in rows.values()}) > 1
    assert all(row["best_epoch"] in (1, 2) for row in rows.values())


def test_what_stands_in_the_table_is_not_trained_again(compared, data):
    folder, said = compared
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    assert coala_training.compare_scalings(data, "earmark", folder, seed=1, epochs=2, arguments=TINY) == said
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()} == before


def test_a_table_that_cannot_be_read_is_left_alone(compared, data, tmp_path):
    (tmp_path / "scalings.json").write_text("{torn")
    with pytest.raises(CoalaRunError, match="cannot be read"):
        coala_training.compare_scalings(data, "earmark", tmp_path, seed=1, epochs=1, arguments=TINY)
    assert (tmp_path / "scalings.json").read_text() == "{torn"


def test_a_column_scaling_treats_every_band_alike():
    scaler = ColumnScaling(np.arange(96, dtype=np.float32)[None], np.full((1, 96), 2, np.float32))
    scaled = scaler(np.ones((96, 96), np.float32))
    np.testing.assert_array_equal(scaled[0], scaled[50])
    np.testing.assert_array_equal(scaled[0], (1 - np.arange(96)) / 2)


def training(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "training", "coala", *arguments]
    return subprocess.run(command, cwd=ROOT, env=ONE_THREAD, capture_output=True, text=True, timeout=120)


def test_one_command_converts_trains_and_prints_the_table(published, tmp_path):
    folders = ["--store", str(tmp_path / "patches"), "--run", str(tmp_path / "run")]
    sizes = ["--channels", "2,2,2,2", "--hidden", "4", "--epochs", "1", "--recipe", "seed"]
    done = training("--data", str(published), *folders, *sizes)
    assert done.returncode == 0, done.stderr
    assert "the student prototype, as published" in done.stdout
    assert "| seed-columns-seed1 | seed_cnn | per time column, as published |" in done.stdout
    assert bundle.load(tmp_path / "run" / "seed-columns-seed1" / "bundle").name == "coala_seed"


def test_several_processes_do_not_convert_at_once(published, tmp_path, monkeypatch):
    monkeypatch.setitem(ONE_THREAD, "WORLD_SIZE", "2")  # as torchrun tells each of two
    done = training("--data", str(published), "--store", str(tmp_path / "patches"))
    assert done.returncode != 0
    assert "run with --convert-only first" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--data", "{empty}"], "There is no spec_tags_top_1000 in"),
        (["--data", "{published}", "--channels", "1,2"], "four whole numbers"),
        (["--zenodo", "http://127.0.0.1:9", "--downloads", "{empty}"], "cannot be reached"),
    ],
)
def test_what_cannot_work_is_one_sentence(published, tmp_path, arguments, said):
    (tmp_path / "empty").mkdir()
    filled = [one.format(empty=tmp_path / "empty", published=published) for one in arguments]
    done = training(*filled, "--store", str(tmp_path / "patches"), "--run", str(tmp_path / "run"))
    assert done.returncode != 0
    assert said in done.stderr
    assert "Traceback" not in done.stderr
