"""Whose clip is worked on when: real threads in the order that the queue gives, by a clock of ours.

Each step of work takes one quantum of that clock, so the order does not depend on the machine.
"""

import threading

import pytest

from app.analysis_queue import AnalysisQueue, Requester
from tests.helpers.clock import Clock

QUANTUM_S = 1.0
TIMEOUT_S = 20


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def queue(clock):
    """With one slot."""
    return AnalysisQueue(1, quantum_s=QUANTUM_S, clock=clock)


class Gone(BaseException):
    """What Streamlit raises in the run of somebody who has left."""


class Work(threading.Thread):
    """Somebody's clip: so many steps, each noted in `order`, with a checkpoint before each.

    `hooks` are called before the checkpoints, by the number of the step from 0.
    """

    def __init__(
        self,
        queue,
        clock,
        order,
        name,
        steps=1,
        *,
        group=None,
        step_s=QUANTUM_S,
        in_background=False,
    ):
        super().__init__(daemon=True, name=name)
        self._queue, self._clock, self._order = queue, clock, order
        self._steps, self._step_s = steps, step_s
        self.requester = Requester(group or name, name, in_background)
        self.hooks = {}
        self.places, self.has_left, self.error = [], False, None
        self.waiting, self.begun = threading.Event(), threading.Event()
        self.worked_s = 0.0

    def run(self):
        try:
            with self._queue.turn(self.requester, self._report) as turn:
                self.begun.set()
                for step in range(self._steps):
                    self.hooks.get(step, lambda: None)()
                    turn.checkpoint()
                    self._order.append(self.name)
                    self._clock.now += self._step_s
                self.worked_s = turn.worked_s
        except Gone as error:
            self.error = error

    def _report(self, place):
        if self.has_left:
            raise Gone
        if place and self.places[-1:] != [place]:
            self.places.append(place)
            self.waiting.set()

    def queue_up(self):
        """Start, and return when it waits."""
        self.start()
        assert self.waiting.wait(TIMEOUT_S)
        return self

    def end(self):
        self.join(TIMEOUT_S)
        assert not self.is_alive()


@pytest.fixture
def stage(queue, clock):
    return Stage(queue, clock)


class Stage:
    """Somebody's clip holds the slot until `open`; then those who have come meanwhile go on."""

    def __init__(self, queue, clock):
        self._queue, self._clock, self._gate = queue, clock, threading.Event()
        self.order, self.all = [], []

    def work(self, name, steps=1, **options):
        work = Work(self._queue, self._clock, self.order, name, steps, **options)
        self.all.append(work)
        return work

    def hold(self, name="first", steps=1, *, hooks=(), **options):
        work = self.work(name, steps, **options)
        work.hooks = {**dict(hooks), 0: lambda: self._gate.wait(TIMEOUT_S)}
        work.start()
        assert work.begun.wait(TIMEOUT_S)
        return work

    def open(self):
        """Let it go on; returns who has worked, step by step, when all have ended."""
        self._gate.set()
        for work in self.all:
            work.end()
        return " ".join(self.order)


def test_people_take_turns(stage):
    stage.hold("a", 3)
    stage.work("b", 3).queue_up()
    stage.work("c", 3).queue_up()
    assert stage.open() == "a b c a b c a b c"


def test_a_short_clip_that_comes_late_is_next_and_does_not_wait_for_the_long_ones(stage):
    stage.hold("a", 5, hooks={2: lambda: stage.work("short").queue_up()})
    stage.work("b", 5).queue_up()
    assert stage.open() == "a b a short b a b a b a b"


def test_ten_clips_of_one_person_have_one_share(stage):
    stage.hold("many", 2)
    for _ in range(4):
        stage.work("many", 2).queue_up()
    stage.work("one", 4).queue_up()
    assert stage.open() == "many one many one many one many one many many many many many many"


def test_visitors_of_one_address_share_what_one_person_has(stage):
    stage.hold("v1", 2, group="school")
    stage.work("v2", 2, group="school").queue_up()
    stage.work("v3", 2, group="school").queue_up()
    stage.work("ann", 6).queue_up()
    assert stage.open() == "v1 ann v2 ann v3 ann v1 ann v2 ann v3 ann"


def test_time_counts_and_not_turns(stage):
    """A step of three quanta cannot be interrupted; the other one is owed three."""
    stage.hold("slow", 2, step_s=3 * QUANTUM_S)
    stage.work("quick", 6).queue_up()
    assert stage.open() == "slow quick quick quick slow quick quick quick"


def test_a_second_clip_is_no_new_share_and_what_others_used_before_is_not_owed(stage):
    second, new = (lambda name=name: stage.work(name, 3).queue_up() for name in ("b", "new"))
    stage.hold("a", 7, hooks={4: second, 5: new})
    stage.work("b", 2, step_s=2 * QUANTUM_S).queue_up()
    assert stage.open() == "a b a a b a b a new b a new b a new"


def test_no_turn_is_shorter_than_a_quantum(stage):
    stage.hold("a", 8, step_s=QUANTUM_S / 4)
    stage.work("b", 4, step_s=QUANTUM_S / 4).queue_up()
    assert stage.open() == "a a a a b b b b a a a a"


def test_work_in_the_background_waits_for_everybody(stage):
    stage.hold("a", 3)
    stage.work("fetch", 2, in_background=True).queue_up()
    stage.work("b", 3).queue_up()
    assert stage.open() == "a b a b a b fetch fetch"


def test_work_in_the_background_makes_room_at_its_next_checkpoint(stage):
    """Somebody whose turn it is would have gone on for a whole quantum."""
    hooks = {2: lambda: stage.work("a", 2, step_s=QUANTUM_S / 4).queue_up()}
    stage.hold("fetch", 5, hooks=hooks, step_s=QUANTUM_S / 4, in_background=True)
    assert stage.open() == "fetch fetch a a fetch fetch fetch"


def test_work_in_the_background_does_not_interrupt_its_like(stage):
    stage.hold("f", 3, in_background=True)
    stage.work("g", 3, in_background=True).queue_up()
    assert stage.open() == "f f f g g g"


def test_who_comes_while_work_in_the_background_waits_is_owed_nothing(stage):
    """It has used nothing so far; were that a share, the new one would go first for long."""
    hooks = {4: lambda: stage.work("new", 3).queue_up()}
    stage.hold("a", 6, hooks=hooks)
    stage.work("fetch", 1, in_background=True).queue_up()
    stage.work("b", 6).queue_up()
    assert stage.open() == "a b a b a b a new b new a b new a b fetch"


def test_nobody_pauses_where_nobody_waits(queue, clock):
    work = Work(queue, clock, [], "a", 5)
    work.start()
    work.end()
    assert work.places == []


def test_waiting_is_no_work(stage):
    first = stage.hold("a", 3)
    other = stage.work("b", 3).queue_up()
    stage.open()
    assert (first.worked_s, other.worked_s) == (3 * QUANTUM_S, 3 * QUANTUM_S)


def test_as_many_at_a_time_as_there_are_slots(clock):
    queue = AnalysisQueue(2, quantum_s=QUANTUM_S, clock=clock)
    stage = Stage(queue, clock)
    stage.hold("a")
    stage.hold("b")
    third = stage.work("c").queue_up()
    assert not third.begun.is_set()
    stage.open()
    assert third.begun.is_set()


def test_the_place_in_the_queue_is_told_and_counts_down(stage):
    stage.hold("a")
    waiting = [stage.work(name).queue_up() for name in ("b", "c", "d")]
    assert [work.places for work in waiting] == [[1], [2], [3]]
    waiting[0].has_left = True
    waiting[0].end()
    stage.all.remove(waiting[0])
    for work, places in zip(waiting[1:], ([2, 1], [3, 2]), strict=True):
        while work.places != places:
            work.join(0.01)
            assert work.is_alive()
    stage.open()


def test_somebody_who_leaves_gives_the_slot_to_the_next(stage):
    first = stage.hold("a", 1000)
    other = stage.work("b", 2).queue_up()
    first.has_left = True
    assert stage.open() == "b b"
    assert isinstance(first.error, Gone)
    assert other.error is None


def test_somebody_who_leaves_in_a_pause_is_not_waited_for(stage):
    first = stage.hold("a", 1000)
    other = stage.work("b", 3).queue_up()
    other.hooks[0] = lambda: setattr(first, "has_left", True)
    assert stage.open() == "a b b b"
    assert isinstance(first.error, Gone)


def test_a_clip_that_cannot_be_analysed_gives_its_slot_back(queue):
    def unexpected(place):
        assert place == 0, "nobody else is there"

    for _ in range(3):
        with (
            pytest.raises(ValueError, match="broken"),
            queue.turn(Requester("a", "a"), unexpected),
        ):
            raise ValueError("broken")


def test_only_so_many_are_begun_at_a_time_and_the_others_wait_until_one_ends(clock):
    queue = AnalysisQueue(1, max_started=2, quantum_s=QUANTUM_S, clock=clock)
    stage = Stage(queue, clock)
    stage.hold("a", 3)
    stage.work("b", 4).queue_up()
    late = stage.work("c", 1).queue_up()
    assert late.places == [2]
    assert stage.open() == "a b a b a c b b"


def test_a_hundred_people_all_come_to_their_turn(clock):
    """Without a clock of ours between the steps: threads as they come."""
    queue = AnalysisQueue(3, quantum_s=0, clock=clock)
    order = []
    works = [Work(queue, clock, order, f"p{number}", 5) for number in range(100)]
    for work in works:
        work.start()
    for work in works:
        work.end()
    assert sorted(order) == sorted(f"p{number}" for number in range(100) for _ in range(5))
    with queue.turn(Requester("a", "a"), lambda place: pytest.fail("a queue")):
        pass
