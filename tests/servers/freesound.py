"""A local double of freesound.org's APIv2, real HTTP on loopback, true to what was measured of the server.

In tests: `with FreesoundServer() as server:`; alone: `python -m tests.servers.freesound --port 8765`.
Standard library only, so that a connection can be dropped, cut short or slowed down; media and drawings come from freesound_pages.
"""

import argparse
import base64
import contextlib
import hashlib
import json
import re
import secrets
import socket
import socketserver
import string
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from functools import cached_property
from html import unescape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlencode, urlsplit, urlunsplit

from tests.servers import freesound_pages as pages

CALLBACK = "http://localhost:8501/auth/freesound/callback"  # of an app started by `make run`
SITE = "https://freesound.org"  # stands in `next`, `url`, `download`, ... whatever host was asked, as on the site
MINUTE, DAY = 60, 24 * 60 * 60
LICENSES = {
    "Creative Commons 0": "http://creativecommons.org/publicdomain/zero/1.0/",
    "Attribution": "https://creativecommons.org/licenses/by/4.0/",
    "Attribution NonCommercial": "https://creativecommons.org/licenses/by-nc/4.0/",
    "Sampling+": "http://creativecommons.org/licenses/sampling+/1.0/",
}
UPLOAD_LICENSES = tuple(list(LICENSES)[:3])
EXTENSIONS = ("wav", "aiff", "aif", "ogg", "flac", "mp3", "m4a", "wv")
TAXONOMY = {
    "m": ("Music", {"sp": "Solo percussion", "si": "Solo instrument", "m": "Multiple instruments", "other": "Other"}),
    "is": (
        "Instrument samples",
        {
            "p": "Percussion",
            "s": "String",
            "w": "Wind",
            "k": "Piano / Keyboard instruments",
            "e": "Synths / Electronic",
            "other": "Other",
        },
    ),
    "sp": ("Speech", {"s": "Solo speech", "c": "Conversation / Crowd", "p": "Processed / Synthetic", "other": "Other"}),
    "fx": (
        "Sound effects",
        {
            "o": "Objects / House appliances",
            "v": "Vehicles",
            "m": "Other mechanisms, engines, machines",
            "h": "Human sounds and actions",
            "a": "Animals",
            "n": "Natural elements and explosions",
            "ex": "Experimental",
            "el": "Electronic / Design",
            "other": "Other",
        },
    ),
    "ss": ("Soundscapes", {"n": "Nature", "i": "Indoors", "u": "Urban", "s": "Synthetic / Artificial", "other": "Other"}),
}
CATEGORIES = {f"{top}-{code}": (name, sub) for top, (name, subs) in TAXONOMY.items() for code, sub in subs.items()}
STOP_WORDS = frozenset("the of to and an in is it you that he was for on are with as i his they be at".split())
DESCRIPTORS = ("bpm", "loudness", "pitch", "mfcc", "brightness", "warmth", "single_event", "fsdsinet_detected_class")
SPACES = ("sim_laion_clap", "sim_freesound_classic")
NO_CREDENTIALS = "Authentication credentials were not provided."
SECRET_FIELDS = frozenset("token access_token refresh_token code client_secret code_verifier password csrfmiddlewaretoken".split())


def clean_tags(sent: str) -> list[str]:
    """The tags that a string becomes on the site, sorted: case kept, stop words and doubles gone."""
    words = (re.sub("-+", "-", word).strip("-") for word in re.sub("[^a-zA-Z0-9-]", " ", sent).split())
    return sorted({word for word in words if word and word not in STOP_WORDS})


def random_text(length: int) -> str:
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(length))


def utc(timestamp: float) -> str:
    return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# ---------------------------------------------------------------- what is stored


@dataclass
class User:
    username: str
    password: str
    id: int
    email: str
    joined: float
    whitelisted: bool = False  # own uploads skip moderation
    active: bool = True
    tos_accepted: bool = True
    pending_files: dict[str, bytes] = field(default_factory=dict)  # uploaded, not yet described


@dataclass
class Client:
    name: str
    client_id: str
    client_secret: str
    redirect_uri: str = ""  # blank: the out-of-band page
    owner: str = ""
    approved: bool = True
    suspended: bool = False  # throttling level 0
    get_limits: tuple[int, int] = (60, 2000)  # per minute, per day
    post_limits: tuple[int, int] = (30, 500)
    calls: list[float] = field(default_factory=list)


@dataclass
class Sound:
    id: int
    username: str
    name: str
    tags: list[str]
    created: float
    description: str = ""
    license: str = "Creative Commons 0"
    category_code: str | None = None
    category_is_user_provided: bool = False
    pack: str | None = None
    geotag: str | None = None  # "lat lon"
    type: str = "wav"
    duration: float = 0.0
    samplerate: float = 0.0
    channels: int = 0
    bitrate: int = 0
    bitdepth: int | None = None
    filesize: int = 0
    audio: bytes | None = None
    filename: str = ""
    md5: str = ""
    processing_state: str = "PE"  # PE QU PR OK FA
    moderation_state: str = "PE"  # PE DE OK
    half_made: bool = False  # left behind by a 500 in the middle of an upload
    num_downloads: int = 0
    avg_rating: float = 0.0
    num_ratings: int = 0
    num_comments: int = 0
    is_explicit: bool = False
    gen_ai_preference: str = "no-additional-preferences"
    license_url: str = ""
    descriptors: dict = field(default_factory=dict)

    @property
    def processed(self) -> bool:
        return self.processing_state == "OK"

    @property
    def public(self) -> bool:
        return self.processed and self.moderation_state == "OK"

    @property
    def category(self) -> tuple[str | None, str | None]:
        return CATEGORIES.get(self.category_code or "", (None, None))


@dataclass
class Token:
    access: str
    refresh: str
    username: str
    client_id: str
    scope: frozenset[str]
    expires: float


@dataclass
class Code:
    code: str
    username: str
    client_id: str
    scope: frozenset[str]
    redirect_uri: str
    expires: float
    challenge: str = ""
    method: str = ""


class State:
    """Everything the site remembers. Tests add to it and read from it."""

    def __init__(self, now: Callable[[], float]):
        self.now = now
        self.users: dict[str, User] = {}
        self.clients: dict[str, Client] = {}
        self.sounds: dict[int, Sound] = {}
        self.tokens: list[Token] = []
        self.codes: dict[str, Code] = {}
        self.sessions: dict[str, str] = {}
        self.packs: dict[tuple[str, str], int] = {}

    def add_user(self, username: str, password: str | None = None, **more) -> User:
        user = User(username, password or username, 100 + len(self.users), f"{username}@example.org", self.now() - 400 * DAY, **more)
        return self.users.setdefault(username, user)

    def add_client(self, name: str = "earmark", redirect_uri: str = "", **more) -> Client:
        client = Client(name, random_text(20), random_text(40), redirect_uri, **more)
        self.clients[client.client_id] = client
        return client

    def add_sound(self, username: str = "alice", *, audio: bytes | None = None, public: bool = True, **more) -> Sound:
        """A sound that is there already; `public=False` leaves it waiting for processing and moderation."""
        self.add_user(username)
        number = more.pop("id", None) or max(self.sounds, default=1000) + 1
        defaults = {"name": f"sound {number}", "tags": ["field-recording", "nature", "test"], "created": self.now()}
        sound = Sound(number, username, **(defaults | more), audio=audio)
        sound.md5 = hashlib.md5(audio if audio is not None else f"sound {number}".encode()).hexdigest()
        sound.filesize = sound.filesize or len(audio or b"")
        if sound.pack:
            self.pack_id(username, sound.pack)
        self.sounds[number] = sound
        if public:
            wanted = {name: more[name] for name in ("duration", "samplerate", "channels", "bitdepth") if name in more}
            self.process(number, **wanted)
            self.moderate(number)
        return sound

    def pack_id(self, username: str, name: str) -> int:
        return self.packs.setdefault((username, name), 501 + len(self.packs))

    def process(self, number: int, failed: bool = False, **measured) -> Sound:
        """What the site's analysis does: durations and previews come into being, or the sound is marked Failed."""
        sound = self.sounds[number]
        made_up = {"duration": 1.0, "samplerate": 44100.0, "channels": 1, "bitdepth": 16}
        about = made_up if sound.audio is None else pages.measure(sound.audio)
        if about is None and measured:
            about = made_up
        if failed or about is None:
            sound.processing_state = "FA"
            return sound
        for name, value in (about | measured).items():
            setattr(sound, name, value)
        sound.bitrate = round(sound.filesize * 8 / 1000 / sound.duration) if sound.duration else 0
        sound.processing_state = "OK"
        return sound

    def moderate(self, number: int, state: str = "OK") -> Sound:
        """A moderator's decision: OK, DE (deferred) or back to PE."""
        self.sounds[number].moderation_state = state
        return self.sounds[number]

    def reject(self, number: int) -> None:
        del self.sounds[number]

    def grant(self, username: str, client: Client, scope: str = "read write") -> Token:
        """A token pair without the browser's detour."""
        token = Token(random_text(30), random_text(30), username, client.client_id, frozenset(scope.split()), self.now() + DAY)
        self.tokens.append(token)
        return token

    def revoke(self, username: str) -> None:
        """What the user does on the site's page of app permissions."""
        self.tokens = [token for token in self.tokens if token.username != username]

    def expire_tokens(self, username: str | None = None) -> None:
        for token in self.tokens:
            if username in (None, token.username):
                token.expires = self.now() - 1

    def sounds_of(self, username: str) -> list[Sound]:
        return [sound for sound in self.sounds.values() if sound.username == username]


# ---------------------------------------------------------------- requests and replies


@dataclass
class Reply:
    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    headers: list[tuple[str, str]] = field(default_factory=list)


class Refused(Exception):
    """Carries the reply that ends a request early."""

    def __init__(self, reply: Reply):
        super().__init__(reply.status)
        self.reply = reply


def as_json(value, status: int = 200, headers: dict[str, str] | None = None) -> Reply:
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    return Reply(status, body, headers=list((headers or {}).items()))


def detail(status: int, words, **headers: str) -> Reply:
    return as_json({"detail": words}, status, {name.replace("_", "-"): value for name, value in headers.items()})


def html(text: str, status: int = 200) -> Reply:
    return Reply(status, text.encode(), "text/html; charset=utf-8")


def redirect(where: str, status: int = 302) -> Reply:
    return Reply(status, pages.moved(where).encode() if status == 301 else b"", "text/html; charset=utf-8", [("Location", where)])


def oauth_error(status: int, error: str, description: str | None = None) -> Refused:
    headers = {"Cache-Control": "no-store", "Pragma": "no-cache"}
    if status == 401:
        headers["WWW-Authenticate"] = f'Bearer error="{error}"'
    return Refused(as_json({"error": error} | ({"error_description": description} if description else {}), status, headers))


def parse_multipart(body: bytes, boundary: str) -> tuple[dict[str, str], dict[str, tuple[str, bytes]]]:
    """Fields and files (name and content) of a multipart body; of parts with one name the last wins."""
    fields: dict[str, str] = {}
    files: dict[str, tuple[str, bytes]] = {}
    for part in (b"\r\n" + body).split(b"\r\n--" + boundary.encode())[1:]:
        if part.startswith(b"--"):
            break
        head, _, content = part.partition(b"\r\n\r\n")
        words = head.decode("utf-8", "replace")
        name = re.search(r'[; ]name="([^"]*)"', words)
        plain, extended = re.search(r'filename="((?:[^"\\]|\\.)*)"', words), re.search(r"filename\*=utf-8'[^']*'([^;\s]+)", words, re.I)
        if not name:
            continue
        if plain or extended:
            filename = unquote(extended[1]) if extended else unescape(re.sub(r'\\(["\\])', r"\1", plain[1]))
            if filename:
                files[name[1]] = (filename.replace("\\", "/").rsplit("/", 1)[-1], content)
        else:
            fields[name[1]] = content.decode("utf-8", "replace")
    return fields, files


@dataclass
class Request:
    method: str
    path: str
    query_string: str
    headers: object  # email.message.Message
    body: bytes

    @cached_property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(self.query_string, keep_blank_values=True))

    @property
    def content_type(self) -> str:
        return self.headers.get_content_type() if self.headers.get("Content-Type") else ""

    @cached_property
    def form(self) -> tuple[dict[str, str], dict[str, tuple[str, bytes]]]:
        if self.content_type == "multipart/form-data":
            return parse_multipart(self.body, self.headers.get_param("boundary", ""))
        if self.content_type == "application/x-www-form-urlencoded":
            return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True)), {}
        return {}, {}

    @property
    def fields(self) -> dict[str, str]:
        return self.form[0]

    @property
    def target(self) -> str:
        return self.path + (f"?{self.query_string}" if self.query_string else "")

    def cookie(self, name: str) -> str:
        pairs = (part.strip().partition("=") for part in (self.headers.get("Cookie") or "").split(";"))
        return next((value for key, _, value in pairs if key == name), "")


@dataclass
class Logged:
    """One request as it came in, without secrets; `fields` are the names of what its form carried."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    fields: list[str]
    status: int | None = None  # None: no answer was sent


@dataclass
class Fault:
    path: str
    times: int | None
    method: str | None
    status: int | None
    body: bytes
    content_type: str | None
    delay: float
    drip: float
    truncate: int | None
    drop: bool
    processed: bool


# ---------------------------------------------------------------- search filter


class BadFilter(Exception):
    pass


def words_of(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def has_phrase(phrase: list[str], text: str) -> bool:
    words = words_of(text)
    return any(words[i : i + len(phrase)] == phrase for i in range(len(words) - len(phrase) + 1))


FILTER_FIELDS: dict[str, tuple[str, Callable[[Sound], object]]] = {
    **{
        name: ("number", lambda sound, name=name: getattr(sound, name))
        for name in "id duration samplerate bitrate bitdepth channels filesize num_downloads num_ratings num_comments".split()
    },
    "avg_rating": ("number", lambda sound: 2 * sound.avg_rating if sound.num_ratings >= 3 else 0),
    "created": ("date", lambda sound: sound.created),
    "tag": ("tag", lambda sound: sound.tags),
    "username": ("letters", lambda sound: sound.username),
    **{name: ("words", lambda sound, name=name: getattr(sound, name) or "") for name in ("name", "description", "pack")},
    **{name: ("exact", lambda sound, name=name: getattr(sound, name)) for name in ("license", "type", "md5", "gen_ai_preference")},
    "category": ("exact", lambda sound: sound.category[0]),
    "subcategory": ("exact", lambda sound: sound.category[1]),
    "is_explicit": ("exact", lambda sound: str(sound.is_explicit).lower()),
    "is_geotagged": ("exact", lambda sound: str(sound.geotag is not None).lower()),
}
FILTER_TOKEN = re.compile(
    r"\s*(?:(?P<bracket>[()])|(?P<word>OR|AND)(?=[\s(]|$)|(?P<sign>[-+])(?=[A-Za-z(])|(?P<name>[A-Za-z_]\w*):"
    r'|(?P<value>"[^"]*"|[\[{][^\]}]*[\]}]|[^\s()\[\]{}"]+))'
)
UNITS = {"YEAR": 365 * DAY, "MONTH": 30 * DAY, "WEEK": 7 * DAY, "DAY": DAY, "HOUR": 3600, "MINUTE": 60, "SECOND": 1}


def filter_date(text: str, now: float) -> float:
    """A moment as Solr writes it: `NOW`, `NOW-30DAY`, `NOW/DAY`, `2026-01-01T00:00:00Z` and sums of these."""
    found = re.fullmatch(r"(NOW|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z)((?:[-+]\d+[A-Z]+|/[A-Z]+)*)", text)
    if not found:
        raise BadFilter(f"Invalid Date String:'{text}'")
    moment = now if found[1] == "NOW" else datetime.fromisoformat(found[1]).timestamp()
    for sign, count, unit in re.findall(r"([-+/])(\d*)([A-Z]+)", found[2]):
        seconds = UNITS.get(unit) or UNITS.get(unit.removesuffix("S"))
        if not seconds:
            raise BadFilter(f"Invalid Date Math String:'{text}'")
        moment = moment // seconds * seconds if sign == "/" else moment + int(sign + count) * seconds
    return moment


class Filter:
    """The part of Solr's filter language that section 4 of the reference names, as a question to a sound."""

    def __init__(self, text: str, now: float):
        self.now, self.tokens, position = now, [], 0
        while text[position:].strip():
            found = FILTER_TOKEN.match(text, position)
            if not found:
                raise BadFilter(f"Cannot parse '{text}'")
            self.tokens.append((found.lastgroup, found[found.lastgroup]))
            position = found.end()
        self.accepts = self.alternatives(self.clause)
        if self.tokens:
            raise BadFilter(f"Cannot parse '{text}'")

    def alternatives(self, item: Callable[[], Callable[[Sound], bool]]) -> Callable[[Sound], bool]:
        groups: list[list] = [[]]
        while self.tokens and self.tokens[0] != ("bracket", ")"):
            if self.tokens[0][0] == "word":
                if self.tokens.pop(0)[1] == "OR":
                    groups.append([])
            else:
                groups[-1].append(item())
        if not all(groups):
            raise BadFilter("Cannot parse an empty clause")
        return lambda sound: any(all(test(sound) for test in group) for group in groups)

    def bracketed(self, item) -> Callable[[Sound], bool]:
        inner = self.alternatives(item)
        if not self.tokens:
            raise BadFilter("Cannot parse: a bracket is open")
        self.tokens.pop(0)
        return inner

    def clause(self) -> Callable[[Sound], bool]:
        kind, text = self.tokens.pop(0)
        if kind == "sign":
            if not self.tokens:
                raise BadFilter("Cannot parse a lone sign")
            inner = self.clause()
            return inner if text == "+" else lambda sound: not inner(sound)
        if kind == "bracket":
            return self.bracketed(self.clause)
        if kind != "name":
            raise BadFilter("undefined field text")
        if text not in FILTER_FIELDS:
            raise BadFilter(f"undefined field {text}")
        if self.tokens and self.tokens[0] == ("bracket", "("):
            self.tokens.pop(0)
            return self.bracketed(lambda: self.value(text))
        return self.value(text)

    def value(self, name: str) -> Callable[[Sound], bool]:
        if not self.tokens or self.tokens[0][0] != "value":
            raise BadFilter(f"Cannot parse the value of '{name}'")
        text = self.tokens.pop(0)[1]
        kind, get = FILTER_FIELDS[name]
        if text[0] in "[{":
            return self.span(kind, get, text)
        text = text.strip('"')
        if text == "*":
            return lambda sound: bool(get(sound))
        if kind in ("number", "date"):
            wanted = self.point(kind, text)
            return lambda sound: get(sound) == wanted
        if kind == "tag":
            return lambda sound: text.lower() in [tag.lower() for tag in get(sound)]
        if kind == "letters":  # digits do not count, as on the site
            return lambda sound: re.findall("[a-z]+", get(sound).lower()) == re.findall("[a-z]+", text.lower())
        if kind == "words":
            return lambda sound: has_phrase(words_of(text), get(sound))
        return lambda sound: get(sound) == text

    def point(self, kind: str, text: str) -> float:
        if kind == "date":
            return filter_date(text, self.now)
        try:
            return float(text)
        except ValueError:
            raise BadFilter(f'For input string: "{text}"') from None

    def span(self, kind: str, get, text: str) -> Callable[[Sound], bool]:
        ends = text[1:-1].strip().split(" TO ")
        if len(ends) != 2 or kind not in ("number", "date"):
            raise BadFilter(f"Cannot parse '{text}'")
        low, high = (None if end.strip() == "*" else self.point(kind, end.strip()) for end in ends)

        def inside(sound: Sound) -> bool:
            value = get(sound)
            if value is None:
                return False
            above = low is None or (value >= low if text[0] == "[" else value > low)
            return above and (high is None or (value <= high if text[-1] == "]" else value < high))

        return inside


def query_accepts(query: str, sound: Sound) -> bool:
    """All words and phrases somewhere in name, tags or description; `-word` nowhere. (No stemming.)"""
    text = "  \0 ".join([sound.name, *sound.tags, sound.description])
    for sign, phrase, word in re.findall(r'([-+]?)(?:"([^"]*)"|(\S+))', query):
        wanted = words_of(phrase or word)
        if wanted and has_phrase(wanted, text) == (sign == "-"):
            return False
    return True


# ---------------------------------------------------------------- checks of uploaded fields


def check_text(fields: dict, name: str, *, required: bool = False, longest: int | None = None, form: bool = True) -> str | None:
    """The message of a text field, or None. An empty part of an optional field in a form counts as absent."""
    if name not in fields or (form and fields[name] == "" and not required):
        return "This field is required." if required else None
    value = fields[name]
    if value is None:
        return "This field may not be null."
    if isinstance(value, (bool, list, dict)):
        return "Not a valid string."
    if not str(value).strip():
        return "This field may not be blank."
    if longest and len(str(value).strip()) > longest:
        return f"Ensure this field has no more than {longest} characters."
    return None


def check_choice(fields: dict, name: str, choices, *, required: bool = False) -> str | None:
    if name not in fields:
        return "This field is required." if required else None
    value = fields[name]
    if value is None:
        return "This field may not be null."
    return None if value in choices or (value == "" and not required) else f'"{value}" is not a valid choice.'


def check_tags(value: str) -> str | None:
    count = len(clean_tags(value))
    if count < 3:
        return "You should add at least 3 tags..."
    return "There can be maximum 30 tags, please select the most relevant ones!" if count > 30 else None


def check_geotag(value: str) -> str | None:
    parts = value.split(",")
    try:
        latitude, longitude, zoom = float(parts[0]), float(parts[1]), int(parts[2])
        if len(parts) != 3:
            raise ValueError
    except (ValueError, IndexError):
        return "Geotag should have the format 'float,float,integer' (for latitude, longitude and zoom respectively)."
    if abs(latitude) > 90:
        return "Latitude must be in the range [-90,90]."
    if longitude > 180:  # the lower end is not checked there either
        return "Longitude must be in the range [-180,180]."
    return "Zoom must be at least 11." if zoom < 11 else None


def check_file(files: dict[str, tuple[str, bytes]], fields: dict) -> str | None:
    if "audiofile" not in files:
        sent_as_text = fields.get("audiofile")
        return "The submitted data was not a file. Check the encoding type on the form." if sent_as_text else "No file was submitted."
    name, content = files["audiofile"]
    if not content:
        return "The submitted file is empty."
    if len(name) > 100:
        return f"Ensure this filename has at most 100 characters (it has {len(name)})."
    good = "." in name and name.rsplit(".", 1)[-1].lower() in EXTENSIONS
    return None if good else "Uploaded file format not supported or not an audio file."


def refuse_if_any(problems: dict[str, str | None]) -> None:
    wrong = {name: [problem] for name, problem in problems.items() if problem}
    if wrong:
        raise Refused(detail(400, wrong))


# ---------------------------------------------------------------- the endpoints


@dataclass
class Caller:
    client: Client
    user: User | None = None
    scope: frozenset[str] = frozenset()

    @property
    def username(self) -> str:
        return self.user.username if self.user else ""


LOOSE = r"/*"  # these few addresses accept any number of final slashes
ROUTES = [
    # address below /apiv2/, method of Api, HTTP methods, credentials: any | oauth | write (oauth with that scope) | page (none)
    (r"search/(?:text/)?", "search", "GET", "any"),
    (r"sounds/pending_uploads/", "pending_uploads", "GET", "oauth"),
    (r"sounds/upload/", "upload", "POST", "write"),
    (r"sounds/describe/", "describe", "POST", "write"),
    (r"sounds/(\d+)/", "sound", "GET", "any"),
    (r"sounds/(\d+)/edit/", "edit", "POST", "write"),
    (r"sounds/(\d+)/download/", "download", "GET", "oauth"),
    (r"me/", "me", "GET", "oauth"),
    (r"login/", "login", "GET POST", "page"),
    (r"oauth2/authorize" + LOOSE, "authorize", "GET POST", "page"),
    (r"oauth2/logout_and_authorize" + LOOSE, "logout_and_authorize", "GET", "page"),
    (r"oauth2/access_token" + LOOSE, "access_token", "GET POST PUT DELETE PATCH", "page"),
]


class Api:
    """Answers a request from the state and the switches; knows nothing of sockets."""

    state: State
    url: str

    def __init__(self):
        self.https_enforced = False
        self.describe_mode = "broken"  # or "docs"
        self.edit_tags_mode = "broken"  # or "docs"
        self.unmoderated_status = 200  # or 404
        self.null_sound_ids: set[int] = set()  # these come back as null from a search
        self.force_429: str | None = None  # or "minute", "day"
        self.media_host = ""  # host in preview and image addresses; blank: this server's own
        self.auto_process = False  # described sounds are processed at once

    # -- finding the endpoint

    def answer(self, request: Request) -> Reply:
        try:
            return self.dispatch(request)
        except Refused as refused:
            return refused.reply

    def dispatch(self, request: Request) -> Reply:
        path = request.path
        if path.startswith("/data/"):
            return self.media(path)
        if path.startswith("/home/"):
            return self.home(request)
        if not path.startswith("/apiv2/"):
            return html(pages.error(404, "Page not found"), 404)
        if path == "/apiv2//":
            return detail(400, "Invalid url")
        for pattern, name, methods, credentials in ROUTES:
            found = re.fullmatch("/apiv2/" + pattern, path)
            if found:
                return self.endpoint(request, name, methods.split(), credentials, [int(group) for group in found.groups()])
            if re.fullmatch("/apiv2/" + pattern, path + "/"):
                return redirect(path + "/" + (f"?{request.query_string}" if request.query_string else ""), 301)
        return html(pages.error(404, "Page not found"), 404)

    def endpoint(self, request: Request, name: str, methods: list[str], credentials: str, numbers: list[int]) -> Reply:
        if credentials == "page":
            return getattr(self, name)(request) if request.method in methods else Reply(405, headers=[("Allow", ", ".join(methods))])
        as_page = self.negotiate(request)
        caller = self.authenticate(request, credentials)
        self.throttle(caller.client, credentials)
        if credentials == "write" and "write" not in caller.scope:
            raise Refused(detail(401, "Not authorized"))
        if request.method not in methods:
            raise Refused(detail(405, f'Method "{request.method}" not allowed.', Allow=", ".join(methods)))
        reply = getattr(self, name)(request, caller, *numbers)
        return html(pages.browsable(reply.body.decode()), reply.status) if as_page and reply.content_type == "application/json" else reply

    def negotiate(self, request: Request) -> bool:
        """Whether an HTML page is wanted; other formats than JSON are not served here."""
        wanted = request.query.get("format")
        if wanted is not None:
            if wanted != "json":
                raise Refused(detail(404, "Not found."))
            return False
        accept = request.headers.get("Accept") or "*/*"
        if "application/json" in accept:
            return False
        if "text/html" in accept:
            if self.https_enforced:
                raise Refused(redirect(SITE + request.target))
            return True
        if "*/*" in accept or "application/*" in accept:
            return False
        raise Refused(detail(406, "Could not satisfy the request Accept header."))

    # -- credentials and limits

    def authenticate(self, request: Request, credentials: str) -> Caller:
        header = (request.headers.get("Authorization") or "").split()
        scheme = header[0].lower() if header else ""
        if scheme == "bearer" or (not header and request.method == "GET" and "access_token" in request.query):
            caller = self.bearer(" ".join(header[1:]) if header else request.query["access_token"])
        elif credentials == "any":
            caller = self.token(header[1:] if header else [request.query.get("token", "")], scheme)
        else:
            raise self.not_authenticated()
        if credentials != "any":
            self.require_https()
        return caller

    def not_authenticated(self, words: str = NO_CREDENTIALS, because: str = "") -> Refused:
        problem = f',error="invalid_token",error_description="{because}"' if because else ""
        return Refused(detail(401, words, WWW_Authenticate=f'Bearer realm="api"{problem}'))

    def bearer(self, access: str) -> Caller:
        if not access:
            raise self.not_authenticated()
        token = next((token for token in self.state.tokens if secrets.compare_digest(token.access.encode(), access.encode())), None)
        if token is None:
            raise self.not_authenticated(because="The access token is invalid.")
        if token.expires <= self.state.now():
            raise self.not_authenticated(because="The access token has expired.")
        return Caller(self.state.clients[token.client_id], self.state.users[token.username], token.scope)

    def token(self, words: list[str], scheme: str) -> Caller:
        if scheme not in ("", "token") or (not scheme and not words[0]):
            raise self.not_authenticated()
        if not words:
            raise self.not_authenticated("Invalid token header. No credentials provided.")
        if len(words) > 1:
            raise self.not_authenticated("Invalid token header. Token string should not contain spaces.")
        client = next((client for client in self.state.clients.values() if client.client_secret == words[0]), None)
        if client is None:
            raise self.not_authenticated("Invalid token")
        if not client.approved:
            raise self.not_authenticated("Suspended token or token pending for approval")
        owner = self.state.users.get(client.owner)
        if owner and not owner.active:
            raise self.not_authenticated("User inactive or deleted")
        return Caller(client)

    def require_https(self, page: bool = False) -> None:
        if self.https_enforced:
            reply = detail(403, "This resource requires a secure connection (https)")
            reply.content_type = "text/html" if page else reply.content_type
            raise Refused(reply)

    def throttle(self, client: Client, credentials: str) -> None:
        """One counter for all calls of a client; what may be reached with it differs between reading and writing."""
        if client.suspended:
            raise Refused(detail(429, "Request was throttled because the ApiV2 credential has been suspended"))
        now = self.state.now()
        client.calls = [moment for moment in client.calls if moment > now - DAY]
        limits = client.post_limits if credentials == "write" else client.get_limits
        for word, seconds, limit in zip(("minute", "day"), (MINUTE, DAY), limits, strict=True):
            if self.force_429 == word or sum(moment > now - seconds for moment in client.calls) >= limit:
                words = f"Request was throttled because of exceeding a request limit rate ({limit}/{word})"
                raise Refused(detail(429, words))
        client.calls.append(now)

    # -- reading

    def search(self, request: Request, caller: Caller) -> Reply:
        asked = request.query
        if "filter" in asked and not asked["filter"].strip():
            raise Refused(detail(400, "Invalid filter."))
        found = self.matching(unquote(asked.get("query", "")), asked.get("filter", ""))
        self.sort(found, asked.get("sort", ""))
        page, size = self.whole(asked.get("page"), 1), min(self.whole(asked.get("page_size"), 15), 150)
        pages_in_all = -(-len(found) // size) if size > 0 else 0
        if size < 1 or (found and not 1 <= page <= pages_in_all):
            raise Refused(detail(404, "Not found"))
        shown = found[(page - 1) * size : page * size] if found else []
        wanted = asked.get("fields") or "id,name,tags,username,license"
        results = [None if sound.id in self.null_sound_ids else self.sound_json(sound, wanted, score=True) for sound in shown]
        link = lambda number: self.search_link(asked, number)  # noqa: E731
        following = link(page + 1) if page < pages_in_all else None
        return as_json(
            {"count": len(found), "previous": link(page - 1) if found and page > 1 else None, "next": following, "results": results}
        )

    def matching(self, query: str, filter_text: str) -> list[Sound]:
        try:
            accepts = Filter(filter_text, self.state.now()).accepts if filter_text else lambda sound: True
        except BadFilter as problem:
            words = f"Search server error: {problem} (please check that your filter syntax and field names are correct)"
            raise Refused(detail(400, words)) from None
        return [sound for sound in self.state.sounds.values() if sound.public and query_accepts(query, sound) and accepts(sound)]

    def sort(self, sounds: list[Sound], order: str) -> None:
        """In place; anything unknown counts as `score`, which here is the order of ids."""
        field_name, _, direction = order.rpartition("_")
        key = {"created": "created", "duration": "duration", "downloads": "num_downloads", "rating": "avg_rating"}.get(field_name)
        sounds.sort(key=lambda sound: sound.id)
        if key and direction in ("asc", "desc"):
            sounds.sort(key=lambda sound: getattr(sound, key), reverse=direction == "desc")

    def whole(self, text: str | None, default: int) -> int:
        return int(text) if text and re.fullmatch(r"\s*[-+]?\d+\s*", text) else default

    def search_link(self, asked: dict[str, str], page: int) -> str:
        """As the site writes it: its own host, no token."""
        parts = [f"query={quote_plus(asked.get('query', ''))}"]
        parts += [f"filter={quote_plus(asked['filter'])}"] if asked.get("filter") else []
        parts += [f"weights={quote_plus(asked.get('weights', ''))}"]
        parts += [f"sort={quote_plus(asked['sort'])}"] if asked.get("sort") else []
        parts += [f"page={page}"]
        parts += [f"{name}={quote_plus(asked[name], safe=',')}" for name in ("page_size", "fields") if asked.get(name)]
        return f"{SITE}/apiv2/search/?&" + "&".join(parts)

    def sound(self, request: Request, caller: Caller, number: int) -> Reply:
        sound = self.state.sounds.get(number)
        if sound is None or (not sound.public and self.unmoderated_status == 404):
            raise Refused(detail(404, "No Sound matches the given query."))
        return as_json(self.sound_json(sound, request.query.get("fields", "")))

    def sound_json(self, sound: Sound, wanted: str, score: bool = False) -> dict:
        """All default keys in the site's order, or those that `wanted` (names between commas, no spaces) names."""
        names = set(wanted.split(",")) if wanted else set()
        own, owner = f"{SITE}/apiv2/sounds/{sound.id}/", sound.username
        about = {
            "id": sound.id,
            "url": f"{SITE}/people/{quote(owner)}/sounds/{sound.id}/",
            "name": sound.name,
            "tags": sound.tags,
            "description": sound.description,
            "category": sound.category[0],
            "subcategory": sound.category[1],
            "category_code": sound.category_code,
            "category_is_user_provided": sound.category_is_user_provided,
            "geotag": sound.geotag,
            "is_geotagged": sound.geotag is not None,
            "created": utc(sound.created),
            "license": self.license_url(sound),
            "gen_ai_preference": sound.gen_ai_preference,
            "type": sound.type,
            "channels": sound.channels,
            "filesize": sound.filesize,
            "bitrate": sound.bitrate,
            "bitdepth": sound.bitdepth,
            "duration": sound.duration,
            "samplerate": sound.samplerate,
            "username": owner,
            "pack": f"{SITE}/apiv2/packs/{self.state.pack_id(owner, sound.pack)}/" if sound.pack else None,
            "pack_name": sound.pack,
            "download": f"{own}download/",
            "bookmark": f"{own}bookmark/",
            "previews": self.previews(sound),
            "images": self.images(sound),
            "num_downloads": sound.num_downloads,
            "avg_rating": sound.avg_rating,
            "num_ratings": sound.num_ratings,
            "rate": f"{own}rate/",
            "comments": f"{own}comments/",
            "num_comments": sound.num_comments,
            "comment": f"{own}comment/",
            "similar_sounds": f"{own}similar/",
            "is_explicit": sound.is_explicit,
            "is_remix": False,
            "was_remixed": False,
            "md5": sound.md5,
        }
        if not wanted:
            return about
        extra = set(DESCRIPTORS) if names & {"*", "all_descriptors"} else names & set(DESCRIPTORS)
        extra |= set(SPACES) if "all_similarity_spaces" in names else names & set(SPACES)
        kept = about if "*" in names else {name: value for name, value in about.items() if name in names}
        kept = kept | {name: sound.descriptors.get(name) for name in DESCRIPTORS + SPACES if name in extra}
        return kept | ({"score": 1.0 if score else None} if "score" in names else {})

    def license_url(self, sound: Sound) -> str:
        return sound.license_url or LICENSES[sound.license]

    def stem(self, sound: Sound, folder: str) -> str:
        host = self.media_host or self.url
        return f"{host}/data/{folder}/{sound.id // 1000}/{sound.id}_{self.state.users[sound.username].id}"

    def previews(self, sound: Sound) -> dict[str, str]:
        return {
            f"preview-{kind}": f"{self.stem(sound, 'previews')}-{kind.replace('-', '.')}" for kind in "hq-mp3 hq-ogg lq-mp3 lq-ogg".split()
        }

    def images(self, sound: Sound) -> dict[str, str]:
        stem = self.stem(sound, "displays")
        kinds = {"waveform": "wave_bw_{}.png", "spectral": "spec_bw_{}.jpg"}
        addresses = {f"{kind}_{size}": f"{stem}_{end.format(size.upper())}" for kind, end in kinds.items() for size in "ml"}
        return addresses | {name[:-2] + "_bw" + name[-2:]: address for name, address in addresses.items()}

    def media(self, path: str) -> Reply:
        audio = re.fullmatch(r"/data/previews/(\d+)/(\d+)_(\d+)-[hl]q\.(mp3|ogg)", path)
        drawn = re.fullmatch(r"/data/displays/(\d+)/(\d+)_(\d+)_(?:wave_bw_([ML])\.png|spec_bw_([ML])\.jpg)", path)
        found = audio or drawn
        sound = self.state.sounds.get(int(found[2])) if found else None
        if not sound or not sound.processed or f"/{found[1]}/{found[2]}_{found[3]}" not in self.stem(sound, "x"):
            return html(pages.nginx(404, "Not Found"), 404)
        if audio:
            body = pages.preview(sound.audio, sound.id, sound.duration, audio[4])
            return Reply(200, body, "audio/ogg" if audio[4] == "ogg" else "audio/mpeg")
        kind = "png" if drawn[4] else "jpg"
        return Reply(200, pages.image(sound.id, (drawn[4] or drawn[5]) == "L", kind), "image/png" if kind == "png" else "image/jpeg")

    def download(self, request: Request, caller: Caller, number: int) -> Reply:
        sound = self.state.sounds.get(number)
        if not sound or not sound.public:
            raise Refused(detail(404, "Not found"))
        slug = lambda text: re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")  # noqa: E731
        name = f"{sound.id}__{slug(sound.username)}__{slug(sound.name)}.{sound.type}"
        return Reply(200, sound.audio or b"", "application/octet-stream", [("Content-Disposition", f'attachment; filename="{name}"')])

    def me(self, request: Request, caller: Caller) -> Reply:
        user, own = caller.user, f"{SITE}/apiv2/users/{quote(caller.username)}/"
        return as_json(
            {
                "url": f"{SITE}/people/{quote(user.username)}/",
                "username": user.username,
                "about": "",
                "home_page": "",
                "avatar": {"small": None, "medium": None, "large": None},
                "date_joined": datetime.fromtimestamp(user.joined, timezone(timedelta(hours=1))).isoformat(timespec="microseconds"),
                "num_sounds": sum(sound.public for sound in self.state.sounds_of(user.username)),
                "sounds": f"{own}sounds/",
                "num_packs": sum(owner == user.username for owner, _ in self.state.packs),
                "packs": f"{own}packs/",
                "num_posts": 0,
                "num_comments": 0,
                "email": user.email,
                "unique_id": user.id,
                "bookmark_categories": f"{SITE}/apiv2/me/bookmark_categories/",
            }
        )

    def pending_uploads(self, request: Request, caller: Caller) -> Reply:
        waiting = [sound for sound in self.state.sounds_of(caller.username) if sound.moderation_state != "OK"]
        states = {"PE": "Pending", "QU": "Queued", "PR": "Processing", "FA": "Failed"}
        processing = [
            self.pending(sound) | {"processing_state": states[sound.processing_state]} for sound in waiting if not sound.processed
        ]
        moderation = [self.pending(sound) | {"images": self.images(sound)} for sound in waiting if sound.processed]
        return as_json(
            {"pending_description": list(caller.user.pending_files), "pending_processing": processing, "pending_moderation": moderation}
        )

    def pending(self, sound: Sound) -> dict:
        return self.sound_json(sound, "id,name,tags,description,created,license")

    # -- writing

    def upload(self, request: Request, caller: Caller) -> Reply:
        if request.content_type != "multipart/form-data":
            raise Refused(detail(415, f'Unsupported media type "{request.content_type}" in request.'))
        fields, files = request.form
        described = bool(fields.keys() & {"name", "license", "tags", "geotag", "pack", "description"})
        refuse_if_any(
            {
                "audiofile": check_file(files, fields),
                "name": check_text(fields, "name", longest=512),
                "bst_category": check_choice(fields, "bst_category", CATEGORIES),
                "tags": check_text(fields, "tags", longest=512),
                "description": check_text(fields, "description"),
                "license": check_choice(fields, "license", UPLOAD_LICENSES),
                "pack": check_text(fields, "pack"),
                "geotag": check_text(fields, "geotag", longest=100),
            }
        )
        if described:
            self.check_description(fields)
        name, content = files["audiofile"]
        caller.user.pending_files[name] = content
        if not described:
            words = f"Audio file successfully uploaded ({len(content)} Bytes, now pending description)."
            return as_json({"filename": name, "detail": words}, 201)
        return self.create(
            caller.user, name, fields, "Audio file successfully uploaded and described (now pending processing and moderation)."
        )

    def check_description(self, fields: dict[str, str]) -> None:
        """The second round, only reached when every field by itself is well-formed."""
        bad_category = "Invalid BST category, should be a valid Broad Sound Taxonomy subcategory code."
        bad_license = "Invalid License, must be either 'Attribution', 'Attribution NonCommercial' or 'Creative Commons 0'."
        refuse_if_any(
            {
                "description": None if fields.get("description", "").strip() else "This field is required.",
                "bst_category": None if fields.get("bst_category") in CATEGORIES else bad_category,
                "tags": check_tags(fields.get("tags", "")),
                "geotag": check_geotag(fields["geotag"]) if fields.get("geotag") else None,
                "license": None if fields.get("license") in UPLOAD_LICENSES else bad_license,
            }
        )

    def create(self, user: User, filename: str, fields: dict[str, str], words: str) -> Reply:
        content = user.pending_files.pop(filename)
        md5 = hashlib.md5(content).hexdigest()
        if any(sound.md5 == md5 for sound in self.state.sounds.values()):
            raise Refused(detail(400, "Sound could not be created because the uploaded file is already part of freesound."))
        tags, pack = clean_tags(fields["tags"]), fields.get("pack") or None
        broken = any(len(tag) > 100 for tag in tags) or len(pack or "") > 255
        kind = filename.rsplit(".", 1)[-1].lower()
        sound = self.state.add_sound(
            user.username,
            audio=content,
            public=False,
            name=fields.get("name") or filename,
            tags=[] if broken else tags,
            description=fields["description"],
            license=fields["license"],
            category_code=fields.get("bst_category") or None,
            category_is_user_provided=bool(fields.get("bst_category")),
            pack=None if broken else pack,
            geotag=self.place(fields.get("geotag")),
            type="aiff" if kind == "aif" else kind,
            filename=filename,
            half_made=broken,
        )
        if broken:
            raise Refused(detail(500, "Unexpected error"))
        if user.whitelisted:
            self.state.moderate(sound.id)
        if self.auto_process:
            self.state.process(sound.id)
        return as_json({"detail": words, "id": sound.id}, 201)

    def place(self, geotag: str | None) -> str | None:
        return " ".join(str(float(part)) for part in geotag.split(",")[:2]) if geotag else None

    def written_fields(self, request: Request) -> dict:
        """Fields of a describe or edit call: multipart, urlencoded or JSON."""
        if request.content_type != "application/json":
            return request.fields
        try:
            fields = json.loads(request.body or b"{}")
        except ValueError as problem:
            raise Refused(detail(400, f"JSON parse error - {problem}")) from None
        if not isinstance(fields, dict):
            raise Refused(detail(400, {"non_field_errors": ["Invalid data. Expected a dictionary."]}))
        return fields

    def check_written(self, fields: dict, form: bool, *, edit: bool, pending: dict[str, bytes] | None = None) -> None:
        """Here the counts of tags and the geotag's form belong to the first round already."""
        problems = {
            "name": check_text(fields, "name", longest=512, form=form),
            "tags": check_text(fields, "tags", required=not edit, longest=512, form=form),
            "description": check_text(fields, "description", required=not edit, form=form),
            "license": check_choice(fields, "license", UPLOAD_LICENSES, required=not edit),
            "pack": check_text(fields, "pack", form=form),
            "geotag": check_text(fields, "geotag", longest=100, form=form),
        }
        if not edit:
            filename = fields.get("upload_filename")
            unknown = f"Upload filename ({filename}) must match with a filename from 'Pending Uploads' resource."
            problems["upload_filename"] = check_text(fields, "upload_filename", required=True, longest=512, form=form)
            problems["upload_filename"] = problems["upload_filename"] or (None if filename in pending else unknown)
            problems["bst_category"] = check_choice(fields, "bst_category", CATEGORIES)
        if fields.get("tags"):
            problems["tags"] = problems["tags"] or check_tags(str(fields["tags"]))
        if fields.get("geotag"):
            problems["geotag"] = problems["geotag"] or check_geotag(str(fields["geotag"]))
        refuse_if_any(problems)

    def describe(self, request: Request, caller: Caller) -> Reply:
        fields, form = self.written_fields(request), request.content_type != "application/json"
        self.check_written(fields, form, edit=False, pending=caller.user.pending_files)
        if self.describe_mode == "broken":  # as in the snapshot: the view reads an attribute that access tokens do not have
            return html(pages.error(500, "Server error"), 500)
        fields = {name: str(value).strip() for name, value in fields.items()}  # the one-step upload keeps white space, this does not
        words = "Sound successfully described (now pending processing and moderation)."
        return self.create(caller.user, fields["upload_filename"], fields, words)

    def edit(self, request: Request, caller: Caller, number: int) -> Reply:
        sound = self.state.sounds.get(number)
        if not sound or not sound.public:
            raise Refused(detail(404, "Not found"))
        if sound.username != caller.username:
            words = "Not authorized. The sound you're trying to edit is not owned by the OAuth2 logged in user."
            raise Refused(detail(401, words))
        sent = self.written_fields(request)
        self.check_written(sent, request.content_type != "application/json", edit=True)
        fields = {name: value for name, value in sent.items() if value}
        if "geotag" in fields and sound.geotag is not None:
            return html(pages.error(500, "Server error"), 500)
        for name in ("name", "description", "pack"):
            if name in fields:
                setattr(sound, name, str(fields[name]).strip())
        sound.license = fields.get("license", sound.license)
        sound.geotag = self.place(fields.get("geotag")) or sound.geotag
        if "tags" in fields:
            tags = str(fields["tags"]).strip()
            sound.tags = clean_tags(tags) if self.edit_tags_mode == "docs" else sorted(set(tags))
        return detail(200, f"Description of sound {number} successfully edited.")

    # -- signing in

    def session_user(self, request: Request) -> User | None:
        return self.state.users.get(self.state.sessions.get(request.cookie("sessionid"), ""))

    def with_csrf(self, request: Request, page: Callable[[str], str]) -> Reply:
        csrf = request.cookie("csrftoken") or random_text(32)
        reply = html(page(csrf))
        reply.headers.append(("Set-Cookie", f"csrftoken={csrf}; Path=/; SameSite=Lax"))
        return reply

    def check_csrf(self, request: Request) -> None:
        cookie = request.cookie("csrftoken")
        if not cookie or request.fields.get("csrfmiddlewaretoken") != cookie:
            raise Refused(html(pages.error(403, "CSRF verification failed. Request aborted."), 403))

    def login(self, request: Request) -> Reply:
        if request.method == "GET":
            where = request.query.get("next", "/")
            return self.with_csrf(request, lambda csrf: pages.login(csrf, where, failed=False))
        self.check_csrf(request)
        where = request.fields.get("next") or "/"
        user = self.state.users.get(request.fields.get("username", ""))
        if user is None or not user.active or user.password != request.fields.get("password"):
            return self.with_csrf(request, lambda csrf: pages.login(csrf, where, failed=True))
        own = (where.startswith("/") and not where.startswith("//")) or where.startswith(self.url + "/")
        session = random_text(32)
        self.state.sessions[session] = user.username
        reply = redirect(where if own else "/")
        reply.headers.append(("Set-Cookie", f"sessionid={session}; Path=/; HttpOnly; SameSite=Lax"))
        return reply

    def ask_to_log_in(self, where: str) -> Reply:
        return redirect("/apiv2/login/?" + urlencode({"next": where}))

    def logout_and_authorize(self, request: Request) -> Reply:
        self.require_https(page=True)
        self.state.sessions.pop(request.cookie("sessionid"), None)
        reply = self.ask_to_log_in(f"{self.url}/apiv2/oauth2/authorize/" + (f"?{request.query_string}" if request.query_string else ""))
        reply.headers.append(("Set-Cookie", "sessionid=; Path=/; Max-Age=0"))
        return reply

    def home(self, request: Request) -> Reply:
        if request.path == "/home/tosacceptance/":
            return html(pages.terms())
        if request.path != "/home/app_permissions/permission_granted/":
            return html(pages.error(404, "Page not found"), 404)
        if self.session_user(request) is None:
            return self.ask_to_log_in(request.target)
        code = self.state.codes.get(request.query.get("code", ""))
        if code is None or code.expires <= self.state.now():
            return html(pages.access_denied())
        return html(pages.permission_granted(self.state.clients[code.client_id].name, code.code))

    def callback_of(self, client: Client) -> str:
        return client.redirect_uri or f"{self.url}/home/app_permissions/permission_granted/"

    def authorize(self, request: Request) -> Reply:
        self.require_https(page=True)
        user = self.session_user(request)
        if user is None:
            return self.ask_to_log_in(request.target)
        if not user.tos_accepted:
            return redirect("/home/tosacceptance/")
        posted = request.method == "POST"
        if posted:
            self.check_csrf(request)
        asked = request.fields if posted else request.query
        client = self.state.clients.get(asked.get("client_id", ""))
        if client is None:
            return html(pages.oops("invalid_request: Invalid client_id parameter value."), 400)
        target = asked.get("redirect_uri") or self.callback_of(client)
        if not redirect_allowed(target, self.callback_of(client)):
            return html(pages.oops("invalid_request: Mismatching redirect URI."), 400)
        state = {"state": asked["state"]} if asked.get("state") else {}
        scope = asked.get("scope", "read write").split()
        problem = authorize_problem(asked, scope)
        if problem:
            return redirect(with_query(target, problem | state))
        if posted and "allow" not in asked:
            return redirect(with_query(target, {"error": "access_denied"} | state))
        if posted or (asked.get("approval_prompt") != "force" and self.already_allowed(user, client, scope)):
            return redirect(with_query(target, {"code": self.new_code(user, client, scope, target, asked)} | state))
        hidden = {
            "redirect_uri": target,
            "scope": " ".join(scope),
            "nonce": "",
            "client_id": client.client_id,
            "state": asked.get("state", ""),
        }
        hidden |= {"response_type": "code", "code_challenge": asked.get("code_challenge", "")}
        hidden |= {"code_challenge_method": asked.get("code_challenge_method", ""), "claims": ""}
        return self.with_csrf(request, lambda csrf: pages.consent(client.name, user.username, {"csrfmiddlewaretoken": csrf} | hidden))

    def already_allowed(self, user: User, client: Client, scope: list[str]) -> bool:
        return any(
            token.username == user.username
            and token.client_id == client.client_id
            and token.expires > self.state.now()
            and token.scope >= set(scope)
            for token in self.state.tokens
        )

    def new_code(self, user: User, client: Client, scope: list[str], target: str, asked: dict[str, str]) -> str:
        challenge = asked.get("code_challenge", "")
        method = (asked.get("code_challenge_method") or "plain") if challenge else ""
        expires = self.state.now() + 10 * MINUTE
        code = Code(random_text(30), user.username, client.client_id, frozenset(scope), target, expires, challenge, method)
        self.state.codes[code.code] = code
        return code.code

    def access_token(self, request: Request) -> Reply:
        self.require_https(page=True)
        if request.method != "POST":
            return Reply(405, content_type="text/html; charset=utf-8", headers=[("Allow", "POST, OPTIONS")])
        if request.query_string:
            raise oauth_error(400, "invalid_request", "URL query parameters are not allowed")
        form, grant = request.fields, request.fields.get("grant_type")
        if grant == "authorization_code":
            token = self.exchange_code(request, form)
        elif grant == "refresh_token":
            token = self.exchange_refresh(request, form)
        elif grant in ("password", "client_credentials"):
            self.client_of(request, form)
            raise oauth_error(400, "unauthorized_client")
        else:
            raise oauth_error(400, "unsupported_grant_type")
        answer = {"access_token": token.access, "expires_in": DAY, "token_type": "Bearer", "scope": " ".join(sorted(token.scope))}
        return as_json(answer | {"refresh_token": token.refresh}, headers={"Cache-Control": "no-store", "Pragma": "no-cache"})

    def client_of(self, request: Request, form: dict[str, str]) -> Client:
        """Apps are public there: no secret is fine, a wrong one is not."""
        name, secret = form.get("client_id", ""), form.get("client_secret", "")
        scheme, _, encoded = (request.headers.get("Authorization") or "").partition(" ")
        if scheme.lower() == "basic":
            try:
                name, _, secret = base64.b64decode(encoded).decode().partition(":")
            except ValueError:
                raise oauth_error(401, "invalid_client") from None
        client = self.state.clients.get(name)
        if client is None or not client.approved or (secret and secret != client.client_secret):
            raise oauth_error(401, "invalid_client")
        return client

    def exchange_code(self, request: Request, form: dict[str, str]) -> Token:
        if not form.get("code"):
            raise oauth_error(400, "invalid_request", "Missing code parameter.")
        client = self.client_of(request, form)
        code = self.state.codes.get(form["code"])
        if code is None or code.client_id != client.client_id or code.expires <= self.state.now():
            raise oauth_error(400, "invalid_grant")
        if code.challenge:
            verifier = form.get("code_verifier")
            if not verifier:
                raise oauth_error(400, "invalid_request", "Code verifier required.")
            digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
            if (digest if code.method == "S256" else verifier) != code.challenge:
                raise oauth_error(400, "invalid_grant")
        if form.get("redirect_uri") and form["redirect_uri"] != code.redirect_uri:
            raise oauth_error(400, "invalid_request", "Mismatching redirect URI.")
        del self.state.codes[code.code]
        return self.state.grant(code.username, client, " ".join(code.scope))

    def exchange_refresh(self, request: Request, form: dict[str, str]) -> Token:
        if not form.get("refresh_token"):
            raise oauth_error(400, "invalid_request", "Missing refresh token parameter.")
        client = self.client_of(request, form)
        old = next((token for token in self.state.tokens if token.refresh == form["refresh_token"]), None)
        if old is None or old.client_id != client.client_id:
            raise oauth_error(400, "invalid_grant")
        self.state.tokens.remove(old)
        return self.state.grant(old.username, client, " ".join(old.scope))


def with_query(address: str, parameters: dict[str, str]) -> str:
    """The address with these added; what its query has already stays in front."""
    parts = urlsplit(address)
    return urlunsplit(parts._replace(query="&".join(filter(None, [parts.query, urlencode(parameters)]))))


def redirect_allowed(asked: str, registered: str) -> bool:
    """Equal in scheme, host, port and path; more query is fine; a loopback IP registered without a port takes any port."""
    one, other = urlsplit(asked), urlsplit(registered)
    any_port = other.scheme == "http" and other.hostname in ("127.0.0.1", "::1") and other.port is None
    same_host = one.hostname == other.hostname if any_port else one.netloc == other.netloc
    more = set(parse_qsl(one.query)) >= set(parse_qsl(other.query))
    return one.scheme == other.scheme and same_host and one.path == other.path and more


def authorize_problem(asked: dict[str, str], scope: list[str]) -> dict[str, str] | None:
    kind, method = asked.get("response_type"), asked.get("code_challenge_method")
    if not kind:
        return {"error": "invalid_request", "error_description": "Missing response_type parameter."}
    if kind != "code":
        return {"error": "unauthorized_client" if kind == "token" else "unsupported_response_type"}
    if method and method not in ("S256", "plain"):
        return {"error": "invalid_request", "error_description": "Transform algorithm not supported."}
    return None if scope and set(scope) <= {"read", "write"} else {"error": "invalid_scope"}


# ---------------------------------------------------------------- the server


class Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def server_bind(self):  # without HTTPServer's look-up of this machine's name
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class FreesoundServer(Api):
    """The double as a context manager: `url`, `state`, `requests`, switches (see Api.__init__), `advance`, `fail`, `heal`."""

    def __init__(self, port: int = 0):
        super().__init__()
        self.offset = 0.0
        self.state = State(self.now)
        self.requests: list[Logged] = []
        self.errors: list[str] = []  # tracebacks of the double itself: a test may insist that there are none
        self.faults: list[Fault] = []
        self.lock = threading.RLock()
        self.open: set[socket.socket] = set()
        self.port, self.listener = port, None

    def __enter__(self) -> "FreesoundServer":
        self.listener = Listener(("127.0.0.1", self.port), type("Handler", (Handler,), {"double": self}))
        self.port = self.listener.server_port
        threading.Thread(target=self.listener.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True, name="freesound").start()
        return self

    def __exit__(self, *_):
        self.listener.shutdown()
        self.listener.server_close()
        for connection in list(self.open):
            close(connection)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def now(self) -> float:
        return time.time() + self.offset

    def advance(self, seconds: float) -> None:
        """Lets time pass for codes, tokens, limits and dates, without waiting."""
        self.offset += seconds

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
        drop: str | None = None,
        processed: bool | None = None,
    ) -> Fault:
        """The next `times` requests (None: all until `heal`) whose path contains `path` go wrong.

        `status` and `body` replace the answer (without the work being done, unless `processed`); `delay` waits before it, `drip`
        before every 1,024 bytes of it; `truncate` ends it after so many bytes; `drop` closes the connection "before" the work is
        done or "after" it. Only `content_type`: the true answer under another type. Earlier faults come first.
        """
        if drop not in (None, "before", "after"):
            raise ValueError(f'drop is "before" or "after", not {drop!r}')
        if processed is None:
            processed = drop != "before" and status is None
        if body is None and status is not None:
            body = pages.nginx(status, "Request Entity Too Large") if status == 413 else pages.error(status, "Server error")
        raw = body.encode() if isinstance(body, str) else body or b""
        fault = Fault(path, times, method, status, raw, content_type, delay, drip, truncate, drop is not None, processed)
        self.faults.append(fault)
        return fault

    def heal(self) -> None:
        self.faults.clear()

    def fault_for(self, request: Request) -> Fault | None:
        for fault in self.faults:
            if fault.path in request.path and fault.method in (None, request.method):
                if fault.times is not None:
                    fault.times -= 1
                    if fault.times <= 0:
                        self.faults.remove(fault)
                return fault
        return None

    def log(self, request: Request) -> Logged:
        shown = {name: "***" if name in SECRET_FIELDS else value for name, value in request.query.items()}
        headers = {name: hide(name, value) for name, value in request.headers.items()}
        fields, files = request.form
        entry = Logged(request.method, request.path, shown, headers, sorted([*fields, *files]))
        self.requests.append(entry)
        return entry

    def safely(self, request: Request) -> Reply:
        try:
            return self.answer(request)
        except Exception:
            self.errors.append(traceback.format_exc())
            print(self.errors[-1], file=sys.stderr)
            return html(pages.error(500, "Server error"), 500)


def hide(name: str, value: str) -> str:
    if name.lower() == "authorization":
        return value.split()[0] + " ***" if value.split() else ""
    if name.lower() == "referer":
        return value.split("?")[0]
    return "***" if name.lower() in ("cookie", "set-cookie") else value


def close(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):  # the other side may have been faster
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()


class Handler(BaseHTTPRequestHandler):
    """Bytes in, bytes out: everything that concerns the connection itself."""

    protocol_version = "HTTP/1.1"
    server_version, sys_version = "nginx", ""
    double: FreesoundServer

    def setup(self):
        super().setup()
        self.double.open.add(self.connection)

    def finish(self):
        self.double.open.discard(self.connection)
        super().finish()

    def log_message(self, format, *args):
        pass

    def read_body(self) -> bytes:
        if "chunked" in (self.headers.get("Transfer-Encoding") or "").lower():
            whole = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                whole += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return whole
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def serve(self):
        path, _, query = self.path.partition("?")
        request = Request(self.command, unquote(path), query, self.headers, self.read_body())
        double = self.double
        with double.lock:
            entry, fault = double.log(request), double.fault_for(request)
            reply = double.safely(request) if fault is None or fault.processed else None
        if fault is None:
            self.send(reply, entry)
            return
        time.sleep(fault.delay)
        if fault.drop:
            self.close_connection = True
            close(self.connection)
            return
        if fault.status is not None:
            reply = Reply(fault.status, fault.body, "text/html")
        elif fault.body:
            reply.body = fault.body
        reply.content_type = fault.content_type or reply.content_type
        self.send(reply, entry, fault)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = serve  # noqa: N815 - the names that http.server looks for

    def send(self, reply: Reply, entry: Logged, fault: Fault | None = None):
        entry.status = reply.status
        self.send_response(reply.status)
        for name, value in [("Content-Type", reply.content_type), ("Content-Length", str(len(reply.body))), *reply.headers]:
            self.send_header(name, value)
        self.send_header("Access-Control-Allow-Origin", "*")
        self._headers_buffer.append(b"\r\n")  # head and body leave together: two small writes would wait for an acknowledgement
        head, self._headers_buffer = b"".join(self._headers_buffer), []
        body = reply.body if fault is None or fault.truncate is None else reply.body[: fault.truncate]
        if fault is None or not fault.drip:
            self.wfile.write(head + body)
        else:
            self.wfile.write(head)
            for start in range(0, len(body), 1024):
                time.sleep(fault.drip)
                self.wfile.write(body[start : start + 1024])
        if len(body) < len(reply.body):
            self.close_connection = True
            close(self.connection)


# ---------------------------------------------------------------- alone, for a person with a browser


def demo(server: FreesoundServer, sounds: Path, redirect_uri: str) -> Client:
    """Two people, one app, a handful of public sounds."""
    for name in ("alice", "bob"):
        server.state.add_user(name)
    for number, path in enumerate(sorted(sounds.glob("*.ogg"))[:12]):
        server.state.add_sound(
            ("alice", "bob")[number % 2],
            audio=path.read_bytes(),
            name=path.name,
            type="ogg",
            filename=path.name,
            tags=sorted({*clean_tags(path.stem.replace("-", " ")), path.stem, "example"}),
            description=f"An example sound: {path.stem.replace('-', ' ')}.",
            license=UPLOAD_LICENSES[number % 3],
            category_code="fx-other",
            created=server.now() - number * DAY,
        )
    return server.state.add_client("Earmark (demo)", redirect_uri, owner="alice")


def main() -> None:
    parser = argparse.ArgumentParser(description="A local double of freesound.org's API, for trying sign-in and publishing.")
    parser.add_argument("--port", type=int, default=8765)
    parser.add_argument("--redirect-uri", default=CALLBACK, help="the app's registered callback; blank: the code is shown to be pasted")
    parser.add_argument("--process", action="store_true", help="process uploaded sounds at once (moderation stays open)")
    given = parser.parse_args()
    with FreesoundServer(given.port) as server:
        client = demo(server, Path(__file__).parents[2] / "examples" / "sounds", given.redirect_uri)
        server.auto_process = given.process
        print(f"API {server.url}/apiv2/   users alice/alice, bob/bob   {len(server.state.sounds)} sounds")
        print(f"redirect_uri {server.callback_of(client)}\nStart the app against it with\n")
        print(f"FREESOUND_API_KEY={client.client_secret} EARMARK_FREESOUND_CLIENT_ID={client.client_id} \\")
        print(f"EARMARK_FREESOUND_API={server.url}/apiv2 EARMARK_PREVIEW_HOSTS=127.0.0.1 make run", flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            print("stopped")


if __name__ == "__main__":
    main()
