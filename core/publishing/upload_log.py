"""The record of people's uploads: an intent before the bytes are sent, and its outcome.

It outlasts restarts. The format on disk is a public contract: uploads that the version before left
open are read, too.
"""

import json
import os
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from shutil import rmtree
from typing import Any, Literal

import sqlalchemy as sql
from pydantic import TypeAdapter, ValidationError

from core.errors import EarmarkError
from core.events.types import Event, ModelRef, Sound, Suggestion, event_from_fields
from core.files import write_atomic
from core.freesound.types import Description
from core.freesound.vocabulary import SITE
from core.people import Person
from core.pipeline.analysis import Analysis
from core.publishing.errors import AlreadyBeingPublished, UploadLogError
from core.sqlite import open_database
from core.storage.sidecars import decode_arrays

State = Literal[
    "sending", "uncertain", "accepted", "incomplete", "published", "refused", "not there"
]
OPEN_STATES: tuple[State, ...] = ("sending", "uncertain", "accepted", "incomplete")
"""States in which the truth has to be looked up, or kept, before anything else. Of an *incomplete*
one Freesound has a sound, without all that was sent; its uploader has to remove or complete it."""

_ANALYSIS_FILE = "analysis"
_PROCESS = uuid.uuid4().hex

_meta = sql.MetaData()
_uploads = sql.Table(
    "publications",
    _meta,
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


@dataclass(frozen=True)
class Upload:
    """An attempt to publish, as its uploader sees it.

    Attributes:
        upload_id: 32 hexadecimal digits.
        user_id: The uploader's Freesound user id.
        username: The uploader's name at the time.
        title: The sound's name.
        file_name: As it was sent.
        md5: Of the file.
        began: Seconds since the epoch.
        changed: The last change of state, in seconds since the epoch.
        state: Where it stands.
        sound_id: Freesound's id of the sound, where it is known.
        message: The state as a sentence.
    """

    upload_id: str
    user_id: int
    username: str
    title: str
    file_name: str
    md5: str
    began: float
    changed: float
    state: State
    sound_id: int | None
    message: str

    @property
    def url(self) -> str:
        """The sound's page on Freesound, or empty."""
        return f"{SITE}/s/{self.sound_id}/" if self.sound_id else ""

    @property
    def is_open(self) -> bool:
        """True if its outcome is not known or not kept yet."""
        return self.state in OPEN_STATES

    @property
    def uploader(self) -> Person:
        """The person who published it."""
        return Person(self.user_id, self.username)


@dataclass(frozen=True)
class Intent:
    """Everything needed to find out what became of an upload.

    Attributes:
        before: Ids of the uploader's pending sounds before the upload.
        description: The form as it is sent.
        process: (process id, random id) of the process that sends.
        events: Events of the accepted sound, once they are made; empty before.
        since: Freesound's time just before the upload, in seconds since the epoch; 0 in the records
            of earlier versions.
    """

    before: tuple[int, ...]
    description: Description
    process: tuple[int, str] = field(default_factory=lambda: (os.getpid(), _PROCESS))
    events: tuple[Event, ...] = ()
    since: float = 0.0

    def is_process_alive(self) -> bool:
        """Return True if the process that began to send may still be sending.

        Process ids are used again, so after a restart in a container a process with our own id and
        another random id is an earlier one.
        """
        pid, process = self.process
        if process == _PROCESS or pid == os.getpid():
            return process == _PROCESS
        try:
            os.kill(pid, 0)
        except OSError as error:
            return isinstance(error, PermissionError)
        return True


class UploadLog:
    """Uploads in a folder: rows in a SQLite file, and the analysis of each open one.

    Safe for threads and processes.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        """Open the log.

        Args:
            folder: Its folder; it is created where there is none.
            clock: Gives seconds since the epoch.

        Raises:
            DatabaseError: The file cannot be opened.
        """
        self._folder, self._clock = folder, clock
        self._database = open_database(folder / "publications.sqlite", "uploads", _meta)

    def begin(
        self,
        upload_id: str,
        person: Person,
        file_name: str,
        md5: str,
        intent: Intent,
        analysis: Analysis,
    ) -> Upload:
        """Write an intent.

        Args:
            upload_id: 32 hexadecimal digits.
            person: The uploader.
            file_name: As it will be sent; unique at Freesound.
            md5: Of the file.
            intent: What is needed to look the upload up.
            analysis: What is kept of the sound once Freesound has it.

        Raises:
            AlreadyBeingPublished: An upload of the same bytes by the same person is open.
            UploadLogError: The analysis cannot be written.
            DatabaseError: The row cannot be written.
        """
        try:
            write_atomic(self._folder / upload_id / _ANALYSIS_FILE, analysis.to_bytes())
        except OSError as error:
            raise UploadLogError(
                f"{self._folder} cannot be written ({error.strerror}); nothing was sent."
            ) from error
        now = self._clock()
        row = {
            "intent": upload_id,
            "user_id": person.user_id,
            "username": person.name,
            "md5": md5,
            "title": intent.description.name or file_name,
            "file_name": file_name,
            "began": now,
            "changed": now,
            "state": "sending",
            "sound": None,
            "message": "The sound is being sent.",
            "body": _intent_to_json(intent),
        }
        columns = _uploads.c
        same = sql.select(columns.intent).where(
            columns.user_id == person.user_id,
            columns.md5 == md5,
            columns.state.in_(OPEN_STATES),
        )
        with self._database.writing() as connection:
            if connection.execute(same).first():
                rmtree(self._folder / upload_id, ignore_errors=True)
                raise AlreadyBeingPublished(
                    "This sound is being published just now, perhaps from another window."
                )
            connection.execute(_uploads.insert().values(row))
        return self._get(upload_id)

    def uploads_of(self, user_id: int, md5: str | None = None) -> list[Upload]:
        """Return a person's uploads, newest first.

        Args:
            user_id: The person's Freesound user id.
            md5: Only uploads of the bytes with this MD5.
        """
        query = sql.select(_uploads).where(_uploads.c.user_id == user_id)
        if md5:
            query = query.where(_uploads.c.md5 == md5)
        with self._database.reading() as connection:
            rows = connection.execute(query.order_by(_uploads.c.began.desc()))
            return [_upload(row) for row in rows]

    def all(self) -> list[Upload]:
        """Return everybody's uploads, oldest first."""
        with self._database.reading() as connection:
            rows = connection.execute(sql.select(_uploads).order_by(_uploads.c.began))
            return [_upload(row) for row in rows]

    def age_s(self, upload: Upload) -> float:
        """Return the seconds since an upload's state changed."""
        return self._clock() - upload.changed

    def mark(
        self,
        upload: Upload,
        state: State,
        message: str,
        *,
        sound_id: int | None = None,
        touch: bool = True,
    ) -> Upload:
        """Write an upload's new state.

        Args:
            upload: The upload.
            state: Where it stands now.
            message: The state as a sentence.
            sound_id: Freesound's id of the sound, if it has become known.
            touch: Count it as a change; without it `changed` stays.
        """
        values: dict[str, Any] = {"state": state, "message": message}
        if sound_id:
            values["sound"] = sound_id
        if touch:
            values["changed"] = self._clock()
        self._update(upload, values)
        return self._get(upload.upload_id)

    def close(self, upload: Upload, state: State, message: str) -> Upload:
        """Write an upload's last state and delete what was kept for looking it up."""
        closed = self.mark(upload, state, message)
        rmtree(self._folder / upload.upload_id, ignore_errors=True)
        return closed

    def intent(self, upload: Upload) -> Intent:
        """Return what `begin` was given, with the events that `keep_events` has added since.

        Raises:
            UploadLogError: The row is damaged.
        """
        return _intent_from_json(self._body(upload), upload)

    def keep_events(self, upload: Upload, events: tuple[Event, ...]) -> None:
        """Write the events of an accepted sound, so that they are made once only."""
        body = json.loads(self._body(upload))
        body["events"] = [event.model_dump(mode="json") for event in events]
        self._update(upload, {"body": json.dumps(body)})

    def analysis(self, upload: Upload) -> Analysis:
        """Return the analysis that `begin` was given.

        Raises:
            UploadLogError: It cannot be read.
        """
        folder = self._folder / upload.upload_id
        try:
            if (folder / _ANALYSIS_FILE).exists():
                return Analysis.from_bytes((folder / _ANALYSIS_FILE).read_bytes())
            return _analysis_of_version_0_1(folder, json.loads(self._body(upload)))
        except (OSError, EarmarkError, KeyError, ValueError) as error:
            raise UploadLogError(
                f"What was kept of the upload {upload.file_name} cannot be read ({error}); "
                "look on Freesound for what became of it."
            ) from error

    def _get(self, upload_id: str) -> Upload:
        query = sql.select(_uploads).where(_uploads.c.intent == upload_id)
        with self._database.reading() as connection:
            return _upload(connection.execute(query).one())

    def _body(self, upload: Upload) -> str:
        query = sql.select(_uploads.c.body).where(_uploads.c.intent == upload.upload_id)
        with self._database.reading() as connection:
            return str(connection.execute(query).scalar_one())

    def _update(self, upload: Upload, values: dict[str, Any]) -> None:
        statement = _uploads.update().where(_uploads.c.intent == upload.upload_id)
        with self._database.writing() as connection:
            connection.execute(statement.values(values))


def _upload(row: sql.Row[Any]) -> Upload:
    return Upload(
        upload_id=row.intent,
        user_id=row.user_id,
        username=row.username,
        title=row.title,
        file_name=row.file_name,
        md5=row.md5,
        began=row.began,
        changed=row.changed,
        state=row.state,
        sound_id=row.sound,
        message=row.message,
    )


_DESCRIPTION = TypeAdapter(Description)
_SUGGESTIONS = TypeAdapter(tuple[Suggestion, ...])


def _intent_to_json(intent: Intent) -> str:
    return json.dumps(
        {
            "before": intent.before,
            "form": asdict(intent.description),
            "process": intent.process,
            "since": intent.since,
        }
    )


def _intent_from_json(text: str, upload: Upload) -> Intent:
    try:
        body = json.loads(text)
        pid, process = body["process"]
        return Intent(
            before=tuple(body["before"]),
            description=_DESCRIPTION.validate_python(body["form"]),
            process=(int(pid), str(process)),
            events=tuple(map(event_from_fields, body.get("events", ()))),
            since=float(body.get("since", 0)),
        )
    except (KeyError, ValueError, TypeError, EarmarkError, ValidationError) as error:
        raise UploadLogError(
            f"The record of the upload {upload.file_name} is damaged ({error}); "
            "look on Freesound for what became of it."
        ) from error


def _analysis_of_version_0_1(folder: Path, body: dict[str, Any]) -> Analysis:
    """Return the analysis from the three files and the fields that version 0.1 kept it in."""
    return Analysis(
        sound_id="",
        sound=Sound(title=body["form"]["name"], source="upload", **body["facts"]),
        model=ModelRef.model_validate(body["model"]),
        suggestions=_SUGGESTIONS.validate_python(body["top"]),
        preview=(folder / "ogg").read_bytes(),
        spectrogram=(folder / "webp").read_bytes(),
        arrays=decode_arrays((folder / "arrays").read_bytes()),
    )
