"""From a small COALA to scored bundles and a table, with networks small enough for a test."""

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from core.audio.decode import decode
from core.model import bundle
from core.model.bundle import Scaler
from core.model.metrics import overall
from core.model.networks import PrototypeCNN
from core.model.predictor import Predictor
from tests.helpers.synthetic_coala import make_coala
from tests.servers.files import FileHost
from training import evaluate
from training.cli import main
from training.coala import coala_recipe, results_table
from training.datasets import coala, coala_conversion
from training.datasets.coala import TRAIN, divide_validation, training_data
from training.datasets.types import Frames
from training.errors import CoalaError, DownloadError
from training.pipeline import train_and_evaluate
from training.recipes import Recipe, customised
from training.trainer import train

NAMES = ("prototype", "earmark")


def tiny(name: str, data: coala.Coala, epochs: int = 4) -> Recipe:
    return customised(coala_recipe(name, data), 1, epochs, (4, 4, 8, 8), 8)


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("published")
    make_coala(folder)
    return folder


@pytest.fixture(scope="module")
def data(published, tmp_path_factory) -> coala.Coala:
    folder = tmp_path_factory.mktemp("converted") / "coala"
    return coala_conversion.convert(coala.find(published), folder)


@pytest.fixture(scope="module")
def made(data, tmp_path_factory) -> dict[str, bundle.Bundle]:
    """The bundles of both recipes, trained and scored."""
    folder = tmp_path_factory.mktemp("runs")
    bundles = {}
    for name in NAMES:
        prepared = training_data(data, scale_bands=name == "earmark")
        bundles[name] = train_and_evaluate(
            prepared,
            tiny(name, data),
            name=f"coala_{name}",
            run=folder / name,
            out=folder / name / "bundle",
        )
    return bundles


def test_the_prototypes_data_stay_log_mels_and_its_network_scales_them_as_published(
    data, published
):
    with h5py.File(published / TRAIN) as file:
        expected = file["dataset/data"][:5]
    scaler, network = training_data(data, scale_bands=False).scaler, tiny("prototype", data)
    scaled = np.stack([scaler(data.frames.clip(index)) for index in range(5)])
    columns = [np.array(network.arguments[name]) for name in ("scale", "offset")]
    np.testing.assert_allclose(scaled * columns[0] + columns[1], expected, atol=1e-3)


def test_bands_are_standardised_over_the_training_part_alone(data):
    parts = training_data(data, scale_bands=True)

    def scaled(subset) -> np.ndarray:
        return np.stack([parts.scaler(subset.frames.clip(index)) for index in subset.clips])

    np.testing.assert_allclose(scaled(parts.train).mean(axis=(0, 2)), 0, atol=1e-3)
    np.testing.assert_allclose(scaled(parts.train).std(axis=(0, 2)), 1, atol=2e-3)
    assert np.abs(scaled(parts.test).mean(axis=(0, 2))).max() > 1e-2


def test_the_parts_look_into_one_map_and_share_no_sound(data):
    parts = [data.subset(number) for number in range(3)]
    assert all(part.frames.data is data.frames.data for part in parts)
    assert isinstance(data.frames.data, np.memmap)
    sounds = [set(part.recordings.tolist()) for part in parts]
    assert not sounds[0] & sounds[1]
    assert not (sounds[0] | sounds[1]) & sounds[2]


def test_of_a_large_validation_part_other_patches_are_scored_than_calibrate(data):
    whole = data.subset(1)
    scored, calibrating = divide_validation(whole, max_patches=6)
    assert len(scored.clips) == len(calibrating.clips) == 6
    assert not set(scored.clips) & set(calibrating.clips)
    for row, clip in enumerate(scored.clips):
        np.testing.assert_array_equal(scored.labels[row], data.labels([clip])[0])


def test_a_small_validation_part_does_both(data):
    assert divide_validation(data.subset(1), max_patches=9)[0].clips.tolist() == (
        divide_validation(data.subset(1), max_patches=9)[1].clips.tolist()
    )


def test_the_prototypes_recipe_and_ours_are_in_one_table(made):
    lines = [line for line in results_table(list(made.values())).splitlines() if "|" in line]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert len(rows) == 5
    assert len({len(row) for row in rows}) == 1
    assert rows[2][0] == "student prototype, as published"
    assert rows[2][6] == ".415"
    expected = [
        ["coala_prototype", "prototype_cnn_columns", "per time column, as published"],
        ["coala_earmark", "earmark_cnn", "restored log-mel, each band standardised"],
    ]
    assert [row[:3] for row in rows[3:]] == expected
    assert all(row[5] == "18" and 0 < float(row[6]) <= 1 for row in rows[3:])


def test_the_prototypes_recipe_is_plain(made):
    recipe = made["prototype"].description["trained"]["recipe"]
    augmentations = ("masks", "gain_db", "hiss", "ema", "synthetic_negatives", "weight_decay")
    assert not any(recipe[name] for name in augmentations)


def test_a_bundle_shows_real_words_and_says_what_it_was_scored_on(made):
    for model in made.values():
        assert model.vocabulary == ("click", "hiss", "bass", "noise", "rare")
        assert model.spelled == ("click", "his", "bas", "noise", "rare")
        assert "published validation file, 18 patches" in model.metrics["split"]
        assert model.metrics["clips"] == 18
        trained = model.description["trained"]
        assert trained["clips"] == {"train": 42, "validation": 18, "test": 18}
        assert trained["test_recordings"] == []
        assert len(model.metrics["history"]) == 4


def test_the_prototypes_bundle_scales_columns_inside_the_network(made, data, published):
    model = made["prototype"]
    assert model.architecture == "prototype_cnn_columns"
    plain = PrototypeCNN(5, channels=(4, 4, 8, 8), hidden=8).eval()
    plain.load_state_dict(model.network().state_dict())
    scaled = np.stack([model.scaler(data.frames.clip(index)) for index in range(4)])
    with h5py.File(published / TRAIN) as file, torch.inference_mode():
        expected = plain(torch.from_numpy(file["dataset/data"][:4])).logits
        logits = model.network()(torch.from_numpy(scaled)).logits
    torch.testing.assert_close(logits, expected, atol=2e-3, rtol=1e-2)


def test_the_published_scores_are_those_of_the_bundles_own_network_and_scaler(made, data):
    test = data.subset(2)
    for model in made.values():
        logits = evaluate.clip_logits(model.network(), test, model.scaler, "mean")
        scores = overall(test.labels, model.calibration.probabilities(logits))
        assert evaluate.rounded(scores) == pytest.approx(model.metrics["overall"], abs=2e-3)


def test_training_sees_the_columns_scaled_as_the_published_patches_are(data, published, tmp_path):
    with h5py.File(published / TRAIN) as file:
        scaled = file["dataset/data"][:]
    log_mels, validation = training_data(data, scale_bands=False).train, data.subset(1)
    as_published = replace(log_mels, frames=Frames.joined(list(scaled)))
    unscaled = Scaler(np.zeros(1, np.float32), np.ones(1, np.float32))
    by_column = tiny("prototype", data, epochs=2)
    sizes = {name: by_column.arguments[name] for name in ("channels", "hidden")}
    plain = replace(by_column, architecture="prototype_cnn", arguments=sizes)
    bands = training_data(data, scale_bands=True).scaler
    losses = []
    cases = (
        (by_column, log_mels, unscaled),
        (plain, as_published, unscaled),
        (plain, log_mels, bands),
    )
    for number, (recipe, subset, scaler) in enumerate(cases):
        _, progress = train(recipe, subset, validation, scaler, tmp_path / str(number))
        losses.append([row["loss"] for row in progress.history])
    assert losses[0] == pytest.approx(losses[1], abs=1e-3)
    assert losses[0] != pytest.approx(losses[2], abs=1e-3)


def test_both_bundles_tag_a_whole_sound(made, examples):
    recording = decode(examples / "rain-on-leaves.ogg")
    for model in made.values():
        prediction = Predictor(model).predict(recording)
        assert {score.tag for score in prediction.top} == set(model.vocabulary)
        assert np.isfinite(prediction.probabilities).all()


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["coala", *arguments])


def test_one_command_converts_trains_and_prints_the_table(published, tmp_path):
    folders = ["--store", str(tmp_path / "patches"), "--run", str(tmp_path / "run")]
    sizes = ["--channels", "2,2,2,2", "--hidden", "4", "--epochs", "1", "--recipe", "prototype"]
    done = invoke("--data", str(published), *folders, *sizes)
    assert done.exit_code == 0, done.output
    assert "student prototype, as published" in done.stdout
    row = "| coala_prototype | prototype_cnn_columns | per time column, as published |"
    assert row in done.stdout
    made = bundle.load(tmp_path / "run" / "prototype-seed1" / "bundle")
    assert made.name == "coala_prototype"


def test_several_processes_do_not_convert_at_once(published, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")  # as torchrun sets it for each of two
    done = invoke("--data", str(published), "--store", str(tmp_path / "patches"))
    assert isinstance(done.exception, CoalaError)
    assert "run with --convert-only first" in str(done.exception)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_coala_is_said(tmp_path):
    done = invoke("--data", str(tmp_path), "--store", str(tmp_path / "patches"))
    assert isinstance(done.exception, CoalaError)
    assert "There is no spec_tags_top_1000 in" in str(done.exception)


def test_wrong_widths_are_refused(published):
    done = invoke("--data", str(published), "--channels", "1,2")
    assert done.exit_code == 2
    assert "four whole numbers" in done.output


def test_a_host_that_cannot_be_reached_is_one_sentence(tmp_path):
    with FileHost() as gone:
        url = gone.url
    with pytest.raises(DownloadError, match="cannot be reached"):
        coala.download(tmp_path, url)
