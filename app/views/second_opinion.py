"""Second opinions: reviewed sounds, shown to another curator without anybody's decisions."""

import streamlit as st

from app import auth, services, state
from app.callbacks import callback
from app.components.tag_editor import edited_tags, forget_edits, tag_editor
from app.text import plural
from app.views import review_actions
from app.views.errors import shows_errors
from app.views.sound_list import known_tags
from app.views.sound_parts import offered_tags, sound_player
from core.curation.second_opinion import blind_state, is_waiting_for, waiting_for
from core.events.fold import SoundState, confirm

MAX_WAITING = 20


def is_offered() -> bool:
    """Return True where a share of the reviewed sounds gets a second opinion."""
    return _share() > 0


def _share() -> float:
    return services.settings().second_opinion_share


@st.dialog("Second opinion", width="large", icon=":material/visibility_off:", on_dismiss="rerun")
@shows_errors
def second_opinion_dialog() -> None:
    """Draw one sound after another that waits for the viewer's opinion."""
    sounds = _waiting(auth.viewer().actor)
    if not sounds:
        st.info("No sound waits for your second opinion.")
        return
    st.caption(
        f"{plural(len(sounds), 'sound')} of other curators. Their decisions are not shown to you."
    )
    sound = _blind(sounds[0].sound_id)
    sound_player(sound, f"blind-player-{sound.sound_id}")
    key, version = _editor_key(sound.sound_id), sound.last_event.event_id
    guesses, title = offered_tags(sound, sound.tags), sound.sound.title
    tag_editor(key, sound.tags, known_tags(), guesses, version=version, title=title)
    st.button(
        "Confirm and next",
        key=f"blind-confirm-{sound.sound_id}",
        type="primary",
        on_click=give_opinion,
        args=(sound.sound_id,),
    )
    if note := state.sound_note(sound.sound_id).get():
        st.markdown(note)


def _waiting(actor: str) -> list[SoundState]:
    if not actor:
        return []
    reviews, sounds = services.curation().reviews, services.workspace().sounds
    return waiting_for(actor, sounds, reviews, _share(), MAX_WAITING)


def _blind(sound_id: str) -> SoundState:
    return blind_state(services.workspace().events.of_sound(sound_id))


def _editor_key(sound_id: str) -> str:
    return f"blind-tags-{sound_id}"


@callback
def give_opinion(sound_id: str) -> None:
    """Write the viewer's review, based on what they were shown."""
    actor = review_actions.actor_for("opinion", sound_id, lambda: give_opinion(sound_id))
    log, share = services.workspace().events.of_sound(sound_id), _share()
    if actor is None or not log or not is_waiting_for(actor, log, share):
        return
    sound, key = _blind(sound_id), _editor_key(sound_id)
    tags = edited_tags(key, sound.tags, sound.last_event.event_id)
    review_actions.save_review("opinion", confirm(sound, tags, actor))
    forget_edits(key)
