"""People who publish on the Freesound double, and what they publish."""

import os
import wave
from collections.abc import Callable
from io import BytesIO
from typing import TypeVar

import numpy as np
from pydantic import SecretStr

from core.events.types import ModelRef, Sound, Suggestion
from core.freesound.errors import SignInExpired
from core.freesound.rate_limit import Limits
from core.people import Person
from core.pipeline.analysis import Analysis
from core.publishing.form import UploadForm
from tests.servers.freesound import Client, FreesoundServer

Result = TypeVar("Result")

PLENTY = Limits(10**6, 10**6, 10**6, 10**6)
ANALYSIS = Analysis(
    sound_id=f"file:{'a' * 64}",
    sound=Sound(
        title="rain on roof.wav",
        source="upload",
        seconds=4.0,
        container="WAV",
        rate=48_000,
        channels=2,
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


def upload_form(data: bytes, **changes: object) -> UploadForm:
    """Return a form that Freesound accepts, for a file of those bytes."""
    values: dict[str, object] = {
        "file_name": "rain on roof.wav",
        "size": len(data),
        "tags": ("rain", "roof", "weather"),
        "description": "Rain, from inside.",
        "license": "Creative Commons 0",
        "bst_category": "ss-n",
        "name": "Rain on a roof",
    }
    return UploadForm(**values | changes)  # type: ignore[arg-type]


def noise_wav() -> bytes:
    """Return a short WAV file of noise, never the same twice."""
    out = BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(os.urandom(2000))
    return out.getvalue()


class Uploader:
    """Somebody with tokens, called for as the app would: one refresh after one has run out."""

    def __init__(self, server: FreesoundServer, app: Client, name: str = "alice") -> None:
        self.person = Person(server.state.users[name].id, name)
        self._server, self._app = server, app
        self.token = server.state.grant(name, app)

    def __call__(self, call: Callable[[SecretStr], Result]) -> Result:
        try:
            return call(SecretStr(self.token.access))
        except SignInExpired:
            self.token = self._server.state.grant(self.person.name, self._app)
            return call(SecretStr(self.token.access))
