"""A challenger of a network without an AudioSet body, as version 0.1 and the recipes made them."""

import numpy as np
import pytest

from core.audio.decode import decode
from core.events.fold import confirm
from core.events.types import Media, Predicted, Sound, Suggestion, new_event
from core.storage.active_model import deploy_model
from core.storage.local import open_local_workspace
from tests.helpers.synthetic_clips import make_clips, write_clip
from training.datasets.clip_folder import ClipSource, load_training_data
from training.datasets.types import trained_facts
from training.pipeline import train_and_evaluate
from training.recipes import EARMARK, PROTOTYPE, customised
from training.retraining.retrain import RetrainingSource, retrain
from training.retraining.verdict import read_comparison


@pytest.fixture(params=[EARMARK, PROTOTYPE], ids=["earmark_cnn", "prototype_cnn"])
def champion(request, tmp_path):
    """A small network, trained for an epoch."""
    data = load_training_data(
        ClipSource(make_clips(tmp_path / "clips"), tmp_path / "cache", min_recordings=4), seed=1
    )
    recipe = customised(request.param, seed=1, epochs=1, channels=(4, 4, 8, 8), hidden=8)
    bundle = train_and_evaluate(
        data, recipe, name="tiny", run=tmp_path / "run", out=tmp_path / "champion"
    )
    assert bundle is not None
    return bundle


@pytest.fixture
def workspace(champion, tmp_path):
    workspace = open_local_workspace(tmp_path / "workspace")
    model = workspace.models.register(champion)
    deploy_model(workspace, model.name, model.version, "ada", "first")
    random = np.random.default_rng(3)
    for number in range(20):
        kind = ("hum", "hiss")[number % 2]
        write_clip(tmp_path / "sound.wav", kind, random)
        preview = decode(tmp_path / "sound.wav", name="x", with_preview=True).preview
        payload = Predicted(
            model=model,
            top=(Suggestion(tag="click", probability=0.9, above_threshold=True),),
            sound=Sound(title="x", source="test"),
            media=Media(audio=workspace.media.put(preview, "ogg")),
        )
        event = new_event(payload, f"freesound:{500_000 + number}", "job")
        workspace.events.append([event])
        workspace.events.append([confirm(workspace.sounds.get(event.sound_id), [kind], "ada")])
    return workspace


def test_every_layer_goes_on_from_the_champions_weights(workspace, champion, tmp_path):
    source = RetrainingSource(data=tmp_path / "clips", run=tmp_path / "retrain")
    written = retrain(workspace, source, tmp_path / "challenger")
    facts, comparison = trained_facts(written), read_comparison(tmp_path / "challenger")
    assert written.vocabulary == champion.vocabulary
    assert written.fingerprint != champion.fingerprint
    assert facts["started_from"]["fingerprint"] == champion.fingerprint
    assert facts["test_recordings"] == trained_facts(champion)["test_recordings"]
    assert facts["corrections"]["by_actor"] == {"ada": facts["corrections"]["decisions"]}
    assert comparison["champion"]["fingerprint"] == champion.fingerprint
    held_back = comparison["corrections"]["held_back"]["sounds"]
    assert comparison["corrections"]["sounds"] + held_back == 20
    assert comparison["by_actor"]["ada"]["held_back"]["decisions"] == 2 * held_back
