"""The shared folder's clock, which all machines of a team have in common."""

import time
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from threading import Lock


class ServerClock:
    """Tells the time by the last answer of a server. Any thread may call it.

    The machine's own clock may be wrong by days; only how fast it runs is relied on.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._answered: tuple[datetime, float] | None = None

    def note(self, date: str | None) -> None:
        """Take over the `Date` of an answer; nothing changes where it is none."""
        try:
            answered = parsedate_to_datetime(date or "")
        except ValueError:
            return
        if answered.tzinfo is not None:
            with self._lock:
                self._answered = answered.astimezone(UTC), time.monotonic()

    def now(self) -> datetime:
        """Return the server's time; this machine's until the server has answered."""
        with self._lock:
            if self._answered is None:
                return datetime.now(UTC)
            answered, at = self._answered
            return answered + timedelta(seconds=time.monotonic() - at)


server_clock = ServerClock()
"""Of the one Hopsworks that this process is connected to."""
