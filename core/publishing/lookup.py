"""Looking up at Freesound what became of an upload."""

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

from core.freesound.client import FreesoundClient
from core.freesound.errors import SoundNotFound
from core.freesound.types import Description, FreesoundSound, PendingSound, PendingUploads
from core.freesound.vocabulary import SITE
from core.publishing.comparison import CLOCK_TOLERANCE_S, Stored, named
from core.publishing.upload_log import Intent, Upload, UploadLog

OWN_SOUNDS = f"{SITE}/home/sounds/manage/pending_moderation/"
"""Freesound's page of one's own sounds that are not public yet."""
_MAX_TWINS = 5
_MAX_ROWS = 10
"""Pending sounds that are asked for one by one: requests are counted."""


@dataclass(frozen=True)
class Match:
    """A sound on Freesound that is, or may be, what an upload became.

    Attributes:
        stored: The sound.
        owner: The name of who uploaded it, where that is somebody else; empty for one's own.
        is_own: The upload made it: it was not there before, is younger, and has nothing that was
            not sent.
        differences: The parts of the form that it lacks or has otherwise.
    """

    stored: Stored
    owner: str
    is_own: bool
    differences: tuple[str, ...]

    @property
    def sound_id(self) -> int:
        """Return the sound's id."""
        return self.stored.sound_id

    @property
    def is_whole(self) -> bool:
        """Return True if it carries everything that was sent."""
        return not self.differences

    def reason(self, upload: Upload) -> str:
        """Return why the upload did not make this sound, as sentences."""
        if self.owner:
            return (
                f"This very file is on Freesound already: sound {self.sound_id} by {self.owner}. "
                "It was not added again."
            )
        message = (
            f"This very file is on Freesound already, as your sound {self.sound_id}. It was not "
            "added again, and nothing that was typed here was written to that sound."
        )
        if self.stored.is_empty():
            return f"{message} {how_to_complete(upload, self.sound_id, self.differences)}"
        return f"{message} It can be edited on {edit_page(upload.username, self.sound_id)}."


class UploadLookup:
    """Finds the sound that an upload became."""

    def __init__(self, client: FreesoundClient, log: UploadLog) -> None:
        self._client, self._log = client, log

    def find(
        self, upload: Upload, intent: Intent, pending: PendingUploads, *, any_name: bool = False
    ) -> Match | None:
        """Look for an upload among the pending sounds, then among the public ones.

        Args:
            upload: The upload.
            intent: What was written before it was sent.
            pending: The uploader's pending uploads.
            any_name: Look at pending sounds of other names, too: Freesound has the bytes already.

        Raises:
            FreesoundError: Freesound cannot be asked.
        """
        stored = self._among_pending(upload, intent, pending, any_name)
        owner = ""
        if stored is None:
            twin = self._public_twin(upload)
            if twin is None:
                return None
            stored, owner = Stored(twin, twin), "" if _is_own(twin, upload) else twin.username
        return Match(
            stored=stored,
            owner=owner,
            is_own=not owner and self._is_from(upload, intent, stored),
            differences=stored.differences(intent.description, upload.title),
        )

    def stored(self, sound_id: int, pending: PendingUploads) -> Stored | None:
        """Return a person's sound as Freesound shows it; None if it is not there any more."""
        sound = self.sound(sound_id)
        row = next((row for row in pending.sounds if row.id == sound_id), sound)
        return Stored(row, sound) if row is not None else None

    def sound(self, sound_id: int) -> FreesoundSound | None:
        """Return a sound, or None: one that is not moderated yet may or may not be shown."""
        try:
            return self._client.sound(sound_id)
        except SoundNotFound:
            return None

    def _among_pending(
        self, upload: Upload, intent: Intent, pending: PendingUploads, any_name: bool
    ) -> Stored | None:
        """Return the pending sound that has the upload's bytes.

        Where Freesound does not show the bytes' MD5, it is the only one that the upload can have
        made.
        """
        hidden = []
        for stored in self._candidates(upload, pending, any_name):
            if stored.md5 == upload.md5:
                return stored
            if not stored.md5 and self._is_from(upload, intent, stored):
                hidden.append(stored)
        return hidden[0] if len(hidden) == 1 else None

    def _candidates(
        self, upload: Upload, pending: PendingUploads, any_name: bool
    ) -> Iterator[Stored]:
        rows = [row for row in pending.sounds if any_name or row.name == upload.title]
        for row in sorted(rows, key=lambda row: -row.id)[:_MAX_ROWS]:
            yield Stored(row, self.sound(row.id))

    def _is_from(self, upload: Upload, intent: Intent, stored: Stored) -> bool:
        """Return True if an upload can have made a sound of its uploader."""
        uploads = self._log.uploads_of(upload.user_id)
        others = {other.sound_id for other in uploads if other.upload_id != upload.upload_id}
        if stored.sound_id in others | set(intent.before):
            return False
        earliest = (intent.since or upload.began) - CLOCK_TOLERANCE_S
        is_pending = isinstance(stored.row, PendingSound)  # and was not among those before
        is_younger = is_pending if stored.created is None else stored.created > earliest
        return is_younger and stored.is_part_of(intent.description, upload.title)

    def _public_twin(self, upload: Upload) -> FreesoundSound | None:
        """Return a public sound of the same bytes, the uploader's own before anybody else's."""
        results = self._client.search(filter=f"md5:{upload.md5}", page_size=_MAX_TWINS)
        twins = [sound for sound in results if sound.md5 == upload.md5]
        return min(twins, key=lambda sound: not _is_own(sound, upload), default=None)


def edit_page(username: str, sound_id: int) -> str:
    """Return the address of Freesound's page on which a sound's own uploader edits it."""
    return f"{SITE}/people/{quote(username)}/sounds/{sound_id}/edit/"


def how_to_complete(upload: Upload, sound_id: int, differences: tuple[str, ...]) -> str:
    """Return what an incomplete sound lacks, and what its uploader can do, as sentences."""
    is_are = "is" if len(differences) == 1 and differences != ("tags",) else "are"
    return (
        f"Sound {sound_id} is incomplete on Freesound: {named(differences)} {is_are} missing or "
        f"not what was sent. Please delete it on {OWN_SOUNDS} and publish again, or complete it on "
        f"{edit_page(upload.username, sound_id)}."
    )


def left_to_do(upload: Upload, sent: Description, sound_id: int) -> str:
    """Return what of a form has to be done on Freesound itself, as a sentence; empty for nothing.

    Its API takes neither the mark of explicit content nor the sounds that a sound was made from.
    """
    tasks = ["mark it as explicit"] * sent.is_explicit + ["name its sources"] * bool(sent.sources)
    if not tasks:
        return ""
    page = edit_page(upload.username, sound_id)
    return f" Please {' and '.join(tasks)} on Freesound, whose API cannot do that: {page}"


def _is_own(sound: FreesoundSound, upload: Upload) -> bool:
    return sound.username.casefold() == upload.username.casefold()
