"""A challenger of the default model from made-up clips and corrections, in a real workspace."""

import hashlib

import numpy as np
import pytest
import torch

from core.audio.decode import decode
from core.events.fold import confirm
from core.events.types import Media, Predicted, Sound, Suggestion, new_event
from core.model import bundle as bundles
from core.model.front_end import network_frames, sounding_frames
from core.model.pooling import pool_recording
from core.storage.active_model import resolve_model
from core.storage.local import open_local_workspace
from tests.helpers.synthetic_clips import KINDS, write_clip, write_list
from training.datasets.corrections import Correction, CorrectionPolicy, is_held_back
from training.datasets.types import trained_facts
from training.progress import listening
from training.retraining.challenger import Champion
from training.retraining.errors import NothingToLearn
from training.retraining.features import audio_of, load_windows
from training.retraining.head import Examples, all_logits, fit_head, own_logits
from training.retraining.material import divide_corrections, load_base
from training.retraining.retrain import RetrainingSource, retrain
from training.retraining.verdict import read_comparison

TAG_OF_KIND = {"click": "clock", "hiss": "rain", "hum": "engine"}


@pytest.fixture(scope="module")
def champion():
    return Champion.of(bundles.load())


@pytest.fixture(scope="module")
def data(tmp_path_factory, champion):
    """Clips of three kinds of sound, some of them named as the champion's test recordings."""
    folder = tmp_path_factory.mktemp("clips")
    random = np.random.default_rng(1)
    test = trained_facts(champion.bundle)["test_recordings"]
    rows = []
    for number, (kind, tag) in enumerate(TAG_OF_KIND.items()):
        for index in range(14):
            name = f"{kind}-{index}.wav"
            write_clip(folder / name, kind, random)
            recording = test[number * 4 + index] if index < 4 else f"9{number}{index:03d}"
            rows.append({"file": name, "freesound_id": recording, "tags": tag})
    return write_list(folder, rows)


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    folder = tmp_path_factory.mktemp("others")
    random = np.random.default_rng(2)
    rows = []
    for index in range(6):
        write_clip(folder / f"{index}.wav", list(KINDS)[index % 3], random)
        row = {"file": f"{index}.wav", "freesound_id": f"o{index}", "tags": "piano"}
        rows.append(row | {"dataset": f"set-{index % 3}"})
    return write_list(folder, rows)


@pytest.fixture
def workspace(tmp_path):
    """A workspace whose curators corrected 25 sounds: all hums are engines, no hiss is rain."""
    workspace = open_local_workspace(tmp_path / "workspace")
    model = resolve_model(workspace).model
    random = np.random.default_rng(3)
    for number in range(25):
        kind = ("hum", "hiss")[number % 2]
        write_clip(tmp_path / "sound.wav", kind, random)
        preview = decode(tmp_path / "sound.wav", name="x", with_preview=True).preview
        predicted = Predicted(
            model=model,
            top=(Suggestion(tag="rain", probability=0.9, above_threshold=True),),
            sound=Sound(title="x", source="test", license=("CC0", "CC-BY-NC")[number % 5 == 0]),
            media=Media(audio=workspace.media.put(preview, "ogg")),
        )
        event = new_event(predicted, f"freesound:{500_000 + number}", "job")
        workspace.events.append([event])
        state = workspace.sounds.get(event.sound_id)
        tags = ["engine"] if kind == "hum" else []
        workspace.events.append([confirm(state, tags, ("ada", "bob")[number % 3 == 0])])
    return workspace


def test_features_give_what_the_network_says_of_short_and_long_clips(champion, tmp_path):
    random, spec = np.random.default_rng(5), champion.bundle.front_end
    for seconds in (0.4, 3.0, 23.0):
        path = tmp_path / f"{seconds}.wav"
        write_clip(path, "click", random, seconds)
        frames = network_frames(decode(path, rate=spec.rate).samples, spec)
        frames = frames.astype(np.float16).astype(np.float32)
        network_input = torch.from_numpy(champion.bundle.network_input(frames))
        with torch.inference_mode():
            (scores,) = champion.network.score([network_input], [sounding_frames(frames, spec)])
        expected = pool_recording(scores.logits.numpy(), champion.bundle.pooling, 1)
        windows = load_windows(audio_of([path]), champion.network, spec, tmp_path / "cache")
        np.testing.assert_allclose(
            all_logits(champion.network, windows, champion.bundle.pooling)[0], expected, atol=1e-4
        )


def test_features_are_computed_once_for_the_same_bytes(champion, tmp_path, caplog):
    caplog.set_level("INFO")
    spec, paths = champion.bundle.front_end, [tmp_path / name for name in ("a.wav", "b.wav")]
    for path in paths:
        write_clip(path, "hum", np.random.default_rng(1))
    load_windows(audio_of(paths[:1]), champion.network, spec, tmp_path / "cache")
    caplog.clear()
    windows = load_windows(audio_of(paths), champion.network, spec, tmp_path / "cache")
    assert len(windows) == 2
    assert not [record for record in caplog.records if "computed" in record.message]


def test_a_damaged_file_of_features_is_computed_anew(champion, tmp_path):
    path, spec = tmp_path / "a.wav", champion.bundle.front_end
    write_clip(path, "hum", np.random.default_rng(1))
    before = load_windows(audio_of([path]), champion.network, spec, tmp_path / "cache")
    (kept,) = (tmp_path / "cache").glob("*/*.safetensors")
    kept.write_bytes(kept.read_bytes()[:100])
    after = load_windows(audio_of([path]), champion.network, spec, tmp_path / "cache")
    torch.testing.assert_close(after.hidden, before.hidden)


def test_unknown_labels_teach_nothing(champion, data):
    clips = sorted(data.glob("*.wav"))[:12]
    spec = champion.bundle.front_end
    windows = load_windows(audio_of(clips), champion.network, spec, data / ".cache")
    weights = np.ones(12, np.float32)
    known = np.zeros((12, len(champion.own)), bool)
    known[:, 0] = True
    heads = []
    for value in (0, 1):
        targets = np.full(known.shape, value, np.float32)
        targets[:, 0] = 1
        heads.append(fit_head(Examples(windows, targets, known, weights), 1, champion.network.head))
    first, second = (own_logits(head, windows, "max") for head in heads)
    np.testing.assert_array_equal(first, second)


def correction(**facts):
    return Correction("freesound:5", None, "5", {"dog": True}, **facts)


@pytest.mark.parametrize(
    ("facts", "policy", "is_refused"),
    [
        ({"license": "CC-BY-NC"}, CorrectionPolicy(), False),
        ({"license": "CC-BY-NC"}, CorrectionPolicy(commercial=True), True),
        ({"license": ""}, CorrectionPolicy(commercial=True), True),
        ({"license": "CC0"}, CorrectionPolicy(commercial=True), False),
        ({"gen_ai_preference": "no-gen-ai"}, CorrectionPolicy(), True),
        ({"gen_ai_preference": "no-gen-ai"}, CorrectionPolicy(respect_gen_ai=False), False),
        ({"gen_ai_preference": "open-source-models"}, CorrectionPolicy(), False),
        ({"gen_ai_preference": "noncommercial-open-source-models"}, CorrectionPolicy(), False),
        (
            {"gen_ai_preference": "noncommercial-open-source-models", "license": "CC0"},
            CorrectionPolicy(commercial=True),
            True,
        ),
    ],
)
def test_license_and_the_uploaders_wish_decide_by_setting(facts, policy, is_refused):
    assert bool(policy.refusal(correction(**facts))) is is_refused


def test_one_in_five_recordings_is_held_back_and_stays_so():
    held_back = [name for name in map(str, range(2000)) if is_held_back(name)]
    assert 300 < len(held_back) < 500
    digest = hashlib.sha256(" ".join(held_back).encode()).hexdigest()
    # another value would teach coming models what former ones were compared on
    assert digest.startswith("e0e97d87fea5ba94")


def test_a_held_back_recording_is_not_in_the_training_part(workspace, champion, data):
    base = load_base(data, None, None, champion.bundle)
    divided = divide_corrections(workspace, base, CorrectionPolicy(), champion.own)
    assert divided.held_back
    assert all(is_held_back(item.recording) for item in divided.held_back)
    assert not any(is_held_back(item.recording) for item in divided.trained)
    assert len(divided.held_back) + len(divided.trained) == 25


def test_the_champions_test_recordings_stay_test_recordings(champion, data):
    base = load_base(data, None, None, champion.bundle)
    named = {base.clips[row].recording for row in base.rows(2)}
    assert named == set(trained_facts(champion.bundle)["test_recordings"]) & {
        clip.recording for clip in base.clips
    }


def test_a_challenger_learns_what_people_decided(workspace, champion, data, others, tmp_path):
    source = RetrainingSource(data=data, others=others, run=tmp_path / "run")
    out = tmp_path / "bundle"
    reports = []
    with listening(lambda *report: reports.append(report)):
        written = retrain(workspace, source, out)
    stages = list(dict.fromkeys(stage for _, _, stage in reports))
    assert stages == [
        "Computing features",
        "Training the head",
        "Choosing thresholds",
        "Comparing with the active model",
    ]
    assert all(0 <= done <= total or not total for done, total, _ in reports)
    comparison = read_comparison(out)
    counts = trained_facts(written)["corrections"]
    assert counts["by_tag"]["engine"]["yes"] > 5
    assert counts["by_tag"]["rain"]["no"] > 10
    assert set(counts["by_actor"]) == {"ada", "bob"}
    assert counts["held_back"]["sounds"] + counts["sounds"] == 25
    for person in ("ada", "bob"):
        learned = comparison["by_actor"][person]["trained"]
        assert learned["challenger"] > learned["champion"]
    assert comparison["parts"]["test"]["clips"] == 12
    assert comparison["champion"]["fingerprint"] == champion.bundle.fingerprint
    assert comparison["challenger"]["fingerprint"] == written.fingerprint
    assert (out / "comparison.md").read_text().startswith("# earmark_default")
    assert written.vocabulary == champion.bundle.vocabulary


def test_what_a_setting_leaves_out_is_counted(workspace, data, tmp_path):
    policy = CorrectionPolicy(commercial=True)
    source = RetrainingSource(data=data, run=tmp_path / "run", policy=policy)
    retrain(workspace, source, tmp_path / "bundle")
    left_out = read_comparison(tmp_path / "bundle")["corrections"]["left_out"]
    assert left_out == {"license does not allow commercial use": 5}


def test_a_workspace_without_corrections_says_so(data, tmp_path):
    workspace = open_local_workspace(tmp_path / "empty")
    source = RetrainingSource(data=data, run=tmp_path / "run")
    with pytest.raises(NothingToLearn, match="no corrections to learn from"):
        retrain(workspace, source, tmp_path / "bundle")


def test_every_layer_can_be_trained_further(workspace, champion, data, others, tmp_path):
    source = RetrainingSource(data=data, others=others, run=tmp_path / "run", whole=True)
    reports = []
    with listening(lambda *report: reports.append(report)):
        written = retrain(workspace, source, tmp_path / "bundle")
    shares = [done / total for done, total, stage in reports if stage == "Training every layer"]
    assert shares[0] == 0
    assert shares == sorted(set(shares))
    assert trained_facts(written)["retrained"] == "all layers"
    before, after = (bundle.network().body for bundle in (champion.bundle, written))
    name = "features.0.0.weight"
    assert not torch.equal(before.state_dict()[name], after.state_dict()[name])
    comparison = read_comparison(tmp_path / "bundle")
    assert comparison["parts"]["test"]["clips"] == 12
    assert comparison["by_actor"]["ada"]["trained"]["decisions"] > 0
