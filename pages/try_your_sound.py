"""Upload or record a clip, see what the model hears in it, and publish it."""

import json
import math
from dataclasses import dataclass

import streamlit as st

from app import drafts, listening, publish_form, session
from app.listening import Listened, TooManyClips
from app.player import player
from app.publish_form import Clip
from app.routes import try_url
from app.tag_editor import Edit, tag_editor
from app.text import clock, plain, plural
from core.model.audio import AUDIO_SUFFIXES, AudioError
from core.settings import EXAMPLE_SOUNDS
from core.tags import FEWEST, MOST

RECORDING_RATE = 48_000  # Streamlit's default of 16 kHz would lose everything above 8 kHz
EXAMPLES = {"Rain on leaves": "rain-on-leaves.ogg", "Ambulance siren": "siren.ogg", "Dog barking": "dog-barking.ogg"}


@dataclass(frozen=True)
class Given:
    """A clip to listen to: what to call it, its file's name and bytes, and whether it is the person's `own` to publish."""

    name: str
    file_name: str
    data: bytes
    own: bool = True


def main() -> None:
    st.title("Try your sound", anchor=False)
    st.caption("The clip stays on this server for a day at most, so that you can go on with it. Nothing is published unless you say so.")
    begun = draft()
    given = choose(begun)
    if given is None:
        return
    try:
        heard = listening.listen(given.name, given.data)
    except (AudioError, TooManyClips) as error:
        session.show_error(error)
        return
    before = begun.form if begun and begun.data == given.data else {}
    edit, part = result(heard, before)
    if given.own:
        clip = Clip(heard.key, given.file_name, given.data, part, heard.suggestions, heard.model)
        publish_form.restore(clip.key, before)
        publish_form.publish_section(clip, edit)
        keep(clip, given.name, edit)


def draft() -> drafts.Draft | None:
    """What was begun before somebody came to this page, be it from another one: looked up then, and not again while they stay."""
    if "upload" not in st.session_state:  # the uploader is there from the end of the first run until the page is left
        st.session_state.begun = drafts.mine()
        st.session_state.pop("taken", None)
    return st.session_state.begun


def keep(clip: Clip, name: str, edit: Edit) -> None:
    """Keep the draft, unless it has just been published."""
    done = st.session_state.get(f"published-{clip.key}")
    if done is None or done.state != "published":
        form = publish_form.values(clip.key) | {"tags": list(edit.tags), "part": clip.part, "file_name": clip.file_name}
        drafts.keep(name, clip.data, form)


def choose(begun: drafts.Draft | None) -> Given | None:
    """The clip that was uploaded, recorded or picked last, or begun earlier."""
    upload, record = st.columns(2, gap="large")
    with upload:
        file = _upload()
    with record:
        recording = st.audio_input("Record one", sample_rate=RECORDING_RATE, key="recording", on_change=_take, args=("recording",))
    example = st.pills("No sound at hand? Hear one of ours", EXAMPLES, key="example", on_change=_take, args=("example",))
    given = {
        "upload": file and Given(file.name, file.name, file.getvalue()),
        "recording": recording and Given("Your recording", "recording.wav", recording.getvalue()),
        "example": example and _example(example),
    }
    newest = given.get(st.session_state.get("taken", "")) or next((clip for clip in given.values() if clip), None)
    if newest or begun is None:
        return newest
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(f":material/history: You were working on {plain(begun.name)}.")
        st.button("Discard it", key="discard", type="tertiary", icon=":material/delete:", on_click=_discard)
    return Given(begun.name, str(begun.form.get("file_name") or begun.name), begun.data)


def _example(name: str) -> Given:
    file_name = EXAMPLES[name]
    return Given(f"{name} (synthetic)", file_name, (EXAMPLE_SOUNDS / file_name).read_bytes(), own=False)


def _upload():
    limits = listening.limits()
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


def _discard() -> None:
    drafts.forget()
    st.session_state.begun = None


def result(heard: Listened, before: dict) -> tuple[Edit, tuple[float, float] | None]:
    """The clip, what was heard in it and when; returns its tags and the part that was chosen."""
    with st.container(border=True):
        hear, tags = st.columns([3, 2], gap="medium")
        with hear:
            part = player(
                key=f"try-{heard.key}", audio_url=try_url(heard.audio), picture_url=try_url(heard.picture), title=heard.name,
                facts=heard.facts_in_words, seconds=heard.facts.seconds, suggestions=heard.suggestions, heard=heard.heard,
                selectable=True, selection=_part_before(before.get("part"), heard.facts.seconds),
            )  # fmt: skip
            if part:
                st.caption(
                    f":material/content_cut: {part[0]:.2f} s to {part[1]:.2f} s would be published; the tags are those of the whole."
                )
        with tags:
            return edit_tags(heard, before.get("tags")), part


def _part_before(before, seconds: float) -> tuple[float, float] | None:
    """The part that a draft says, if it makes sense."""
    if isinstance(before, list) and len(before) == 2 and all(isinstance(one, int | float) for one in before):
        return (before[0], before[1]) if 0 <= before[0] < before[1] <= seconds else None
    return None


def edit_tags(heard: Listened, before) -> Edit:
    """Chips, and how Freesound counts them."""
    sure = [one.tag for one in heard.suggestions if one.above_threshold]
    guesses = [one for one in heard.suggestions if not one.above_threshold]
    begun = [tag for tag in before if isinstance(tag, str)] if isinstance(before, list) else None
    edit = tag_editor(f"try-tags-{heard.key}", sure, heard.vocabulary, guesses, begun=begun)
    if not sure:
        st.caption(":material/auto_awesome: The model is not sure of any tag here; its best guesses are beside the player.")
    if edit.tags:
        st.code(" ".join(edit.tags), language=None, wrap_lines=True)
    st.caption(f"{plural(len(edit.tags), 'tag')} as Freesound stores them; it wants {FEWEST} to {MOST}.")
    st.download_button(
        "Download as JSON", as_json(heard, edit.tags), file_name="earmark-tags.json", mime="application/json", icon=":material/download:"
    )
    st.caption(f"Heard by {plain(str(heard.model))}. {plain(session.model_notice())}")
    return edit


def as_json(heard: Listened, tags: tuple[str, ...]) -> str:
    suggested = [one.model_dump(mode="json") for one in heard.suggestions]
    return json.dumps(
        {"file": heard.name, "tags": list(tags), "suggestions": suggested, "model": str(heard.model)}, indent=1, ensure_ascii=False
    )


main()
