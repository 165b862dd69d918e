"""When Freesound is asked what became of people's uploads, and the latest answers.

Requests are counted, for all people together. So an answer is shared by all windows of a person,
and Freesound is asked again by itself only while something may change, at growing intervals, and
while many requests are left.
"""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from core.errors import EarmarkError
from core.freesound.client import FreesoundClient
from core.freesound.types import PendingUploads
from core.people import Person
from core.pipeline.withdrawals import GONE, withdraw
from core.publishing.errors import UploadLogError
from core.publishing.standings import GONE_STAGES, Stage, Standing, Standings
from core.publishing.upload import Publisher, WithToken
from core.publishing.upload_log import Upload
from core.storage.workspace import Workspace

logger = logging.getLogger(__name__)

SOON_S, SOON_MAX_S = 15.0, 1800.0
"""First and longest interval while a sound is sent or processed, which takes a minute."""
LATER_S, LATER_MAX_S = 300.0, 3600.0
"""The same while a sound waits for a moderator, which takes days."""
SOON_STAGES: frozenset[Stage] = frozenset({"processing"})
LATER_STAGES: frozenset[Stage] = frozenset({"not processed", "in moderation", "set back"})
MIN_READS_LEFT = 8, 100
"""This minute and today: with fewer, Freesound is asked only when a person presses the button."""
_FEW_LEFT = (
    "Few requests to Freesound are left, so this page does not refresh by itself for a while."
)
MAX_DOUBLINGS = 10
MAX_PEOPLE = 1000

NOTHING_PENDING = PendingUploads()


@dataclass(frozen=True)
class Look:
    """The latest answers about a person's uploads.

    Attributes:
        uploads: All of them, newest first.
        standings: Where the published ones stand, by sound id, as far as that is known.
        pending: What Freesound lists as pending, also from elsewhere.
        answered: When Freesound answered last, in seconds since the epoch; 0 if it never did.
        due: When it is worth asking again.
        problem: Why the last question got no answer, as a sentence.
        unchanged: Questions in a row that brought nothing new.
    """

    uploads: tuple[Upload, ...]
    standings: Mapping[int, Standing]
    pending: PendingUploads = NOTHING_PENDING
    answered: float = 0.0
    due: float = 0.0
    problem: str = ""
    unchanged: int = 0

    @property
    def is_moving(self) -> bool:
        """Return True while a sound is sent or processed: something changes within minutes."""
        return self._has(SOON_STAGES) or any(upload.is_open for upload in self.uploads)

    @property
    def is_waiting(self) -> bool:
        """Return True while anything may change without the person's doing."""
        return self.is_moving or self._has(LATER_STAGES) or bool(self.pending.sounds)

    def _has(self, stages: frozenset[Stage]) -> bool:
        return any(standing.stage in stages for standing in self.standings.values())


@dataclass
class _Seen:
    """A person's latest look; one window asks at a time, and the others show what is known."""

    look: Look | None = None
    asking: threading.Lock = field(default_factory=threading.Lock)


class UploadWatch:
    """Looks up people's uploads. Safe for threads."""

    def __init__(
        self,
        publisher: Publisher,
        standings: Standings,
        client: FreesoundClient,
        workspace: Workspace,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Begin without any answers.

        Args:
            publisher: Knows the uploads.
            standings: Asks where the published ones stand.
            client: Talks to Freesound.
            workspace: Sounds that are gone are withdrawn from it.
            clock: Gives seconds since the epoch.
        """
        self._publisher, self._standings, self._client = publisher, standings, client
        self._workspace, self._clock = workspace, clock
        self._people: OrderedDict[int, _Seen] = OrderedDict()
        self._lock = threading.Lock()

    def look(self, person: Person, with_token: WithToken, *, is_asked_for: bool = False) -> Look:
        """Return what is known of a person's uploads; ask Freesound first if that is due.

        Args:
            person: The uploader.
            with_token: Calls with the uploader's access token.
            is_asked_for: Ask in any case: the person has pressed the button.
        """
        seen = self._seen(person)
        uploads = tuple(self._publisher.uploads_of(person))
        before = seen.look or Look(uploads, self._standings.known(uploads))
        is_due = is_asked_for or before.due <= self._clock() or _is_newer(uploads, before)
        if not is_due or not seen.asking.acquire(blocking=False):
            return replace(before, uploads=uploads)
        try:
            seen.look = self._ask(person, with_token, before, is_asked_for)
            return seen.look
        finally:
            seen.asking.release()

    def _seen(self, person: Person) -> _Seen:
        with self._lock:
            seen = self._people.setdefault(person.user_id, _Seen())
            self._people.move_to_end(person.user_id)
            if len(self._people) > MAX_PEOPLE:
                self._people.popitem(last=False)
            return seen

    def _ask(self, person: Person, with_token: WithToken, before: Look, is_asked_for: bool) -> Look:
        """Ask Freesound; where that fails, what was known before stays."""
        now = self._clock()
        try:
            if not is_asked_for and before.answered and not self._has_many_reads_left():
                return replace(before, due=now + LATER_S, problem=_FEW_LEFT)
            problem = self._resolve(person, with_token)
            pending = with_token(self._client.pending_uploads)
            uploads = tuple(self._publisher.uploads_of(person))
            standings = self._standings.look_up(uploads, pending)
            self._withdraw_gone(standings, person)
        except EarmarkError as error:
            logger.warning("uploads look failed actor=%s reason=%s", person.user_id, error)
            uploads = tuple(self._publisher.uploads_of(person))
            wait_s = _interval_s(LATER_S, LATER_MAX_S, before.unchanged)
            look = replace(before, uploads=uploads, problem=str(error), due=now + wait_s)
            return replace(look, unchanged=before.unchanged + 1)
        look = Look(uploads, standings, pending, answered=now, problem=problem)
        is_same = before.answered > 0 and _stages(before) == _stages(look)
        look = replace(look, unchanged=before.unchanged + 1 if is_same else 0)
        return replace(look, due=now + interval_s(look))

    def _resolve(self, person: Person, with_token: WithToken) -> str:
        """Find out what became of open uploads; returns a sentence where a record is damaged.

        Such a record must not keep the other uploads from being looked up.
        """
        try:
            self._publisher.resolve_uploads(person, with_token)
        except UploadLogError as error:
            return str(error)
        return ""

    def _has_many_reads_left(self) -> bool:
        left = self._client.reads_left()
        return all(number >= least for number, least in zip(left, MIN_READS_LEFT, strict=True))

    def _withdraw_gone(self, standings: Mapping[int, Standing], person: Person) -> None:
        for number, standing in standings.items():
            state = self._workspace.sounds.get(f"freesound:{number}")
            if standing.stage in GONE_STAGES and state and not state.withdrawn:
                withdraw(self._workspace, state.sound_id, GONE, person.actor)


def interval_s(look: Look) -> float:
    """Return the seconds until it is worth asking again."""
    if look.is_moving:
        return _interval_s(SOON_S, SOON_MAX_S, look.unchanged)
    return _interval_s(LATER_S if look.is_waiting else LATER_MAX_S, LATER_MAX_S, look.unchanged)


def _interval_s(first_s: float, longest_s: float, unchanged: int) -> float:
    """Return an interval that doubles whenever nothing has changed."""
    return min(longest_s, first_s * 2.0 ** min(unchanged, MAX_DOUBLINGS))


def _is_newer(uploads: Iterable[Upload], look: Look) -> bool:
    """Return True if a sound was published since the last look."""
    return bool(_published(uploads) - _published(look.uploads))


def _published(uploads: Iterable[Upload]) -> set[int | None]:
    return {upload.sound_id for upload in uploads if upload.state == "published"}


def _stages(look: Look) -> object:
    """Return what has to change to be news."""
    states = [(upload.upload_id, upload.state) for upload in look.uploads]
    stages = {number: standing.stage for number, standing in look.standings.items()}
    return states, stages, look.pending
