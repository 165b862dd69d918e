"""Sounds to publish, and somebody who publishes them without a page."""

import wave
from io import BytesIO

import numpy as np
from pydantic import SecretStr

from core.events.types import ModelRef, Sound, Suggestion
from core.freesound.errors import SignInExpired
from core.people import Person
from core.pipeline.analysis import Analysis
from core.publishing.form import UploadForm

ANALYSIS = Analysis(
    sound_id="file:" + "0" * 64,
    sound=Sound(
        title="upload", source="upload", seconds=4.0, container="WAV", rate=48_000, channels=2
    ),
    model=ModelRef(name="default", version=1),
    suggestions=(
        Suggestion(tag="rain", probability=0.9, above_threshold=True),
        Suggestion(tag="dog", probability=0.6, above_threshold=True),
        Suggestion(tag="wind", probability=0.1, above_threshold=False),
    ),
    preview=b"OggS a preview",
    spectrogram=b"a picture",
    arrays={"activations": np.zeros((2, 3), np.float32)},
)


def upload_form(data: bytes, **changes) -> UploadForm:
    values = {
        "file_name": "rain on roof.wav",
        "size": len(data),
        "tags": ("rain", "roof", "weather"),
        "description": "Rain, from inside.",
        "license": "Creative Commons 0",
        "bst_category": "ss-n",
        "name": "Rain on a roof",
    }
    return UploadForm(**values | changes)


def sound_bytes() -> bytes:
    """A short WAV file of noise, never the same twice."""
    out = BytesIO()
    noise = np.random.default_rng().integers(-999, 999, 800, np.int16)
    with wave.open(out, "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(noise.tobytes())
    return out.getvalue()


class Uploader:
    """Somebody with tokens at the double, called for as the app would."""

    def __init__(self, server, client, name: str) -> None:
        self.person = Person(server.state.users[name].id, name)
        self._server, self._client = server, client
        self.token = server.state.grant(name, client)

    def __call__(self, call):
        try:
            return call(SecretStr(self.token.access))
        except SignInExpired:
            self.token = self._server.state.grant(self.person.name, self._client)
            return call(SecretStr(self.token.access))
