"""The queue of review mode: which sounds, where it goes on, and which are shown without decisions.

It stays as it is while one works. Its place is in the address (`at`, `began`), so it goes on where
it was after a reload or a restart of the server.
"""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import streamlit as st

from app import services, state
from app.auth import Viewer
from app.components.desk.request import DeskRequest
from app.state import DeskQueue
from app.views.similar import similar_ids
from app.views.view import View
from core.curation.second_opinion import waiting_for
from core.events.query import Query

MAX_QUEUE = 1000
"""Sounds in a queue; when they are done, the next ones are looked for."""
MAX_OPINIONS = 20
OPINION_EVERY = 5
"""In a queue of sounds to review, one of so many is somebody else's, for a second opinion."""
MAX_AGE = timedelta(days=30)
MAX_DONE = 10_000


def queue_key(view: View) -> str:
    """Return what stands for a view: with another one, the desk starts anew."""
    return hashlib.sha256(repr((view.query, view.order, view.like)).encode()).hexdigest()[:16]


def current_queue(view: View, viewer: Viewer, request: DeskRequest) -> DeskQueue:
    """Return the session's queue of a view, or a new one."""
    queue, key = state.desk_queue.get(), queue_key(view)
    if queue is not None and (queue.key, queue.refresh) == (key, request.refresh):
        return queue
    is_refresh = queue is not None and queue.key == key
    queue = _new_queue(view, viewer, request, is_refresh=is_refresh)
    state.desk_queue.set(queue)
    return queue


def first_place(queue: DeskQueue, request: DeskRequest) -> int:
    """Return the place of the sound in focus: that in the browser, else that in the address."""
    at = request.at or st.query_params.get("at", "")
    return queue.sound_ids.index(at) if at in queue.sound_ids else 0


def _new_queue(view: View, viewer: Viewer, request: DeskRequest, *, is_refresh: bool) -> DeskQueue:
    """Choose the sounds.

    After a restart of the server, the sound in focus may not match any more; it stays the first.
    """
    began = datetime.now(UTC) if is_refresh else _began()
    ids, blind = _sound_ids(view, viewer)
    if request.at and request.at not in ids and not is_refresh:
        ids = [request.at, *ids]
    done = services.curation().reviews.sounds_since(viewer.actor, began, MAX_DONE)
    return DeskQueue(
        key=queue_key(view),
        refresh=request.refresh,
        sound_ids=tuple(ids),
        blind=frozenset(blind),
        began=int(began.timestamp()),
        done=len(set(done) - set(ids)),
    )


def _sound_ids(view: View, viewer: Viewer) -> tuple[list[str], list[str]]:
    """Return the sounds of a view, and those that are shown for a second opinion."""
    sounds = services.workspace().sounds
    blind = _opinions(viewer)
    if view.like:
        return list(similar_ids(view.like)), blind
    ids = sounds.ids(view.query, order=view.order, limit=MAX_QUEUE)
    if view.query == Query(show="to review"):
        ids = mixed(ids, [each for each in blind if each not in ids])
    return ids, blind


def _opinions(viewer: Viewer) -> list[str]:
    """Return the sounds that wait for the viewer's second opinion."""
    if not viewer.edit.allowed or not viewer.actor:
        return []
    reviews, share = services.curation().reviews, services.settings().second_opinion_share
    sounds = services.workspace().sounds
    waiting = waiting_for(viewer.actor, sounds, reviews, share, MAX_OPINIONS)
    return [sound.sound_id for sound in waiting]


def mixed(ids: Sequence[str], others: Sequence[str], every: int = OPINION_EVERY) -> list[str]:
    """Return a queue in which each `every`-th sound is one of `others`, while they last."""
    queue = list(ids)
    for number, other in enumerate(others, 1):
        queue.insert(number * every - 1, other)
    return queue


def _began() -> datetime:
    """Return when the queue in the address was begun; now where it says nothing of use."""
    now, text = datetime.now(UTC), st.query_params.get("began", "")
    if not (text.isascii() and text.isdecimal() and len(text) <= 10):
        return now
    began = datetime.fromtimestamp(int(text), UTC)
    return began if now - MAX_AGE <= began <= now else now
