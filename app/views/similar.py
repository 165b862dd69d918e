"""Sounds that are like a sound: to hear, to copy tags from, to review together."""

from dataclasses import replace

import streamlit as st

from app import auth, services
from app.callbacks import callback
from app.components.player import player
from app.routes import media_url
from app.state import ListedPage
from app.text import plain
from app.views import review_actions
from app.views.errors import shows_errors
from app.views.sound_parts import missing_media
from app.views.sound_text import facts_text
from app.views.view import View, current_view, go_to
from core.curation.similar import Neighbour
from core.events.fold import SoundState, save_changes

MAX_SHOWN = 8
MAX_INDEXING_S = 0.3
"""How long the dialog waits for new sounds to be indexed."""


@st.dialog("Similar sounds", width="large", icon=":material/graphic_eq:")
@shows_errors
def similar_dialog(sound_id: str) -> None:
    """Draw the nearest sounds by embedding."""
    sound = services.workspace().sounds.get(sound_id)
    neighbours, is_complete = _neighbours(sound) if sound else ([], True)
    if not is_complete:
        st.info("Still indexing: more sounds will appear soon.")
    if sound is None or not neighbours:
        st.info("No similar sounds yet.")
        return
    if st.button("Review together", key="review-together", on_click=_list, args=(sound_id,)):
        st.rerun()
    may_edit = auth.viewer().edit.allowed
    for neighbour in neighbours:
        with st.container(border=True, key=f"similar-{neighbour.state.sound_id}"):
            _neighbour(sound_id, neighbour, may_edit=may_edit)


def _neighbours(sound: SoundState) -> tuple[list[Neighbour], bool]:
    """Return the nearest sounds, and False while more are still being indexed."""
    if sound.model is None:
        return [], True
    similar = services.curation().similar
    is_complete = similar.bring_up_to_date(sound.model, MAX_INDEXING_S)
    return similar.nearest(sound.sound_id, sound.model, MAX_SHOWN), is_complete


def _neighbour(sound_id: str, neighbour: Neighbour, *, may_edit: bool) -> None:
    """Draw a similar sound."""
    other = neighbour.state
    if missing := missing_media(other):
        st.markdown(f"**{plain(other.sound.title)}**")
        st.caption(missing)
    else:
        player(
            key=f"similar-player-{other.sound_id}",
            audio_url=media_url(other.media.audio),
            picture_url=media_url(other.media.spectrogram),
            title=other.sound.title,
            facts=facts_text(other, short=True),
            seconds=other.sound.seconds,
            suggestions=(),
            compact=True,
        )
    with st.container(horizontal=True, vertical_alignment="center"):
        tags = " · ".join(plain(tag) for tag in other.tags) or "no tags"
        st.markdown(f"{neighbour.similarity:.0%} similar: {tags}")
        if (
            may_edit
            and other.tags
            and st.button(
                f"Copy tags from {plain(other.sound.title)}",
                key=f"copy-{other.sound_id}",
                on_click=copy_tags,
                args=(sound_id, other.sound_id),
            )
        ):
            st.rerun()


@callback
def copy_tags(sound_id: str, other_id: str) -> None:
    """Add another sound's tags to a sound; the card shows the outcome, with the undo."""
    actor = review_actions.actor_for("copy", sound_id, lambda: copy_tags(sound_id, other_id))
    states = services.workspace().sounds.get_many([sound_id, other_id])
    if actor is None or len(states) < 2:
        return
    sound, other = states[sound_id], states[other_id]
    event = save_changes(sound, (*sound.tags, *other.tags), actor)
    if event is None:
        review_actions.note(sound_id, "This sound already has all these tags.")
    else:
        review_actions.save_review("copy", event)


def similar_ids(sound_id: str) -> tuple[str, ...]:
    """Return a sound and those like it, most similar first; none where there is no such sound."""
    sound = services.workspace().sounds.get(sound_id)
    if sound is None or sound.withdrawn:
        return ()
    neighbours, _ = _neighbours(sound)
    return (sound_id, *(neighbour.state.sound_id for neighbour in neighbours))


def similar_page(view: View) -> ListedPage | None:
    """Return the list of a sound and those like it, as the address says; None without the sound."""
    ids = similar_ids(view.like)
    if not ids:
        return None
    title = f"Sounds like {services.workspace().sounds.get_many(ids[:1])[ids[0]].sound.title}"
    return ListedPage(view.key, ids, len(ids), True, next=None, previous=None, title=title)


@callback
def _list(sound_id: str) -> None:
    """Show a sound and those like it: in the list, or one after another."""
    go_to(replace(current_view().beginning(), like=sound_id))
