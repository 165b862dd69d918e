"""From a tagged clip to a sound on Freesound: the form, what exactly will be sent, one deliberate press, and what became of it."""

import threading
from collections.abc import Callable, Container
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import streamlit as st

from app import drafts, listening, session
from app.tag_editor import Edit
from app.text import plain
from core.errors import EarmarkError
from core.freesound.form import LICENSES, Problem, UploadForm, check, machine_note, with_note
from core.freesound.publications import Publication
from core.freesound.publishing import Publisher, WithToken
from core.freesound.taxonomy import CATEGORIES, category, predict_category
from core.id2prediction import ModelRef, Suggestion
from core.model.audio import AudioError
from core.people import Person
from core.tags import FEWEST, MOST
from core.trim import trim

LOOK_EVERY_S = 0.5
FIELDS = ("title", "description", "license", "pack", "geotag")
"""What is typed here, by the end of each widget's key."""
PAGES = Path(__file__).resolve().parents[1] / "pages"
PLACE_HELP = "Latitude, longitude and, if you like, the map's zoom"


@dataclass(frozen=True)
class Clip:
    """What is at hand: the original `data` of a clip by the name of its file, the `part` of it to publish in seconds (None: all of
    it), and what the model suggests for it. `key` tells clips apart."""

    key: str
    file_name: str
    data: bytes
    part: tuple[float, float] | None
    suggestions: tuple[Suggestion, ...]
    model: ModelRef


@dataclass(frozen=True)
class Outgoing:
    """What really goes out: its bytes, the name of the file, and a `note` on what cutting changed."""

    data: bytes
    file_name: str
    note: str = ""


@dataclass
class Sending:
    """A publication on its way in a thread of its own: it goes on when the page is left."""

    stage: str = "Preparing"
    share: float = 0.0
    publication: Publication | None = None
    error: str = ""
    thread: threading.Thread = field(default_factory=threading.Thread)

    def run(self, work: Callable[[Callable[[str, float], None]], Publication]) -> None:
        """Begin."""
        self.thread = threading.Thread(target=self._work, args=(work,), daemon=True, name="publish")
        self.thread.start()

    def _work(self, work: Callable[[Callable[[str, float], None]], Publication]) -> None:
        try:
            self.publication = work(self._progress)
        except EarmarkError as error:
            self.error = str(error)
        except Exception:
            self.error = "Something went wrong here. “Your uploads” says what became of the sound."
            raise

    def _progress(self, stage: str, share: float) -> None:
        self.stage, self.share = stage, share


def key_of(clip_key: str, name: str) -> str:
    """The session key of one field for one clip."""
    return f"publish-{name}-{clip_key}"


def values(clip_key: str) -> dict[str, Any]:
    """What the form holds now, for the draft."""
    typed = st.session_state.get(key_of(clip_key, "typed"), {})
    found = {name: st.session_state.get(key_of(clip_key, name), typed.get(name)) for name in (*FIELDS, "category")}
    return {name: value for name, value in found.items() if value}


def restore(clip_key: str, form: dict[str, Any]) -> None:
    """Fill the form from what was typed in this session, or else from a draft: Streamlit forgets fields that are not on the page."""
    form = st.session_state.get(key_of(clip_key, "typed"), form)
    choices: dict[str, Container[str]] = {"license": LICENSES, "category": CATEGORIES}
    for name in (*FIELDS, "category"):
        value = form.get(name)
        if isinstance(value, str) and value in choices.get(name, (value,)):
            st.session_state.setdefault(key_of(clip_key, name), value)


def publish_section(clip: Clip, edit: Edit) -> None:
    """All that publishing needs, or the reason why it is not possible here."""
    st.subheader("Publish on Freesound", anchor=False)
    if session.sign_ins() is None:
        st.caption("Publishing is off on this server: FREESOUND_API_KEY and EARMARK_FREESOUND_CLIENT_ID are not both set.")
        return
    sending: Sending | None = st.session_state.get(_sending_key(clip))
    if sending is not None:
        _watch(clip)
        return
    last: Publication | None = st.session_state.get(f"published-{clip.key}")
    if last is not None and last.state == "published":
        outcome(last)
        return
    try:
        outgoing = _outgoing(clip)
    except AudioError as error:
        session.show_error(error)
        return
    form = _form(clip, outgoing, edit)
    _summary(form, clip, outgoing)
    _press(clip, outgoing, form)


def _outgoing(clip: Clip) -> Outgoing:
    """The original bytes, or the chosen part of them, cut once. Raises `AudioError`."""
    if clip.part is None:
        return Outgoing(clip.data, clip.file_name)
    key = key_of(clip.key, "cut")
    part, outgoing = st.session_state.get(key, (None, None))
    if part != clip.part:
        cut = trim(clip.data, clip.file_name, *clip.part, session.settings().limits)
        outgoing = Outgoing(cut.data, cut.file_name, cut.note)
        st.session_state[key] = clip.part, outgoing
    return outgoing


def _form(clip: Clip, outgoing: Outgoing, edit: Edit) -> UploadForm:
    """The fields; returns what they say together with the clip's tags."""
    key = partial(key_of, clip.key)
    left, right = st.columns(2, gap="medium")
    with left:
        title = st.text_input("Name", key=key("title"), placeholder=f"{clip.file_name}, if left empty")
        text = st.text_area(
            "Description", key=key("description"), height=150, placeholder="What is heard, where it was, and how it was recorded or made"
        )
    with right:
        code = _category(clip, edit)
        license = st.radio(
            "Licence",
            list(LICENSES),
            index=None,
            key=key("license"),
            format_func=lambda name: LICENSES[name].title,
            captions=[one.meaning for one in LICENSES.values()],
        )
        with st.expander("Pack and place (optional)", expanded=_is_filled(clip)):
            pack = st.text_input("Pack", key=key("pack"), help="A pack of yours for the sound; a new one is made")
            geotag = st.text_input("Place", key=key("geotag"), placeholder="52.5200, 13.4050", help=PLACE_HELP)
    st.session_state[key("typed")] = values(clip.key)
    kept = [one.tag for one in clip.suggestions if one.tag in edit.tags]
    return UploadForm(
        file_name=outgoing.file_name,
        size=len(outgoing.data),
        tags=edit.tags,
        description=with_note(text, machine_note(kept, clip.model)) if text.strip() else "",
        license=license or "",
        bst_category=code,
        name=title if title.strip() else outgoing.file_name,
        pack=pack,
        geotag=geotag,
    )


def _is_filled(clip: Clip) -> bool:
    """Whether the fields that are folded away hold something: nothing is published unseen."""
    return any(st.session_state.get(key_of(clip.key, name)) for name in ("pack", "geotag"))


def _category(clip: Clip, edit: Edit) -> str:
    """The category: the one that the tags speak for, until the person chooses."""
    guesses = predict_category(edit.tags, {one.tag: one.probability for one in clip.suggestions})
    proposed, chosen = guesses[0].code if guesses else None, st.session_state.get(key_of(clip.key, "category"))
    codes = list(CATEGORIES)
    shown = chosen or proposed
    widget = key_of(clip.key, f"category-of-{shown}")
    code = st.selectbox(
        "Category",
        codes,
        index=codes.index(shown) if shown in codes else None,
        key=widget,
        placeholder="Choose one",
        format_func=lambda code: category(code).label,
        on_change=_choose_category,
        args=(clip.key, widget),
    )
    if code:
        st.caption(category(code).description)
    if code and code == proposed and not chosen:
        st.caption(f":material/auto_awesome: Proposed because of {plain(', '.join(guesses[0].tags))}.")
    return code or ""


def _choose_category(clip_key: str, widget: str) -> None:
    st.session_state[key_of(clip_key, "category")] = st.session_state[widget]


def _summary(form: UploadForm, clip: Clip, outgoing: Outgoing) -> None:
    """Exactly what Freesound will store."""
    with st.expander("What exactly will be sent", expanded=False):
        part = "the original bytes" if clip.part is None else f"{clip.part[0]:.2f} s to {clip.part[1]:.2f} s of it, cut without loss"
        st.markdown(f"**Sound.** {plain(form.file_name)}, {part}. {plain(outgoing.note)}")
        st.markdown(f"**Name.** {plain(form.name)}")
        st.markdown(f"**Tags.** {plain(' '.join(form.tags))} ({len(form.tags)} of {FEWEST} to {MOST})")
        st.markdown(f"**Category.** {plain(category(form.bst_category).label) if form.bst_category else '(none yet)'}")
        st.markdown(f"**Licence.** {plain(form.license) or '(none yet)'}")
        if form.pack.strip() or form.geotag.strip():
            st.markdown(f"**Pack.** {plain(form.pack) or '(none)'} **Place.** {plain(form.geotag) or '(none)'}")
        st.markdown("**Description.**")
        st.text(form.description or "(none yet)")


def _press(clip: Clip, outgoing: Outgoing, form: UploadForm) -> None:
    who, problems = session.viewer(), check(form)
    _problems(problems)
    if error := st.session_state.get(f"publish-error-{clip.key}"):
        st.error(plain(error), icon=":material/error:")
    if who.person is None:
        sign_in = "Sign in with Freesound to publish"
        st.button(sign_in, key="sign-in-to-publish", type="primary", icon=":material/login:", on_click=session.go_to_sign_in)
        st.caption("You come back to this sound, and to everything typed here.")
        return
    last: Publication | None = st.session_state.get(f"published-{clip.key}")
    if last is not None:
        outcome(last)
    # No callback: it would get the form as it was before the field that was left by this very press.
    pressed = st.button(
        f"Publish as {plain(who.name)}", key=f"publish-{who.person.user_id}-{clip.key}", type="primary", icon=":material/publish:",
        disabled=bool(problems),
    )  # fmt: skip
    st.caption("This sends the sound to Freesound, where people check it before it becomes public.")
    if pressed and _publish(clip, outgoing, form):
        st.rerun()


def _problems(problems: list[Problem]) -> None:
    if problems:
        st.caption("Before it can be published:\n" + "\n".join(f"- {plain(one.sentence)}" for one in problems))


def _publish(clip: Clip, outgoing: Outgoing, form: UploadForm) -> bool:
    """Begin to publish, if the viewer may and the form is right: both are looked at again here. Returns whether it has begun."""
    person, key = session.viewer().person, _sending_key(clip)
    if person is None or check(form) or key in st.session_state:
        return False
    sending = st.session_state[key] = Sending()
    sending.run(partial(_send, session.publisher(), person, session.with_token(person), outgoing, form))
    return True


def _send(
    publisher: Publisher,
    person: Person,
    with_token: WithToken,
    outgoing: Outgoing,
    form: UploadForm,
    progress: Callable[[str, float], None],
) -> Publication:
    """In a thread of its own: listen to what goes out, and publish it."""
    progress("Listening", 0.0)
    name, data = outgoing.file_name, outgoing.data
    heard = listening.hear_to_publish(name, data, lambda waiting: progress("Waiting, as the server is listening to others", 0.0))
    return publisher.publish(person, with_token, form, data, heard, progress)


@st.fragment(run_every=LOOK_EVERY_S)
def _watch(clip: Clip) -> None:
    """How far it is; the whole page again when it has ended."""
    sending: Sending | None = st.session_state.get(_sending_key(clip))
    if sending is None:
        return
    if sending.thread.is_alive():
        st.progress(sending.share, text=f"{plain(sending.stage)} ...")
        return
    del st.session_state[_sending_key(clip)]
    if sending.publication is not None:
        st.session_state[f"published-{clip.key}"] = sending.publication
        if sending.publication.state == "published":
            drafts.forget()
    st.session_state[f"publish-error-{clip.key}"] = sending.error
    st.rerun(scope="app")


def outcome(publication: Publication) -> None:
    """What became of a publication."""
    message = plain(publication.message)
    if publication.state == "published":
        st.success(message, icon=":material/check_circle:")
        with st.container(horizontal=True):
            st.link_button(f"Sound {publication.sound} on Freesound", publication.url, icon=":material/open_in_new:")
            st.page_link(str(PAGES / "monitor.py"), label="See it in the monitor", icon=":material/graphic_eq:")
    elif publication.open:
        st.warning(message, icon=":material/hourglass_top:")
    else:
        st.error(message, icon=":material/error:")


def _sending_key(clip: Clip) -> str:
    return f"sending-{clip.key}"
