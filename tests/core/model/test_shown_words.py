"""A vocabulary keeps the indices and the spelling of its data; people see real words."""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest

from core.audio.types import AudioFacts, Recording
from core.model import bundle as bundles
from core.model.errors import BundleError
from core.model.predictor import Predictor
from core.model.saving import save_bundle
from core.tags import REAL_WORDS, STOP_WORDS, clean, display_tags
from tests.helpers.small_bundle import parts

COALA = Path(__file__).parents[4] / "shared" / "data" / "coala" / "id2token_top_1000.json"


@pytest.fixture
def given() -> dict:
    """Return the small bundle's parts, with a tag that the data spell otherwise."""
    given = parts()
    shown = ("hiss", *given["vocabulary"][1:])
    per_tag = dict(zip(shown, given["metrics"]["per_tag"].values(), strict=True))
    spelled = ("his", *given["vocabulary"][1:])
    return given | {
        "vocabulary": shown,
        "spelled": spelled,
        "metrics": given["metrics"] | {"per_tag": per_tag},
    }


def test_stumps_become_words_and_every_index_keeps_its_place():
    assert display_tags(("dog", "bas", "his", "glas", "pres")) == (
        "dog",
        "bass",
        "hiss",
        "glass",
        "press",
    )


def test_a_stump_stays_where_the_real_word_is_in_the_vocabulary_too():
    assert display_tags(("bas", "bass", "ga")) == ("bas", "bass", "gas")


def test_what_is_shown_can_be_published_as_it_is():
    assert clean(REAL_WORDS.values()).tags == tuple(REAL_WORDS.values())
    assert "his" in STOP_WORDS  # Freesound would have dropped the stump


def test_the_real_vocabulary_is_shown_without_stumps_and_without_doubles():
    if not COALA.is_file():
        missing = pytest.fail if os.environ.get("REAL_DATA") == "required" else pytest.skip
        missing("COALA's vocabulary (shared/data/coala beside the project) is not on this machine")
    spelled = tuple(json.loads(COALA.read_text()).values())
    shown = display_tags(spelled)
    assert set(REAL_WORDS) <= set(spelled)
    assert len(set(shown)) == 1000
    assert {stump for stump, word in zip(spelled, shown, strict=True) if stump != word} == set(
        REAL_WORDS
    )


def test_a_bundle_keeps_the_spelling_of_its_data_beside_the_words_to_show(given, tmp_path):
    loaded = bundles.load(save_bundle(tmp_path / "tiny", **given).folder)
    assert loaded.vocabulary[0] == "hiss"
    assert loaded.spelled[0] == "his"
    assert loaded.vocabulary[1:] == loaded.spelled[1:]
    stored = json.loads((tmp_path / "tiny" / "id2tag.json").read_text())
    assert (stored["0"], stored["shown"]) == ("his", {"0": "hiss"})


def test_a_bundle_of_real_words_says_nothing_twice(tmp_path):
    save_bundle(tmp_path / "tiny", **parts())
    assert "shown" not in json.loads((tmp_path / "tiny" / "id2tag.json").read_text())
    loaded = bundles.load(tmp_path / "tiny")
    assert loaded.spelled == loaded.vocabulary


def test_predictions_are_in_real_words(given, tmp_path):
    predictor = Predictor(save_bundle(tmp_path / "tiny", **given))
    facts = AudioFacts("WAV", 22_000, 1, 1.0)
    noise = np.random.default_rng(0).normal(0, 0.1, 22_000).astype(np.float32)
    recording = Recording("a.wav", facts, noise, 22_000)
    predicted_tags = {score.tag for score in predictor.predict(recording, top=99).top}
    assert "hiss" in predicted_tags
    assert "his" not in predicted_tags


@pytest.mark.parametrize(
    "shown",
    [
        {"0": ""},
        {"0": "two words"},
        {"0": 7},
        {"0": ["a"]},
        {"99": "dog"},
        {"zero": "dog"},
        [],
        "hiss",
        {"0": "SECOND"},
    ],
)
def test_words_to_show_that_make_no_sense_are_refused(given, tmp_path, shown):
    folder = save_bundle(tmp_path / "tiny", **given).folder
    stored = json.loads((folder / "id2tag.json").read_text())
    if shown == {"0": "SECOND"}:
        shown = {"0": stored["1"]}
    (folder / "id2tag.json").write_text(json.dumps(stored | {"shown": shown}))
    with pytest.raises(BundleError, match=re.escape("wrong id2tag.json")):
        bundles.load(folder)
