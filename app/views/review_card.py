"""One sound on the monitor: player, uploader's text, tag editor, buttons and history.

Each editor remembers the state that its person was shown.
"""

import streamlit as st

from app import auth, services, state
from app.components.player import Floats, levels_over_time, player
from app.components.tag_editor import tag_editor
from app.routes import media_url
from app.text import ago, clock, plain, plural
from app.views import review_actions
from app.views.event_text import event_text
from core.events.fold import SoundState
from core.events.types import Sound
from core.freesound.vocabulary import license_name, own_page, preference_in_words
from core.people import shown_name
from core.pipeline.withdrawals import MAX_REASON_LENGTH
from core.tags import clean

MAX_TAGS_SHOWN = 30
POLL_INTERVAL_S = 2
MIN_GUESS_PROBABILITY = 0.05
"""Guesses below it are noise; the player lists them all the same."""
CHANNELS = {0: "", 1: "mono", 2: "stereo"}


def review_card(sound_id: str, vocabulary: list[str]) -> None:
    """Draw the card of a sound.

    Args:
        sound_id: The sound.
        vocabulary: Tags that the editor's search offers.
    """
    with st.container(border=True, key=f"sound-{sound_id.replace(':', '-')}"):
        _card(sound_id, vocabulary)


@st.fragment
def _card(sound_id: str, vocabulary: list[str]) -> None:
    sound = services.workspace().sounds.get(sound_id)
    if sound is None or sound.withdrawn:
        st.caption("This sound has been withdrawn.")
        return
    left_column, right_column = st.columns([3, 2], gap="medium")
    with left_column:
        _player(sound)
        _uploader(sound)
    with right_column:
        _editor(sound, vocabulary)
        _status(sound)


def _player(sound: SoundState) -> None:
    if services.workspace().media.path(sound.media.audio) is None:
        st.markdown(f"**{plain(sound.sound.title)}**")
        st.caption("This workspace has no media of the sound: it was imported without them.")
        return
    times, levels = _levels(sound)
    player(
        key=f"player-{sound.sound_id}",
        audio_url=media_url(sound.media.audio),
        picture_url=media_url(sound.media.spectrogram),
        title=sound.sound.title,
        facts=facts_text(sound),
        seconds=sound.sound.seconds,
        suggestions=sound.suggestions,
        times=times,
        levels=levels,
    )
    if sound.sound.note:
        st.caption(f":material/info: {plain(sound.sound.note)}")


def _levels(sound: SoundState) -> tuple[Floats, Floats] | tuple[None, None]:
    """Return the suggestions over time, if the sidecar of their prediction is there."""
    if sound.model is None:
        return None, None
    arrays = services.workspace().sidecars.get(sound.sound_id, sound.model)
    return levels_over_time(arrays, services.vocabulary(sound.model), sound.suggestions)


def facts_text(state_of_sound: SoundState) -> str:
    """Return author, length, format, license, category and age in one line."""
    sound = state_of_sound.sound
    parts = [
        sound.author and f"by {sound.author}",
        clock(sound.seconds),
        sound.container,
        CHANNELS.get(sound.channels, f"{sound.channels} channels"),
        license_name(sound.license),
        sound.category,
        ago(state_of_sound.arrived),
    ]
    return " · ".join(part for part in parts if part)


def _uploader(sound: SoundState) -> None:
    """Draw what Freesound says of the sound. All of it is text from outside."""
    tags, wish = sound.sound.tags, preference_in_words(sound.sound.gen_ai_preference)
    page = own_page(sound.sound.url, services.settings().freesound_api)
    details = _details(sound.sound)
    if not (tags or wish or page or details or sound.sound.is_explicit):
        return
    key = f"uploader-{sound.sound_id.replace(':', '-')}"
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key=key):
        if sound.sound.is_explicit:
            st.badge("Explicit", icon=":material/explicit:", color="orange")
        if details:
            st.caption(details)
        if tags:
            st.caption(f":material/sell: The uploader's tags: {_uploader_tags(sound)}")
        if wish:
            st.caption(f":material/smart_toy: For training generative models: {plain(wish)}")
        if page:
            icon = ":material/open_in_new:"
            st.link_button("On Freesound", page, type="tertiary", icon=icon)


def _details(sound: Sound) -> str:
    """Return pack, place and rating as Markdown."""
    parts = []
    if sound.pack:
        parts.append(f":material/inventory_2: Pack: {plain(sound.pack)}")
    if sound.geotag:
        parts.append(f":material/location_on: {plain(sound.geotag)}")
    if sound.num_ratings:
        ratings = plural(sound.num_ratings, "rating")
        parts.append(f":material/star: {sound.avg_rating:.1f} of 5 ({ratings})")
    return " · ".join(parts)


def _uploader_tags(sound: SoundState) -> str:
    """Return the uploader's tags as Markdown, those that the model suggests too in bold."""
    confident = [tag.tag for tag in sound.suggestions if tag.above_threshold]
    suggested = set(clean(confident).tags)
    tags = sound.sound.tags
    texts = [
        f"**{plain(tag)}**" if suggested & set(clean([tag]).tags) else plain(tag)
        for tag in tags[:MAX_TAGS_SHOWN]
    ]
    more = f" and {len(tags) - MAX_TAGS_SHOWN} more" if len(tags) > MAX_TAGS_SHOWN else ""
    return ", ".join(texts) + more


def _editor(sound: SoundState, vocabulary: list[str]) -> None:
    """Draw chips and buttons.

    The person edits the state that they were shown, until they save it or have nothing unsaved.
    """
    may_edit, shown = auth.viewer().edit.allowed, _shown_state(sound)
    edit = tag_editor(
        state.tag_editor_key(sound.sound_id),
        shown.tags,
        vocabulary,
        [
            tag
            for tag in sound.suggestions
            if tag.tag not in shown.tags and tag.probability >= MIN_GUESS_PROBABILITY
        ],
        version=shown.last_event.event_id,
        disabled=not may_edit,
    )
    if shown.last_event.event_id != sound.last_event.event_id:
        name = plain(shown_name(sound.last_event.actor))
        st.caption(
            f":material/group: {name} has changed this sound since; "
            "your changes will be added to theirs."
        )
    if may_edit:
        _buttons(sound, changed=edit.changed)
        _name_form(sound.sound_id)


def _shown_state(sound: SoundState) -> SoundState:
    """Return the state that is edited: today's, unless an older one has unsaved changes."""
    entry = state.shown_state(sound.sound_id)
    shown = entry.get()
    if shown is not None and set(review_actions.tags_in_editor(shown)) != set(shown.tags):
        return shown
    entry.set(sound)
    return sound


def _buttons(sound: SoundState, *, changed: bool) -> None:
    sound_id = sound.sound_id
    with st.container(horizontal=True, gap="small"):
        # Never disabled: a press may come together with the text that is still being typed.
        st.button(
            "Save",
            key=f"save-{sound_id}",
            type="primary" if changed else "secondary",
            on_click=review_actions.save,
            args=(sound_id,),
            icon=":material/check:",
        )
        st.button(
            "Save and confirm the rest" if changed else "All correct",
            key=f"accept-{sound_id}",
            on_click=review_actions.save,
            args=(sound_id, True),
            icon=":material/done_all:",
            help="Confirm all of these tags",
        )
        _undo_button(sound)


def _undo_button(sound: SoundState) -> None:
    """Draw the button; a publication cannot be undone."""
    last = sound.last_review
    review = last if last and last.kind == "reviewed" else None
    help_text = f"Undo the review by {plain(shown_name(review.actor))}" if review else None
    st.button(
        "Undo",
        key=f"undo-{sound.sound_id}",
        type="tertiary",
        icon=":material/undo:",
        disabled=review is None,
        on_click=review_actions.undo_review,
        args=(sound.sound_id, review.event_id if review else ""),
        help=help_text or "Nothing to undo",
    )


def _name_form(sound_id: str) -> None:
    """Ask for a name if something was pressed that needs one."""
    if state.postponed_action(sound_id).get() is None:
        return
    with st.form(f"name-{sound_id}"):
        st.text_input(
            "What name should we record your corrections under?",
            key=state.asked_name(sound_id).key,
            max_chars=60,
        )
        st.form_submit_button(
            "Continue", type="primary", on_click=review_actions.save_name, args=(sound_id,)
        )


def _status(sound: SoundState) -> None:
    note = state.sound_note(sound.sound_id).get()
    if note:
        st.container(key=f"note-{sound.sound_id}").markdown(note)
    event_id = sound.last_event.event_id
    if sound.last_review and services.workspace().sync.waiting([event_id]):
        _sync_status(event_id)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.caption(_review_status(sound))
        with st.popover("History", type="tertiary"):
            _history(sound.sound_id)


@st.fragment(run_every=POLL_INTERVAL_S)
def _sync_status(event_id: str) -> None:
    """Show where a save is: on this server only, then in the shared workspace too."""
    if services.workspace().sync.waiting([event_id]):
        st.caption(":material/cloud_upload: Syncing with the shared workspace ...")
    else:
        st.caption(":material/cloud_done: Saved in the shared workspace")


def _review_status(sound: SoundState) -> str:
    last = sound.last_review
    if last:
        name = plain(shown_name(last.actor))
        return f":material/verified: Reviewed by {name}, {ago(last.time)}"
    if sound.tags and sound.model is None:
        return ":material/file_open: Imported, not reviewed"
    if sound.tags:
        return ":material/auto_awesome: Suggested, not reviewed"
    return ":material/auto_awesome: The model is not sure of any tag"


def _history(sound_id: str) -> None:
    for event in reversed(services.workspace().events.of_sound(sound_id)):
        st.markdown(f"**{ago(event.time)}**, {event_text(event)}")
    if not review_actions.may_withdraw(sound_id):
        return
    st.divider()
    st.caption("Withdrawing removes the sound from Earmark for good, not from Freesound.")
    reason = state.withdrawal_reason(sound_id)
    st.text_input("Reason", key=reason.key, max_chars=MAX_REASON_LENGTH)
    st.button(
        "Withdraw",
        key=f"withdraw-{sound_id}",
        icon=":material/delete_forever:",
        on_click=review_actions.withdraw_sound,
        args=(sound_id,),
    )
