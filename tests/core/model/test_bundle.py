"""A bundle is a whole, fitting folder of plain files, or an error that says in one sentence what is wrong with it."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_bundle import DESCRIPTION, METRICS, TAGS, parts, saved, tiny_network

from core.model import bundle as bundles
from core.model.bundle import FILES, STARTER, BundleError, Calibration, Scaler
from core.model.logmel import COALA
from core.model.tagger import Tagger


def refusal(folder: Path) -> str:
    """What making a tagger of the folder says: one sentence that names the folder or the part."""
    with pytest.raises(BundleError) as caught:
        Tagger.from_folder(folder)
    sentence = str(caught.value)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert not re.search(r"\. [A-Z]", sentence), f"more than one sentence: {sentence}"
    return sentence


def rewrite(path: Path, **changed) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))


@pytest.fixture(scope="session")
def _original(tmp_path_factory) -> Path:
    return saved(tmp_path_factory.mktemp("bundle") / "tiny").folder


@pytest.fixture
def folder(_original, tmp_path) -> Path:
    """A whole bundle of one's own, to damage."""
    return shutil.copytree(_original, tmp_path / "tiny")


def test_what_was_saved_is_what_is_loaded(tmp_path):
    given = parts()
    loaded = bundles.load(saved(tmp_path / "deep" / "tiny").folder)

    assert (loaded.name, loaded.architecture, loaded.pooling) == ("tiny", "seed_cnn", "top_half")
    assert (loaded.arguments, loaded.vocabulary, loaded.metrics) == (DESCRIPTION["arguments"], TAGS, given["metrics"])
    assert loaded.description == DESCRIPTION
    assert loaded.front_end == COALA
    for part in ("mean", "std"):
        np.testing.assert_allclose(getattr(loaded.scaler, part), getattr(given["scaler"], part), atol=1e-6)
    for part in ("slope", "offset", "threshold"):
        np.testing.assert_allclose(getattr(loaded.calibration, part), getattr(given["calibration"], part), atol=1e-6)


@torch.inference_mode()
def test_a_loaded_network_gives_the_answers_of_the_saved_one(folder):
    patches = torch.randn(4, 96, 96)

    network = bundles.load(folder).network()

    assert not network.training
    torch.testing.assert_close(network(patches).logits, tiny_network()(patches).logits, atol=0.01, rtol=0.01)  # kept in half precision


def test_a_bundle_is_six_plain_files_and_no_pickle(folder):
    assert {path.name for path in folder.iterdir()} == set(FILES)
    assert {path.suffix for path in folder.iterdir()} == {".json", ".safetensors"}


def test_a_scaler_of_one_number_for_all_bands_does_too(tmp_path):
    whole = saved(tmp_path / "tiny", scaler=Scaler(np.array([-8.0], np.float32), np.array([2.0], np.float32)))

    np.testing.assert_allclose(whole.scaler(np.full((96, 3), -4, np.float32)), 2.0)


def test_the_scaler_works_per_band():
    scaler = Scaler(np.array([1, 2], np.float32), np.array([1, 10], np.float32))

    np.testing.assert_allclose(scaler(np.array([[1, 3], [12, 2]], np.float32)), [[0, 2], [1, 0]])


def test_calibrated_probabilities_are_sigmoids():
    calibration = Calibration(np.array([1, 2], np.float32), np.array([0, -1], np.float32), np.array([0.5, 0.5], np.float32))

    np.testing.assert_allclose(
        calibration.probabilities(np.array([[0, 0], [np.log(3), 0.5]], np.float32)), [[0.5, 0.26894], [0.75, 0.5]], atol=1e-4
    )


@pytest.mark.filterwarnings("error")
def test_extreme_logits_are_still_probabilities():
    calibration = Calibration(np.ones(2, np.float32), np.zeros(2, np.float32), np.full(2, 0.5, np.float32))

    np.testing.assert_allclose(calibration.probabilities(np.array([80.0, -80.0], np.float32)), [1, 0], atol=1e-6)


# --- Damage -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()

    assert f"lacks {name}" in refusal(folder)


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".json")])
@pytest.mark.parametrize("content", [b"", b"{", b"[1, 2]", b"null", b"\xff\xfe\x00", b'{"name": '])
def test_a_file_that_is_no_json_object_is_named(folder, name, content):
    (folder / name).write_bytes(content)

    assert name in refusal(folder)


def test_a_folder_that_is_not_there_says_so(tmp_path):
    assert "lacks model.json" in refusal(tmp_path / "nowhere")


@pytest.mark.parametrize("key", ["name", "architecture", "arguments", "front_end", "pooling"])
def test_a_description_without_a_needed_entry_says_which(folder, key):
    model = json.loads((folder / "model.json").read_text())
    del model[key]
    (folder / "model.json").write_text(json.dumps(model))

    assert key in refusal(folder)


@pytest.mark.parametrize("part", ["slope", "offset", "threshold"])
@pytest.mark.parametrize("values", [[1.0, 1.0], [1.0] * 4, [], [1.0, float("nan"), 1.0], [1.0, float("inf"), 1.0]])
def test_calibration_must_be_one_number_per_tag(folder, part, values):
    rewrite(folder / "calibration.json", **{part: values})

    assert "calibration.json" in refusal(folder)


@pytest.mark.parametrize(
    "tags",
    [
        {"0": "bark", "2": "rain", "3": "dog"},
        {"0": "bark", "1": "dog", "2": "bark"},
        {"1": "bark", "2": "dog", "3": "rain"},
        {},
        {"0": "bark", "1": "dog"},
        {"0": "bark", "1": "dog", "2": "rain", "3": "wind"},
    ],
    ids=["gap", "duplicate", "from one", "empty", "too few", "too many"],
)
def test_the_vocabulary_must_be_gapless_distinct_and_as_long_as_the_rest(folder, tags):
    (folder / "id2tag.json").write_text(json.dumps(tags))

    refusal(folder)


def test_an_unknown_architecture_is_named(folder):
    rewrite(folder / "model.json", architecture="transformer")

    assert "architecture 'transformer'" in refusal(folder)


def test_arguments_that_the_architecture_does_not_take_are_refused(folder):
    rewrite(folder / "model.json", arguments={"depth": 12})

    assert "arguments that seed_cnn does not take" in refusal(folder)


def test_an_unknown_pooling_is_named(folder):
    rewrite(folder / "model.json", pooling="attention")

    assert "pooling" in refusal(folder)


@pytest.mark.parametrize("name", ["", "Starter", "my model", "../up", "ünï"])
def test_names_are_those_that_the_registry_accepts(folder, name):
    rewrite(folder / "model.json", name=name)

    assert "name" in refusal(folder)


def test_an_unknown_front_end_parameter_is_named(folder):
    rewrite(folder / "model.json", front_end={"rate": 22_000, "fmax": 8_000})

    assert "fmax" in refusal(folder)


def test_a_front_end_of_other_bands_than_the_scalers_is_refused(folder):
    rewrite(folder / "model.json", front_end={"bands": 64})

    assert "64" in refusal(folder)


def test_a_front_end_of_other_bands_than_the_networks_is_refused(tmp_path):
    with pytest.raises(BundleError, match="96 bands"):
        saved(
            tmp_path / "tiny",
            description=DESCRIPTION | {"front_end": {"bands": 64}},
            scaler=Scaler(np.zeros(64, np.float32), np.ones(64, np.float32)),
        )


@pytest.mark.parametrize(
    "scaler",
    [
        {"mean": [0.0] * 95, "std": [1.0] * 95},
        {"mean": [0.0] * 96, "std": [1.0] * 95},
        {"mean": [0.0] * 96, "std": [1.0] * 95 + [0.0]},
        {"mean": [0.0] * 96, "std": [1.0] * 95 + [-1.0]},
        {"mean": [0.0] * 96, "std": [1.0] * 95 + [float("nan")]},
        {"mean": [0.0] * 96},
        {"mean": ["loud"] * 96, "std": [1.0] * 96},
    ],
    ids=["too short", "uneven", "zero", "negative", "NaN", "no std", "words"],
)
def test_a_scaler_must_fit_the_bands_and_divide_by_something(folder, scaler):
    (folder / "scaler.json").write_text(json.dumps(scaler))

    refusal(folder)


@pytest.mark.parametrize("keep", [0, 4, 100, -1, -500])
def test_truncated_weights_are_refused(folder, keep):
    weights = folder / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:keep])

    assert "weights" in refusal(folder)


def test_a_pickle_in_place_of_the_weights_is_never_loaded(folder):
    torch.save(tiny_network().state_dict(), folder / "weights.safetensors")

    assert "weights" in refusal(folder)


@pytest.mark.parametrize("arguments", [{"channels": [2, 3, 4, 6], "hidden": 7}, {"channels": [2, 3, 4, 5], "hidden": 8}, {}])
def test_weights_of_other_widths_are_refused(folder, arguments):
    rewrite(folder / "model.json", arguments=arguments)

    assert "another network than model.json says" in refusal(folder)


def test_weights_for_another_number_of_tags_are_refused(tmp_path):
    with pytest.raises(BundleError, match=r"another network than model\.json says"):
        saved(tmp_path / "tiny", weights=tiny_network(tags=4).state_dict())


# --- Fingerprint, copy, save ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
def test_the_fingerprint_changes_with_any_byte(folder, name):
    before = bundles.fingerprint(folder)
    data = (folder / name).read_bytes()

    for at in (0, len(data) // 2, len(data) - 1):
        (folder / name).write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        assert bundles.fingerprint(folder) != before
    (folder / name).write_bytes(data + b"\n")
    assert bundles.fingerprint(folder) != before
    (folder / name).write_bytes(data)
    assert bundles.fingerprint(folder) == before


def test_bytes_that_move_from_one_file_to_the_next_change_the_fingerprint(folder):
    before = bundles.fingerprint(folder)
    first, second = folder / "model.json", folder / "scaler.json"
    data = first.read_bytes()
    first.write_bytes(data[:-1])
    second.write_bytes(data[-1:] + second.read_bytes())

    assert bundles.fingerprint(folder) != before


def test_the_same_model_saved_twice_has_one_fingerprint(tmp_path):
    assert saved(tmp_path / "one").fingerprint == saved(tmp_path / "two").fingerprint


def test_a_copy_is_the_same_model_and_nothing_else(folder, tmp_path):
    (folder / "notes.txt").write_text("not part of it")
    whole = bundles.load(folder)

    bundles.copy(whole, tmp_path / "somewhere" / "copy")

    assert bundles.load(tmp_path / "somewhere" / "copy").fingerprint == whole.fingerprint
    assert not (tmp_path / "somewhere" / "copy" / "notes.txt").exists()


def test_saving_again_replaces_the_older_bundle_whole(folder, tmp_path):
    (folder / "left over").write_text("from before")

    saved(folder, description=DESCRIPTION | {"name": "second"})

    assert bundles.load(folder).name == "second"
    assert {path.name for path in folder.iterdir()} == set(FILES)
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"], "nothing temporary stays"


@pytest.mark.parametrize(
    "wrong",
    [
        {"weights": {}},
        {"vocabulary": ("dog", "dog", "rain")},
        {"description": DESCRIPTION | {"architecture": "transformer"}},
        {"calibration": replace(parts()["calibration"], slope=np.ones(2, np.float32))},
    ],
    ids=["weights", "vocabulary", "architecture", "calibration"],
)
def test_a_bundle_that_does_not_fit_is_not_saved_and_harms_nothing(folder, tmp_path, wrong):
    before = bundles.fingerprint(folder)

    with pytest.raises(BundleError):
        saved(folder, **wrong)
    with pytest.raises(BundleError):
        saved(tmp_path / "fresh", **wrong)

    assert bundles.fingerprint(folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]


def test_scores_that_are_no_numbers_are_not_saved(folder):
    before = bundles.fingerprint(folder)

    with pytest.raises(ValueError, match="JSON"):
        saved(folder, metrics=METRICS | {"overall": {"pr_auc_macro": float("nan")}})

    assert bundles.fingerprint(folder) == before


# --- The starter ------------------------------------------------------------------------------------------------------


def test_the_starter_is_small_and_holds_no_pickle():
    files = [path for path in STARTER.iterdir() if path.is_file()]

    assert {path.name for path in files} == set(FILES)
    assert sum(path.stat().st_size for path in files) <= 6_000_000
    for path in files:
        start = path.read_bytes()[:16]
        assert start.lstrip().startswith(b"{") if path.suffix == ".json" else start[8:9] == b"{", path.name


def test_the_starter_loads_and_says_what_it_is():
    starter = bundles.load()

    assert starter.architecture == "earmark_cnn"
    assert starter.front_end == COALA
    assert starter.network().output[-1].out_features == len(starter.vocabulary)
    assert {"licence", "data"} <= set(starter.description)


def test_the_starters_scores_are_of_its_own_tags():
    starter = bundles.load()

    assert set(starter.metrics["per_tag"]) == set(starter.vocabulary)
    assert all(0 <= value <= 1 for value in starter.metrics["overall"].values())


def test_the_starter_still_loads_when_it_lies_elsewhere(tmp_path):
    shutil.copytree(STARTER, tmp_path / "moved")

    assert bundles.load(tmp_path / "moved").fingerprint == bundles.load().fingerprint


@pytest.mark.parametrize(
    "metrics", [{}, METRICS | {"overall": {"pr_auc_macro": "good"}}, METRICS | {"per_tag": {"other": {}}}, METRICS | {"clips": None}]
)
def test_scores_that_the_pages_cannot_show_are_refused(folder, metrics):
    (folder / "metrics.json").write_text(json.dumps(metrics))

    assert "metrics.json" in refusal(folder)
