"""The double as a context manager, with the faults that tests ask for."""

import sys
import threading
import traceback
from dataclasses import replace
from typing import Self

from tests.servers.faults import Drop, Fault, is_worked_on, take_fault
from tests.servers.freesound import pages, routes
from tests.servers.freesound.http import Exchange, FreesoundListener
from tests.servers.freesound.log import Logged, logged
from tests.servers.freesound.messages import Reply, Request, server_error_page
from tests.servers.freesound.site import Site


class FreesoundServer(Site):
    """A local freesound.org: `with FreesoundServer() as server:`.

    Attributes:
        requests: The log of all requests.
        errors: Tracebacks of the double itself; a test may insist that there are none.
        faults: Faults that are still to come.
    """

    def __init__(self, port: int = 0) -> None:
        super().__init__(port)
        self.requests: list[Logged] = []
        self.errors: list[str] = []
        self.faults: list[Fault] = []
        self._lock = threading.RLock()
        self._listener: FreesoundListener | None = None

    def __enter__(self) -> Self:
        self._listener = FreesoundListener(self.port, self)
        self.port = self._listener.server_port
        self._listener.start("freesound")
        return self

    def __exit__(self, *_: object) -> None:
        if self._listener:
            self._listener.stop()

    def fail(
        self,
        path: str = "",
        times: int | None = 1,
        *,
        method: str | None = None,
        status: int | None = None,
        body: str | bytes | None = None,
        content_type: str | None = None,
        delay: float = 0.0,
        drip: float = 0.0,
        truncate: int | None = None,
        drop: Drop | None = None,
        processed: bool | None = None,
    ) -> Fault:
        """Let the next requests go wrong; earlier faults come first.

        Args:
            path: Part of the paths that it concerns.
            times: Number of requests; None for all until `heal`.
            method: HTTP method that it concerns; None for all.
            status: Status that replaces the answer.
            body: Body that replaces the answer; with a status alone it is an error page.
            content_type: Media type of the answer, also of the true one.
            delay: Seconds before the answer.
            drip: Seconds before every 1,024 bytes of the answer.
            truncate: Bytes after which the answer ends.
            drop: Close the connection "before" the work is done or "after" it.
            processed: The work is done; by default not if a status replaces the answer.

        Returns:
            The fault, which is removed from `faults` when it has happened often enough.
        """
        if body is None:
            body = b"" if status is None else _error_page(status)
        fault = Fault(
            path=path,
            times=times,
            method=method,
            status=status,
            body=body.encode() if isinstance(body, str) else body,
            content_type=content_type,
            delay=delay,
            drip=drip,
            truncate=truncate,
            drop=drop,
            processed=is_worked_on(status, drop) if processed is None else processed,
        )
        self.faults.append(fault)
        return fault

    def heal(self) -> None:
        """Forget the faults that are still to come."""
        self.faults.clear()

    def receive(self, request: Request) -> Exchange:
        """Log a request and work on it, unless a fault prevents that."""
        with self._lock:
            entry = logged(request)
            self.requests.append(entry)
            fault = take_fault(self.faults, request.path, request.method)
            worked_on = fault is None or fault.processed
            reply = self._answer(request) if worked_on else Reply()
        return Exchange(entry, _spoiled(reply, fault) if fault else reply, fault)

    def _answer(self, request: Request) -> Reply:
        """Return the site's reply; an error of the double is noted and looks like the site's."""
        try:
            return routes.answer(self, request)
        except Exception:
            self.errors.append(traceback.format_exc())
            print(self.errors[-1], file=sys.stderr)
            return server_error_page()


def _error_page(status: int) -> str:
    """Return the page that comes with a status: the site's, or the web server's for a 413."""
    if status == 413:
        return pages.nginx_error(status, "Request Entity Too Large")
    return pages.error(status, "Server error")


def _spoiled(reply: Reply, fault: Fault) -> Reply:
    """Return the reply with what a fault replaces of it."""
    if fault.status is not None:
        reply = Reply(fault.status, fault.body, "text/html")
    elif fault.body:
        reply = replace(reply, body=fault.body)
    return replace(reply, content_type=fault.content_type or reply.content_type)
