"""Publish queues under way, each in a thread of its own: they go on when the page is left."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from core.errors import EarmarkError
from core.people import Person
from core.publishing.publish_queue import PublishOne, PublishQueue, PublishQueues, run_queue
from core.publishing.upload import Progress

logger = logging.getLogger(__name__)


@dataclass
class _Running:
    """A thread that publishes.

    Attributes:
        stage: What it is doing, in words.
        share: Of the bytes of the sound that is being sent.
        stop: Set when the person wants it to stop after the sound that is being sent.
        thread: Ends when the queue is finished or stopped.
    """

    stage: str = "Preparing"
    share: float = 0.0
    stop: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None


class QueueSending:
    """Runs people's publish queues, one for each person. Safe for threads."""

    def __init__(self, queues: PublishQueues) -> None:
        """Run what is in these queues."""
        self._queues = queues
        self._running: dict[int, _Running] = {}
        self._lock = threading.Lock()

    def start(
        self, person: Person, queue: PublishQueue, publish_with: Callable[[Progress], PublishOne]
    ) -> bool:
        """Publish what waits in a person's queue.

        Args:
            person: The uploader.
            queue: The queue.
            publish_with: Returns what publishes one sound; it is given where to report to.

        Returns:
            False if that person's queue is running already.
        """
        with self._lock:
            if self._is_running(person):
                return False
            running = _Running()

            def report(stage: str, share: float) -> None:
                running.stage, running.share = stage, share

            arguments = queue, publish_with(report), running.stop
            running.thread = threading.Thread(
                target=self._run, args=arguments, daemon=True, name="publish-queue"
            )
            self._running[person.user_id] = running
            running.thread.start()
            return True

    def is_running(self, person: Person) -> bool:
        """Return True while a thread publishes the person's sounds."""
        with self._lock:
            return self._is_running(person)

    def progress(self, person: Person) -> tuple[str, float]:
        """Return the stage of the sound that is published now, and the share that is sent."""
        running = self._running.get(person.user_id)
        return (running.stage, running.share) if running else ("", 0.0)

    def stop(self, person: Person) -> None:
        """Stop after the sound that is being sent."""
        running = self._running.get(person.user_id)
        if running:
            running.stop.set()

    def is_stopping(self, person: Person) -> bool:
        """Return True from the press of *Stop* until the thread has ended."""
        running = self._running.get(person.user_id)
        return running is not None and running.stop.is_set() and self.is_running(person)

    def wait(self, person: Person, timeout_s: float | None = None) -> None:
        """Return when the person's thread has ended, or after a time."""
        running = self._running.get(person.user_id)
        if running and running.thread:
            running.thread.join(timeout_s)

    def _is_running(self, person: Person) -> bool:
        running = self._running.get(person.user_id)
        return bool(running and running.thread and running.thread.is_alive())

    def _run(self, queue: PublishQueue, publish: PublishOne, stop: threading.Event) -> None:
        reason = "Something went wrong here. “Your uploads” shows each sound's state."
        try:
            run_queue(self._queues, queue, publish, stop.is_set)
            return
        except EarmarkError as error:
            reason = str(error)
        except Exception:
            logger.exception("queue failed queue=%s", queue.queue_id)
        try:
            self._queues.mark(queue, "stopped", reason)
        except EarmarkError as error:
            logger.warning("queue state not written queue=%s reason=%s", queue.queue_id, error)
