"""Freesound's API, as far as Earmark uses it: search, sounds, previews, the signed-in user, uploads.

Facts behind it (all seen on the server's own code): every path ends with a slash; `next` links name another host and carry no
key, so pages are counted here; a list may hold nulls; the `detail` of an error is a text or an object; an answer with 5xx may be
a web page; there is no Retry-After.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

import requests
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from requests_toolbelt import MultipartEncoder, MultipartEncoderMonitor
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from core.errors import EarmarkError
from core.freesound.budget import MARGIN_S, MINUTE_S, READING_ONLY, SHARED, Budget, Kind
from core.settings import Settings, is_loopback

API = "https://freesound.org/apiv2"
PREVIEW_HOSTS = ("cdn.freesound.org", "freesound.org")
PREVIEW_KINDS = ("preview-hq-ogg", "preview-hq-mp3", "preview-lq-ogg", "preview-lq-mp3")
"""Best first: an lq-mp3 of a stereo sound holds nothing above 12 kHz."""
LARGEST_PAGE = 150
TIMEOUT_S = (10, 30)
UPLOAD_TIMEOUT_S = (10, 600)
MOST_TRIES = 4
LARGEST_PREVIEW = 50_000_000
BLOCK = 1 << 16
SOUND_FIELDS = (
    "id,name,tags,description,username,license,created,duration,type,channels,samplerate,category,subcategory,category_code,"
    "gen_ai_preference,url,previews,md5"
)


class FreesoundError(EarmarkError):
    """Freesound, or the way to it, did not do what was asked."""


class NoKey(FreesoundError):
    """No credential is set."""


class Unreachable(FreesoundError):
    """No connection, or no answer in time. Nothing is known of what the server did."""


class ServerTrouble(FreesoundError):
    """An answer with 5xx, or one that is no JSON."""


class Throttled(FreesoundError):
    """Too many requests in the last minute."""


class DailyThrottled(FreesoundError):
    """Too many requests in the last day, or the credential is suspended: trying again is of no use now."""


class Refused(FreesoundError):
    """What was sent is not acceptable (400, 409, 413, 415); `fields` holds the server's messages by form field."""

    def __init__(self, sentence: str, fields: Mapping[str, list[str]] | None = None) -> None:
        super().__init__(sentence)
        self.fields = dict(fields or {})


class SignInExpired(FreesoundError):
    """The access token is invalid or has run out: refresh it once, then sign in again."""


class NotAllowed(FreesoundError):
    """The key, the scope or the ownership does not allow it; a refresh would not help."""


class NotThere(FreesoundError):
    """There is no such sound or page (any more)."""


class BadPreview(FreesoundError):
    """A preview that cannot be used: from elsewhere, too large, cut off, or no sound."""


class UploadUncertain(FreesoundError):
    """The bytes went out and no clear answer came: the sound may be there or half there. Look before sending again."""


class Endpoint(NamedTuple):
    """One row of the API: method, path, which credential it takes, what it counts as."""

    method: Literal["GET", "POST"]
    path: str
    credential: Literal["key", "token"]
    kind: Kind


ENDPOINTS = {
    "search": Endpoint("GET", "search/", "key", "read"),
    "sound": Endpoint("GET", "sounds/{sound_id}/", "key", "read"),
    "me": Endpoint("GET", "me/", "token", "read"),
    "pending_uploads": Endpoint("GET", "sounds/pending_uploads/", "token", "read"),
    "upload": Endpoint("POST", "sounds/upload/", "token", "write"),
}


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class FreesoundSound(_Record):
    """A sound as the API describes it. All text is the uploader's: raw, to be escaped before it is shown."""

    id: int = Field(gt=0)
    name: str
    tags: tuple[str, ...] = ()
    description: str = ""
    username: str = ""
    license: str = ""
    created: str = ""
    duration: float = Field(0.0, ge=0, allow_inf_nan=False)
    type: str = ""
    channels: int = 0
    samplerate: float = 0.0
    category: str | None = None
    subcategory: str | None = None
    category_code: str | None = None
    gen_ai_preference: str = ""
    url: str = ""
    previews: dict[str, str] = {}
    md5: str = ""


class FreesoundUser(_Record):
    """Who is signed in. `unique_id` stays when the name changes."""

    unique_id: int
    username: str


class PendingSound(_Record):
    """A described sound on its way through processing and moderation."""

    id: int
    name: str = ""
    tags: tuple[str, ...] = ()
    created: str = ""
    processing_state: str = ""


class PendingUploads(_Record):
    """What of the user's is not public yet. `pending_description` are file names, to be described on the website."""

    pending_description: tuple[str, ...] = ()
    pending_processing: tuple[PendingSound, ...] = ()
    pending_moderation: tuple[PendingSound, ...] = ()


@dataclass(frozen=True)
class Description:
    """What is sent with an upload; `tags` are sent joined by spaces. Checked by the caller, and again by the server."""

    name: str
    tags: tuple[str, ...]
    description: str
    license: str
    bst_category: str
    pack: str = ""
    geotag: str = ""

    def form(self) -> dict[str, str]:
        """The fields of the form; empty ones are left out."""
        fields = {
            "name": self.name,
            "tags": " ".join(self.tags),
            "description": self.description,
            "license": self.license,
            "bst_category": self.bst_category,
            "pack": self.pack,
            "geotag": self.geotag,
        }
        return {name: value for name, value in fields.items() if value}


class Previews:
    """Fetching previews, which takes no credential and no budget: with `PreviewReader`, machines that have neither can do it."""

    api: str
    preview_hosts: tuple[str, ...]
    sleep: Callable[[float], None]

    def preview(self, sound: FreesoundSound) -> bytes:
        """The best preview of a sound, fetched without any credential from a known host. Raises `BadPreview`, `NotThere`, `Unreachable`."""
        url = next((sound.previews[kind] for kind in PREVIEW_KINDS if kind in sound.previews), None)
        if url is None:
            raise BadPreview(f"Sound {sound.id} has no preview.")
        if not self._may_fetch(url):
            raise BadPreview(f"The preview of sound {sound.id} lies on another host than Freesound's.")
        data = self._again(lambda: self._fetch(url, sound.id))
        if not data.startswith((b"OggS", b"ID3", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2")):
            raise BadPreview(f"The preview of sound {sound.id} is no Ogg or MP3 file.")
        return data

    def _may_fetch(self, url: str) -> bool:
        """Whether the address is one of Freesound's media; plain http only where the API itself is a double on this machine."""
        try:
            parts, api = urlsplit(url), urlsplit(self.api)
        except ValueError:
            return False
        double = api.scheme == "http" and is_loopback(api.hostname or "")
        return parts.hostname in self.preview_hosts and parts.scheme in (("https", "http") if double else ("https",))

    def _fetch(self, url: str, sound_id: int) -> bytes:
        """Bytes of a public file, at most `LARGEST_PREVIEW` of them; redirects are not followed."""
        try:
            with requests.get(url, timeout=TIMEOUT_S, stream=True, allow_redirects=False) as answer:
                if answer.status_code in (404, 403, 410):
                    raise NotThere(f"The preview of sound {sound_id} is gone.")
                if answer.status_code != 200:
                    raise ServerTrouble(f"The preview of sound {sound_id} cannot be fetched (status {answer.status_code}).")
                data = bytearray()
                for block in answer.iter_content(BLOCK):
                    data += block
                    if len(data) > LARGEST_PREVIEW:
                        raise BadPreview(f"The preview of sound {sound_id} is larger than {LARGEST_PREVIEW / 1e6:.0f} MB.")
        except requests.RequestException as error:
            raise Unreachable(f"The preview of sound {sound_id} cannot be fetched: {_cause(error)}.") from error
        return bytes(data)

    def _again(self, request: Callable[[], Any]) -> Any:
        retrying = Retrying(
            retry=retry_if_exception_type((Unreachable, ServerTrouble, Throttled)),
            wait=_pause,
            stop=stop_after_attempt(MOST_TRIES),
            sleep=self.sleep,
            reraise=True,
        )
        return retrying(request)


@dataclass
class PreviewReader(Previews):
    """Previews and nothing else."""

    api: str = API
    preview_hosts: tuple[str, ...] = PREVIEW_HOSTS
    sleep: Callable[[float], None] = time.sleep


@dataclass
class FreesoundClient(Previews):
    """The API at the address `api`, with one credential. `budget` is asked before every request; `sleep` waits for its window.

    Reads are tried again after connection errors, 5xx and the minute's throttle, with growing pauses. Uploads never are.
    """

    api_key: SecretStr
    budget: Budget
    api: str = API
    preview_hosts: tuple[str, ...] = PREVIEW_HOSTS
    sleep: Callable[[float], None] = time.sleep
    _session: requests.Session = field(default_factory=requests.Session, repr=False)

    def search(
        self, query: str = "", *, filter: str = "", sort: str = "created_desc", page_size: int = LARGEST_PAGE
    ) -> Iterator[FreesoundSound]:
        """Sounds that match, page by page as they are asked for; rows that are null or unreadable are left out.

        New sounds push others to the next page meanwhile: the same sound may come twice. Raises kinds of `FreesoundError`.
        """
        rows = self.search_rows(query, filter=filter, sort=sort, page_size=page_size)
        return (sound for sound in rows if sound is not None)

    def search_rows(
        self, query: str = "", *, filter: str = "", sort: str = "created_desc", page_size: int = LARGEST_PAGE
    ) -> Iterator[FreesoundSound | None]:
        """As `search`, with None for each row that is null or unreadable: the site's index and its database drift apart."""
        parameters = {"query": query, "filter": filter, "sort": sort, "fields": SOUND_FIELDS, "page_size": min(page_size, LARGEST_PAGE)}
        page = 1
        while True:
            try:
                answer = self._read("search", {name: value for name, value in parameters.items() if value} | {"page": page})
            except NotThere:
                if page == 1:
                    raise
                return  # sounds went away meanwhile, and the last page with them
            yield from (_sound_or_none(row) for row in answer.get("results", []))
            if not answer.get("next"):
                return
            page += 1

    def sound(self, sound_id: int) -> FreesoundSound:
        """One sound. Raises `NotThere` if it is gone."""
        answer = self._read("sound", {"fields": SOUND_FIELDS}, sound_id=sound_id)
        return _typed(FreesoundSound, answer)

    def me(self, token: SecretStr) -> FreesoundUser:
        """Whose access token this is."""
        return _typed(FreesoundUser, self._read("me", token=token))

    def pending_uploads(self, token: SecretStr) -> PendingUploads:
        """What the user has uploaded and is not public yet."""
        return _typed(PendingUploads, self._read("pending_uploads", token=token))

    def upload(
        self,
        token: SecretStr,
        file_name: str,
        data: bytes,
        description: Description,
        progress: Callable[[float], None] = lambda share: None,
    ) -> int:
        """Send a described sound once; returns its id. `progress` hears the share of the bytes that are out.

        Raises `Refused` with the server's messages, `SignInExpired` and `Throttled` when nothing was stored, and `UploadUncertain`
        when that is not known.
        """
        parts = MultipartEncoder({**description.form(), "audiofile": (file_name, data, "application/octet-stream")})
        body = MultipartEncoderMonitor(parts, lambda sent: progress(sent.bytes_read / max(1, parts.len)))
        try:
            answer = self._request("upload", token=token, data=body, timeout=UPLOAD_TIMEOUT_S, content_type=body.content_type)
        except (Unreachable, ServerTrouble) as error:
            raise UploadUncertain(f"{file_name} was sent, but Freesound gave no clear answer: it may be there, whole or half.") from error
        if not isinstance(answer.get("id"), int):
            raise UploadUncertain(f"Freesound took {file_name}, but gave no id for it.")
        return answer["id"]

    def _read(self, name: str, parameters: Mapping[str, Any] | None = None, token: SecretStr | None = None, **path: Any) -> dict[str, Any]:
        """A GET, tried again where that may help."""
        return self._again(lambda: self._request(name, token=token, params=parameters, timeout=TIMEOUT_S, **path))

    def _request(
        self,
        name: str,
        *,
        token: SecretStr | None,
        timeout: tuple[float, float],
        params=None,
        data=None,
        content_type: str = "",
        **path: Any,
    ) -> Any:
        """The one place that talks to the API: credential, budget, time-out, and errors as sentences."""
        endpoint = ENDPOINTS[name]
        authorization = self._authorization(endpoint, token)
        while pause := self.budget.spend(self.api_key.get_secret_value(), endpoint.kind):
            self.sleep(pause)
        headers = {"Authorization": authorization, "Accept": "application/json"} | ({"Content-Type": content_type} if content_type else {})
        url = f"{self.api.rstrip('/')}/{endpoint.path.format(**path)}"
        try:
            answer = self._session.request(
                endpoint.method, url, params=params, data=data, headers=headers, timeout=timeout, allow_redirects=False
            )
        except requests.RequestException as error:
            raise Unreachable(f"Freesound cannot be reached: {_cause(error)}.") from error
        return _body_or_error(answer)

    def _authorization(self, endpoint: Endpoint, token: SecretStr | None) -> str:
        if endpoint.credential == "key":
            return f"Token {self.api_key.get_secret_value()}"
        if token is None:
            raise NotAllowed("Please sign in with Freesound first.")
        return f"Bearer {token.get_secret_value()}"


def client_from(settings: Settings, *, for_jobs: bool = False, sleep: Callable[[float], None] = time.sleep) -> FreesoundClient:
    """The client that the settings describe; `for_jobs` prefers the jobs' own credential. Raises `NoKey` where there is none."""
    own = settings.freesound_jobs_key if for_jobs else None
    key = own or settings.freesound_api_key
    if key is None:
        raise NoKey("No key for Freesound is set: FREESOUND_API_KEY, which https://freesound.org/apiv2/apply gives.")
    budget = Budget(settings.freesound_ledger.expanduser(), READING_ONLY if own else SHARED)
    return FreesoundClient(key, budget, settings.freesound_api, tuple(settings.preview_hosts), sleep)


def _pause(state: RetryCallState) -> float:
    """A full window after the minute's throttle, else 1, 2, 4 s and a little chance."""
    error = state.outcome.exception() if state.outcome else None
    return MINUTE_S + MARGIN_S if isinstance(error, Throttled) else wait_exponential_jitter(initial=1, max=30)(state)


def _body_or_error(answer: requests.Response) -> dict[str, Any]:
    """The JSON object of a good answer; raises the `FreesoundError` that fits any other."""
    try:
        body = answer.json()
    except requests.JSONDecodeError:
        body = None
    status = answer.status_code
    if status in (200, 201) and isinstance(body, dict):
        return body
    detail = body.get("detail") if isinstance(body, dict) else None
    if status >= 500 or status in (200, 201) or 300 <= status < 400:
        raise ServerTrouble(f"Freesound has trouble (status {status}){_said(detail)}.")
    if status == 401 and 'error="invalid_token"' in answer.headers.get("WWW-Authenticate", ""):
        raise SignInExpired("The sign-in with Freesound has run out.")
    if status in (401, 403):
        raise NotAllowed(_CREDENTIAL_TROUBLE.get(str(detail), f"Freesound does not allow that{_said(detail)}."))
    if status == 404:
        raise NotThere(f"Freesound does not have that{_said(detail)}.")
    if status == 429:
        raise _throttled(str(detail))
    if status == 413:
        raise Refused("The file is larger than Freesound takes.")
    fields = {name: [str(one) for one in messages] for name, messages in detail.items()} if isinstance(detail, dict) else {}
    raise Refused(f"Freesound refuses this{_said(detail)}.", fields)


_OPERATOR = "whoever runs Earmark here must look at FREESOUND_API_KEY"
_CREDENTIAL_TROUBLE = {
    "Invalid token": f"Freesound does not know this server's key; {_OPERATOR}.",
    "Suspended token or token pending for approval": f"Freesound has suspended this server's key, or not approved it yet; {_OPERATOR}.",
    "User inactive or deleted": f"The account that this server's key belongs to is not active at Freesound; {_OPERATOR}.",
    "Authentication credentials were not provided.": "Freesound did not recognise the sign-in; please sign out and in again.",
    "Not authorized": "The sign-in with Freesound does not allow writing; please sign out and in again.",
}
"""Sentences for the server's words about credentials (section 2 of what was measured of it)."""


def _throttled(detail: str) -> FreesoundError:
    """The error for a 429; the server names the rate in brackets, or says that the credential is suspended."""
    rate = detail.rpartition("(")[2].rstrip(").") if "(" in detail else ""
    if rate.endswith("/minute"):
        return Throttled(f"Freesound asks for fewer requests ({rate}); please try again in a minute.")
    if rate:
        return DailyThrottled(f"Freesound asks for fewer requests ({rate}); there is room again tomorrow.")
    return DailyThrottled(f"Freesound has suspended this server's key; {_OPERATOR}.")


def _said(detail: Any) -> str:
    """The server's own words, a text or an object of lists by field, as the end of a sentence."""
    if isinstance(detail, dict):
        detail = "; ".join(f"{name}: {' '.join(map(str, messages))}" for name, messages in detail.items())
    return f": {str(detail).strip().rstrip('.')}" if detail else ""


def _cause(error: requests.RequestException) -> str:
    """What went wrong with a connection, without the address (which is not secret, but long)."""
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, requests.ConnectionError):
        return "no connection, or it broke"
    return type(error).__name__


def _sound_or_none(row: Any) -> FreesoundSound | None:
    """A row of a list, or None for a null or one that makes no sense."""
    try:
        return FreesoundSound.model_validate(row)
    except ValidationError:
        return None


def _typed(kind: type[Any], answer: Any) -> Any:
    try:
        return kind.model_validate(answer)
    except ValidationError as error:
        raise ServerTrouble("Freesound's answer is not what its documentation says.") from error
