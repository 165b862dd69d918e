"""From a tagged clip to a sound on Freesound: form, summary, and one deliberate press."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

import streamlit as st

from app import auth, services, state
from app.clips import OutgoingSound, Part, TriedClip
from app.components.tag_editor import Edit
from app.text import bullets, plain
from app.views import publish_progress
from app.views.clip_analysis import turn_on_page
from app.views.errors import show_error
from app.views.publish_optional import NOT_BY_API, optional_fields, place_text
from core.audio.errors import AudioError
from core.audio.trim import trim
from core.audio.types import AudioLimits
from core.events.types import ModelRef, Suggestion
from core.publishing.category import CATEGORIES, CategoryGuess, category, predict_category
from core.publishing.form import (
    LICENSES,
    Problem,
    UploadForm,
    check,
    machine_note,
    sources_note,
    with_note,
)
from core.tags import MAX_TAGS, MIN_TAGS
from core.work import WorkStopped

FIELDS = ("title", "description", "license", "pack", "geotag", "sources")
"""What is typed here, by the name in the draft."""
CHOICES: Mapping[str, Container[str]] = {"license": LICENSES, "category": CATEGORIES}
LEGALITY = (
    "Publish only what you recorded or made yourself: sounds, samples and loops, no whole songs. "
    "[What Freesound takes](https://freesound.org/help/faq/#what-sounds-are-legal-to-put-on-freesound)"
)
GEN_AI_HINT = (
    "Made with generative AI? Add the tag *genai* and name the model in the description. "
    "[Freesound’s rule](https://freesound.org/help/faq/#can-i-upload-ai-generated-content)"
)
DESCRIPTION_HINT = "What it is, where, and how it was recorded or made"


@dataclass(frozen=True)
class ClipToPublish:
    """A clip, and what of it is to be published.

    Attributes:
        tried: The analysed clip.
        file_name: The original file's name.
        data: Its bytes.
        part: From when to when, in seconds; None for all of it.
    """

    tried: TriedClip
    file_name: str
    data: bytes
    part: Part | None

    @property
    def key(self) -> str:
        """Return the key that tells clips apart."""
        return self.tried.key

    @property
    def suggestions(self) -> tuple[Suggestion, ...]:
        """Return the model's top tags."""
        return self.tried.suggestions

    @property
    def model(self) -> ModelRef:
        """Return the version that predicted them."""
        return self.tried.model


def form_values(clip_key: str) -> dict[str, object]:
    """Return what the form holds now, for the draft."""
    typed = state.publish_typed(clip_key).get()
    values: dict[str, object] = {}
    for name in (*FIELDS, "category"):
        field = state.publish_field(clip_key, name)
        values[name] = field.get() if field.exists else typed.get(name)
    explicit = state.publish_explicit(clip_key)
    values["explicit"] = explicit.get() if explicit.exists else typed.get("explicit")
    return {name: value for name, value in values.items() if value}


def restore_form(clip_key: str, form: Mapping[str, object]) -> None:
    """Fill the form from what was typed in this session, or else from a draft."""
    typed = state.publish_typed(clip_key)
    form = typed.get() if typed.exists else form
    for name in (*FIELDS, "category"):
        value, field = form.get(name), state.publish_field(clip_key, name)
        is_valid = isinstance(value, str) and value in CHOICES.get(name, (value,))
        if isinstance(value, str) and is_valid and not field.exists:
            field.set(value)
    explicit = state.publish_explicit(clip_key)
    if form.get("explicit") is True and not explicit.exists:
        explicit.set(True)


def publish_section(clip: ClipToPublish, edit: Edit) -> None:
    """Draw all that publishing needs, or the reason why it is not possible here.

    Args:
        clip: What is to be published.
        edit: Its tags.
    """
    st.header("Publish on Freesound", anchor=False)
    if services.sign_ins() is None:
        missing = "FREESOUND_API_KEY and EARMARK_FREESOUND_CLIENT_ID are not both set"
        st.caption(f"Publishing is off on this server: {missing}.")
        return
    if state.sending(clip.key).get() is not None:
        publish_progress.watch(clip.key)
        return
    last = state.last_upload(clip.key).get()
    if last is not None and last.state == "published":
        publish_progress.outcome(last)
        return
    try:
        outgoing = _outgoing(clip)
    except (AudioError, WorkStopped) as error:
        show_error(error)
        return
    form = _form(clip, outgoing, edit)
    _summary(form, clip, outgoing)
    _publish_button(clip, outgoing, form)


def _outgoing(clip: ClipToPublish) -> OutgoingSound:
    """Return the original file, or the selected part of it, cut once."""
    if clip.part is None:
        return OutgoingSound(clip.data, clip.file_name, analysis=clip.tried.analysis)
    entry = state.outgoing_part(clip.key)
    cut = entry.get()
    if cut is not None and cut[0] == clip.part:
        return cut[1]
    limits = AudioLimits.from_settings(services.settings())
    with turn_on_page(clip.file_name, "Cutting ...") as checkpoint:
        trimmed = trim(clip.data, clip.file_name, *clip.part, limits, checkpoint)
    outgoing = OutgoingSound(trimmed.data, trimmed.file_name, trimmed.note)
    entry.set((clip.part, outgoing))
    return outgoing


def _form(clip: ClipToPublish, outgoing: OutgoingSound, edit: Edit) -> UploadForm:
    """Draw the fields; returns what they say together with the clip's tags."""
    left_column, right_column = st.columns(2, gap="medium")
    with left_column:
        title, text = _text_fields(clip)
    with right_column:
        code = _category_field(clip, edit)
        license_name = _license_field(clip)
        optional = optional_fields(clip.key)
    state.publish_typed(clip.key).set(form_values(clip.key))
    kept = [suggestion.tag for suggestion in clip.suggestions if suggestion.tag in edit.tags]
    note = machine_note(kept, clip.model)
    text = with_note(text, sources_note(optional.source_ids)) if text.strip() else ""
    return UploadForm(
        file_name=outgoing.file_name,
        size=len(outgoing.data),
        tags=edit.tags,
        description=with_note(text, note) if text else "",
        license=license_name,
        bst_category=code,
        name=title if title.strip() else outgoing.file_name,
        pack=optional.pack,
        geotag=optional.geotag,
        is_explicit=optional.is_explicit,
        sources=optional.sources,
    )


def _text_fields(clip: ClipToPublish) -> tuple[str, str]:
    title = st.text_input(
        "Name",
        key=state.publish_field(clip.key, "title").key,
        placeholder=f"{clip.file_name}, if left empty",
    )
    text = st.text_area(
        "Description",
        key=state.publish_field(clip.key, "description").key,
        height=150,
        placeholder=DESCRIPTION_HINT,
    )
    st.caption(GEN_AI_HINT)
    return title, text


def _license_field(clip: ClipToPublish) -> str:
    choice = st.radio(
        "License",
        list(LICENSES),
        index=None,
        key=state.publish_field(clip.key, "license").key,
        format_func=lambda name: LICENSES[name].title,
        captions=[license.meaning for license in LICENSES.values()],
    )
    return choice or ""


def _category_field(clip: ClipToPublish, edit: Edit) -> str:
    """Draw the category: the one that the tags suggest, until the person chooses."""
    probabilities = {tag.tag: tag.probability for tag in clip.suggestions}
    guesses = predict_category(edit.tags, probabilities)
    choice = state.publish_field(clip.key, "category").get()
    codes, preset = list(CATEGORIES), choice or _code(guesses)
    widget = state.publish_field(clip.key, f"category-of-{preset}").key
    code = st.selectbox(
        "Category",
        codes,
        index=codes.index(preset) if preset in codes else None,
        key=widget,
        placeholder="Choose one",
        format_func=lambda code: category(code).label,
        on_change=_choose_category,
        args=(clip.key, f"category-of-{preset}"),
    )
    if code:
        st.caption(category(code).description)
    if code and code == _code(guesses) and not choice:
        tags = plain(", ".join(guesses[0].tags))
        st.caption(f":material/auto_awesome: Suggested from the tags {tags}.")
    return code or ""


def _code(guesses: Sequence[CategoryGuess]) -> str | None:
    return guesses[0].code if guesses else None


def _choose_category(clip_key: str, widget: str) -> None:
    choice = state.publish_field(clip_key, widget).get()
    state.publish_field(clip_key, "category").set(choice)


def _summary(form: UploadForm, clip: ClipToPublish, outgoing: OutgoingSound) -> None:
    """Draw exactly what Freesound will store."""
    with st.expander("Sent to Freesound", expanded=False):
        part = "the original bytes"
        if clip.part is not None:
            start, end = clip.part
            part = f"{start:.2f} s to {end:.2f} s of it, cut losslessly"
        sound = f"{plain(form.file_name)}, {part}. {plain(outgoing.note)}"
        st.markdown(f"**Sound.** {sound}")
        st.markdown(f"**Name.** {plain(form.name)}")
        count = f"{len(form.tags)} of {MIN_TAGS} to {MAX_TAGS}"
        st.markdown(f"**Tags.** {plain(' '.join(form.tags))} ({count})")
        label = category(form.bst_category).label if form.bst_category else "(none yet)"
        st.markdown(f"**Category.** {plain(label)}")
        title = LICENSES[form.license].title if form.license else "(none yet)"
        st.markdown(f"**License.** {plain(title)}")
        if form.pack.strip() or form.geotag.strip():
            place = place_text(form.geotag) or form.geotag
            pack, place = (plain(text) or "(none)" for text in (form.pack, place))
            st.markdown(f"**Pack.** {pack} **Place.** {place}")
        st.markdown("**Description.**")
        st.text(form.description or "(none yet)")
        if form.is_explicit or form.sources.strip():
            st.caption(NOT_BY_API)


def _publish_button(clip: ClipToPublish, outgoing: OutgoingSound, form: UploadForm) -> None:
    person, problems = auth.viewer().person, check(form)
    _problems(problems)
    if error := state.publish_error(clip.key).get():
        show_error(error)
    if person is None:
        _sign_in_button()
        return
    last = state.last_upload(clip.key).get()
    if last is not None:
        publish_progress.outcome(last)
    # No callback: it would get the form as it was before the field that this very press left.
    pressed = st.button(
        f"Publish as {plain(person.name)}",
        key=f"publish-{person.user_id}-{clip.key}",
        type="primary",
        icon=":material/publish:",
        disabled=bool(problems),
    )
    st.caption(f"Freesound moderates sounds before they become public. {LEGALITY}")
    if pressed and publish_progress.start(clip.key, outgoing, form):
        st.rerun()


def _sign_in_button() -> None:
    st.button(
        "Sign in with Freesound to publish",
        key="sign-in-to-publish",
        type="primary",
        icon=":material/login:",
        on_click=auth.request_sign_in,
    )
    st.caption("Your sound and everything typed here are kept.")


def _problems(problems: list[Problem]) -> None:
    if problems:
        lines = bullets([plain(problem.sentence) for problem in problems])
        st.caption(f"To publish, please fix:\n{lines}")
