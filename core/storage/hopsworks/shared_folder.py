"""One folder of a Hopsworks project, and what this machine knows about it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

from filelock import FileLock

from core.sqlite import Database
from core.storage.errors import StorageError
from core.storage.hopsworks.client import MAX_FILE_BYTES, Account, Project, connect
from core.storage.hopsworks.errors import HopsworksError, NotFound, Unreadable
from core.storage.hopsworks.outbox import Outbox
from core.storage.hopsworks.sync_state import SyncState

Result = TypeVar("Result")
ADDRESS_NOTE = "home"
"""Of the shared folder's address; the name is what older versions wrote."""


class SharedFolder:
    """Connection, outbox, sync state, and locks between the processes of this machine.

    Attributes:
        database: The workspace's database.
        cache: This machine's folder.
        account: The project.
        folder: The folder's path in the project.
        outbox: What waits to be sent.
        state: What is known about the folder.
        outbox_event: Set whenever something was put into the outbox.
    """

    def __init__(
        self,
        database: Database,
        cache: Path,
        account: Account,
        folder: str,
        *,
        has_events: Callable[[], bool],
    ) -> None:
        """Bind this machine's workspace to a shared folder. Hopsworks is not asked yet.

        Args:
            database: The workspace's database.
            cache: This machine's folder.
            account: The project.
            folder: The folder's path in the project.
            has_events: Tells if the database holds events already.

        Raises:
            StorageError: The database belongs to another shared folder, or to none.
        """
        self.database, self.cache, self.account = database, cache, account
        self.folder = folder.strip("/")
        self.outbox, self.state = Outbox(database), SyncState(database)
        self.outbox_event = threading.Event()
        self._locks: dict[str, threading.Lock] = {}
        database.prepare(lambda: self._check_address(has_events()))

    def _check_address(self, has_events: bool) -> None:
        """Note the shared folder's address; refuse a workspace that belongs to another."""
        account = self.account
        address = f"{account.host}:{account.port}/{account.project}/{self.folder}"
        noted = self.state.read_note(ADDRESS_NOTE)
        if noted not in ("", address) or (not noted and has_events):
            other = noted or "this machine alone"
            raise StorageError(
                f"{self.cache} holds the workspace of {other}, not that of {address}: set "
                "EARMARK_WORKSPACE to another folder, and take events over with "
                "`python -m core export` and `import`."
            )
        with self.database.writing() as connection:
            self.state.write_note(connection, ADDRESS_NOTE, address)

    def project(self) -> Project:
        """Return the connection, made when it is first needed.

        Raises:
            HopsworksError: There is none.
        """
        return connect(self.account)

    def path(self, relative: str) -> str:
        """Return the project's path of something in this folder, or of the folder itself."""
        return f"{self.folder}/{relative}".rstrip("/")

    def list_names(self, project: Project, relative: str) -> list[str]:
        """Return the names in a subfolder; none if there is no such subfolder.

        Raises:
            HopsworksError: Hopsworks cannot be asked.
        """
        try:
            return project.list_names(self.path(relative))
        except NotFound:
            return []

    def read_file(self, project: Project, relative: str, max_bytes: int = MAX_FILE_BYTES) -> bytes:
        """Return the bytes of one file among others.

        Raises:
            NotFound: There is no such file.
            Unreadable: This one cannot be read, or it is larger than `max_bytes`.
            HopsworksError: Nothing can be read.
        """
        return self.attempt(project, lambda: project.read_file(self.path(relative), max_bytes))

    def list_folder(self, project: Project, relative: str, offset: int = 0) -> list[str]:
        """Return the names in one subfolder among others; none if there is no such subfolder.

        Args:
            project: The connection.
            relative: The subfolder.
            offset: Leave out the oldest names, so many.

        Raises:
            Unreadable: This one cannot be listed.
            HopsworksError: Nothing can be read.
        """
        path = self.path(relative)
        try:
            return self.attempt(project, lambda: project.list_names_from(path, offset))
        except NotFound:
            return []

    def attempt(self, project: Project, read: Callable[[], Result]) -> Result:
        """Read something; where that fails, find out if it is its fault or that of Hopsworks.

        Raises:
            NotFound: It is not there.
            Unreadable: It cannot be read, while the shared folder can.
            HopsworksError: Nothing can be read.
        """
        try:
            return read()
        except NotFound:
            raise
        except HopsworksError:
            self.list_names(project, "")
        try:
            return read()
        except NotFound:
            raise
        except HopsworksError as error:
            raise Unreadable(str(error)) from error

    @contextmanager
    def exclusive(self, task: str) -> Iterator[None]:
        """Wait for other threads and processes that do the same task here.

        The lock of a process that died is free.

        Raises:
            StorageError: The lock cannot be taken.
        """
        lock = self._locks.setdefault(task, threading.Lock())
        path = self.cache / f".{task}.lock"
        with lock, ExitStack() as stack:
            try:
                stack.enter_context(FileLock(path))
            except OSError as error:
                reason = f"The workspace's lock {path} cannot be taken ({error.strerror})."
                raise StorageError(reason) from error
            yield
