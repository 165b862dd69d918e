"""Publishing a sound on Freesound so that, whatever happens, it is there once and Earmark knows it.

Before the bytes are sent an intent is written; afterwards it is resolved. An upload is never sent
again before Freesound was asked what became of the last one: an answer may be lost although the
sound is there, and an error may leave half a sound behind.
"""

import hashlib
import logging
import re
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

from pydantic import SecretStr

from core.errors import EarmarkError
from core.freesound.client import FreesoundClient
from core.freesound.errors import (
    DailyLimitReached,
    DailyThrottled,
    FreesoundError,
    RequestRefused,
    Throttled,
    UploadUncertain,
)
from core.freesound.types import FreesoundSound, PendingUploads
from core.freesound.vocabulary import SITE
from core.people import Person
from core.pipeline.analysis import Analysis
from core.publishing.accepted import events_of_accepted
from core.publishing.comparison import Stored
from core.publishing.errors import AlreadyBeingPublished
from core.publishing.form import UploadForm
from core.publishing.lookup import Match, UploadLookup, how_to_complete, left_to_do
from core.publishing.server_messages import explain
from core.publishing.upload_log import Intent, Upload, UploadLog
from core.storage.workspace import Workspace

logger = logging.getLogger(__name__)

Result = TypeVar("Result")
Progress = Callable[[str, float], None]
"""Receives the stage, in words, and the share of the bytes that were sent, 0 to 1."""

SENDING_TIMEOUT_S = 900
"""After this, a process that began to send does not send any more."""
LISTING_DELAY_S = 90
"""Freesound lists an upload within moments; after this, one that is not listed did not arrive."""
_DUPLICATE = "already part of freesound"
_MAX_SLUG_LENGTH = 60
_COMPLETED_ELSEWHERE = (
    "Sound {} was completed on Freesound, otherwise than it was sent from here, so nothing of it "
    "is recorded here."
)
_GONE = "Sound {} is not on Freesound any more. The file can be published again."

_ANSWER_LOST = (
    " Its answer was lost, but everything that was sent is there. If the sound still waits to be "
    "processed in an hour, please look for it on Freesound."
)
DUPLICATE_SOMEWHERE = (
    "Freesound says that it has this very file already, and does not say where: it may be yours "
    "from another time, somebody else's, or a half-made entry of an upload that failed. It was not "
    "added again."
)
_NOT_DESCRIBED = (
    "Freesound has the file as {}, but not its description. Please finish it on Freesound's own "
    f"page, {SITE}/home/describe/."
)
_NOT_LISTED = (
    "The sound was sent, but no clear answer came, and Freesound does not list it yet. "
    "Nothing will be sent twice: look again in a minute or two."
)


class WithToken(Protocol):
    """Calls with somebody's access token, refreshed where needed.

    `SignIns.with_token` does so for a browser.
    """

    def __call__(self, call: Callable[[SecretStr], Result]) -> Result:
        """Return the result of `call` with the token."""
        ...


class Publisher:
    """Publishes sounds into a workspace and keeps a log of it."""

    def __init__(
        self,
        folder: Path,
        client: FreesoundClient,
        workspace: Workspace,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Open the log.

        Args:
            folder: The log's folder.
            client: Talks to Freesound.
            workspace: Where published sounds are kept.
            clock: Gives seconds since the epoch.

        Raises:
            DatabaseError: The log cannot be opened.
        """
        self._client, self._workspace = client, workspace
        self._log = UploadLog(folder, clock)
        self._lookup = UploadLookup(client, self._log)

    def publish(
        self,
        person: Person,
        with_token: WithToken,
        form: UploadForm,
        data: bytes,
        analysis: Analysis,
        progress: Progress = lambda stage, share: None,
    ) -> Upload:
        """Send a sound once.

        Args:
            person: The uploader.
            with_token: Calls with the uploader's access token.
            form: The form as filled in.
            data: The file's bytes.
            analysis: What is kept of the sound.
            progress: Receives the stages.

        Returns:
            The upload with its outcome, whatever happened after sending.

        Raises:
            FormError: Freesound would refuse the form; nothing was sent.
            AlreadyBeingPublished: An earlier attempt is open; nothing was sent.
            FreesoundError: Freesound cannot be asked; nothing was sent.
        """
        form.to_description()
        md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
        progress("Looking for an earlier attempt", 0.0)
        earlier = self._earlier(person, md5, with_token)
        if earlier is not None:
            return earlier
        # This also renews a token that has run out, before megabytes are sent with it.
        pending = with_token(self._client.pending_uploads)
        upload = self._begin(person, form, md5, analysis, pending)
        return self._send(upload, with_token, form, data, progress)

    def resolve_uploads(self, person: Person, with_token: WithToken) -> list[Upload]:
        """Find out what became of a person's open uploads.

        Returns:
            Those uploads with their outcome, as far as it is known.

        Raises:
            FreesoundError: Freesound cannot be asked.
            UploadLogError: What was kept of an upload cannot be read.
        """
        uploads = self._log.uploads_of(person.user_id)
        return [self._resolve(upload, with_token) for upload in uploads if upload.is_open]

    def uploads_of(self, person: Person) -> list[Upload]:
        """Return a person's uploads, newest first."""
        return self._log.uploads_of(person.user_id)

    def _earlier(self, person: Person, md5: str, with_token: WithToken) -> Upload | None:
        """Return an earlier upload of the same bytes, if Freesound has the sound, whole or not."""
        for earlier in self._log.uploads_of(person.user_id, md5):
            upload = self._resolve(earlier, with_token) if earlier.is_open else earlier
            if upload.state == "published":
                stored = self._stored(upload, with_token)
                if stored is None:
                    continue  # it was deleted since
                return self._mark_if_empty(upload, stored)
            if upload.state == "incomplete":
                return upload
            if upload.is_open:
                raise AlreadyBeingPublished(
                    f"An earlier attempt to publish this sound has no outcome yet: {upload.message}"
                )
        return None

    def _mark_if_empty(self, upload: Upload, stored: Stored) -> Upload:
        """Return an upload that earlier versions announced, as incomplete if it is."""
        if not stored.is_empty():
            return upload
        differences = stored.differences(self._log.intent(upload).description, upload.title)
        return self._mark_incomplete(upload, stored.sound_id, differences)

    def _stored(self, upload: Upload, with_token: WithToken) -> Stored | None:
        """Return an upload's sound as Freesound shows it now; None if it is gone."""
        if upload.sound_id is None:
            return None
        return self._lookup.stored(upload.sound_id, with_token(self._client.pending_uploads))

    def _begin(
        self,
        person: Person,
        form: UploadForm,
        md5: str,
        analysis: Analysis,
        pending: PendingUploads,
    ) -> Upload:
        """Write the intent."""
        upload_id = uuid.uuid4().hex
        intent = Intent(
            before=tuple(sound.id for sound in pending.sounds),
            description=form.to_description(),
            since=self._client.server_time(),
        )
        file_name = _unique_name(form.file_name, upload_id)
        upload = self._log.begin(upload_id, person, file_name, md5, intent, analysis)
        logger.info("publish begin upload=%s actor=%s", upload_id, person.user_id)
        return upload

    def _send(
        self,
        upload: Upload,
        with_token: WithToken,
        form: UploadForm,
        data: bytes,
        progress: Progress,
    ) -> Upload:
        """Send the bytes once and record what the answer means."""
        description = form.to_description()

        def send(token: SecretStr) -> int:
            return self._client.upload(
                token,
                upload.file_name,
                data,
                description,
                lambda share: progress("Sending to Freesound", share),
            )

        try:
            sound_id = with_token(send)
        except UploadUncertain as error:
            progress("Asking Freesound what became of it", 1.0)
            return self._resolve_uncertain(upload, str(error), with_token)
        except RequestRefused as error:
            if _DUPLICATE in str(error):
                progress("Asking Freesound where it is", 1.0)
                return self._close_refused(upload, self._where(upload, with_token))
            return self._close_refused(upload, _refusal(error))
        except (Throttled, DailyThrottled, DailyLimitReached) as error:
            message = f"Nothing was sent: {error} Your sound and everything you typed are kept."
            return self._close_refused(upload, message)
        except FreesoundError as error:
            return self._close_refused(upload, f"Nothing was published: {error}")
        progress("Keeping what Freesound stored", 1.0)
        return self._accept(upload, sound_id)

    def _where(self, upload: Upload, with_token: WithToken) -> str:
        """Return where Freesound has the bytes that it refused as a duplicate, as sentences.

        No such upload is ever taken for published: Freesound has said itself that it added nothing.
        """
        try:
            pending = with_token(self._client.pending_uploads)
            match = self._lookup.find(upload, self._log.intent(upload), pending, any_name=True)
        except EarmarkError as error:
            return f"{DUPLICATE_SOMEWHERE} It cannot be looked up just now: {error}"
        return match.reason(upload) if match else DUPLICATE_SOMEWHERE

    def _resolve_uncertain(self, upload: Upload, message: str, with_token: WithToken) -> Upload:
        """Look an upload up at once; where even that fails it stays open for a later look."""
        upload = self._log.mark(upload, "uncertain", message)
        logger.warning("publish uncertain upload=%s", upload.upload_id)
        try:
            return self._resolve(upload, with_token)
        except EarmarkError as error:
            message = f"{upload.message} It cannot be looked up just now: {error}"
            return self._log.mark(upload, "uncertain", message)

    def _resolve(self, upload: Upload, with_token: WithToken) -> Upload:
        """Record an upload's outcome as far as Freesound shows it."""
        if upload.state == "accepted" and upload.sound_id:
            return self._accept(upload, upload.sound_id)
        intent = self._log.intent(upload)
        if upload.state == "sending" and self._may_be_sending(upload, intent):
            return upload
        pending = with_token(self._client.pending_uploads)
        if upload.state == "incomplete" and upload.sound_id:
            return self._resolve_incomplete(upload, upload.sound_id, intent, pending)
        match = self._lookup.find(upload, intent, pending)
        if match is not None:
            return self._resolve_match(upload, match)
        if upload.file_name in pending.pending_description:
            return self._close_refused(upload, _NOT_DESCRIBED.format(upload.file_name))
        if self._log.age_s(upload) < LISTING_DELAY_S:
            touch = upload.state != "uncertain"
            return self._log.mark(upload, "uncertain", _NOT_LISTED, touch=touch)
        logger.info("publish lost upload=%s", upload.upload_id)
        message = "It did not arrive at Freesound. It can safely be published again."
        return self._log.close(upload, "not there", message)

    def _resolve_match(self, upload: Upload, match: Match) -> Upload:
        """Record an upload of whose bytes Freesound has a sound.

        It is this upload's only if it is younger and carries nothing that was not sent.
        """
        if not match.is_own:
            return self._close_refused(upload, match.reason(upload))
        if match.is_whole:
            return self._accept(upload, match.sound_id, _ANSWER_LOST)
        return self._mark_incomplete(upload, match.sound_id, match.differences)

    def _resolve_incomplete(
        self, upload: Upload, sound_id: int, intent: Intent, pending: PendingUploads
    ) -> Upload:
        """Record what its uploader has made of an incomplete sound since."""
        stored = self._lookup.stored(sound_id, pending)
        if stored is None:
            return self._log.close(upload, "not there", _GONE.format(sound_id))
        differences = stored.differences(intent.description, upload.title)
        if not differences:
            return self._accept(upload, sound_id)
        if not stored.is_part_of(intent.description, upload.title):
            return self._close_refused(upload, _COMPLETED_ELSEWHERE.format(sound_id))
        return self._mark_incomplete(upload, sound_id, differences)

    def _mark_incomplete(
        self, upload: Upload, sound_id: int, differences: tuple[str, ...]
    ) -> Upload:
        message = f"Not published. {how_to_complete(upload, sound_id, differences)}"
        if (upload.state, upload.message) == ("incomplete", message):
            return upload
        logger.warning("publish incomplete upload=%s sound=%d", upload.upload_id, sound_id)
        return self._log.mark(upload, "incomplete", message, sound_id=sound_id)

    def _may_be_sending(self, upload: Upload, intent: Intent) -> bool:
        return self._log.age_s(upload) < SENDING_TIMEOUT_S and intent.is_process_alive()

    def _close_refused(self, upload: Upload, message: str) -> Upload:
        logger.warning("publish refused upload=%s actor=%s", upload.upload_id, upload.user_id)
        return self._log.close(upload, "refused", message)

    def _accept(self, upload: Upload, sound_id: int, note: str = "") -> Upload:
        """Write the events of a sound that Freesound has: once, whatever interrupts this."""
        message = "Freesound has taken the sound."
        upload = self._log.mark(upload, "accepted", message, sound_id=sound_id)
        intent = self._log.intent(upload)
        events = intent.events
        if not events:
            events = events_of_accepted(
                upload,
                intent.description,
                self._log.analysis(upload),
                self._shown(sound_id),
                self._workspace,
                self._client.api,
            )
            self._log.keep_events(upload, events)
        self._workspace.events.append(events)
        logger.info("publish sound=%s actor=%s", sound_id, upload.user_id)
        message = f"Published as sound {sound_id}. Freesound processes and moderates it now.{note}"
        message += left_to_do(upload, intent.description, sound_id)
        return self._log.close(upload, "published", message)

    def _shown(self, sound_id: int) -> FreesoundSound | None:
        """Return what Freesound really stored, where it shows that already."""
        try:
            return self._client.sound(sound_id)
        except FreesoundError:
            return None


def _refusal(error: RequestRefused) -> str:
    """Return the server's messages by field, each as a sentence."""
    if not error.fields:
        return f"Nothing was published. {error}"
    sentences = [
        explain(field, message) for field, messages in error.fields.items() for message in messages
    ]
    return "Nothing was published. " + " ".join(dict.fromkeys(sentences))


def _unique_name(file_name: str, upload_id: str) -> str:
    """Return a name that no other upload has.

    Freesound silently overwrites a waiting file of the same name.
    """
    stem, _, suffix = file_name.rpartition(".")
    slug = re.sub(r"[^A-Za-z0-9]+", "-", stem).strip("-")[:_MAX_SLUG_LENGTH] or "sound"
    return f"{slug}-{upload_id[:8]}.{suffix.lower()}"
