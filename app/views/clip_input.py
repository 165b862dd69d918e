"""Choosing a clip on the try page: upload, recording, example or the draft."""

import math
from dataclasses import dataclass

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from app import browser, state, upload_limits
from app.drafts import Draft
from app.text import clock, plain
from app.views.clip_analysis import audio_limits
from app.views.draft import delete_draft, load_draft
from core.audio.types import AUDIO_SUFFIXES
from core.settings import EXAMPLE_SOUNDS

RECORDING_RATE_HZ = 48_000
"""Streamlit's default of 16 kHz would lose everything above 8 kHz."""
EXAMPLES = {
    "Rain on leaves": "rain-on-leaves.ogg",
    "Ambulance siren": "siren.ogg",
    "Dog barking": "dog-barking.ogg",
}
MAX_FILES = 4
"""An upload and a recording, and two more that take their places."""
FORMATS = "WAV, FLAC, OGG, MP3, AIFF, M4A, WV, WebM"


@dataclass(frozen=True)
class ClipFile:
    """A clip to analyse.

    Attributes:
        name: What to call it.
        file_name: Its file's name.
        data: Its bytes.
        publishable: False for our examples.
    """

    name: str
    file_name: str
    data: bytes
    publishable: bool = True


def begun_draft() -> Draft | None:
    """Return the draft that the person had begun before they came to this page."""
    if not state.upload.exists:  # the uploader exists from the first run until the page is left
        state.begun_draft.set(load_draft())
        state.last_input.pop()
    return state.begun_draft.get()


def choose_clip(draft: Draft | None) -> ClipFile | None:
    """Draw the inputs; returns the clip of the last one that was used, else the draft's."""
    left_column, right_column = st.columns(2, gap="medium")
    with left_column:
        file = _file_uploader()
    with right_column:
        recording = st.audio_input(
            "Record",
            sample_rate=RECORDING_RATE_HZ,
            disabled=not browser.keeps_cookies(),
            key=state.recording.key,
            on_change=_note_input,
            args=("recording",),
        )
    example = st.pills(
        "Or try an example",
        EXAMPLES,
        key=state.example.key,
        on_change=_note_input,
        args=("example",),
    )
    clips = {
        "upload": ClipFile(file.name, file.name, file.getvalue()) if file else None,
        "recording": _recording(recording),
        "example": _example(example) if example else None,
    }
    last_used = clips.get(state.last_input.get())
    clip = last_used or next((clip for clip in clips.values() if clip), None)
    return clip or (_draft_clip(draft) if draft else None)


def _file_uploader() -> UploadedFile | None:
    limits = audio_limits()
    upload_limits.allow_uploads(limits.megabytes, MAX_FILES)
    return st.file_uploader(
        "Upload a sound",
        type=sorted(AUDIO_SUFFIXES),
        max_upload_size=math.ceil(limits.megabytes),
        disabled=not browser.keeps_cookies(),
        key=state.upload.key,
        help=f"Up to {clock(limits.seconds)} and {limits.megabytes:g} MB: {FORMATS}",
        on_change=_note_input,
        args=("upload",),
    )


def _recording(recording: UploadedFile | None) -> ClipFile | None:
    if recording is None:
        return None
    return ClipFile("Your recording", "recording.wav", recording.getvalue())


def _example(name: str) -> ClipFile:
    file_name = EXAMPLES[name]
    data = (EXAMPLE_SOUNDS / file_name).read_bytes()
    return ClipFile(f"{name} (synthetic)", file_name, data, publishable=False)


def _draft_clip(draft: Draft) -> ClipFile:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(f":material/history: Restored draft: {plain(draft.name)}")
        st.button(
            "Discard",
            key="discard",
            type="tertiary",
            icon=":material/delete:",
            on_click=_discard,
        )
    return ClipFile(draft.name, str(draft.form.get("file_name") or draft.name), draft.data)


def _note_input(name: str) -> None:
    state.last_input.set(name)


def _discard() -> None:
    delete_draft()
    state.begun_draft.set(None)
