"""One sound in the list: player, uploader's text, tag editor, buttons and menu.

Each editor remembers the state that its person was shown.
"""

from dataclasses import dataclass

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from app import auth, services, state
from app.auth import Viewer
from app.components.tag_editor import tag_editor
from app.text import plain
from app.views import review_actions
from app.views.errors import shows_errors
from app.views.history import history_dialog
from app.views.similar import similar_dialog
from app.views.sound_parts import offered_tags, rejected_tags, sound_player
from app.views.sound_text import review_status, uploader_line
from app.views.withdrawal import may_be_offered, withdraw_dialog
from core.curation.tag_search import TagEntry
from core.events.fold import SoundState
from core.people import shown_name

POLL_INTERVAL_S = 2
HISTORY, SIMILAR, WITHDRAW = "History", "Similar sounds", "Withdraw"
NOT_SURE, UNTAGGABLE = "Mark as not sure", "Mark as cannot be tagged"


@dataclass(frozen=True)
class CardData:
    """Everything that a card is drawn from.

    Attributes:
        sound: The sound as it is now; None where it is gone.
        viewer: Who looks at it.
        is_waiting: True while its newest event is on this machine only.
    """

    sound: SoundState | None
    viewer: Viewer
    is_waiting: bool


def card_key(sound_id: str) -> str:
    """Return the key of a sound's card."""
    return f"sound-{sound_id.replace(':', '-')}"


def review_card(data: CardData, vocabulary: tuple[TagEntry, ...], unsaved: DeltaGenerator) -> None:
    """Draw the card of a sound.

    Args:
        data: The sound, read together with the others of the page.
        vocabulary: Tags that the editor's search offers.
        unsaved: Where the page says how many sounds have unsaved changes.
    """
    if data.sound is None:
        return
    with st.container(border=True, key=card_key(data.sound.sound_id)):
        _card(data.sound.sound_id, vocabulary, unsaved, [data])


@st.fragment
@shows_errors
def _card(
    sound_id: str, vocabulary: tuple[TagEntry, ...], unsaved: DeltaGenerator, loaded: list[CardData]
) -> None:
    """Draw the contents: first from what the page has loaded, later from what is there then."""
    data = loaded.pop() if loaded else _load(sound_id)
    sound = data.sound
    if sound is None or sound.withdrawn:
        st.caption("This sound has been withdrawn.")
        return
    left_column, right_column = st.columns([3, 2], gap="medium")
    with left_column:
        sound_player(sound, f"player-{sound.sound_id}")
    with right_column:
        _editor(sound, vocabulary, data.viewer)
        _buttons_and_status(sound, data)
        uploader_line(sound)
    review_actions.show_unsaved(unsaved)


def _load(sound_id: str) -> CardData:
    sound = services.workspace().sounds.get(sound_id)
    event_ids = [sound.last_event.event_id] if sound else []
    is_waiting = bool(services.workspace().sync.waiting(event_ids))
    return CardData(sound, auth.viewer(), is_waiting)


def _editor(sound: SoundState, vocabulary: tuple[TagEntry, ...], viewer: Viewer) -> None:
    """Draw the chips.

    The person edits the state that they were shown, until they save it or have nothing unsaved.
    """
    shown = _shown_state(sound)
    tag_editor(
        state.tag_editor_key(sound.sound_id),
        shown.tags,
        vocabulary,
        offered_tags(sound, shown.tags),
        version=shown.last_event.event_id,
        disabled=not viewer.edit.allowed,
        title=sound.sound.title,
        rejected=rejected_tags(sound),
    )
    if shown.last_event.event_id != sound.last_event.event_id:
        name = plain(shown_name(sound.last_event.actor))
        st.caption(
            f":material/group: {name} has changed this sound since; "
            "your changes will be added to theirs."
        )


def _shown_state(sound: SoundState) -> SoundState:
    """Return the state that is edited: today's, unless an older one has unsaved changes."""
    entry = state.shown_state(sound.sound_id)
    shown = entry.get()
    if shown is not None and set(review_actions.tags_in_editor(shown)) != set(shown.tags):
        return shown
    entry.set(sound)
    return sound


def _buttons_and_status(sound: SoundState, data: CardData) -> None:
    """Draw what can be done with the sound, and how far people are with it.

    Every part has a place of its own, so that none is taken for another when the card is redrawn.
    """
    sound_id, may_edit = sound.sound_id, data.viewer.edit.allowed
    with st.container(
        key=f"acts-{sound_id}", horizontal=True, gap="xsmall", vertical_alignment="center"
    ):
        if may_edit:
            _review_buttons(sound)
        choice = st.menu_button(
            "More",
            _menu(sound, data.viewer),
            key=f"more-{sound_id}",
            type="tertiary",
            on_click=review_actions.mark_from_menu,
            args=(sound_id,),
        )
        st.caption(review_status(sound))
    if may_edit:
        _name_form(sound_id)
    with st.container(key=f"note-{sound_id}"):
        if note := state.sound_note(sound_id).get():
            st.markdown(note)
    with st.container(key=f"sync-{sound_id}"):
        if data.is_waiting:
            _sync_status(sound.last_event.event_id)
    _dialog(choice, sound)


def _review_buttons(sound: SoundState) -> None:
    """Draw the two acts and the undo.

    They look the same whatever is in the editor, and are never disabled: a press may come together
    with the text that is still being typed.
    """
    sound_id = sound.sound_id
    st.button(
        "Confirm",
        key=f"confirm-{sound_id}",
        type="primary",
        on_click=review_actions.confirm_tags,
        args=(sound_id,),
    )
    st.button(
        "Save changes",
        key=f"save-{sound_id}",
        on_click=review_actions.save_tag_changes,
        args=(sound_id,),
    )
    last = sound.last_review
    review = last if last and last.kind == "reviewed" else None
    st.button(
        "Undo",
        key=f"undo-{sound_id}",
        type="tertiary",
        disabled=review is None,
        on_click=review_actions.undo_review,
        args=(sound_id, review.event_id if review else ""),
    )


def _menu(sound: SoundState, viewer: Viewer) -> list[str]:
    """Return the menu's entries for what the viewer may do."""
    entries = [HISTORY, SIMILAR]
    if viewer.edit.allowed:
        entries += [NOT_SURE, UNTAGGABLE]
    if may_be_offered(sound, viewer):
        entries.append(WITHDRAW)
    return entries


def _dialog(choice: str | None, sound: SoundState) -> None:
    """Open what was chosen in the menu."""
    if choice == HISTORY:
        history_dialog(sound.sound_id)
    elif choice == SIMILAR:
        similar_dialog(sound.sound_id)
    elif choice == WITHDRAW:
        withdraw_dialog(sound.sound_id)


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


@st.fragment(run_every=POLL_INTERVAL_S)
@shows_errors
def _sync_status(event_id: str) -> None:
    """Show where a save is: on this server only, then in the shared workspace too."""
    if services.workspace().sync.waiting([event_id]):
        st.caption(":material/cloud_upload: Syncing with the shared workspace ...")
    else:
        st.caption(":material/cloud_done: Saved in the shared workspace")
