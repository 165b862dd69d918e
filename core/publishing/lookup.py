"""Looking up at Freesound what became of an upload."""

from dataclasses import dataclass

from core.freesound.client import FreesoundClient
from core.freesound.errors import SoundNotFound
from core.freesound.types import FreesoundSound, PendingUploads
from core.freesound.vocabulary import SITE
from core.publishing.upload_log import Intent, Upload, UploadLog

_MAX_TWINS = 5


@dataclass(frozen=True)
class Match:
    """An upload as Freesound has it.

    Attributes:
        sound_id: The sound that the upload became, if there is one.
        other: A public sound of the same bytes by somebody else.
    """

    sound_id: int | None = None
    other: FreesoundSound | None = None

    def refusal(self, upload: Upload, pending: PendingUploads, *, is_duplicate: bool) -> str:
        """Return why an upload certainly becomes no sound; empty if that is not certain.

        Args:
            upload: The upload.
            pending: The uploader's pending uploads.
            is_duplicate: Freesound has refused it as a duplicate.
        """
        if self.other is not None:
            return (
                f"This very file is on Freesound already: sound {self.other.id} by "
                f"{self.other.username}. It was not added again."
            )
        if upload.file_name in pending.pending_description:
            return (
                f"Freesound has the file as {upload.file_name}, but not its description. "
                f"Please finish it on Freesound's own page, {SITE}/home/describe/."
            )
        if is_duplicate:
            return (
                "Freesound says that it has this very file already, and does not say where: it may "
                "be yours from another time, somebody else's, or a half-made entry of an upload "
                "that failed. It was not added again."
            )
        return ""


class UploadLookup:
    """Finds the sound that an upload became."""

    def __init__(self, client: FreesoundClient, log: UploadLog) -> None:
        self._client, self._log = client, log

    def find(self, upload: Upload, intent: Intent, pending: PendingUploads) -> Match:
        """Look for an upload among the pending sounds, then among the public ones.

        Args:
            upload: The upload.
            intent: What was written before it was sent.
            pending: The uploader's pending uploads.

        Raises:
            FreesoundError: Freesound cannot be asked.
        """
        sound_id = self._among_pending(upload, intent, pending)
        if sound_id is not None:
            return Match(sound_id)
        twin = self._public_twin(upload)
        if twin is None:
            return Match()
        return Match(twin.id) if _is_own(twin, upload) else Match(other=twin)

    def sound(self, sound_id: int) -> FreesoundSound | None:
        """Return a sound, or None: one that is not moderated yet may or may not be shown."""
        try:
            return self._client.sound(sound_id)
        except SoundNotFound:
            return None

    def _among_pending(self, upload: Upload, intent: Intent, pending: PendingUploads) -> int | None:
        """Return the id of the pending sound that is this upload.

        It was not there before, has the upload's name, and its MD5 wherever Freesound shows that.
        """
        uploads = self._log.uploads_of(upload.user_id)
        others = {other.sound_id for other in uploads if other.upload_id != upload.upload_id}
        excluded = others | set(intent.before)
        without_md5 = []
        for entry in pending.sounds:
            if entry.name != upload.title or entry.id in excluded:
                continue
            sound = self.sound(entry.id)
            if sound is not None and sound.md5 == upload.md5:
                return entry.id
            if sound is None or not sound.md5:
                without_md5.append(entry.id)
        return without_md5[0] if len(without_md5) == 1 else None

    def _public_twin(self, upload: Upload) -> FreesoundSound | None:
        """Return a public sound of the same bytes, the uploader's own before anybody else's."""
        results = self._client.search(filter=f"md5:{upload.md5}", page_size=_MAX_TWINS)
        twins = [sound for sound in results if sound.md5 == upload.md5]
        return min(twins, key=lambda sound: not _is_own(sound, upload), default=None)


def _is_own(sound: FreesoundSound, upload: Upload) -> bool:
    return sound.username.casefold() == upload.username.casefold()
