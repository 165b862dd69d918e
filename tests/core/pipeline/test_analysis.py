"""An analysis: what is kept of a sound, and its one serialisation."""

import numpy as np
import pytest

from core.events.types import ModelRef
from core.pipeline.analysis import Analysis, analyse_file, save_analysis
from core.pipeline.errors import AnalysisError
from core.storage.sidecars import decode_arrays, encode_arrays

MODEL = ModelRef(name="m", version=1, fingerprint="f")


@pytest.fixture(scope="module")
def analysis(examples, predictor):
    data = (examples / "rooster.ogg").read_bytes()
    return analyse_file(data, "rooster.ogg", predictor, MODEL)


def test_a_serialised_analysis_is_the_same_but_for_half_precision(analysis):
    again = Analysis.from_bytes(analysis.to_bytes())
    for name in ("sound_id", "sound", "model", "suggestions", "preview", "spectrogram"):
        assert getattr(again, name) == getattr(analysis, name)
    assert again.arrays.keys() == analysis.arrays.keys() == {"activations", "times", "embedding"}
    for name, values in analysis.arrays.items():
        np.testing.assert_array_equal(again.arrays[name], values.astype(np.float16))


def test_a_transferred_analysis_is_saved_exactly_as_one_made_here(analysis, workspace):
    here = save_analysis(workspace, analysis, "earmark")
    arrays = workspace.sidecars.get(analysis.sound_id, MODEL)
    transferred = save_analysis(workspace, Analysis.from_bytes(analysis.to_bytes()), "earmark")
    assert transferred.payload == here.payload
    again = workspace.sidecars.get(analysis.sound_id, MODEL)
    assert all(np.array_equal(again[name], values) for name, values in arrays.items())


def test_a_sound_from_a_person_has_its_name_and_what_decoding_found(analysis):
    sound = analysis.sound
    assert (sound.title, sound.source, sound.container) == ("rooster.ogg", "upload", "OGG")
    assert sound.seconds > 1
    assert len(analysis.suggestions) == 5


@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: data[:-9], lambda data: b"{}"])
def test_bytes_that_are_no_analysis_are_refused_in_one_sentence(analysis, damage):
    with pytest.raises(AnalysisError, match=r"^Not a serialised analysis"):
        Analysis.from_bytes(damage(analysis.to_bytes()))


BAD_FACTS = {
    "nested lists": "[" * 100_000,
    "a list": "[]",
    "no UTF-8": b"\xff",
    "a sound that is none": '{"sound_id":"../x","sound":{},"model":{},"suggestions":[]}',
    "half of a surrogate pair": '{"sound_id":"freesound:1","sound":{"title":"\\ud800"}}',
    "endless seconds": '{"sound_id":"freesound:1","sound":{"seconds":1e400}}',
    "a key twice": '{"sound_id":"freesound:1","sound_id":"freesound:2"}',
    "a number of 5000 digits": '{"sound_id":"freesound:1","n":' + "9" * 5000 + "}",
}


@pytest.mark.parametrize("facts", BAD_FACTS.values(), ids=BAD_FACTS)
def test_facts_that_could_not_be_kept_are_refused_in_one_sentence(analysis, facts):
    arrays = decode_arrays(analysis.to_bytes())
    data = facts if isinstance(facts, bytes) else facts.encode()
    arrays["media.facts"] = np.frombuffer(data, np.uint8)
    with pytest.raises(AnalysisError, match=r"^Not a serialised analysis"):
        Analysis.from_bytes(encode_arrays(arrays))
