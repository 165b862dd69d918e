"""Taking a sound out of Earmark: because its uploader or a maintainer says so, or because Freesound does not have it any more."""

from collections.abc import Sequence

from core.freesound.client import LARGEST_PAGE, FreesoundClient, NotThere
from core.id2prediction import SoundState, Withdrawn, new_event
from core.people import Person, user_id
from core.workspace import Query, Workspace

GONE = "Freesound does not have it any more"
LONGEST_REASON = 500


def is_uploader(person: Person | None, workspace: Workspace, sound_id: str) -> bool:
    """Whether this person published the sound through Earmark."""
    if person is None:
        return False
    return any(event.kind == "published" and user_id(event.actor) == person.user_id for event in workspace.events(sound_id))


def withdraw(workspace: Workspace, sound_id: str, reason: str, actor: str) -> bool:
    """Take the sound out of every view and delete its media; False if it is unknown or withdrawn already. Its history stays.

    The event is written first: what fails half way is hidden, and a second call deletes what is left.
    """
    state = workspace.sound(sound_id)
    if state is None:
        return False
    if not state.withdrawn:
        workspace.append([new_event(Withdrawn(reason=reason[:LONGEST_REASON]), sound_id, actor, base=state.last)])
    workspace.purge(sound_id)
    return not state.withdrawn


def withdraw_gone(client: FreesoundClient, workspace: Workspace, actor: str, most: int = LARGEST_PAGE) -> list[str]:
    """Withdraw those of the newest `most` sounds in view that Freesound does not have any more; returns their ids.

    One request finds what is still listed; only what is missing there is asked for by itself. Sounds published from here may wait for
    moderation, unlisted, and are left out. Raises the errors of asking Freesound.
    """
    candidates = [state for state in workspace.page(Query(), 1, most).sounds if _from_the_list(state, workspace)]
    numbers = {state.sound_id: int(state.sound_id.removeprefix("freesound:")) for state in candidates}
    listed = _listed(client, list(numbers.values()))
    gone = [sound_id for sound_id, number in numbers.items() if number not in listed and _is_gone(client, number)]
    for sound_id in gone:
        withdraw(workspace, sound_id, GONE, actor)
    return gone


def _from_the_list(state: SoundState, workspace: Workspace) -> bool:
    if not state.sound_id.startswith("freesound:"):
        return False
    return all(event.kind != "published" for event in workspace.events(state.sound_id))


def _listed(client: FreesoundClient, numbers: Sequence[int]) -> set[int]:
    if not numbers:
        return set()
    wanted = " OR ".join(map(str, numbers))
    return {sound.id for sound in client.search(filter=f"id:({wanted})", page_size=LARGEST_PAGE)}


def _is_gone(client: FreesoundClient, number: int) -> bool:
    try:
        client.sound(number)
    except NotThere:
        return True
    return False
