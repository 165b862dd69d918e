"""Fetching previews, which takes neither a credential nor the request budget."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

import requests

from core.freesound.errors import (
    BadPreview,
    FreesoundError,
    ServerTrouble,
    SoundNotFound,
    Unreachable,
)
from core.freesound.retry import with_retries
from core.freesound.types import FreesoundSound
from core.settings import is_loopback

API = "https://freesound.org/apiv2"
PREVIEW_HOSTS = ("cdn.freesound.org", "freesound.org")
PREVIEW_KINDS = ("preview-hq-ogg", "preview-hq-mp3", "preview-lq-ogg", "preview-lq-mp3")
"""Best first: an lq-mp3 of a stereo sound holds nothing above 12 kHz."""
MAX_PREVIEW_BYTES = 50_000_000
TIMEOUT_S = (10.0, 30.0)
"""To connect, and between two pieces of the answer."""
_BLOCK_BYTES = 1 << 16
_GONE = (301, 302, 303, 307, 308, 403, 404, 410)
"""A file that is not there may be answered with the address of a page that says so."""
_HOST_PROBLEMS = (Unreachable, ServerTrouble)
"""They may pass, and say nothing of the file."""
_OGG_OR_MP3 = (b"OggS", b"ID3", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2")


class Previews(Protocol):
    """A reader of previews: `PreviewReader`, or a client."""

    @property
    def api(self) -> str:
        """Address of the API whose sounds these are."""
        ...

    def preview(self, sound: FreesoundSound) -> bytes:
        """Fetch the best preview of a sound."""
        ...


@dataclass(frozen=True)
class PreviewReader:
    """Fetches previews on machines that have no credential.

    Attributes:
        api: Address of the API.
        preview_hosts: Hosts that previews may be fetched from.
        sleep: Waits for so many seconds.
        max_bytes: Size of the largest preview that is accepted.
    """

    api: str = API
    preview_hosts: tuple[str, ...] = PREVIEW_HOSTS
    sleep: Callable[[float], None] = time.sleep
    max_bytes: int = MAX_PREVIEW_BYTES

    def preview(self, sound: FreesoundSound) -> bytes:
        """Fetch the best preview of a sound, without any credential, from a known host.

        Freesound lists all kinds of previews, also where a file is missing, so the next best is
        fetched where one cannot be had or is no sound.

        Raises:
            BadPreview: There is none, or none is an Ogg or MP3 file.
            SoundNotFound: All are gone.
            Unreachable: The host cannot be reached.
            ServerTrouble: The host has trouble.
        """
        listed = (sound.previews[kind] for kind in PREVIEW_KINDS if kind in sound.previews)
        problems: list[FreesoundError] = []
        for url in dict.fromkeys(listed):
            is_host_well = not any(isinstance(problem, _HOST_PROBLEMS) for problem in problems)
            try:
                return self._usable(url, sound.id, is_retried=is_host_well)
            except (BadPreview, SoundNotFound, *_HOST_PROBLEMS) as problem:
                problems.append(problem)
        if not problems:
            raise BadPreview(f"Sound {sound.id} has no preview.")
        passing = (problem for problem in problems if isinstance(problem, _HOST_PROBLEMS))
        raise next(passing, problems[0])

    def _usable(self, url: str, sound_id: int, *, is_retried: bool) -> bytes:
        """Return the Ogg or MP3 file at an address; `is_retried`: tried again where that helps."""
        if not self._may_fetch(url):
            raise BadPreview(
                f"The preview of sound {sound_id} lies on another host than Freesound."
            )

        def fetch() -> bytes:
            return self._fetch(url, sound_id)

        data = with_retries(fetch, self.sleep) if is_retried else fetch()
        if not data.startswith(_OGG_OR_MP3):
            raise BadPreview(f"The preview of sound {sound_id} is no Ogg or MP3 file.")
        return data

    def _may_fetch(self, url: str) -> bool:
        """Return True for an address of Freesound's media.

        Plain http is accepted only where the API itself is a double on this machine.
        """
        try:
            parts, api = urlsplit(url), urlsplit(self.api)
        except ValueError:
            return False
        is_double = api.scheme == "http" and is_loopback(api.hostname or "")
        schemes = ("https", "http") if is_double else ("https",)
        return parts.hostname in self.preview_hosts and parts.scheme in schemes

    def _fetch(self, url: str, sound_id: int) -> bytes:
        """Return the bytes of a public file, `max_bytes` at most; redirects are not followed."""
        subject = f"The preview of sound {sound_id}"
        try:
            with requests.get(
                url, timeout=TIMEOUT_S, stream=True, allow_redirects=False
            ) as response:
                if response.status_code in _GONE:
                    raise SoundNotFound(f"{subject} is gone.")
                if response.status_code != 200:
                    status = f"(status {response.status_code})"
                    raise ServerTrouble(f"{subject} cannot be fetched {status}.")
                return self._read(response, subject)
        except requests.RequestException as error:
            raise Unreachable(
                f"{subject} cannot be fetched: {connection_problem(error)}."
            ) from error

    def _read(self, response: requests.Response, subject: str) -> bytes:
        data = bytearray()
        for block in response.iter_content(_BLOCK_BYTES):
            data += block
            if len(data) > self.max_bytes:
                raise BadPreview(f"{subject} is larger than {self.max_bytes / 1e6:g} MB.")
        return bytes(data)


def connection_problem(error: requests.RequestException) -> str:
    """Return what went wrong with a connection, without the address, which is long."""
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, requests.ConnectionError):
        return "no connection, or it broke"
    return type(error).__name__
