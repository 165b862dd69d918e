"""Sounds that a person publishes one after the other: kept on disk until the person closes it.

A queue outlasts a reload, a restart and a kill. A sound that was being sent then is published
again: the log of uploads knows what became of it, and nothing is sent twice.
"""

import json
import logging
import os
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from shutil import rmtree
from typing import Any, Literal

import sqlalchemy as sql
from pydantic import TypeAdapter, ValidationError

from core.audio.errors import AudioError
from core.errors import EarmarkError
from core.events.types import ModelRef
from core.files import write_atomic
from core.people import Person
from core.publishing.bulk import BulkRow
from core.publishing.errors import AlreadyBeingPublished, FormError, UploadLogError
from core.publishing.upload_log import Upload
from core.sqlite import open_database
from core.work import WorkStopped

logger = logging.getLogger(__name__)

RowState = Literal["waiting", "sending", "published", "uncertain", "incomplete", "not published"]
"""*uncertain*: sent, but Freesound gave no clear answer yet; *incomplete*: it has only a part."""
UNFINISHED: tuple[RowState, ...] = ("waiting", "sending", "uncertain")
QueueState = Literal["running", "stopped", "finished"]
MAX_AGE_S = 7 * 86_400
"""Queues that nobody has closed are deleted after so long."""

_meta = sql.MetaData()
_queues = sql.Table(
    "queues",
    _meta,
    sql.Column("queue", sql.Text, primary_key=True),
    sql.Column("user_id", sql.Integer, nullable=False, unique=True),
    sql.Column("began", sql.Float, nullable=False),
    sql.Column("state", sql.Text, nullable=False),
    sql.Column("reason", sql.Text, nullable=False),
)
_rows = sql.Table(
    "queue_rows",
    _meta,
    sql.Column("queue", sql.Text, primary_key=True),
    sql.Column("number", sql.Integer, primary_key=True),
    sql.Column("body", sql.Text, nullable=False),
    sql.Column("state", sql.Text, nullable=False),
    sql.Column("message", sql.Text, nullable=False),
    sql.Column("sound", sql.Integer),
)
_BULK_ROW = TypeAdapter(BulkRow)


@dataclass(frozen=True)
class SoundToPublish:
    """A sound for a queue: its description, its bytes, and the model whose tags were shown."""

    row: BulkRow
    data: bytes
    model: ModelRef


@dataclass(frozen=True)
class QueueRow:
    """A sound in a queue.

    Attributes:
        number: Its place, from 0.
        row: Its description.
        model: The version whose tags the person was shown.
        state: How far it is.
        message: The state as a sentence; empty while it waits.
        sound_id: Freesound's id, where it has the sound.
    """

    number: int
    row: BulkRow
    model: ModelRef
    state: RowState
    message: str
    sound_id: int | None


@dataclass(frozen=True)
class PublishQueue:
    """A person's queue.

    Attributes:
        queue_id: 32 hexadecimal digits.
        began: Seconds since the epoch.
        state: *running* also where the process that ran it was killed.
        reason: Why it stopped, as a sentence; empty where the person has stopped it.
        rows: The sounds in order.
    """

    queue_id: str
    began: float
    state: QueueState
    reason: str
    rows: tuple[QueueRow, ...]

    @property
    def unfinished(self) -> list[QueueRow]:
        """Return the sounds that are still to be published."""
        return [row for row in self.rows if row.state in UNFINISHED]

    def in_state(self, state: RowState) -> list[QueueRow]:
        """Return the sounds in a state."""
        return [row for row in self.rows if row.state == state]


PublishOne = Callable[[QueueRow, bytes], Upload]
"""Analyses and publishes one sound."""


class PublishQueues:
    """People's queues: one for each person. Safe for threads."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        """Open the queues.

        Args:
            folder: Their folder; it is created where there is none.
            clock: Gives seconds since the epoch.

        Raises:
            DatabaseError: The file cannot be opened.
        """
        self._folder, self._clock = folder, clock
        self._database = open_database(folder / "queues.sqlite", "publish_queues", _meta)

    def begin(self, person: Person, sounds: Sequence[SoundToPublish]) -> PublishQueue:
        """Keep sounds to publish in place of the person's last queue.

        Raises:
            UploadLogError: The files cannot be written; nothing is published.
            DatabaseError: The rows cannot be written.
        """
        self._delete(_queues.c.began < self._clock() - MAX_AGE_S)
        self.close(person)
        queue_id = uuid.uuid4().hex
        try:
            self._write(queue_id, [sound.data for sound in sounds])
        except OSError as error:
            rmtree(self._folder / queue_id, ignore_errors=True)
            raise UploadLogError(
                f"{self._folder} cannot be written ({error.strerror}); nothing was sent."
            ) from error
        queue = {"queue": queue_id, "user_id": person.user_id, "began": self._clock()}
        with self._database.writing() as connection:
            connection.execute(_queues.insert().values({**queue, "state": "running", "reason": ""}))
            rows = [_new_row(queue_id, number, sound) for number, sound in enumerate(sounds)]
            connection.execute(_rows.insert(), rows)
        logger.info("queue begin queue=%s actor=%s sounds=%d", queue_id, person.user_id, len(rows))
        return self._read(_queues.c.queue == queue_id)[0]

    def of(self, person: Person) -> PublishQueue | None:
        """Return a person's queue."""
        queues = self._read(_queues.c.user_id == person.user_id)
        return queues[0] if queues else None

    def data(self, queue: PublishQueue, row: QueueRow) -> bytes:
        """Return the bytes of a sound that is not published yet.

        Raises:
            UploadLogError: They cannot be read.
        """
        try:
            return (self._folder / queue.queue_id / str(row.number)).read_bytes()
        except OSError as error:
            raise UploadLogError(
                f"The copy of {row.row.audio_filename} cannot be read ({error.strerror}); "
                "please add the file again."
            ) from error

    def mark_row(
        self,
        queue: PublishQueue,
        row: QueueRow,
        state: RowState,
        message: str = "",
        sound_id: int | None = None,
    ) -> None:
        """Write how far a sound is. The bytes of one that is published are deleted."""
        values = {"state": state, "message": message, "sound": sound_id}
        key = (_rows.c.queue == queue.queue_id) & (_rows.c.number == row.number)
        with self._database.writing() as connection:
            connection.execute(_rows.update().where(key).values(values))
        if state == "published":
            (self._folder / queue.queue_id / str(row.number)).unlink(missing_ok=True)

    def mark(self, queue: PublishQueue, state: QueueState, reason: str = "") -> None:
        """Write whether a queue runs, and why not."""
        update = _queues.update().where(_queues.c.queue == queue.queue_id)
        with self._database.writing() as connection:
            connection.execute(update.values(state=state, reason=reason))

    def try_again(self, queue: PublishQueue) -> None:
        """Let the sounds wait again that were not published."""
        key = (_rows.c.queue == queue.queue_id) & (_rows.c.state == "not published")
        with self._database.writing() as connection:
            connection.execute(_rows.update().where(key).values(state="waiting", message=""))

    def close(self, person: Person) -> None:
        """Forget a person's queue and its files; what is published stays."""
        self._delete(_queues.c.user_id == person.user_id)

    def _delete(self, condition: sql.ColumnElement[bool]) -> None:
        query = sql.select(_queues.c.queue).where(condition)
        with self._database.writing() as connection:
            ids = list(connection.execute(query).scalars())
            connection.execute(_rows.delete().where(_rows.c.queue.in_(ids)))
            connection.execute(_queues.delete().where(_queues.c.queue.in_(ids)))
        for queue_id in ids:
            rmtree(self._folder / queue_id, ignore_errors=True)

    def _write(self, queue_id: str, files: Iterable[bytes]) -> None:
        """Keep files where only this user of the machine can read them."""
        folder = self._folder / queue_id
        folder.mkdir(parents=True)
        os.chmod(folder, 0o700)
        for number, data in enumerate(files):
            write_atomic(folder / str(number), data)

    def _read(self, condition: sql.ColumnElement[bool]) -> list[PublishQueue]:
        with self._database.reading() as connection:
            queues = connection.execute(sql.select(_queues).where(condition)).all()
            ids = [queue.queue for queue in queues]
            query = sql.select(_rows).where(_rows.c.queue.in_(ids)).order_by(_rows.c.number)
            rows = connection.execute(query).all()
        return [
            PublishQueue(
                queue.queue,
                queue.began,
                queue.state,
                queue.reason,
                tuple(_queue_row(row) for row in rows if row.queue == queue.queue),
            )
            for queue in queues
        ]


def run_queue(
    queues: PublishQueues,
    queue: PublishQueue,
    publish: PublishOne,
    should_stop: Callable[[], bool] = lambda: False,
) -> None:
    """Publish the sounds of a queue that wait, one after the other.

    What is wrong with one sound is noted with it, and the next one follows. What would be wrong
    with every sound stops the queue, with its reason: no sign-in, no connection, no requests left.

    Args:
        queues: Where the queue is kept.
        queue: The queue.
        publish: Publishes one sound.
        should_stop: Asked before each sound.

    Raises:
        DatabaseError: An outcome could not be written.
    """
    queues.mark(queue, "running")
    for row in queue.unfinished:
        if should_stop():
            queues.mark(queue, "stopped")
            return
        try:
            _publish_row(queues, queue, row, publish)
        except EarmarkError as error:
            logger.warning("queue stopped queue=%s reason=%s", queue.queue_id, error)
            queues.mark_row(queue, row, "waiting")
            queues.mark(queue, "stopped", str(error))
            return
    queues.mark(queue, "finished")


def _publish_row(
    queues: PublishQueues, queue: PublishQueue, row: QueueRow, publish: PublishOne
) -> None:
    """Publish a sound and note its outcome; raise what would be wrong with every sound."""
    queues.mark_row(queue, row, "sending")
    try:
        upload = publish(row, queues.data(queue, row))
    except AlreadyBeingPublished as error:
        queues.mark_row(queue, row, "uncertain", str(error))
    except (AudioError, FormError, UploadLogError, WorkStopped) as error:
        queues.mark_row(queue, row, "not published", str(error))
    else:
        message = upload.message
        if upload.began < queue.began:
            message = f"{message} That was an earlier upload of this file: nothing was sent now."
        queues.mark_row(queue, row, row_state(upload), message, upload.sound_id)


def row_state(upload: Upload) -> RowState:
    """Return how far a sound is that Freesound was sent."""
    match upload.state:
        case "published":
            return "published"
        case "incomplete":
            return "incomplete"
        case "refused" | "not there":
            return "not published"
        case _:
            return "uncertain"


def _new_row(queue_id: str, number: int, sound: SoundToPublish) -> dict[str, object]:
    body = {"row": asdict(sound.row), "model": sound.model.model_dump(mode="json")}
    row = {"queue": queue_id, "number": number, "body": json.dumps(body)}
    return row | {"state": "waiting", "message": "", "sound": None}


def _queue_row(row: sql.Row[Any]) -> QueueRow:
    try:
        body = json.loads(row.body)
        return QueueRow(
            number=row.number,
            row=_BULK_ROW.validate_python(body["row"]),
            model=ModelRef.model_validate(body["model"]),
            state=row.state,
            message=row.message,
            sound_id=row.sound,
        )
    except (KeyError, ValueError, TypeError, ValidationError) as error:
        raise UploadLogError(
            f"The record of sounds to publish is damaged ({error}); please start again."
        ) from error
