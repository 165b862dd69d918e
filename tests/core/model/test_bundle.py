"""A bundle is a whole, fitting folder of plain files, or an error of one sentence."""

import json
import re
import resource
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from core.model import bundle as bundles
from core.model.bundle import (
    DEFAULT_BUNDLE,
    FILES,
    MAX_JSON_BYTES,
    NEEDED_FILES,
    NETWORK,
    Calibration,
    Scaler,
)
from core.model.errors import BundleError, IncompleteBundle, InvalidBundle, UnwritableBundle
from core.model.logmel import COALA
from core.model.onnx_format import has_external_data
from core.model.predictor import Predictor
from tests.helpers.small_bundle import DESCRIPTION, METRICS, TAGS, parts, saved, tiny_network

FORMER_BUNDLES = Path(__file__).parents[2] / "data" / "version_0_1"


def refusal(folder: Path, kind: type[BundleError] = InvalidBundle) -> str:
    """Load the folder and return the error: one sentence that names the folder or the part."""
    with pytest.raises(kind) as caught:
        Predictor.from_folder(folder).bundle.network()
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
    """Return a copy of a whole bundle, to damage."""
    return shutil.copytree(_original, tmp_path / "tiny")


def test_what_was_saved_is_what_is_loaded(tmp_path):
    given = parts()
    loaded = bundles.load(saved(tmp_path / "deep" / "tiny").folder)

    assert (loaded.name, loaded.architecture, loaded.pooling) == (
        "tiny",
        "prototype_cnn",
        "top_half",
    )
    assert loaded.arguments == DESCRIPTION["arguments"]
    assert (loaded.vocabulary, loaded.metrics) == (TAGS, given["metrics"])
    assert loaded.description == DESCRIPTION
    assert loaded.front_end == COALA
    for part in ("mean", "std"):
        np.testing.assert_allclose(
            getattr(loaded.scaler, part), getattr(given["scaler"], part), atol=1e-6
        )
    for part in ("slope", "offset", "threshold"):
        expected = getattr(given["calibration"], part)
        np.testing.assert_allclose(getattr(loaded.calibration, part), expected, atol=1e-6)


@torch.inference_mode()
def test_a_loaded_network_gives_the_answers_of_the_saved_one(folder):
    patches = torch.randn(4, 96, 96)

    network = bundles.load(folder).network()

    assert not network.training
    expected = tiny_network()(patches).logits
    torch.testing.assert_close(network(patches).logits, expected, atol=0.01, rtol=0.01)  # halves


def test_a_bundle_is_seven_plain_files_and_no_pickle(folder):
    assert {path.name for path in folder.iterdir()} == set(FILES)
    assert {path.suffix for path in folder.iterdir()} == {".json", ".safetensors", ".onnx"}


def test_a_scaler_of_one_number_for_all_bands_does_too(tmp_path):
    scaler = Scaler(np.array([-8.0], np.float32), np.array([2.0], np.float32))
    whole = saved(tmp_path / "tiny", scaler=scaler)

    np.testing.assert_allclose(whole.scaler(np.full((96, 3), -4, np.float32)), 2.0)


def test_the_scaler_works_per_band():
    scaler = Scaler(np.array([1, 2], np.float32), np.array([1, 10], np.float32))

    np.testing.assert_allclose(scaler(np.array([[1, 3], [12, 2]], np.float32)), [[0, 2], [1, 0]])


def test_calibrated_probabilities_are_sigmoids():
    calibration = Calibration(
        slope=np.array([1, 2], np.float32),
        offset=np.array([0, -1], np.float32),
        threshold=np.array([0.5, 0.5], np.float32),
    )
    logits = np.array([[0, 0], [np.log(3), 0.5]], np.float32)

    expected = [[0.5, 0.26894], [0.75, 0.5]]
    np.testing.assert_allclose(calibration.probabilities(logits), expected, atol=1e-4)


@pytest.mark.filterwarnings("error")
def test_extreme_logits_are_still_probabilities():
    calibration = Calibration(*(np.full(2, value, np.float32) for value in (1, 0, 0.5)))
    logits = np.array([80.0, -80.0], np.float32)

    np.testing.assert_allclose(calibration.probabilities(logits), [1, 0], atol=1e-6)


# --- Damage


@pytest.mark.parametrize("name", NEEDED_FILES)
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()

    assert f"lacks {name}" in refusal(folder, IncompleteBundle)


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".json")])
@pytest.mark.parametrize("content", [b"", b"{", b"[1, 2]", b"null", b"\xff\xfe\x00", b'{"name": '])
def test_a_file_that_is_no_json_object_is_named(folder, name, content):
    (folder / name).write_bytes(content)

    assert name in refusal(folder)


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".json")])
@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"[" * 100_000, id="deep lists"),
        pytest.param(b'{"a":' * 500 + b"1" + b"}" * 500, id="deep objects"),
        pytest.param(b'{"name": "a", "name": "b"}', id="a key twice"),
        pytest.param(b'{"name": NaN}', id="no number"),
        pytest.param(b'{"name": 1e999}', id="too large a number"),
        pytest.param(b'{"name": ' + b"9" * 5000 + b"}", id="too many digits"),
        pytest.param(b'{"name": "\\ud800"}', id="half a surrogate pair"),
        pytest.param(b" " * (MAX_JSON_BYTES + 1), id="too large a file"),
    ],
)
def test_hostile_json_is_refused_in_one_sentence(folder, name, content):
    (folder / name).write_bytes(content)

    sentence = refusal(folder)

    assert name in sentence
    assert len(sentence) < 200
    assert sentence.endswith(".")


@pytest.mark.parametrize(
    ("entry", "values"),
    [
        ("arguments", {"window": 10**9}),
        ("arguments", {"hop": 10**9}),
        ("front_end", {"n_fft": 1 << 30}),
        ("front_end", {"bands": 10**9}),
        ("front_end", {"rate": 10**9}),
        ("front_end", {"n_fft": "1024"}),
        ("front_end", {"hop": True}),
        ("front_end", [1024]),
    ],
)
def test_numbers_that_no_model_has_are_refused_before_anything_is_made_of_them(
    folder, entry, values
):
    rewrite(folder / "model.json", **{entry: values})

    assert entry in refusal(folder)


def test_a_folder_that_is_not_there_says_so(tmp_path):
    assert "lacks model.json" in refusal(tmp_path / "nowhere", IncompleteBundle)


@pytest.mark.parametrize("key", ["name", "architecture", "arguments", "front_end", "pooling"])
def test_a_description_without_a_needed_entry_says_which(folder, key):
    model = json.loads((folder / "model.json").read_text())
    del model[key]
    (folder / "model.json").write_text(json.dumps(model))

    assert key in refusal(folder)


@pytest.mark.parametrize("part", ["slope", "offset", "threshold"])
@pytest.mark.parametrize(
    "values",
    [[1.0, 1.0], [1.0] * 4, [], [1.0, float("nan"), 1.0], [1.0, float("inf"), 1.0]],
)
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
    ids=["gap", "duplicate", "from 1", "empty", "too few", "too many"],
)
def test_the_vocabulary_must_be_gapless_distinct_and_as_long_as_the_rest(folder, tags):
    (folder / "id2tag.json").write_text(json.dumps(tags))

    refusal(folder)


def test_an_unknown_architecture_is_named(folder):
    rewrite(folder / "model.json", architecture="transformer")

    assert "architecture 'transformer'" in refusal(folder)


def test_arguments_that_the_architecture_does_not_take_are_refused(folder):
    rewrite(folder / "model.json", arguments={"depth": 12})

    assert "arguments that prototype_cnn does not take" in refusal(folder)


def test_an_unknown_pooling_is_named(folder):
    rewrite(folder / "model.json", pooling="attention")

    assert "pooling" in refusal(folder)


@pytest.mark.parametrize("name", ["", "Default", "my model", "../up", "ünï"])
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


@pytest.mark.parametrize(
    "arguments",
    [{"channels": [2, 3, 4, 6], "hidden": 7}, {"channels": [2, 3, 4, 5], "hidden": 8}, {}],
)
def test_weights_of_other_widths_are_refused(folder, arguments):
    rewrite(folder / "model.json", arguments=arguments)

    assert "another network than model.json says" in refusal(folder)


def test_weights_for_another_number_of_tags_are_refused(tmp_path):
    with pytest.raises(BundleError, match=r"another network than model\.json says"):
        saved(tmp_path / "tiny", weights=tiny_network(tags=4).state_dict())


# --- Fingerprint, copy, save


@pytest.mark.parametrize("name", FILES)
def test_the_fingerprint_changes_with_any_byte(folder, name):
    before = bundles.fingerprint(folder)
    data = (folder / name).read_bytes()

    for position in (0, len(data) // 2, len(data) - 1):
        changed = bytearray(data)
        changed[position] ^= 1
        (folder / name).write_bytes(changed)
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


def test_the_same_model_saved_twice_has_the_same_fingerprint(tmp_path):
    assert saved(tmp_path / "a").fingerprint == saved(tmp_path / "b").fingerprint


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


@pytest.mark.parametrize("limit", [0, 1000, 5000])
def test_a_full_disk_ends_in_a_sentence_and_keeps_the_older_bundle(folder, tmp_path, limit):
    before = bundles.fingerprint(folder)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))  # writes end as on a full disk
    try:
        with pytest.raises(UnwritableBundle) as caught:
            saved(folder, description=DESCRIPTION | {"name": "second"})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert str(caught.value).startswith(f"The model cannot be written to {folder}: ")
    assert bundles.fingerprint(folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]


def test_a_folder_that_cannot_be_made_ends_in_a_sentence(tmp_path):
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(UnwritableBundle, match="cannot be written"):
        saved(tmp_path / "file" / "tiny")


# --- Version 0.1


@pytest.mark.parametrize(
    ("former", "architecture"),
    [("bundle", "prototype_cnn"), ("bundle_columns", "prototype_cnn_columns")],
)
def test_a_bundle_of_version_0_1_loads_under_its_architectures_new_name(former, architecture):
    bundle = bundles.load(FORMER_BUNDLES / former)

    assert bundle.architecture == architecture
    assert bundle.network()(torch.zeros(2, 96, 96)).logits.shape == (2, len(bundle.vocabulary))


def test_the_license_of_a_bundle_of_version_0_1_is_read_from_its_former_key():
    bundle = bundles.load(FORMER_BUNDLES / "bundle")

    assert "license" not in bundle.description
    assert bundle.license == "CC0"


def test_a_bundle_that_states_no_license_and_no_data_has_empty_ones(tmp_path):
    stated = {name: value for name, value in DESCRIPTION.items() if name != "license"}
    bundle = saved(tmp_path / "tiny", description=stated)

    assert (bundle.license, bundle.data) == ("", "")


# --- The default model


def test_the_default_model_is_small_and_holds_no_pickle():
    files = [path for path in DEFAULT_BUNDLE.iterdir() if path.is_file()]

    assert {path.name for path in files} == set(FILES)
    assert sum(path.stat().st_size for path in files) <= 8_000_000
    for path in files:
        start = path.read_bytes()[:16].lstrip()
        if path.name == NETWORK:
            assert not has_external_data(path.read_bytes())
            continue
        opening = start if path.suffix == ".json" else start[8:]
        assert opening.startswith(b"{"), path.name


def test_the_default_model_loads_and_describes_itself():
    default = bundles.load()

    assert default.name == "earmark_default"
    assert default.network().bands == default.front_end.bands
    assert default.license
    assert "Freesound" in default.data


def test_the_default_models_scores_are_of_its_own_tags():
    default = bundles.load()

    assert set(default.metrics["per_tag"]) == set(default.vocabulary)
    assert all(0 <= value <= 1 for value in default.metrics["overall"].values())


def test_the_default_model_still_loads_from_another_folder(tmp_path):
    shutil.copytree(DEFAULT_BUNDLE, tmp_path / "moved")

    assert bundles.load(tmp_path / "moved").fingerprint == bundles.load().fingerprint


@pytest.mark.parametrize(
    "metrics",
    [
        {},
        METRICS | {"overall": {"pr_auc_macro": "good"}},
        METRICS | {"per_tag": {"other": {}}},
        METRICS | {"clips": None},
    ],
)
def test_scores_that_the_pages_cannot_show_are_refused(folder, metrics):
    (folder / "metrics.json").write_text(json.dumps(metrics))

    assert "metrics.json" in refusal(folder)
