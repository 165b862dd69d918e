"""Freesound's API, as far as Earmark uses it: search, sounds, the signed-in user, uploads.

What the server does (read in its own code): every path ends with a slash; `next` links name
another host and carry no key, so pages are counted here; a list may hold nulls; the `detail` of an
error is a text or an object; an answer with 5xx may be a web page; there is no Retry-After.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, Literal, NamedTuple, TypeVar

import requests
from pydantic import SecretStr, ValidationError
from requests_toolbelt import MultipartEncoder, MultipartEncoderMonitor

from core.freesound.errors import (
    NoKey,
    NotAllowed,
    ServerTrouble,
    SoundNotFound,
    Unreachable,
    UploadUncertain,
)
from core.freesound.previews import (
    API,
    PREVIEW_HOSTS,
    TIMEOUT_S,
    PreviewReader,
    connection_problem,
)
from core.freesound.rate_limit import READING_ONLY, SHARED, Budget, Kind
from core.freesound.responses import body_or_error
from core.freesound.retry import with_retries
from core.freesound.types import (
    MAX_ID,
    SOUND_FIELDS,
    Description,
    FreesoundSound,
    FreesoundUser,
    PendingUploads,
    Record,
)
from core.settings import Settings

logger = logging.getLogger(__name__)

MAX_PAGE_SIZE = 150
UPLOAD_TIMEOUT_S = (10.0, 600.0)

RecordType = TypeVar("RecordType", bound=Record)


class Endpoint(NamedTuple):
    """A row of the API: method, path, the credential it takes, what it counts as."""

    method: Literal["GET", "POST"]
    path: str
    credential: Literal["key", "token"]
    kind: Kind


SEARCH = Endpoint("GET", "search/", "key", "read")
SOUND = Endpoint("GET", "sounds/{sound_id}/", "key", "read")
ME = Endpoint("GET", "me/", "token", "read")
PENDING_UPLOADS = Endpoint("GET", "sounds/pending_uploads/", "token", "read")
UPLOAD = Endpoint("POST", "sounds/upload/", "token", "write")


@dataclass
class FreesoundClient:
    """The API with one credential.

    Reads are tried again after connection errors, 5xx and the minute's throttle, with growing
    pauses. Uploads never are.

    Attributes:
        api_key: The credential's key, which is its client secret too.
        budget: Asked before every request.
        api: Address of the API.
        preview_hosts: Hosts that previews may be fetched from.
        sleep: Waits for so many seconds: for the budget's window and between attempts.
        timeout_s: For reads: to connect, and between two pieces of the answer.
    """

    api_key: SecretStr
    budget: Budget
    api: str = API
    preview_hosts: tuple[str, ...] = PREVIEW_HOSTS
    sleep: Callable[[float], None] = time.sleep
    timeout_s: tuple[float, float] = TIMEOUT_S
    _session: requests.Session = field(default_factory=requests.Session, repr=False)
    _server_ahead_s: float = field(default=0.0, repr=False)

    def server_time(self) -> float:
        """Return Freesound's time in seconds since the epoch, as its last answer told it.

        This machine's own clock, which may be wrong by days, counts only before the first answer.
        """
        return time.time() + self._server_ahead_s

    def search(
        self,
        query: str = "",
        *,
        filter: str = "",
        sort: str = "created_desc",
        page_size: int = MAX_PAGE_SIZE,
    ) -> Iterator[FreesoundSound]:
        """List sounds that match; unreadable rows are left out.

        Args:
            query: Words to look for.
            filter: In Solr's syntax, such as `duration:[0 TO 10] tag:rain`.
            sort: One of the API's orders.
            page_size: Sounds per request.

        Yields:
            Sounds, requested page by page. New sounds push others to the next page meanwhile: the
            same sound may come twice.

        Raises:
            FreesoundError: A page cannot be read.
        """
        rows = self.search_rows(query, filter=filter, sort=sort, page_size=page_size)
        return (sound for sound in rows if sound is not None)

    def search_rows(
        self,
        query: str = "",
        *,
        filter: str = "",
        sort: str = "created_desc",
        page_size: int = MAX_PAGE_SIZE,
    ) -> Iterator[FreesoundSound | None]:
        """List as `search` does, with None for each row that is null or unreadable.

        There are such rows because the site's index and its database drift apart.
        """
        parameters = {
            "query": query,
            "filter": filter,
            "sort": sort,
            "fields": SOUND_FIELDS,
            "page_size": str(min(page_size, MAX_PAGE_SIZE)),
        }
        given = {name: value for name, value in parameters.items() if value}
        page = 1
        while True:
            try:
                answer = self._read(SEARCH, given | {"page": str(page)})
            except SoundNotFound:
                if page == 1:
                    raise
                return  # sounds went away meanwhile, and the last page with them
            rows = answer.get("results")
            if not isinstance(rows, list):
                raise _undocumented()
            yield from map(_sound_or_none, rows)
            if not rows or not answer.get("next"):
                return
            page += 1

    def listed(self, sound_ids: Sequence[int]) -> dict[int, FreesoundSound]:
        """Return those of up to `MAX_PAGE_SIZE` sounds that are public, by id, in one request.

        Raises:
            FreesoundError: The list cannot be read.
        """
        if not sound_ids:
            return {}
        ids = " OR ".join(map(str, sound_ids[:MAX_PAGE_SIZE]))
        return {sound.id: sound for sound in self.search(filter=f"id:({ids})")}

    def reads_left(self) -> tuple[int, int]:
        """Return how many reads the budget still allows this minute, and today."""
        return self.budget.left(self.api_key.get_secret_value(), "read")

    def sound(self, sound_id: int) -> FreesoundSound:
        """Return a sound.

        Raises:
            SoundNotFound: It is gone.
            FreesoundError: It cannot be read.
        """
        answer = self._read(
            SOUND, {"fields": SOUND_FIELDS}, path=SOUND.path.format(sound_id=sound_id)
        )
        return _record(FreesoundSound, answer)

    def preview(self, sound: FreesoundSound) -> bytes:
        """Fetch the best preview of a sound; see `PreviewReader.preview`."""
        return PreviewReader(self.api, self.preview_hosts, self.sleep).preview(sound)

    def me(self, token: SecretStr) -> FreesoundUser:
        """Return the person whose access token this is."""
        return _record(FreesoundUser, self._read(ME, token=token))

    def pending_uploads(self, token: SecretStr) -> PendingUploads:
        """Return the person's uploads that are not public yet."""
        return _record(PendingUploads, self._read(PENDING_UPLOADS, token=token))

    def upload(
        self,
        token: SecretStr | None,
        file_name: str,
        data: bytes,
        description: Description,
        progress: Callable[[float], None] = lambda share: None,
    ) -> int:
        """Send a described sound once.

        Args:
            token: The uploader's access token.
            file_name: What Freesound calls the file.
            data: The file's bytes.
            description: The form.
            progress: Receives the share of the bytes that were sent, 0 to 1.

        Returns:
            The sound's id.

        Raises:
            RequestRefused: With the server's messages; nothing was stored.
            SignInExpired: Nothing was stored.
            Throttled: Nothing was stored.
            UploadUncertain: It is not known whether the sound was stored.
        """
        form = {**description.form(), "audiofile": (file_name, data, "application/octet-stream")}
        parts = MultipartEncoder(form)
        body = MultipartEncoderMonitor(
            parts, lambda sent: progress(sent.bytes_read / max(1, parts.len))
        )
        try:
            answer = self._request(UPLOAD, token=token, upload=body)
        except (Unreachable, ServerTrouble) as error:
            raise UploadUncertain(
                f"{file_name} was sent, but Freesound gave no clear answer: "
                "it may be there, whole or half."
            ) from error
        sound_id = answer.get("id")
        if type(sound_id) is not int or not 0 < sound_id <= MAX_ID:
            raise UploadUncertain(f"Freesound took {file_name}, but gave no id for it.")
        return sound_id

    def _read(
        self,
        endpoint: Endpoint,
        params: Mapping[str, str] | None = None,
        *,
        token: SecretStr | None = None,
        path: str = "",
    ) -> dict[str, Any]:
        """Send a GET, tried again where that may help."""

        def request() -> dict[str, Any]:
            return self._request(endpoint, token=token, params=params, path=path)

        return with_retries(request, self.sleep)

    def _request(
        self,
        endpoint: Endpoint,
        *,
        token: SecretStr | None,
        params: Mapping[str, str] | None = None,
        path: str = "",
        upload: MultipartEncoderMonitor | None = None,
    ) -> dict[str, Any]:
        """Send one request: the only place that talks to the API."""
        headers = {
            "Authorization": self._authorization(endpoint, token),
            "Accept": "application/json",
        }
        if upload is not None:
            headers["Content-Type"] = upload.content_type
        self._wait_for_budget(endpoint.kind)
        try:
            response = self._session.request(
                endpoint.method,
                f"{self.api.rstrip('/')}/{path or endpoint.path}",
                params=params,
                data=upload,
                headers=headers,
                timeout=self.timeout_s if upload is None else UPLOAD_TIMEOUT_S,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            problem = connection_problem(error)
            logger.warning("freesound unreachable endpoint=%s problem=%s", endpoint.path, problem)
            raise Unreachable(f"Freesound cannot be reached: {problem}.") from error
        self._note_time(response.headers.get("Date", ""))
        return body_or_error(response, endpoint.path)

    def _note_time(self, date: str) -> None:
        """Note how far Freesound's clock is ahead of this machine's."""
        try:
            self._server_ahead_s = parsedate_to_datetime(date).timestamp() - time.time()
        except (ValueError, OverflowError):
            logger.debug("freesound answer without a date")

    def _authorization(self, endpoint: Endpoint, token: SecretStr | None) -> str:
        if endpoint.credential == "key":
            return f"Token {self.api_key.get_secret_value()}"
        if token is None:
            raise NotAllowed("Please sign in with Freesound first.")
        return f"Bearer {token.get_secret_value()}"

    def _wait_for_budget(self, kind: Kind) -> None:
        while pause_s := self.budget.spend(self.api_key.get_secret_value(), kind):
            logger.info("freesound budget wait kind=%s seconds=%.1f", kind, pause_s)
            self.sleep(pause_s)


def client_from(
    settings: Settings,
    *,
    for_jobs: bool = False,
    sleep: Callable[[float], None] = time.sleep,
) -> FreesoundClient:
    """Return the client that the settings describe.

    Args:
        settings: Where the credential, the addresses and the budget's file come from.
        for_jobs: Prefer the jobs' own credential.
        sleep: Waits for so many seconds.

    Raises:
        NoKey: No credential is set.
    """
    jobs_key = settings.freesound_jobs_key if for_jobs else None
    key = jobs_key or settings.freesound_api_key
    if key is None:
        raise NoKey(
            "No key for Freesound is set: FREESOUND_API_KEY, which "
            "https://freesound.org/apiv2/apply gives."
        )
    limits = READING_ONLY if jobs_key else SHARED
    budget = Budget(settings.requests_file, limits)
    return FreesoundClient(
        key, budget, settings.freesound_api, tuple(settings.preview_hosts), sleep
    )


def _sound_or_none(row: object) -> FreesoundSound | None:
    """Return a row of a list, or None for a null or one that makes no sense."""
    try:
        return FreesoundSound.model_validate(row)
    except ValidationError:
        return None


def _record(kind: type[RecordType], answer: Mapping[str, Any]) -> RecordType:
    try:
        return kind.model_validate(answer)
    except ValidationError as error:
        raise _undocumented() from error


def _undocumented() -> ServerTrouble:
    return ServerTrouble("Freesound's answer is not what its documentation says.")
