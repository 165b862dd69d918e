"""What the site remembers: people, apps, sounds, tokens. Tests add to it and read from it."""

import hashlib
import secrets
import string
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.servers.freesound.renderings import Measured, measure
from tests.servers.freesound.rules import CATEGORIES

MINUTE_S, DAY_S = 60, 24 * 60 * 60
FIRST_SOUND_ID = 1001
DEFAULT_MEASURED: Measured = {
    "duration": 1.0,
    "samplerate": 44100.0,
    "channels": 1,
    "bitdepth": 16,
}


def random_text(length: int) -> str:
    """Return random letters and digits, as the site's keys and codes are made of."""
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(length))


@dataclass
class User:
    """A person with an account on the site."""

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
    """An API credential: its client secret is also the key of calls without a person."""

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
    """A sound with everything that the API says of it."""

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
    descriptors: dict[str, object] = field(default_factory=dict)

    @property
    def processed(self) -> bool:
        """Tell if the site's analysis has ended well."""
        return self.processing_state == "OK"

    @property
    def public(self) -> bool:
        """Tell if everybody can see the sound."""
        return self.processed and self.moderation_state == "OK"

    @property
    def category(self) -> tuple[str | None, str | None]:
        """Return the names of the category and the subcategory."""
        return CATEGORIES.get(self.category_code or "", (None, None))


@dataclass
class Token:
    """An OAuth2 token pair of a person for an app."""

    access: str
    refresh: str
    username: str
    client_id: str
    scope: frozenset[str]
    expires: float


@dataclass
class AuthorizationCode:
    """A code that an app may exchange once for a token pair."""

    code: str
    username: str
    client_id: str
    scope: frozenset[str]
    redirect_uri: str
    expires: float
    challenge: str = ""
    method: str = ""


class State:
    """People, apps, sounds, tokens, codes, sessions and packs, and what moderators do."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self.users: dict[str, User] = {}
        self.clients: dict[str, Client] = {}
        self.sounds: dict[int, Sound] = {}
        self.tokens: list[Token] = []
        self.codes: dict[str, AuthorizationCode] = {}
        self.sessions: dict[str, str] = {}
        self.packs: dict[tuple[str, str], int] = {}

    def add_user(self, username: str, password: str | None = None, **details: Any) -> User:
        """Add a person, or return the one who has the name already.

        Args:
            username: Their name on the site.
            password: Their password; the name, if there is none.
            details: Other fields of `User`.
        """
        user = User(
            username,
            password or username,
            id=100 + len(self.users),
            email=f"{username}@example.org",
            joined=self.now() - 400 * DAY_S,
            **details,
        )
        return self.users.setdefault(username, user)

    def add_client(self, name: str = "earmark", redirect_uri: str = "", **details: Any) -> Client:
        """Add an app's credential; `details` are other fields of `Client`."""
        client = Client(name, random_text(20), random_text(40), redirect_uri, **details)
        self.clients[client.client_id] = client
        return client

    def add_sound(
        self,
        username: str = "alice",
        *,
        audio: bytes | None = None,
        public: bool = True,
        **details: Any,
    ) -> Sound:
        """Add a sound as if it had been uploaded before.

        Args:
            username: Its owner, who is added if need be.
            audio: The file; without it the sound has a tone as preview.
            public: False leaves it waiting for processing and moderation.
            details: Other fields of `Sound`.
        """
        self.add_user(username)
        number = details.pop("id", None) or max(self.sounds, default=FIRST_SOUND_ID - 1) + 1
        defaults: dict[str, Any] = {
            "name": f"sound {number}",
            "tags": ["field-recording", "nature", "test"],
            "created": self.now(),
        }
        sound = Sound(number, username, **(defaults | details), audio=audio)
        content = audio if audio is not None else f"sound {number}".encode()
        sound.md5 = hashlib.md5(content).hexdigest()
        sound.filesize = sound.filesize or len(audio or b"")
        if sound.pack:
            self.pack_id(username, sound.pack)
        self.sounds[number] = sound
        if public:
            measured = {name: details[name] for name in DEFAULT_MEASURED if name in details}
            self.process(number, **measured)
            self.moderate(number)
        return sound

    def pack_id(self, username: str, name: str) -> int:
        """Return the number of a person's pack, a new one if need be."""
        return self.packs.setdefault((username, name), 501 + len(self.packs))

    def process(self, number: int, failed: bool = False, **measured: float | None) -> Sound:
        """Do what the site's analysis does: measure the sound, or mark it as failed.

        Args:
            number: The sound's id.
            failed: Let the analysis fail.
            measured: Fields of `Measured` that count instead of what the audio says.
        """
        sound = self.sounds[number]
        facts = DEFAULT_MEASURED if sound.audio is None else measure(sound.audio)
        if facts is None and measured:
            facts = DEFAULT_MEASURED
        if failed or facts is None:
            sound.processing_state = "FA"
            return sound
        for name, value in {**facts, **measured}.items():
            setattr(sound, name, value)
        kilobits = sound.filesize * 8 / 1000
        sound.bitrate = round(kilobits / sound.duration) if sound.duration else 0
        sound.processing_state = "OK"
        return sound

    def moderate(self, number: int, state: str = "OK") -> Sound:
        """Record a moderator's decision: OK, DE (deferred) or back to PE."""
        self.sounds[number].moderation_state = state
        return self.sounds[number]

    def reject(self, number: int) -> None:
        """Delete a sound as a moderator does."""
        del self.sounds[number]

    def grant(self, username: str, client: Client, scope: str = "read write") -> Token:
        """Return a new token pair without the detour through a browser."""
        token = Token(
            access=random_text(30),
            refresh=random_text(30),
            username=username,
            client_id=client.client_id,
            scope=frozenset(scope.split()),
            expires=self.now() + DAY_S,
        )
        self.tokens.append(token)
        return token

    def revoke(self, username: str) -> None:
        """Take back a person's tokens, as they can on the site's page of app permissions."""
        self.tokens = [token for token in self.tokens if token.username != username]

    def expire_tokens(self, username: str | None = None) -> None:
        """Let the access tokens of a person, or of everybody, expire."""
        for token in self.tokens:
            if username in (None, token.username):
                token.expires = self.now() - 1

    def sounds_of(self, username: str) -> list[Sound]:
        """Return a person's sounds in the order of their upload."""
        return [sound for sound in self.sounds.values() if sound.username == username]
