"""The double as a context manager, with the faults that tests ask for."""

import random
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Self

from tests.servers.faults import Drop, Fault, is_worked_on, take_fault
from tests.servers.hopsworks import routes
from tests.servers.hopsworks.certificate import make_certificate
from tests.servers.hopsworks.chaos import Chaos
from tests.servers.hopsworks.http import HopsworksListener
from tests.servers.hopsworks.messages import Logged, Reply, Request, as_json, refused
from tests.servers.hopsworks.store import Store
from tests.servers.hopsworks.tree import Refusal

DEFAULT_KEY = "a-key-for-tests"
UNAVAILABLE_PAGE = b"<html>Service Unavailable</html>"


class HopsworksServer:
    """A local Hopsworks: `with HopsworksServer() as server:`.

    Attributes:
        host: Name to connect to; the certificate is made out to it.
        port: Port on loopback.
        project: Name of the one project.
        key: API key that opens it; `keys` are all that do.
        certificate: Certificate that clients must trust.
        store: What the server keeps.
        requests: The log of all requests.
        errors: Unknown routes and tracebacks; a test insists that there are none.
        before: Called before each request is worked on.
        after: Called after each request was worked on.
    """

    def __init__(self, port: int = 0, project: str = "demo", key: str = DEFAULT_KEY) -> None:
        self.host, self.port, self.project, self.key = "localhost", port, project, key
        self.keys = {key}
        self.store = Store(project)
        self.requests: list[Logged] = []
        self.errors: list[str] = []
        self.faults: list[Fault] = []
        self.before: Callable[[Request], object] = lambda request: None
        self.after: Callable[[Request], object] = lambda request: None
        self._chaos: Chaos | None = None
        self._lock = threading.RLock()
        self._listener: HopsworksListener | None = None

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="hopsworks-double-")
        self.certificate = make_certificate(Path(self._folder.name))
        self.go_online()
        return self

    def __exit__(self, *_: object) -> None:
        self.go_offline()
        self._folder.cleanup()

    def go_online(self) -> None:
        """Listen (again), on the same port as before."""
        self._listener = HopsworksListener(self.port, self.certificate, self)
        self.port = self._listener.server_port
        self._listener.start("hopsworks")

    def go_offline(self) -> None:
        """Refuse every connection and cut those that are open."""
        if self._listener is not None:
            self._listener.stop()
            self._listener = None

    def fail(
        self,
        path: str = "",
        times: int | None = 1,
        *,
        method: str | None = None,
        status: int | None = None,
        code: int | None = None,
        body: bytes | None = None,
        content_type: str = "application/json",
        delay: float = 0.0,
        truncate: int | None = None,
        drop: Drop | None = None,
    ) -> Fault:
        """Let the next requests go wrong; earlier faults come first.

        Args:
            path: Part of the paths that it concerns.
            times: Number of requests; None for all until `heal`.
            method: HTTP method that it concerns; None for all.
            status: Status that replaces the answer; the work is not done.
            code: Hopsworks' error code in the body that comes with the status.
            body: Body that comes with the status.
            content_type: Media type of that body.
            delay: Seconds before the work.
            truncate: Bytes after which a body ends, without saying how many there should be.
            drop: Close the connection "before" the work is done or "after" it.
        """
        if body is None and code:
            body = refused(Refusal(status or 500, code, "An error.")).body
        fault = Fault(
            path=path,
            times=times,
            method=method,
            status=status,
            body=UNAVAILABLE_PAGE if body is None else body,
            content_type=content_type,
            delay=delay,
            truncate=truncate,
            drop=drop,
            processed=is_worked_on(status, drop),
        )
        with self._lock:
            self.faults.append(fault)
        return fault

    def chaos(
        self,
        seed: int,
        *,
        unavailable: float = 0.0,
        drop_before: float = 0.0,
        drop_after: float = 0.0,
        delayed: float = 0.0,
        seconds: float = 0.02,
    ) -> Chaos:
        """Let requests go wrong at random until `heal`.

        Args:
            seed: Random seed.
            unavailable: Probability of a 503.
            drop_before: Probability that the connection is closed before the work is done.
            drop_after: Probability that it is closed after the work is done.
            delayed: Probability of a late answer.
            seconds: How late it is.
        """
        self._chaos = Chaos(
            random.Random(seed), unavailable, drop_before, drop_after, delayed, seconds
        )
        return self._chaos

    def heal(self) -> None:
        """Forget the faults that are still to come."""
        with self._lock:
            self.faults.clear()
            self._chaos = None

    def log(self, request: Request) -> Logged:
        """Note a request."""
        entry = Logged(request.method, request.path)
        self.requests.append(entry)
        return entry

    def next_fault(self, request: Request) -> Fault:
        """Return what goes wrong with a request; a fault without effect if nothing does."""
        with self._lock:
            fault = take_fault(self.faults, request.path, request.method)
            if fault is None and self._chaos:
                fault = self._chaos.next()
            return fault or Fault()

    def work_on(self, request: Request, fault: Fault) -> Reply:
        """Return the reply to a request, or what a fault replaces it by."""
        self.before(request)
        if fault.processed:
            reply = self._answer(request)
        else:
            content_type = fault.content_type or "application/json"
            reply = Reply(fault.status or 0, fault.body, content_type)
        self.after(request)
        return reply

    def _answer(self, request: Request) -> Reply:
        """Return the store's reply; an error of the double is noted."""
        try:
            return routes.answer(self.store, self.keys, request)
        except Exception:
            self.errors.append(traceback.format_exc())
            print(self.errors[-1], file=sys.stderr)
            return as_json({"errorCode": 120000, "errorMsg": "the double failed"}, 500)
