"""One shared folder of a Hopsworks project and what this machine has of it: connection, index, ledger, and locks between processes."""

import fcntl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.workspace import WorkspaceError
from core.workspace.hopsworks.client import Account, Project, connect
from core.workspace.hopsworks.ledger import Ledger
from core.workspace.index import Index

HOME_NOTE = "home"


class Home:
    """`folder` in the project of `account`; `index` and `cache` are this machine's."""

    def __init__(self, index: Index, cache: Path, account: Account, folder: str) -> None:
        """Raises `WorkspaceError` if the index belongs to another home: what was kept there would never get here."""
        self.index, self.cache, self.account = index, cache, account
        self.folder = folder.strip("/")
        self.ledger = Ledger(index.engine, index.reads)
        self._locks: dict[str, threading.Lock] = {}
        self._check_owner()

    def _check_owner(self) -> None:
        owner = f"{self.account.host}:{self.account.port}/{self.account.project}/{self.folder}"
        noted = self.ledger.noted(HOME_NOTE)
        if noted not in ("", owner) or (not noted and next(self.index.log(), None) is not None):
            raise WorkspaceError(
                f"{self.cache} holds another workspace ({noted or 'of this machine alone'}), not that of {owner}: set EARMARK_WORKSPACE to "
                "another folder, and take events over with `python -m core export` and `import`."
            )
        with self.index.writing() as connection:
            self.ledger.note(connection, HOME_NOTE, owner)

    def project(self) -> Project:
        """The connection, made when first needed. Raises `Away` or `Refused`."""
        return connect(self.account)

    def path(self, relative: str) -> str:
        """The project's path of something in this home."""
        return f"{self.folder}/{relative}"

    @contextmanager
    def only_one(self, what: str) -> Iterator[None]:
        """Holds up other threads, and other processes on this folder, that do the same. The lock of a dead process is free."""
        with self._locks.setdefault(what, threading.Lock()), (self.cache / f".{what}.lock").open("wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
