"""Limits on what people upload: Streamlit keeps it in memory until the session ends.

Its endpoint takes files of any session, on any page, as many as anybody sends. A page that shows an
uploader says so with `allow_uploads`; the middleware `UploadLimits` refuses everything else.
"""

import asyncio
import logging
import math
import re
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

import streamlit as st
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit import runtime
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.scriptrunner import get_script_run_ctx

from app import services
from core.errors import EarmarkError
from core.settings import Settings

logger = logging.getLogger(__name__)

MEBIBYTE = 2**20
"""Streamlit's megabyte."""
FRAMING_BYTES = 64 * 1024
"""Most that surrounds a file in a request: boundaries, and headers with its name."""
BYTES_PER_FILE = 4096
"""What a file costs besides its bytes: its name, its type and the objects around it."""
BLOCK_BYTES = 256 * 1024
"""A running upload counts in steps of this size."""
MAX_IDLE_S, GRACE_S, MIN_BYTES_PER_S = 30.0, 60.0, 4096
"""An upload ends that sends nothing for so long, or after a while is slower than this."""
MAX_REST_IDLE_S, MAX_REST_S = 2.0, 30.0
"""How long the rest of a refused upload may pause, and take, before the answer is sent anyway."""
_UPLOAD_PATH = re.compile(r".*/_stcore/upload_file/([^/]+)/([^/]+)", re.DOTALL)


class UploadRefused(EarmarkError):
    """An upload beyond a limit.

    Attributes:
        status: Of the HTTP response.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True)
class PageLimits:
    """Limits of a page with an uploader.

    Attributes:
        file_bytes: Size of the largest file.
        files: How many files one session keeps, running uploads included.
        session_bytes: Their sum.
        total_bytes: The sum over all sessions.
    """

    file_bytes: int
    files: int
    session_bytes: int
    total_bytes: int

    @property
    def megabytes(self) -> int:
        """Return the sum of a session's files in Streamlit's megabytes."""
        return self.session_bytes // MEBIBYTE

    @classmethod
    def from_settings(cls, settings: Settings, megabytes: float, files: int) -> "PageLimits":
        """Return the limits of a page for so many files of so many megabytes each."""
        file_bytes = math.ceil(megabytes) * MEBIBYTE + FRAMING_BYTES
        per_session = settings.upload_megabytes_per_session or 5 * settings.max_megabytes
        total = settings.upload_megabytes or 2 * per_session
        session_bytes = min(files * file_bytes, int(per_session * MEBIBYTE))
        return cls(file_bytes, files, session_bytes, int(total * MEBIBYTE))


@dataclass(eq=False)
class _Visit:
    """A session's stay on a page with an uploader; `uploads` and `reserved` are those running."""

    session: str
    limits: PageLimits
    uploads: int = 0
    reserved: int = 0
    is_over: bool = False


class Uploads:
    """Counts files and bytes by session, running uploads included.

    What has arrived is read from Streamlit's own store, so that nothing else has to be kept equal.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._visits: dict[str, _Visit] = {}
        self._reserved = 0

    @property
    def sessions(self) -> list[str]:
        """Return the sessions whose page shows an uploader."""
        with self._lock:
            return list(self._visits)

    def allow(self, session: str, limits: PageLimits) -> None:
        """Take uploads of a session from now on."""
        with self._lock:
            self._visits.setdefault(session, _Visit(session, limits)).limits = limits

    def end(self, session: str) -> None:
        """Take no more uploads of a session; those that are running are given up."""
        with self._lock:
            visit = self._visits.pop(session, None)
            if visit:
                visit.is_over = True

    def begin(self, session: str, length: int) -> "Upload":
        """Begin an upload.

        Args:
            session: Whose it is.
            length: Of the request as its headers have it; 0 where they do not say.

        Raises:
            UploadRefused: The page has no uploader, or a limit would be exceeded.
        """
        with self._lock:
            visit = self._visits.get(session)
            if visit is None:
                raise UploadRefused(403, "This page takes no files.")
            self._check(visit, length, 1)
            visit.uploads += 1
        return Upload(self, visit, length)

    def reserve(self, visit: _Visit, received: int, more: int) -> None:
        """Count `more` bytes of an upload that has sent `received` bytes.

        Raises:
            UploadRefused: The page was left, or a limit would be exceeded.
        """
        with self._lock:
            if visit.is_over:
                raise UploadRefused(403, "This page takes no files.")
            if received > visit.limits.file_bytes:
                raise UploadRefused(413, "The file is too large.")
            if more:
                self._check(visit, more, 0)
            visit.reserved += more
            self._reserved += more

    def release(self, visit: _Visit, reserved: int) -> None:
        """End an upload's count."""
        with self._lock:
            visit.uploads -= 1
            visit.reserved -= reserved
            self._reserved -= reserved

    def _check(self, visit: _Visit, more: int, files: int) -> None:
        limits, stored = visit.limits, _stored_files(visit.session)
        if more > limits.file_bytes:
            raise UploadRefused(413, "The file is too large.")
        if len(stored) + visit.uploads + files > limits.files:
            raise UploadRefused(413, f"More than {limits.files} files are too many.")
        if sum(stored) + visit.reserved + more > limits.session_bytes:
            raise UploadRefused(413, f"The files have more than {limits.megabytes} MB in all.")
        if self._reserved + _total_bytes() + more > limits.total_bytes:
            _close_disconnected()
        if self._reserved + _total_bytes() + more > limits.total_bytes:
            raise UploadRefused(503, "The server has too many files at present.")


class Upload:
    """A running upload.

    Attributes:
        received: Bytes so far.
    """

    def __init__(self, uploads: Uploads, visit: _Visit, length: int) -> None:
        self.received = 0
        self._uploads, self._visit = uploads, visit
        self._length, self._reserved, self._is_running = length, 0, True
        self._start = time.monotonic()

    def receive(self, size: int) -> None:
        """Count bytes that have arrived.

        Raises:
            UploadRefused: A limit would be exceeded, or the page was left.
        """
        if not self._is_running:
            return
        self.received += size
        goal = self._reserved
        if self.received > goal:
            blocks = math.ceil(self.received / BLOCK_BYTES) * BLOCK_BYTES
            goal = max(self.received, min(blocks, self._length or blocks))
        self._uploads.reserve(self._visit, self.received, goal - self._reserved)
        self._reserved = goal

    def patience_s(self) -> float:
        """Return for how long the next bytes may be awaited."""
        allowed_s = GRACE_S + self.received / MIN_BYTES_PER_S
        left_s = self._start + allowed_s - time.monotonic()
        return min(MAX_IDLE_S, max(0.0, left_s))

    def end(self) -> bool:
        """End its count, as the file is in Streamlit's store, or nowhere; True the first time."""
        is_first = self._is_running
        if is_first:
            self._is_running = False
            self._uploads.release(self._visit, self._reserved)
        return is_first

    @property
    def is_obsolete(self) -> bool:
        """Return True if the page was left meanwhile."""
        return self._visit.is_over


@st.cache_resource(show_spinner=False)
def uploads() -> Uploads:
    """Return the counts of all sessions."""
    return Uploads()


def allow_uploads(megabytes: float, files: int) -> PageLimits:
    """Take files from this session; to be called before the uploader is drawn.

    Args:
        megabytes: Size of the largest file.
        files: How many files the page keeps at a time.

    Returns:
        What the session may upload.
    """
    limits = PageLimits.from_settings(services.settings(), megabytes, files)
    context = get_script_run_ctx()
    if context:
        uploads().allow(context.session_id, limits)
    return limits


def check_server_limit() -> None:
    """Log it if Streamlit refuses files that the settings accept."""
    server_megabytes = st.get_option("server.maxUploadSize")
    if math.ceil(services.settings().max_megabytes) > server_megabytes:
        text = "server.maxUploadSize=%d is below EARMARK_MAX_MEGABYTES=%g: uploads end there"
        logger.warning(text, server_megabytes, services.settings().max_megabytes)


def end_uploads() -> None:
    """Delete what this session has uploaded and take no more: its uploader is left for good."""
    context = get_script_run_ctx()
    if context:
        uploads().end(context.session_id)
        context.uploaded_file_mgr.remove_session_files(context.session_id)


class UploadLimits:
    """Middleware that keeps uploads within the limits of the page they come from."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or close sessions that are over for as long as the server runs."""
        if scope["type"] == "lifespan":
            closing = asyncio.create_task(_close_ended_sessions())
            try:
                await self.app(scope, receive, send)
            finally:
                closing.cancel()
            return
        path = _UPLOAD_PATH.fullmatch(scope["path"]) if scope["type"] == "http" else None
        if path is None or scope["method"] not in ("PUT", "POST"):
            await self.app(scope, receive, send)
            return
        await self._upload(path[1], path[2], scope, receive, send)

    async def _upload(
        self, session: str, file_id: str, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Hand an upload on, and count it as it arrives."""
        try:
            upload = uploads().begin(session, _content_length(scope))
        except UploadRefused as refusal:
            await _refuse(refusal, 0, scope, receive, send)
            return
        try:
            send_counted = _counted_send(upload, session, file_id, send)
            await self.app(scope, _counted_receive(upload, receive), send_counted)
        except UploadRefused as refusal:
            upload.end()
            await _refuse(refusal, upload.received, scope, receive, send)
        finally:
            upload.end()


def _counted_receive(upload: Upload, receive: Receive) -> Receive:
    """Return a `receive` that counts what arrives."""

    async def receive_counted() -> Message:
        message = await _receive_in_time(upload, receive)
        upload.receive(len(message.get("body", b"")))
        return message

    return receive_counted


def _counted_send(upload: Upload, session: str, file_id: str, send: Send) -> Send:
    """Return a `send` that ends the count: where there is an answer, the file is stored."""

    async def send_counted(message: Message) -> None:
        if upload.end() and upload.is_obsolete:
            _remove_file(session, file_id)
        await send(message)

    return send_counted


async def _receive_in_time(upload: Upload, receive: Receive) -> Message:
    try:
        async with asyncio.timeout(upload.patience_s()):
            return await receive()
    except TimeoutError:
        raise UploadRefused(408, "The upload is too slow.") from None


async def _refuse(
    refusal: UploadRefused, received: int, scope: Scope, receive: Receive, send: Send
) -> None:
    """Answer with the reason and close the connection.

    What is still to come is read first, within bounds: a browser that is still sending when the
    connection closes reports a network error in place of the answer.
    """
    logger.warning(
        "upload refused status=%d received=%d reason=%s", refusal.status, received, refusal
    )
    rest_bytes = int(services.settings().max_megabytes * MEBIBYTE) + FRAMING_BYTES
    if refusal.status != 408 and _content_length(scope) - received <= rest_bytes:
        with suppress(TimeoutError):
            async with asyncio.timeout(MAX_REST_S):
                await _discard(receive, rest_bytes)
    headers = {"Connection": "close"}
    response = PlainTextResponse(str(refusal), refusal.status, headers)
    await response(scope, receive, send)


async def _discard(receive: Receive, most: int) -> None:
    """Read a request to its end, or about so many bytes of it, and keep nothing."""
    is_complete = False
    while most > 0 and not is_complete:
        async with asyncio.timeout(MAX_REST_IDLE_S):
            message = await receive()
        is_complete = message["type"] == "http.disconnect" or not message.get("more_body", False)
        most -= len(message.get("body", b""))


def _content_length(scope: Scope) -> int:
    length = Headers(scope=scope).get("content-length", "")
    return int(length) if length.isdecimal() else 0


def _manager() -> MemoryUploadedFileManager | None:
    """Return Streamlit's store of uploaded files."""
    manager = runtime.get_instance().uploaded_file_mgr if runtime.exists() else None
    return manager if isinstance(manager, MemoryUploadedFileManager) else None


def _files_by_session() -> Mapping[str, list[int]]:
    """Return what each uploaded file costs, in bytes, by session."""
    manager = _manager()
    if manager is None:
        return {}
    return {session: _stored_files(session) for session in list(manager.file_storage)}


def _stored_files(session: str) -> list[int]:
    manager = _manager()
    files = manager.file_storage.get(session, {}) if manager else {}
    return [len(file.data) + BYTES_PER_FILE for file in list(files.values())]


def _total_bytes() -> int:
    return sum(map(sum, _files_by_session().values()))


def _remove_file(session: str, file_id: str) -> None:
    manager = _manager()
    if manager:
        manager.remove_file(session, file_id)


def _close_disconnected() -> None:
    """Close sessions whose connection is gone, if they keep files."""
    for session in _files_by_session():
        if not runtime.get_instance().is_active_session(session):
            _close(session)


def _close(session: str) -> None:
    """End a session for good, with all that it keeps in memory."""
    manager = _manager()
    runtime.get_instance().close_session(session)
    if manager:
        manager.remove_session_files(session)


async def _close_ended_sessions() -> None:
    """Close sessions with uploaders when their time to connect again is nearly over.

    Streamlit itself forgets them only when another session ends, and files that arrive after the
    end never.
    """
    disconnected: dict[str, float] = {}
    while True:
        ttl_s = float(st.get_option("server.disconnectedSessionTTL"))
        await asyncio.sleep(max(0.2, ttl_s / 20))
        try:
            disconnected = _close_those_gone(disconnected, 0.9 * ttl_s)
        except Exception:
            logger.exception("ended sessions not closed")


def _close_those_gone(disconnected: Mapping[str, float], after_s: float) -> dict[str, float]:
    """Close sessions that have had no connection for so long.

    Args:
        disconnected: Since when sessions have had none, as it was returned last time.
        after_s: For how long.
    """
    if not runtime.exists():
        return {}
    is_connected, now = runtime.get_instance().is_active_session, time.monotonic()
    sessions = {*uploads().sessions, *_files_by_session()}
    since = {
        session: disconnected.get(session, now) for session in sessions if not is_connected(session)
    }
    for session in [session for session, start in since.items() if now - start >= after_s]:
        uploads().end(session)
        _close(session)
    return since
