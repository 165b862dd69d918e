"""Whose clip is analysed when: the server's cores, in fair shares."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from core.work import Checkpoint, stop_after

QUANTUM_S = 0.25
"""Of work in one go, where others wait."""
POLL_INTERVAL_S = 0.2
"""Between two calls of a `Report` while its clip waits."""
STARTED_PER_SLOT, MIN_MAX_STARTED = 4, 8
"""Clips that are begun and not finished: what is decoded of them is in memory."""

Report = Callable[[int], None]
"""Called with a clip's place in the queue; 0 once it has been begun. It may raise, to give up."""


@dataclass(frozen=True)
class Requester:
    """The one whose share an analysis uses.

    Attributes:
        group: Those who share evenly with other groups.
        person: One of them, who shares evenly with the others of the group.
        in_background: It has no share: its clips are worked on while nobody else's wait.
    """

    group: str
    person: str
    in_background: bool = False

    @property
    def accounts(self) -> tuple[tuple[str, ...], ...]:
        """Return the keys of the group and of the person; none of who has no share."""
        return () if self.in_background else ((self.group,), (self.group, self.person))


@dataclass(eq=False)
class _Ticket:
    """A clip in the queue.

    Attributes:
        requester: Whose share it uses.
        number: Of the order of arrival.
        started: It has been begun.
        running: It has a slot.
        accounted: When its use of the slot was noted last.
        turn_s: It has held the slot in one go.
        worked_s: It has held a slot in all.
    """

    requester: Requester
    number: int
    started: bool = False
    running: bool = False
    accounted: float = 0.0
    turn_s: float = 0.0
    worked_s: float = 0.0


class Turn:
    """The right to work on a clip, now and then taken back for a while by `checkpoint`."""

    def __init__(self, queue: "AnalysisQueue", ticket: _Ticket, report: Report) -> None:
        self._queue, self._ticket, self._report = queue, ticket, report

    @property
    def worked_s(self) -> float:
        """Return the seconds that the clip has held a slot."""
        return self._queue.worked_s(self._ticket)

    def checkpoint(self) -> None:
        """Report, and let others go first if it is their turn: see `core.work.Checkpoint`."""
        self._report(0)
        if self._queue.pause(self._ticket):
            self._queue.wait(self._ticket, self._report)
            self._report(0)

    def limited_to(self, seconds: float, name: str) -> Checkpoint:
        """Return the checkpoint of work that also ends once it takes too long.

        Args:
            seconds: That the clip may hold a slot.
            name: What to call the clip in the error, `WorkTooLong`.
        """
        check_time = stop_after(seconds, name, clock=lambda: self.worked_s)

        def checkpoint() -> None:
            check_time()
            self.checkpoint()

        return checkpoint


class AnalysisQueue:
    """So many clips are worked on at a time; who has used least goes first.

    A clip that has held its slot for a quantum gives it up at its next checkpoint if somebody
    else waits. So a short clip is done within about a quantum for each person who is there, and
    ten files of one person delay others no more than one does. Work in the background gives its
    slot up at once.
    """

    def __init__(
        self,
        slots: int,
        max_started: int | None = None,
        *,
        quantum_s: float = QUANTUM_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin with nobody in it.

        Args:
            slots: Clips that are worked on at a time.
            max_started: Clips that may be begun and not finished; the others wait.
            quantum_s: Work in one go, where others wait.
            clock: Gives seconds.
        """
        self._slots = slots
        self._max_started = max_started or max(MIN_MAX_STARTED, STARTED_PER_SLOT * slots)
        self._quantum_s, self._clock = quantum_s, clock
        self._changed = threading.Condition()
        self._tickets: list[_Ticket] = []
        self._number = 0
        self._used: dict[tuple[str, ...], float] = {}
        """Seconds by account; only differences count."""

    @contextmanager
    def turn(self, requester: Requester, report: Report) -> Iterator[Turn]:
        """Wait for a slot and hold it.

        Args:
            requester: Whose share it uses.
            report: Called now and then, always in this thread; what it raises ends the turn.
        """
        ticket = self._enter(requester)
        try:
            self.wait(ticket, report)
            yield Turn(self, ticket, report)
        finally:
            self._leave(ticket)

    def worked_s(self, ticket: _Ticket) -> float:
        """Return the seconds that a clip has held a slot."""
        with self._changed:
            self._account(ticket)
            return ticket.worked_s

    def wait(self, ticket: _Ticket, report: Report) -> None:
        """Return when a clip has a slot."""
        while True:
            with self._changed:
                if ticket.running:
                    return
                place = self._place(ticket)
            report(place)
            with self._changed:
                if not ticket.running:
                    self._changed.wait(POLL_INTERVAL_S)

    def pause(self, ticket: _Ticket) -> bool:
        """Give up a clip's slot if it has held it for a quantum and it is another one's turn.

        Returns:
            True if the clip has to wait.
        """
        with self._changed:
            self._account(ticket)
            following = self._next()
            if following is None or not self._may_interrupt(ticket, following):
                return False
            ticket.running = False
            self._grant()
            return not ticket.running

    def _enter(self, requester: Requester) -> _Ticket:
        with self._changed:
            self._number += 1
            ticket = _Ticket(requester, self._number)
            for other in self._tickets:
                self._account(other)
            self._open_accounts(requester)
            self._tickets.append(ticket)
            self._grant()
            return ticket

    def _leave(self, ticket: _Ticket) -> None:
        with self._changed:
            self._account(ticket)
            self._tickets.remove(ticket)
            self._grant()
            self._close_accounts()

    def _grant(self) -> None:
        """Give free slots to those whose turn it is."""
        while sum(ticket.running for ticket in self._tickets) < self._slots:
            ticket = self._next()
            if ticket is None:
                break
            ticket.started = ticket.running = True
            ticket.accounted, ticket.turn_s = self._clock(), 0.0
        self._changed.notify_all()

    def _next(self) -> _Ticket | None:
        """Return the waiting clip whose turn it is; None if none waits that may be worked on."""
        may_start = sum(ticket.started for ticket in self._tickets) < self._max_started
        waiting = [
            ticket
            for ticket in self._tickets
            if not ticket.running and (ticket.started or may_start)
        ]
        return min(waiting, key=self._order(), default=None)

    def _may_interrupt(self, ticket: _Ticket, following: _Ticket) -> bool:
        """Return True if a clip that is worked on has to make room for another one."""
        if ticket.requester.in_background and not following.requester.in_background:
            return True
        return ticket.turn_s >= self._quantum_s

    def _order(self) -> Callable[[_Ticket], tuple[float, ...]]:
        """Return the key that sorts clips by whose turn it is.

        Who has a share as large as another's but no clip that is begun goes first. A person's own
        clips follow one another, so that few of them are in memory.
        """
        running, started = Counter[tuple[str, ...]](), Counter[tuple[str, ...]]()
        for ticket in self._tickets:
            running.update(ticket.requester.accounts if ticket.running else ())
            started.update(ticket.requester.accounts if ticket.started else ())

        def key(ticket: _Ticket) -> tuple[float, ...]:
            if ticket.requester.in_background:
                return True, not ticket.started, ticket.number
            group, person = ticket.requester.accounts
            used = running[group], self._used[group], running[person], self._used[person]
            return (False, *used, started[person], not ticket.started, ticket.number)

        return key

    def _place(self, ticket: _Ticket) -> int:
        """Return a clip's place among those that wait to be begun, from 1; 0 if it is begun."""
        if ticket.started:
            return 0
        waiting = [other for other in self._tickets if not other.started]
        return 1 + sorted(waiting, key=self._order()).index(ticket)

    def _account(self, ticket: _Ticket) -> None:
        """Note the time that a clip has held its slot."""
        if not ticket.running:
            return
        now = self._clock()
        seconds, ticket.accounted = now - ticket.accounted, now
        ticket.turn_s += seconds
        ticket.worked_s += seconds
        for account in ticket.requester.accounts:
            self._used[account] += seconds

    def _open_accounts(self, requester: Requester) -> None:
        """Let somebody who comes share from now on: what others have used before is not owed."""
        present, least = self._least_used()
        for account in requester.accounts:
            if account not in present:
                used = self._used.get(account, 0.0)
                self._used[account] = max(used, least.get(account[:-1], 0.0))

    def _close_accounts(self) -> None:
        """Forget accounts of those who have left, unless they have used more than those present."""
        present, least = self._least_used()
        for account, used in list(self._used.items()):
            if account not in present and used <= least.get(account[:-1], used):
                del self._used[account]

    def _least_used(self) -> tuple[set[tuple[str, ...]], dict[tuple[str, ...], float]]:
        """Return the accounts of those present, and the least used of all persons and groups.

        The latter by group, and by `()` for groups.
        """
        present = {account for ticket in self._tickets for account in ticket.requester.accounts}
        least: dict[tuple[str, ...], float] = {}
        for account in present & self._used.keys():
            used = self._used[account]
            least[account[:-1]] = min(used, least.get(account[:-1], used))
        return present, least
