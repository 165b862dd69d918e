"""Large files from public hosts: a broken connection goes on where it broke, and what does not match its checksum is not kept."""

import hashlib
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import requests
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from core.errors import EarmarkError

ZENODO = "https://zenodo.org"
TIMEOUT_S = (10, 60)
BLOCK = 1 << 18
NETWORK_BLOCK = 1 << 14  # all that a broken connection can lose: requests hands out whole blocks only
MOST_TRIES = 5  # without a single new byte; a connection that breaks every minute still gets there
LONGEST_PAUSE_S = 30.0


class DownloadError(EarmarkError):
    """A file that could not be fetched whole."""


class _Broken(Exception):
    """The connection failed on the way; trying again may help."""


@dataclass(frozen=True)
class Remote:
    """A file to fetch. `checksum` is "md5:..." or "sha256:..." as the host publishes it, `size` in bytes; both empty if unknown."""

    name: str
    url: str
    checksum: str = ""
    size: int | None = None


def zenodo_files(record: str, host: str = ZENODO) -> list[Remote]:
    """The files of a Zenodo record with sizes and checksums (https://developers.zenodo.org/#retrieve37).

    Raises `DownloadError` if the record cannot be read.
    """
    url = f"{host.rstrip('/')}/api/records/{record}"
    try:
        answer = requests.get(url, timeout=TIMEOUT_S, headers={"Accept": "application/json"})
        answer.raise_for_status()
        return [Remote(Path(one["key"]).name, one["links"]["self"], one["checksum"], int(one["size"])) for one in answer.json()["files"]]
    except requests.HTTPError as error:
        raise DownloadError(f"{url} answered {error.response.status_code}; the files are needed from elsewhere.") from error
    except (ValueError, KeyError, TypeError) as error:  # before RequestException: a body that is no JSON is both
        raise DownloadError(f"{url} does not describe a record as Zenodo does.") from error
    except requests.RequestException as error:
        raise DownloadError(f"{url} cannot be reached from here; give a local copy instead.") from error


def fetch(remote: Remote, path: Path, pause: Callable[[float], None] = time.sleep) -> Path:
    """Fetch `remote` to `path`, going on with what an earlier attempt left in `path`.partial; a file that is there is left alone.

    Only a file of the right size and checksum gets its name. `pause` waits so many seconds between attempts. Raises `DownloadError`.
    """
    if path.exists():
        return path
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _fetch_all(remote, partial, pause)
        _check(remote, partial)
        partial.replace(path)
    except OSError as error:
        raise DownloadError(f"{path} cannot be written: {error.strerror}.") from error
    return path


def _fetch_all(remote: Remote, partial: Path, pause: Callable[[float], None]) -> None:
    """Try until the file is whole or `MOST_TRIES` attempts in a row brought nothing."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    fruitless = 0
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(remote.name, total=remote.size)
        while True:
            before = _size(partial)
            try:
                return _attempt(remote, partial, lambda done: progress.update(task, completed=done))
            except _Broken as error:
                fruitless = 0 if _size(partial) > before else fruitless + 1
                if fruitless == MOST_TRIES:
                    raise DownloadError(f"{remote.url} cannot be fetched ({error}); the same command goes on from here.") from error
                pause(min(LONGEST_PAUSE_S, 2.0**fruitless))


def _attempt(remote: Remote, partial: Path, tell: Callable[[int], None]) -> None:
    """One request for what is missing. Raises `_Broken` if it ended early."""
    have = _size(partial)
    if have and have == remote.size:
        return
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        with requests.get(remote.url, headers=headers, timeout=TIMEOUT_S, stream=True) as answer:
            if answer.status_code == 416:  # what is here is longer than the file there, or exactly as long: the checksum will tell
                if remote.size is None and not remote.checksum:
                    partial.unlink()
                    raise _Broken("the host has another file now")
                return
            if answer.status_code >= 500 or answer.status_code == 429:
                raise _Broken(f"the host answered {answer.status_code}")
            if answer.status_code >= 400:
                raise DownloadError(f"{remote.url} answered {answer.status_code}; the file is needed from elsewhere.")
            if answer.status_code == 206 and _first_byte(answer) != have:
                raise _Broken("the host sent another part than it was asked for")
            _save(answer, partial, have if answer.status_code == 206 else 0, tell)
    except requests.RequestException as error:
        raise _Broken(f"the connection failed: {type(error).__name__}") from error
    if remote.size is not None and _size(partial) < remote.size:
        raise _Broken("the connection ended early")


def _first_byte(answer: requests.Response) -> int | None:
    """Where a partial answer begins. (A host that cannot send parts answers 200 with the file from its beginning.)"""
    found = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
    return int(found[1]) if found else None


def _save(answer: requests.Response, partial: Path, start: int, tell: Callable[[int], None]) -> None:
    with partial.open("ab" if start else "wb") as file:
        for block in answer.iter_content(NETWORK_BLOCK):
            file.write(block)
            tell(file.tell())


def _check(remote: Remote, partial: Path) -> None:
    """Raise `DownloadError`, and drop what was fetched, if it is not the file that the host describes."""
    problem = ""
    if remote.size is not None and _size(partial) != remote.size:
        problem = f"has {_size(partial):,} bytes instead of {remote.size:,}"
    elif remote.checksum and checksum(partial, remote.checksum.partition(":")[0]) != remote.checksum.lower():
        problem = f"does not match its checksum {remote.checksum}"
    if problem:
        partial.unlink()
        raise DownloadError(f"What {remote.url} sent {problem}; it was not kept, please try again.")


def checksum(path: Path, kind: str) -> str:
    """The file's digest as "md5:..." or "sha256:...". Raises `DownloadError` for a kind that Python does not know."""
    try:
        digest = hashlib.new(kind, usedforsecurity=False)
    except ValueError as error:
        raise DownloadError(f"{kind} is no kind of checksum that can be verified here.") from error
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return f"{kind}:{digest.hexdigest()}"


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
