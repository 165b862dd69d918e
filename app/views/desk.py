"""Review mode: the queue of a view, one sound in focus after the other."""

import hashlib

import streamlit as st

from app import auth, services
from app.auth import Viewer
from app.components.desk import desk, desk_request
from app.components.desk.request import DeskRequest
from app.state import DeskQueue
from app.views.desk_actions import apply_actions
from app.views.desk_queue import current_queue, first_place, queue_key
from app.views.desk_sounds import (
    blind_data,
    examples_data,
    sound_data,
    vocabulary_data,
    vocabulary_version,
)
from app.views.errors import shows_errors
from app.views.view import View
from core.tags import clean

AHEAD = 8
"""Sounds that the browser has at hand, the one in focus included."""
BEHIND = 2
"""Sounds before the one in focus that it gets when the page is loaded, to go back to."""
NAME_PROBLEM = "This name cannot be used. Choose another one."


@st.fragment
@shows_errors
def review_mode(view: View) -> None:
    """Draw review mode for a view.

    Args:
        view: Its filters and order choose the sounds.
    """
    key = desk_key(view)
    request = desk_request(key)
    viewer, name_problem = _named_viewer(request)
    answers = {} if name_problem else apply_actions(request.actions, viewer)
    queue = current_queue(view, viewer, request)
    data = _data(queue, request, viewer)
    desk(key, data | {"answers": answers, "nameProblem": name_problem})


def desk_key(view: View) -> str:
    """Return the key of a view's desk in the session."""
    return f"desk-{queue_key(view)}"


def _named_viewer(request: DeskRequest) -> tuple[Viewer, str]:
    """Return the viewer, with the name that they have just given, and what is wrong with it.

    Without a name nothing is applied; the browser keeps it until there is one.
    """
    viewer = auth.viewer()
    if viewer.actor or not viewer.edit.allowed:
        return viewer, ""
    if request.name and auth.save_local_name(request.name):
        return auth.viewer(), ""
    return viewer, NAME_PROBLEM if request.name or request.actions else ""


def _data(queue: DeskQueue, request: DeskRequest, viewer: Viewer) -> dict[str, object]:
    """Return everything that the browser is told but for the answers."""
    has_vocabulary = request.vocabulary == vocabulary_version()
    first = first_place(queue, request)
    sounds, gone = _sounds(queue, request, first)
    return {
        "owner": hashlib.sha256(viewer.actor.encode()).hexdigest()[:16],
        "disabled": viewer.edit.reason,
        "needsName": viewer.edit.allowed and not viewer.actor,
        "queue": {
            "total": queue.done + len(queue.sound_ids),
            "refresh": queue.refresh,
            "at": queue.sound_ids[first] if queue.sound_ids else "",
            "began": queue.began,
            "isComplete": first + AHEAD >= len(queue.sound_ids),
        },
        "sounds": sounds,
        "gone": gone,
        "vocabulary": None if has_vocabulary else vocabulary_data(),
        "examples": examples_data(request.examples) if request.examples else None,
        "stored": {text: list(clean([text]).tags) for text in request.typed},
    }


def _sounds(
    queue: DeskQueue, request: DeskRequest, first: int
) -> tuple[list[dict[str, object]], list[str]]:
    """Return the sounds around the one in focus that the browser lacks, and those withdrawn."""
    start = first if request.at else max(0, first - BEHIND)
    window = queue.sound_ids[start : first + AHEAD]
    states = services.workspace().sounds.get_many(window)
    blind = blind_data(queue.blind & set(window))
    held = dict(request.have)
    sounds, gone = [], []
    for place, sound_id in enumerate(window, start):
        sound = blind.get(sound_id) or states.get(sound_id)
        if sound is None or sound.withdrawn:
            gone.append(sound_id)
        elif held.get(sound_id) != sound.last_event.event_id:
            is_blind = sound_id in blind
            sounds.append(sound_data(sound, queue.done + place, is_blind=is_blind))
    return sounds, gone
