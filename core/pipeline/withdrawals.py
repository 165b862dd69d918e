"""Taking a sound out of Earmark.

Its uploader or a maintainer asks for it, or Freesound does not have the sound any more.
"""

import logging
import random
from collections.abc import Sequence

from core.events.cursors import Cursor
from core.events.facts import time_number
from core.events.fold import SoundState
from core.events.query import LAST_PAGE, Query
from core.events.types import Withdrawn, new_event
from core.freesound.client import MAX_PAGE_SIZE, FreesoundClient
from core.freesound.errors import SoundNotFound
from core.people import Person, user_id
from core.storage.workspace import Workspace

logger = logging.getLogger(__name__)

GONE = "Freesound does not have it any more"
DEFERRED = "Freesound does not show it to the public any more"
MAX_DEFERRED, MAX_DEFERRED_SHARE = 5, 0.2
"""Of the sounds that are looked at, so many may be deferred; more of them say that the list is not
complete."""
MAX_REASON_LENGTH = 500


def is_uploader(person: Person | None, workspace: Workspace, sound_id: str) -> bool:
    """Return True if this person published the sound through Earmark."""
    if person is None:
        return False
    return any(
        event.kind == "published" and user_id(event.actor) == person.user_id
        for event in workspace.events.of_sound(sound_id)
    )


def withdraw(workspace: Workspace, sound_id: str, reason: str, actor: str) -> bool:
    """Take a sound out of every view and delete its media; its history stays.

    The event is written first: what fails half way is hidden, and a second call deletes what is
    left.

    Args:
        workspace: Where the sound is.
        sound_id: The sound.
        reason: Why, in words.
        actor: Who asks for it.

    Returns:
        False if the sound is unknown or was withdrawn already.

    Raises:
        DatabaseError: The event could not be written.
    """
    state = workspace.sounds.get(sound_id)
    if state is None:
        return False
    if not state.withdrawn:
        payload = Withdrawn(reason=reason[:MAX_REASON_LENGTH])
        event = new_event(payload, sound_id, actor, base=state.last_event)
        workspace.events.append([event])
        logger.info("withdraw sound=%s event=%s actor=%s", sound_id, event.event_id, actor)
    workspace.purge(sound_id)
    return not state.withdrawn


def withdraw_gone(
    client: FreesoundClient,
    workspace: Workspace,
    actor: str,
    max_sounds: int = MAX_PAGE_SIZE,
    rng: random.Random | None = None,
) -> list[str]:
    """Withdraw sounds that Freesound has deleted, or does not show the public any more.

    It looks at the newest sounds, and at as many older ones, from a random time on: each has its
    turn some time. A request finds those that are still listed; only others are asked for singly.

    A sound that is there and not listed was deferred by a moderator: it still answers when asked
    for by its id, and nothing in the answer says so. Where many sounds are there and not listed, it
    is rather the list that is not complete, and they stay.

    Sounds published from here may wait for moderation, unlisted, and are left out.

    Args:
        client: Asks the API.
        workspace: Where the sounds are.
        actor: Who asks for it.
        max_sounds: Look at so many of the newest sounds in view, and of the older ones.
        rng: Chooses the older ones.

    Returns:
        The ids of the withdrawn sounds.

    Raises:
        FreesoundError: Freesound cannot be asked.
    """
    sample = _sample(workspace, max_sounds, rng or random.Random())
    candidates = [state for state in sample if _came_from_listing(state, workspace)]
    numbers = {
        int(state.sound_id.removeprefix("freesound:")): state.sound_id for state in candidates
    }
    unlisted = numbers.keys() - _listed(client, list(numbers))
    gone = {number for number in unlisted if _is_gone(client, number)}
    deferred = unlisted - gone
    if len(deferred) > max(MAX_DEFERRED, MAX_DEFERRED_SHARE * len(numbers)):
        logger.warning("withdraw doubtful unlisted=%d of=%d", len(deferred), len(numbers))
        deferred = set()
    for number in sorted(gone | deferred):
        withdraw(workspace, numbers[number], GONE if number in gone else DEFERRED, actor)
    return [numbers[number] for number in numbers if number in gone | deferred]


def _sample(workspace: Workspace, size: int, rng: random.Random) -> list[SoundState]:
    """Return the newest sounds in view, and as many that came before a random time."""
    newest = workspace.sounds.page(Query(), size=size)
    if newest.next is None:
        return list(newest.sounds)
    (oldest,) = workspace.sounds.page(Query(), size=1, cursor=LAST_PAGE).sounds
    first = newest.sounds[-1].arrived
    moment = oldest.arrived + rng.random() * (first - oldest.arrived)
    cursor = Cursor("after", time_number(moment) + 1).text("newest")
    older = workspace.sounds.page(Query(), size=size, cursor=cursor).sounds
    shown = {state.sound_id for state in newest.sounds}
    return [*newest.sounds, *(state for state in older if state.sound_id not in shown)]


def _came_from_listing(state: SoundState, workspace: Workspace) -> bool:
    if not state.sound_id.startswith("freesound:"):
        return False
    history = workspace.events.of_sound(state.sound_id)
    return all(event.kind != "published" for event in history)


def _listed(client: FreesoundClient, numbers: Sequence[int]) -> set[int]:
    parts = range(0, len(numbers), MAX_PAGE_SIZE)
    return {
        number
        for first in parts
        for number in client.listed(numbers[first : first + MAX_PAGE_SIZE])
    }


def _is_gone(client: FreesoundClient, number: int) -> bool:
    try:
        client.sound(number)
    except SoundNotFound:
        return True
    return False
