"""Upload or record a clip and see what the model hears in it."""

import hashlib
import json
import math
from dataclasses import dataclass

import streamlit as st

from app import session, tries
from app.player import Heard, player
from app.routes import try_url
from app.tag_editor import tag_editor
from app.text import clock, plain
from core import media
from core.id2prediction import ModelRef, Suggestion
from core.model import audio
from core.model.audio import AUDIO_SUFFIXES, AudioError
from core.settings import EXAMPLE_SOUNDS
from core.tagging import suggestions
from core.tags import FEWEST, MOST

RECORDING_RATE = 48_000  # Streamlit's default of 16 kHz would lose everything above 8 kHz
CLIPS_KEPT = 3
EXAMPLES = {"Rain on leaves": "rain-on-leaves.ogg", "Ambulance siren": "siren.ogg", "Dog barking": "dog-barking.ogg"}


@dataclass(frozen=True)
class Listened:
    """One clip, listened to: what the page shows of it. `key` is a SHA-256 of name and content, `audio` and `picture` are names in the
    store of tried clips."""

    key: str
    name: str
    facts: str
    seconds: float
    suggestions: tuple[Suggestion, ...]
    heard: Heard
    audio: str
    picture: str
    vocabulary: tuple[str, ...]
    model: ModelRef


def main() -> None:
    st.title("Try your sound", anchor=False)
    st.caption("The clip stays on this server for about an hour so that you can play it. Nothing is published.")
    clip = choose()
    if clip is None:
        return
    try:
        result(listen(*clip))
    except AudioError as error:
        session.show_error(error)


def choose() -> tuple[str, bytes] | None:
    """The clip that was uploaded, recorded or picked last: its name and bytes."""
    upload, record = st.columns(2, gap="large")
    with upload:
        file = _upload()
    with record:
        recording = st.audio_input("Record one", sample_rate=RECORDING_RATE, key="recording", on_change=_take, args=("recording",))
    example = st.pills("No sound at hand? Hear one of ours", EXAMPLES, key="example", on_change=_take, args=("example",))
    given = {
        "upload": file and (file.name, file.getvalue()),
        "recording": recording and ("Your recording", recording.getvalue()),
        "example": example and (f"{example} (synthetic)", (EXAMPLE_SOUNDS / EXAMPLES[example]).read_bytes()),
    }
    return given.get(st.session_state.get("taken", "")) or next((clip for clip in given.values() if clip), None)


def _upload():
    limits = session.settings().limits
    return st.file_uploader(
        "Upload a sound",
        type=sorted(AUDIO_SUFFIXES),
        max_upload_size=math.ceil(limits.megabytes),
        key="upload",
        help=f"Up to {clock(limits.seconds)} and {limits.megabytes:g} MB: WAV, FLAC, OGG, MP3, AIFF, M4A, WV, WebM",
        on_change=_take,
        args=("upload",),
    )


def _take(which: str) -> None:
    """Remember which of the inputs was used last."""
    st.session_state.taken = which


def listen(name: str, data: bytes) -> Listened:
    """What the model hears, remembered for as long as the session shows the same clip. Raises `AudioError`."""
    key = hashlib.sha256(name.encode() + data).hexdigest()
    tagger, model = session.tagger()
    remembered: dict[str, Listened] = st.session_state.setdefault("listened", {})
    clip = remembered.get(key)
    if clip is None or clip.model != model or tries.store().path(clip.audio) is None:
        with st.spinner("Listening ..."), session.inference_slots():
            clip = remembered[key] = _listen(key, name, data, tagger, model)
        for old in list(remembered)[:-CLIPS_KEPT]:
            del remembered[old]
    return clip


def _listen(key: str, name: str, data: bytes, tagger, model: ModelRef) -> Listened:
    limits, store = session.settings().limits, tries.store()
    waveform = audio.load(data, name=name, limits=limits)
    tagging = tagger.tag(waveform)
    columns = [tagger.vocabulary.index(one.tag) for one in tagging.top]
    facts = waveform.source
    return Listened(
        key=key,
        name=name,
        facts=f"{clock(facts.seconds)} · {facts.container} · {facts.rate / 1000:g} kHz · {facts.channels} ch",
        seconds=facts.seconds,
        suggestions=suggestions(tagging),
        heard=Heard(tagging.times, tagging.activations[:, columns]),
        audio=store.put(media.playable_ogg(data, name, limits), "ogg"),
        picture=store.put(media.spectrogram_webp(tagging.log_mel), "webp"),
        vocabulary=tagger.vocabulary,
        model=model,
    )


def result(clip: Listened) -> None:
    """The clip, what was heard in it and when, and its tags, ready to take away."""
    with st.container(border=True):
        hear, tags = st.columns([3, 2], gap="medium")
        with hear:
            player(
                key=f"try-{clip.key}", audio_url=try_url(clip.audio), picture_url=try_url(clip.picture), title=clip.name, facts=clip.facts,
                seconds=clip.seconds, suggestions=clip.suggestions, heard=clip.heard,
            )  # fmt: skip
        with tags:
            edit_tags(clip)


def edit_tags(clip: Listened) -> None:
    sure = [one.tag for one in clip.suggestions if one.above_threshold]
    guesses = [one for one in clip.suggestions if not one.above_threshold]
    edit = tag_editor(f"try-tags-{clip.key}", sure, clip.vocabulary, guesses)
    if not sure:
        st.caption(":material/auto_awesome: The model is not sure of any tag here; its best guesses are beside the player.")
    if edit.tags:
        st.code(" ".join(edit.tags), language=None, wrap_lines=True)
    count = len(edit.tags)
    st.caption(
        f"{count} of {FEWEST} to {MOST} tags, as Freesound stores them."
        + ("" if FEWEST <= count <= MOST else " Freesound would not accept that number.")
    )
    st.download_button(
        "Download as JSON", as_json(clip, edit.tags), file_name="earmark-tags.json", mime="application/json", icon=":material/download:"
    )
    st.caption(f"Heard by {plain(str(clip.model))}.")


def as_json(clip: Listened, tags: tuple[str, ...]) -> str:
    heard = [one.model_dump(mode="json") for one in clip.suggestions]
    return json.dumps({"file": clip.name, "tags": list(tags), "suggestions": heard, "model": str(clip.model)}, indent=1, ensure_ascii=False)


main()
