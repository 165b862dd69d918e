"""Downloads of large files: a broken connection resumes, a wrong checksum is not kept."""

import hashlib
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from training.errors import DownloadError

logger = logging.getLogger(__name__)

ZENODO = "https://zenodo.org"
TIMEOUT_S = (10, 60)
NETWORK_BLOCK_BYTES = 1 << 14
"""All that a broken connection can lose: requests hands out whole blocks only."""
MAX_ATTEMPTS = 5
"""In a row without a new byte; a connection that breaks every minute still gets there."""
MAX_PAUSE_S = 30.0


class _ConnectionBroken(Exception):
    """The connection failed on the way; trying again may help."""


@dataclass(frozen=True)
class RemoteFile:
    """A file to download.

    Attributes:
        name: Without folders.
        url: Where it is.
        checksum: "md5:..." or "sha256:..." as the host publishes it; empty if unknown.
        size: In bytes; None if unknown.
    """

    name: str
    url: str
    checksum: str = ""
    size: int | None = None


def zenodo_files(record: str, host: str = ZENODO) -> list[RemoteFile]:
    """Return the files of a Zenodo record (https://developers.zenodo.org/#retrieve37).

    Raises:
        DownloadError: The record cannot be read.
    """
    url = f"{host.rstrip('/')}/api/records/{record}"
    try:
        answer = requests.get(url, timeout=TIMEOUT_S, headers={"Accept": "application/json"})
        answer.raise_for_status()
        return [_remote_file(entry) for entry in answer.json()["files"]]
    except requests.HTTPError as error:
        status = error.response.status_code
        raise DownloadError(f"{url} answered {status}; please get the files elsewhere.") from error
    except (ValueError, KeyError, TypeError) as error:  # a body that is no JSON is also the next
        raise DownloadError(f"{url} does not describe a record as Zenodo does.") from error
    except requests.RequestException as error:
        raise DownloadError(f"{url} cannot be reached; please give a local copy.") from error


def _remote_file(entry: Mapping[str, Any]) -> RemoteFile:
    name, url = Path(entry["key"]).name, entry["links"]["self"]
    return RemoteFile(name, url, entry["checksum"], int(entry["size"]))


def fetch(remote: RemoteFile, path: Path, pause: Callable[[float], None] = time.sleep) -> Path:
    """Download a file; an existing one is left alone.

    Args:
        remote: What to download.
        path: Where to; an earlier attempt's `path`.partial is continued.
        pause: Waits so many seconds between attempts.

    Returns:
        `path`, which has the announced size and checksum.

    Raises:
        DownloadError: The file cannot be had, or cannot be written.
    """
    if path.exists():
        return path
    partial = path.with_name(path.name + ".partial")
    logger.info("download start url=%s size=%s", remote.url, remote.size)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _fetch_all(remote, partial, pause)
        _check(remote, partial)
        partial.replace(path)
    except OSError as error:
        raise DownloadError(f"{path} cannot be written: {error.strerror}.") from error
    return path


def _fetch_all(remote: RemoteFile, partial: Path, pause: Callable[[float], None]) -> None:
    """Try until the file is whole or `MAX_ATTEMPTS` attempts in a row brought nothing."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    failures = 0
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as progress:
        task = progress.add_task(remote.name, total=remote.size)
        while True:
            before = _size(partial)
            try:
                return _attempt(remote, partial, lambda n: progress.update(task, completed=n))
            except _ConnectionBroken as error:
                logger.warning("download interrupted url=%s reason=%s", remote.url, error)
                failures = 0 if _size(partial) > before else failures + 1
                if failures == MAX_ATTEMPTS:
                    reason = f"{remote.url} cannot be fetched ({error})"
                    advice = "the same command goes on from here"
                    raise DownloadError(f"{reason}; {advice}.") from error
                pause(min(MAX_PAUSE_S, 2.0**failures))


def _attempt(remote: RemoteFile, partial: Path, on_progress: Callable[[int], None]) -> None:
    """Request what is missing; raise `_ConnectionBroken` if trying again may help."""
    have = _size(partial)
    if remote.size is None:  # what is there may belong to another file: begin anew
        have = 0
    elif have >= remote.size:  # it is whole, or the check finds that it is another file
        return
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        with requests.get(remote.url, headers=headers, timeout=TIMEOUT_S, stream=True) as answer:
            status = answer.status_code
            if status >= 500 or status == requests.codes.too_many_requests:
                raise _ConnectionBroken(f"the host answered {status}")
            if status >= 400:
                advice = "please get the file elsewhere"
                raise DownloadError(f"{remote.url} answered {status}; {advice}.")
            resumes = status == requests.codes.partial_content  # a host may send all of it again
            _save(answer, partial, "ab" if resumes else "wb", on_progress)
    except requests.RequestException as error:
        raise _ConnectionBroken(f"the connection failed: {type(error).__name__}") from error
    if remote.size is not None and _size(partial) < remote.size:
        raise _ConnectionBroken("the connection ended early")


def _save(
    answer: requests.Response, partial: Path, mode: str, on_progress: Callable[[int], None]
) -> None:
    """Write the answer's body."""
    with partial.open(mode) as file:
        for block in answer.iter_content(NETWORK_BLOCK_BYTES):
            file.write(block)
            on_progress(file.tell())


def check(remote: RemoteFile, path: Path) -> str:
    """Return how a file differs from the one that was announced; empty if it does not."""
    if remote.size is not None and _size(path) != remote.size:
        return f"has {_size(path):,} bytes instead of {remote.size:,}"
    if remote.checksum and not _matches(path, remote.checksum):
        return f"does not match its checksum {remote.checksum}"
    return ""


def _check(remote: RemoteFile, partial: Path) -> None:
    """Raise `DownloadError`, and delete the file, if it is not the one that was announced."""
    if problem := check(remote, partial):
        partial.unlink()
        what = f"What {remote.url} sent {problem}"
        raise DownloadError(f"{what}; it was not kept, please try again.")


def _matches(path: Path, checksum: str) -> bool:
    """Return True if the file has this "md5:..." or "sha256:..."."""
    kind, _, expected = checksum.partition(":")
    if kind not in hashlib.algorithms_available:
        raise DownloadError(f"{kind} is not a kind of checksum that can be verified here.")
    with path.open("rb") as file:
        return hashlib.file_digest(file, kind).hexdigest() == expected.lower()


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
