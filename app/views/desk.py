"""Review mode: the queue of a view, one sound in focus after the other."""

import hashlib

import streamlit as st

from app import auth, services, state
from app.auth import Viewer
from app.components.desk import desk, desk_request
from app.components.desk.request import DeskRequest
from app.state import DeskQueue
from app.views.desk_actions import apply_actions
from app.views.desk_sounds import (
    examples_data,
    sound_data,
    vocabulary_data,
    vocabulary_version,
)
from core.events.query import Order, Query
from core.tags import clean

MAX_QUEUE = 1000
"""Sounds in a queue; when they are done, the next ones are looked for."""
AHEAD = 8
"""Sounds that the browser has at hand, the one in focus included."""
MAX_NAME_LENGTH = 60


@st.fragment
def review_mode(query: Query, order: Order) -> None:
    """Draw review mode for a view.

    Args:
        query: The view's filters.
        order: The order of its sounds.
    """
    viewer = auth.viewer()
    if viewer.edit.allowed and not viewer.actor:
        _name_form()
        return
    key = desk_key(query, order)
    request = desk_request(key)
    answers = apply_actions(request.actions, viewer)
    queue = _queue(key, query, order, request)
    desk(key, _data(queue, request, viewer) | {"answers": answers})


def desk_key(query: Query, order: Order) -> str:
    """Return the key of a view's desk in the session: with another view the desk starts anew."""
    return f"desk-{_digest(repr((query, order)))}"


def _data(queue: DeskQueue, request: DeskRequest, viewer: Viewer) -> dict[str, object]:
    """Return everything that the browser is told but for the answers."""
    has_vocabulary = request.vocabulary == vocabulary_version()
    sounds, gone = _sounds(queue, request)
    return {
        "owner": _digest(viewer.actor),
        "disabled": viewer.edit.reason,
        "queue": {"total": len(queue.sound_ids), "refresh": queue.refresh},
        "sounds": sounds,
        "gone": gone,
        "vocabulary": None if has_vocabulary else vocabulary_data(),
        "examples": examples_data(request.examples) if request.examples else None,
        "stored": {text: list(clean([text]).tags) for text in request.typed},
    }


def _sounds(queue: DeskQueue, request: DeskRequest) -> tuple[list[dict[str, object]], list[str]]:
    """Return the sounds from the one in focus on that the browser lacks, and those withdrawn."""
    first = queue.sound_ids.index(request.at) if request.at in queue.sound_ids else 0
    window = queue.sound_ids[first : first + AHEAD]
    states = services.workspace().sounds.get_many(window)
    held = dict(request.have)
    sounds, gone = [], []
    for place, sound_id in enumerate(window, first):
        sound = states.get(sound_id)
        if sound is None or sound.withdrawn:
            gone.append(sound_id)
        elif held.get(sound_id) != sound.last_event.event_id:
            sounds.append(sound_data(sound, place))
    return sounds, gone


def _queue(key: str, query: Query, order: Order, request: DeskRequest) -> DeskQueue:
    """Return the session's queue of a view, or a new one.

    After a restart of the server the sound in focus may be reviewed already and not match any more;
    it stays the first.
    """
    queue = state.desk_queue.get()
    if queue is not None and (queue.key, queue.refresh) == (key, request.refresh):
        return queue
    is_refresh = queue is not None and queue.key == key
    ids = services.workspace().sounds.ids(query, order=order, limit=MAX_QUEUE)
    if request.at and request.at not in ids and not is_refresh:
        ids = [request.at, *ids]
    queue = DeskQueue(key, request.refresh, tuple(ids))
    state.desk_queue.set(queue)
    return queue


def _name_form() -> None:
    """Ask for the name that edits on this machine are recorded under."""
    name = state.asked_name("desk")
    with st.form("desk-name"):
        st.text_input(
            "What name should we record your corrections under?",
            key=name.key,
            max_chars=MAX_NAME_LENGTH,
        )
        st.form_submit_button("Continue", type="primary", on_click=_save_name)


def _save_name() -> None:
    auth.save_local_name(state.asked_name("desk").get())


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
