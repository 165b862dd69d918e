"""Publishing a sound on Freesound so that, whatever happens on the way, it is there once and Earmark knows it.

Before the bytes go out an intent is written down; afterwards it is settled. An upload is never sent again before Freesound has been
asked what became of the last one: an answer may be lost although the sound is there, and an error may leave half a sound behind.
"""

import hashlib
import json
import os
import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from typing import Any, Literal, Protocol, TypeVar

import numpy as np
import sqlalchemy as sql
from pydantic import SecretStr

from core.errors import EarmarkError
from core.files import write_atomic
from core.freesound.budget import DailyLimitReached
from core.freesound.client import (
    DailyThrottled,
    FreesoundClient,
    FreesoundError,
    FreesoundSound,
    NotThere,
    PendingUploads,
    Refused,
    Throttled,
    UploadUncertain,
)
from core.freesound.form import LICENSES, UploadForm, explain
from core.freesound.taxonomy import category
from core.freesound.terms import own_page
from core.id2prediction import Event, Media, ModelRef, Predicted, Published, Sound, Suggestion, fold, new_event, review
from core.people import Person
from core.tags import freesound_tags
from core.workspace import Workspace

Result = TypeVar("Result")
State = Literal["sending", "uncertain", "accepted", "published", "refused", "not there"]
OPEN: tuple[State, ...] = ("sending", "uncertain", "accepted")
"""States in which the truth has to be looked up, or kept, before anything else."""
SENDING_TAKES_S = 900
"""After this, whoever was sending is not any more."""
CERTAIN_AFTER_S = 90
"""Freesound lists an upload within moments. What is not there so long after sending did not arrive."""
DUPLICATE = "already part of freesound"
SITE = "https://freesound.org"

_tables = sql.MetaData()
_publications = sql.Table(
    "publications",
    _tables,
    sql.Column("intent", sql.Text, primary_key=True),
    sql.Column("user_id", sql.Integer, nullable=False),
    sql.Column("username", sql.Text, nullable=False),
    sql.Column("md5", sql.Text, nullable=False),
    sql.Column("title", sql.Text, nullable=False),
    sql.Column("file_name", sql.Text, nullable=False),
    sql.Column("began", sql.Float, nullable=False),
    sql.Column("changed", sql.Float, nullable=False),
    sql.Column("state", sql.Text, nullable=False),
    sql.Column("sound", sql.Integer),
    sql.Column("message", sql.Text, nullable=False),
    sql.Column("body", sql.Text, nullable=False),
    sql.Index("publications_by_user", "user_id", "began"),
)


class WithToken(Protocol):
    """Calls with somebody's access token, refreshed where needed: `SignIns.with_token` for one browser."""

    def __call__(self, call: Callable[[SecretStr], Result]) -> Result: ...


class BeingPublished(FreesoundError):
    """The same sound is on its way already."""


@dataclass(frozen=True)
class Heard:
    """What Earmark heard in the sound, and what it keeps of it: `ogg` to play, `webp` to see, `arrays` for the sidecar."""

    model: ModelRef
    top: tuple[Suggestion, ...]
    seconds: float
    container: str
    rate: int
    channels: int
    ogg: bytes
    webp: bytes
    arrays: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Publication:
    """One attempt to publish, as the uploader sees it. `sound` is Freesound's id where it is known; `message` is a sentence."""

    intent: str
    user_id: int
    username: str
    title: str
    file_name: str
    md5: str
    began: float
    changed: float
    state: State
    sound: int | None
    message: str

    @property
    def url(self) -> str:
        """The sound's page on Freesound."""
        return f"{SITE}/s/{self.sound}/" if self.sound else ""

    @property
    def open(self) -> bool:
        return self.state in OPEN


class Publisher:
    """Publishes into `workspace`. Intents live in `folder`, which outlasts restarts; `clock` gives seconds since the epoch."""

    def __init__(self, folder: Path, client: FreesoundClient, workspace: Workspace, clock: Callable[[], float] = time.time) -> None:
        self._folder, self._client, self._workspace, self._clock = folder, client, workspace, clock
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "publications.sqlite"
        self._engine = sql.create_engine(sql.URL.create("sqlite", database=str(path)), connect_args={"timeout": 30})
        sql.event.listen(self._engine, "connect", lambda connection, _: setattr(connection, "isolation_level", None))
        sql.event.listen(self._engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
        with self._engine.begin() as connection:
            _tables.create_all(connection)

    def publish(
        self,
        person: Person,
        with_token: WithToken,
        form: UploadForm,
        data: bytes,
        heard: Heard,
        progress: Callable[[str, float], None] = lambda stage, share: None,
    ) -> Publication:
        """Send `data` with the checked `form`, once; returns what became of it.

        `progress` hears of each stage, and the share of the bytes sent. Raises `FormError` before anything is written, `BeingPublished`,
        and the errors of asking Freesound (in all these cases nothing was sent); whatever happens after sending is in the answer.
        """
        description, md5 = form.to_description(), hashlib.md5(data, usedforsecurity=False).hexdigest()
        progress("Looking for an earlier attempt", 0.0)
        for earlier in self._of(person.user_id, md5):
            settled = self._settle(earlier, with_token) if earlier.open else earlier
            if settled.state == "published":
                return settled
            if settled.open:
                raise BeingPublished(f"An earlier attempt to publish this sound is not settled yet: {settled.message}")
        before = with_token(self._client.pending_uploads)
        publication = self._begin(person, form, md5, heard, before)
        try:
            sound = with_token(
                lambda token: self._client.upload(
                    token, publication.file_name, data, description, lambda share: progress("Sending to Freesound", share)
                )
            )
        except UploadUncertain as error:
            progress("Asking Freesound what became of it", 1.0)
            return self._settle_quietly(self._mark(publication, "uncertain", str(error)), with_token)
        except Refused as error:
            if DUPLICATE in str(error):
                return self._settle_quietly(self._mark(publication, "uncertain", str(error)), with_token, duplicate=True)
            return self._close(publication, "refused", _refusal(error))
        except (Throttled, DailyThrottled, DailyLimitReached) as error:
            return self._close(publication, "refused", f"Nothing was sent: {error} Your sound and everything you typed are still here.")
        except FreesoundError as error:
            return self._close(publication, "refused", f"Nothing was published: {error}")
        progress("Keeping what Freesound stored", 1.0)
        return self._accept(publication, sound, with_token)

    def settle(self, person: Person, with_token: WithToken) -> list[Publication]:
        """Look up the truth about everything of this person's that is open. Raises the errors of asking Freesound."""
        return [self._settle(one, with_token) for one in self._of(person.user_id) if one.open]

    def of(self, person: Person) -> list[Publication]:
        """This person's publications, newest first."""
        return self._of(person.user_id)

    def states(self, person: Person, with_token: WithToken) -> tuple[PendingUploads, dict[int, FreesoundSound | None]]:
        """What of the person's is on its way at Freesound, and the sounds published from here that are not: public, or None where
        Freesound does not have them any more. Raises the errors of asking Freesound."""
        pending = with_token(self._client.pending_uploads)
        under_way = {one.id for one in (*pending.pending_processing, *pending.pending_moderation)}
        others = [one.sound for one in self._of(person.user_id) if one.state == "published" and one.sound and one.sound not in under_way]
        return pending, {number: self._sound(number) for number in others[:20]}

    # Looking up

    def _settle_quietly(self, publication: Publication, with_token: WithToken, *, duplicate: bool = False) -> Publication:
        """Look up, but where even that fails the publication stays open: a later look will tell."""
        try:
            return self._settle(publication, with_token, duplicate=duplicate)
        except EarmarkError as error:
            return self._mark(publication, "uncertain", f"{publication.message} It cannot be looked up just now: {error}")

    def _settle(self, publication: Publication, with_token: WithToken, *, duplicate: bool = False) -> Publication:
        """What really became of it, as far as Freesound tells today."""
        if publication.state == "accepted" and publication.sound:
            return self._accept(publication, publication.sound, with_token)
        if publication.state == "sending" and self._clock() - publication.changed < SENDING_TAKES_S and self._alive(publication):
            return publication
        pending = with_token(self._client.pending_uploads)
        sound = self._among_pending(publication, pending)
        if sound is not None:
            return self._accept(publication, sound, with_token)
        twin = self._by_md5(publication)
        if twin is not None and twin.username.casefold() == publication.username.casefold():
            return self._accept(publication, twin.id, with_token)
        if twin is not None:
            return self._close(
                publication,
                "refused",
                f"This very file is on Freesound already: sound {twin.id} by {twin.username}. It was not added again.",
            )
        if publication.file_name in pending.pending_description:
            return self._close(
                publication,
                "refused",
                f"Freesound has the file as {publication.file_name}, but not its description. Please finish it on Freesound's own page, "
                f"{SITE}/home/describe/.",
            )
        if duplicate:
            return self._close(
                publication,
                "refused",
                "Freesound says that it has this very file already, and does not say where: it may be yours from another time, somebody "
                "else's, or a half-made entry of an upload that failed. It was not added again.",
            )
        if self._clock() - publication.changed < CERTAIN_AFTER_S:
            return self._mark(
                publication,
                "uncertain",
                "The sound was sent, but no clear answer came, and Freesound does not list it yet. Nothing will be sent twice: "
                "look again in a minute or two.",
                touch=publication.state != "uncertain",
            )
        return self._close(publication, "not there", "It did not arrive at Freesound. It can safely be published again.")

    def _among_pending(self, publication: Publication, pending: PendingUploads) -> int | None:
        """The entry that is this publication: not there before it, of its name, and of its MD5 wherever Freesound shows that."""
        before = set(self._body(publication)["before"])
        claimed = {one.sound for one in self._of(publication.user_id) if one.intent != publication.intent}
        entries = [*pending.pending_processing, *pending.pending_moderation]
        same = [one.id for one in entries if one.name == publication.title and one.id not in before | claimed]
        unsure = []
        for number in same:
            sound = self._sound(number)
            if sound is not None and sound.md5 == publication.md5:
                return number
            if sound is None or not sound.md5:
                unsure.append(number)
        return unsure[0] if len(unsure) == 1 else None

    def _by_md5(self, publication: Publication) -> FreesoundSound | None:
        found = [one for one in self._client.search(filter=f"md5:{publication.md5}", page_size=5) if one.md5 == publication.md5]
        own = [one for one in found if one.username.casefold() == publication.username.casefold()]
        return next(iter([*own, *found]), None)

    def _sound(self, number: int) -> FreesoundSound | None:
        """A sound, or None: one that is not moderated yet may or may not be shown."""
        try:
            return self._client.sound(number)
        except NotThere:
            return None

    # Keeping

    def _accept(self, publication: Publication, number: int, with_token: WithToken) -> Publication:
        """Freesound has it: write its events, once, whatever interrupts this."""
        publication = self._mark(publication, "accepted", "Freesound has taken the sound.", sound=number)
        body = self._body(publication)
        if "events" not in body:
            body["events"] = [event.model_dump(mode="json") for event in self._events(publication, body, self._stored(number))]
            self._keep_body(publication, body)
        self._workspace.append(Event.model_validate(event) for event in body["events"])
        return self._close(publication, "published", f"Published as sound {number}. Freesound processes it now; people then moderate it.")

    def _stored(self, number: int) -> FreesoundSound | None:
        """What Freesound really stored, where it shows that already."""
        try:
            return self._sound(number)
        except (FreesoundError, DailyLimitReached):
            return None

    def _events(self, publication: Publication, body: dict[str, Any], stored: FreesoundSound | None) -> Iterator[Event]:
        form, heard = body["form"], body["heard"]
        person = Person(publication.user_id, publication.username)
        tags = tuple(stored.tags) if stored and stored.tags else tuple(freesound_tags(" ".join(form["tags"])))
        sound_id, files = f"freesound:{publication.sound}", self._folder / publication.intent
        model = ModelRef.model_validate(heard["model"])
        kinds = {"audio": "ogg", "spectrogram": "webp"}
        media = Media(**{name: self._workspace.put_media((files / kind).read_bytes(), kind) for name, kind in kinds.items()})
        self._workspace.put_sidecar(sound_id, model, _load_arrays(files / "arrays"))
        place = category(form["bst_category"])
        sound = Sound(
            title=publication.title,
            source="Freesound",
            author=person.name,
            license=LICENSES[form["license"]].deed,
            description=form["description"],
            url=own_page(stored.url, self._client.api) if stored else "",
            created=stored.created if stored else "",
            tags=tags,
            category=f"{place.top} / {place.name}",
            **heard["facts"],
        )
        top = tuple(Suggestion.model_validate(one) for one in heard["top"])
        known = self._workspace.events(sound_id)
        predicted = new_event(
            Predicted(model=model, top=top, sound=sound, media=media), sound_id, person.actor, known[-1] if known else None
        )
        yield predicted
        decided = review(fold([predicted]), tags, person.actor, accept=True)
        assert decided is not None  # accepting always decides
        published = Published(decisions=decided.payload.decisions, basis=predicted.event_id, tags=tags)
        yield new_event(published, sound_id, person.actor, predicted)

    # The store

    def _begin(self, person: Person, form: UploadForm, md5: str, heard: Heard, before: PendingUploads) -> Publication:
        """Write the intent and everything that settling it needs."""
        intent, now = uuid.uuid4().hex, self._clock()
        description = form.to_description()
        file_name = _unique_name(form.file_name, intent)
        files = self._folder / intent
        for name, content in (("ogg", heard.ogg), ("webp", heard.webp), ("arrays", _save_arrays(heard.arrays))):
            write_atomic(files / name, content)
        body = {
            "before": [one.id for one in (*before.pending_processing, *before.pending_moderation)],
            "process": _this_process(),
            "form": {
                "tags": description.tags,
                "description": description.description,
                "license": description.license,
                "bst_category": description.bst_category,
            },
            "heard": {
                "model": heard.model.model_dump(mode="json"),
                "top": [one.model_dump(mode="json") for one in heard.top],
                "facts": {"seconds": round(heard.seconds, 3), "container": heard.container, "rate": heard.rate, "channels": heard.channels},
            },
        }
        row = {
            "intent": intent, "user_id": person.user_id, "username": person.name, "md5": md5, "title": description.name or file_name,
            "file_name": file_name, "began": now, "changed": now, "state": "sending", "sound": None,
            "message": "The sound is being sent.", "body": json.dumps(body),
        }  # fmt: skip
        with self._engine.begin() as connection:
            mine = sql.select(_publications.c.intent).where(_publications.c.user_id == person.user_id, _publications.c.md5 == md5)
            if connection.execute(mine.where(_publications.c.state.in_(OPEN))).first():
                raise BeingPublished("This sound is being published just now, from another window perhaps.")
            connection.execute(_publications.insert().values(row))
        return self._read(intent)

    def _read(self, intent: str) -> Publication:
        with self._engine.connect() as connection:
            return _publication(connection.execute(sql.select(_publications).where(_publications.c.intent == intent)).one())

    def _of(self, user_id: int, md5: str | None = None) -> list[Publication]:
        query = sql.select(_publications).where(_publications.c.user_id == user_id).order_by(_publications.c.began.desc())
        if md5:
            query = query.where(_publications.c.md5 == md5)
        with self._engine.connect() as connection:
            return [_publication(row) for row in connection.execute(query)]

    def _mark(self, publication: Publication, state: State, message: str, *, sound: int | None = None, touch: bool = True) -> Publication:
        values: dict[str, Any] = {"state": state, "message": message}
        if sound:
            values["sound"] = sound
        if touch:
            values["changed"] = self._clock()
        with self._engine.begin() as connection:
            connection.execute(_publications.update().where(_publications.c.intent == publication.intent).values(values))
        return self._read(publication.intent)

    def _close(self, publication: Publication, state: State, message: str) -> Publication:
        """The end of it; what was kept for settling is not needed any more."""
        closed = self._mark(publication, state, message)
        rmtree(self._folder / publication.intent, ignore_errors=True)
        return closed

    def _body(self, publication: Publication) -> dict[str, Any]:
        with self._engine.connect() as connection:
            query = sql.select(_publications.c.body).where(_publications.c.intent == publication.intent)
            return json.loads(connection.execute(query).scalar_one())

    def _keep_body(self, publication: Publication, body: dict[str, Any]) -> None:
        with self._engine.begin() as connection:
            query = _publications.update().where(_publications.c.intent == publication.intent)
            connection.execute(query.values(body=json.dumps(body)))

    def _alive(self, publication: Publication) -> bool:
        """Whether the process that began to send may still be sending: after a restart nobody is."""
        return _runs(*self._body(publication)["process"])


_PROCESS = uuid.uuid4().hex


def _this_process() -> tuple[int, str]:
    return os.getpid(), _PROCESS


def _runs(pid: int, process: str) -> bool:
    """Whether that process runs: this one, or another one of this machine."""
    if process == _PROCESS or pid == os.getpid():
        return process == _PROCESS
    try:
        os.kill(pid, 0)
    except OSError as error:
        return isinstance(error, PermissionError)
    return True


def _publication(row) -> Publication:
    return Publication(
        row.intent, row.user_id, row.username, row.title, row.file_name, row.md5, row.began, row.changed, row.state, row.sound, row.message
    )


def _refusal(error: Refused) -> str:
    """The server's messages by field, each as a sentence."""
    if not error.fields:
        return f"Nothing was published. {error}"
    said = [explain(field, message) for field, messages in error.fields.items() for message in messages]
    return "Nothing was published. " + " ".join(dict.fromkeys(said))


def _unique_name(file_name: str, intent: str) -> str:
    """A name that no other upload has: Freesound overwrites a waiting file of the same name silently."""
    stem, _, suffix = file_name.rpartition(".")
    slug = re.sub(r"[^A-Za-z0-9]+", "-", stem).strip("-")[:60] or "sound"
    return f"{slug}-{intent[:8]}.{suffix.lower()}"


def _save_arrays(arrays: Mapping[str, np.ndarray]) -> bytes:
    from safetensors.numpy import save

    return save({name: np.ascontiguousarray(values) for name, values in arrays.items()})


def _load_arrays(path: Path) -> dict[str, np.ndarray]:
    from safetensors.numpy import load

    return load(path.read_bytes())
