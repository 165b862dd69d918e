"""ONNX Runtime gives the answers of the network in PyTorch, for clips of any length."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from core.model import bundle as bundles
from core.model.bundle import NETWORK, Bundle
from core.model.conversion import converted_path, load_network
from core.model.errors import IncompleteBundle, InvalidBundle
from core.model.export import check_parity, to_onnx
from core.model.inference import ClipScores, open_network
from core.model.networks import EarmarkCNN, WindowScores, build
from core.model.predictor import Predictor
from core.model.windows import column_windows
from tests.helpers.small_bundle import DESCRIPTION, TAGS, saved, tiny_network, with_batch_statistics
from tests.helpers.source_tree import ROOT

FORMER_BUNDLES = Path(__file__).parents[2] / "data" / "version_0_1"
HOP_S = 512 / 22_000
COLUMN_SCALING = {"scale": [0.5 + i / 96 for i in range(96)], "offset": [i / 50 for i in range(96)]}
NETWORKS = {
    "prototype_cnn": {"channels": [2, 3, 4, 5], "hidden": 7},
    "prototype_cnn_columns": {"channels": [2, 3, 4, 5], "hidden": 7, **COLUMN_SCALING},
    "earmark_cnn": {"channels": [3, 4, 5, 6], "hidden": 7, "window": 112, "hop": 48},
}
PEAK_OF_A_LONG_CLIP = """
import resource, sys
import numpy as np
from core.audio.types import AudioFacts, Recording
from core.model.predictor import Predictor
from core.model.windows import column_windows
def recording(seconds):
    samples = np.random.default_rng(0).normal(0, 0.1, seconds * rate).astype(np.float32)
    return Recording("a.wav", AudioFacts("WAV", rate, 1, seconds), samples, rate)
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
predictor = Predictor.from_folder()
rate = predictor.rate
predictor.predict(recording(10))
before = peak()
predictor.predict(recording(600))
print(before, peak())
"""
PREDICT_WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None
from pathlib import Path
from core.errors import EarmarkError
from core.model.predictor import Predictor
from core.model.windows import column_windows
try:
    Predictor.from_folder(Path(sys.argv[1]))
    print("loaded")
except EarmarkError as error:
    print(error)
"""


def small_bundle(folder: Path, architecture: str) -> Bundle:
    arguments = NETWORKS[architecture]
    torch.manual_seed(3)
    network = with_batch_statistics(build(architecture, len(TAGS), arguments))
    description = DESCRIPTION | {"architecture": architecture, "arguments": arguments}
    return saved(folder, description=description, weights=network.state_dict())


def clip(frames: int, seed: int = 0, bands: int = 96) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(bands, frames)).astype(np.float32)


@torch.inference_mode()
def torch_scores(bundle: Bundle, clips: list[np.ndarray], sounding=None) -> list[WindowScores]:
    return bundle.network().score([torch.from_numpy(values) for values in clips], sounding)


def check_same(actual: ClipScores, expected: WindowScores) -> None:
    np.testing.assert_allclose(actual.logits, expected.logits, atol=1e-4)
    np.testing.assert_allclose(actual.embedding, expected.embedding, atol=1e-4)


def run_python(program: str, *arguments: str) -> str:
    command = [sys.executable, "-c", program, *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    result = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@pytest.fixture(scope="module")
def small_bundles(tmp_path_factory) -> dict[str, Bundle]:
    folder = tmp_path_factory.mktemp("bundles")
    return {name: small_bundle(folder / name, name) for name in NETWORKS}


@pytest.fixture
def former(tmp_path) -> Bundle:
    """Return a bundle of version 0.1: weights, and no model.onnx."""
    shutil.copytree(FORMER_BUNDLES / "bundle", tmp_path / "models" / "1")
    return bundles.load(tmp_path / "models" / "1")


# --- The same answers


@pytest.mark.parametrize("architecture", NETWORKS)
@pytest.mark.parametrize("seconds", [1, 2.6, 2.61, 5, 47.6, 60, 120])
def test_a_clip_of_any_length_gets_the_networks_answers(small_bundles, architecture, seconds):
    bundle = small_bundles[architecture]
    frames = [clip(max(bundle.window, 1 + round(seconds / HOP_S)))]

    [actual], [expected] = load_network(bundle).score(frames), torch_scores(bundle, frames)

    check_same(actual, expected)


@pytest.mark.parametrize("seconds", [1, 2, 4.9, 10, 61.3, 120])
def test_the_default_models_answers_are_those_of_its_weights(seconds):
    bundle = bundles.load()
    length, bands = 1 + round(seconds / bundle.front_end.seconds(1)), bundle.front_end.bands
    frames = [bundle.network_input(clip(length, bands=bands))]

    [actual], [expected] = load_network(bundle).score(frames), torch_scores(bundle, frames)

    check_same(actual, expected)


@pytest.mark.parametrize("architecture", NETWORKS)
@pytest.mark.parametrize("silence", [(0, 150), (200, 230), (390, 3000), (0, 3000)])
def test_with_silence_the_answers_are_the_networks_too(small_bundles, architecture, silence):
    bundle, frames = small_bundles[architecture], [clip(3000), clip(3000, 1)]
    sounding = [np.ones(3000, bool), np.ones(3000, bool)]
    sounding[0][slice(*silence)] = False

    actual = load_network(bundle).score(frames, sounding)

    for own, expected in zip(actual, torch_scores(bundle, frames, sounding), strict=True):
        check_same(own, expected)


@torch.inference_mode()
def test_a_frame_is_scored_as_its_column_alone(small_bundles):
    bundle, frames = small_bundles["earmark_cnn"], clip(3000)
    network = bundle.network()
    assert isinstance(network, EarmarkCNN)

    [scores] = load_network(bundle).score([frames])
    filled = np.pad(frames, ((0, 0), (0, 8)), mode="edge")
    columns = network.columns(torch.from_numpy(filled)[None])
    expected = network.score_windows(columns, torch.arange(188)[:, None]).logits[0]

    np.testing.assert_allclose(scores.frame_logits, expected, atol=1e-4)


def test_a_window_has_only_its_columns_that_sound():
    sounding = np.ones(320, bool)
    sounding[48:160] = False

    windows = column_windows(320, 112, 48, sounding)

    assert windows[0].tolist() == [0, 0, 0, 1, 1, 2, 2]
    assert windows[-1].tolist() == [13, 14, 15, 16, 17, 18, 19]
    assert not set(windows.ravel()) & set(range(3, 10))
    assert (np.diff(windows, axis=1) >= 0).all()
    np.testing.assert_array_equal(
        column_windows(320, 112, 48, np.zeros(320, bool)), column_windows(320, 112, 48)
    )


@pytest.mark.parametrize("architecture", NETWORKS)
def test_clips_of_different_lengths_at_once_keep_their_order(small_bundles, architecture):
    network = load_network(small_bundles[architecture])
    clips = [clip(frames, seed) for seed, frames in enumerate((430, 112, 430, 3000, 113, 430))]

    together = network.score(clips)

    for values, scores in zip(clips, together, strict=True):
        [alone] = network.score([values])
        for part, expected in zip(scores, alone, strict=True):
            np.testing.assert_allclose(part, expected, atol=1e-5)


def test_more_threads_give_the_same_answers():
    bundle = bundles.load()
    frames = [clip(430, bands=bundle.front_end.bands)]

    [one], [two] = (load_network(bundle, threads).score(frames) for threads in (1, 2))

    np.testing.assert_allclose(one.logits, two.logits, atol=1e-4)


def test_ten_minutes_of_sound_take_bounded_memory():
    before, peak = map(int, run_python(PEAK_OF_A_LONG_CLIP).split())

    assert peak - before < 300


# --- What is written


def test_a_graph_of_another_network_does_not_pass_the_check(small_bundles):
    bundle = small_bundles["prototype_cnn"]
    torch.manual_seed(99)
    other = with_batch_statistics(build("prototype_cnn", len(TAGS), NETWORKS["prototype_cnn"]))

    check_parity(bundle.network(), open_network(bundle, to_onnx(bundle.network())), bundle)
    with pytest.raises(InvalidBundle, match="answers otherwise than the weights"):
        check_parity(bundle.network(), open_network(bundle, to_onnx(other)), bundle)


def test_weights_that_answer_nothing_are_not_written(tmp_path):
    weights = tiny_network().state_dict()
    weights["output.1.bias"] = torch.full_like(weights["output.1.bias"], float("nan"))

    with pytest.raises(InvalidBundle, match="answers otherwise"):
        saved(tmp_path / "tiny", weights=weights)

    assert list(tmp_path.iterdir()) == []


# --- What is refused


def with_external_data(model: bytes) -> bytes:
    proto = onnx.load_from_string(model)
    values = proto.graph.initializer[0]
    values.ClearField("raw_data")
    values.data_location = onnx.TensorProto.EXTERNAL
    entry = values.external_data.add()
    entry.key, entry.value = "location", "weights.safetensors"
    return bytes(proto.SerializeToString())


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (with_external_data, "refers to other files"),
        (lambda model: model[:1000], "damaged"),
        (lambda model: b"", "damaged"),
        (lambda model: b"\x00" * 100, "damaged"),
        (lambda model: b"no graph", "damaged"),
    ],
    ids=["external data", "cut off", "empty", "zeros", "text"],
)
def test_a_graph_that_cannot_be_used_is_refused(small_bundles, tmp_path, change, sentence):
    folder = shutil.copytree(small_bundles["earmark_cnn"].folder, tmp_path / "copy")
    (folder / NETWORK).write_bytes(change((folder / NETWORK).read_bytes()))

    with pytest.raises(InvalidBundle, match=sentence) as caught:
        Predictor.from_folder(folder)

    assert NETWORK in str(caught.value)


@pytest.mark.parametrize("architecture", NETWORKS)
def test_a_graph_of_another_model_is_refused(small_bundles, tmp_path, architecture):
    folder = shutil.copytree(small_bundles[architecture].folder, tmp_path / "copy")
    shutil.copyfile(bundles.DEFAULT_BUNDLE / NETWORK, folder / NETWORK)

    with pytest.raises(InvalidBundle, match=r"of another network than model\.json says"):
        Predictor.from_folder(folder)


# --- Bundles of before


@pytest.mark.parametrize("name", ["bundle", "bundle_columns"])
def test_a_bundle_without_a_graph_is_converted_once(tmp_path, name):
    folder = shutil.copytree(FORMER_BUNDLES / name, tmp_path / "models" / "1")
    bundle = bundles.load(folder)
    before = bundles.fingerprint(folder)
    frames = [clip(430)]

    [first] = load_network(bundle).score(frames)
    kept = converted_path(bundle).stat().st_mtime_ns
    [second] = load_network(bundle).score(frames)

    assert converted_path(bundle).stat().st_mtime_ns == kept
    assert bundles.fingerprint(folder) == before
    assert not (folder / NETWORK).exists()
    np.testing.assert_array_equal(first.logits, second.logits)
    np.testing.assert_allclose(first.logits, torch_scores(bundle, frames)[0].logits, atol=1e-4)


def test_a_damaged_conversion_is_made_anew(former):
    load_network(former)
    converted_path(former).write_bytes(b"half a graph")

    load_network(former)

    assert len(converted_path(former).read_bytes()) > 1000


def test_without_torch_a_bundle_of_before_says_what_is_missing(former):
    sentence = run_python(PREDICT_WITHOUT_TORCH, str(former.folder))

    assert "install PyTorch and onnx" in sentence
    assert sentence.endswith(".")
    assert "\n" not in sentence


def test_without_torch_a_converted_bundle_and_a_new_one_predict(former):
    load_network(former)

    assert run_python(PREDICT_WITHOUT_TORCH, str(former.folder)) == "loaded"
    assert run_python(PREDICT_WITHOUT_TORCH, str(bundles.DEFAULT_BUNDLE)) == "loaded"


def test_taking_the_graph_out_of_a_new_bundle_changes_its_fingerprint(small_bundles, tmp_path):
    bundle = small_bundles["prototype_cnn"]
    folder = shutil.copytree(bundle.folder, tmp_path / "copy")
    (folder / NETWORK).unlink()

    assert bundles.fingerprint(folder) != bundle.fingerprint


def test_a_bundle_that_lacks_its_weights_is_incomplete(former):
    (former.folder / "weights.safetensors").unlink()

    with pytest.raises(IncompleteBundle, match="weights"):
        bundles.load(former.folder)
