"""Correcting what earlier versions recorded of uploads that were never published.

They took an older sound of the same bytes, or a row that Freesound had saved without description
and tags, for the upload's own. Its *published* event then has verdicts that nobody gave. Events are
never deleted: an *undone* event cancels it, and a *predicted* one brings what Freesound says.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass

from core.errors import EarmarkError
from core.events.fold import effective_events
from core.events.types import Event, PredictedEvent, PublishedEvent, Undone, new_event
from core.freesound.client import FreesoundClient, client_from
from core.freesound.errors import NoKey, SoundNotFound
from core.freesound.types import FreesoundSound
from core.people import user_id
from core.pipeline.sources import FreesoundItem
from core.publishing.comparison import Stored, is_same_text, seconds
from core.publishing.upload_log import Intent, Upload, UploadLog
from core.settings import Settings
from core.storage.active_model import AUTOMATIC
from core.storage.workspace import Workspace
from core.tags import freesound_tags

logger = logging.getLogger(__name__)

CERTAINLY_OLDER_S = 86_400
"""By no more than this a clock of earlier versions' machines can have been wrong."""

_NOT_ASKED = (
    " Freesound was not asked, as no key is set: sounds without description and tags are found "
    "only with FREESOUND_API_KEY."
)
_FACTS = ("seconds", "container", "rate", "channels", "note")
"""What decoding says of a sound; the rest of its metadata is its uploader's."""


@dataclass(frozen=True)
class WrongPublication:
    """A publication that is recorded and did not happen.

    Attributes:
        upload: The upload, as its log has it.
        event: The event that says so.
        predicted: The prediction that it is based on, with metadata from the form; None if it is
            not in the log.
        shown: The sound as Freesound shows it; None where it was not asked or does not show it.
        reason: Why it did not happen, as a sentence.
    """

    upload: Upload
    event: PublishedEvent
    predicted: PredictedEvent | None
    shown: FreesoundSound | None
    reason: str


def repair(workspace: Workspace, settings: Settings, *, dry_run: bool = False) -> Iterator[str]:
    """Find and correct wrong publications of the uploads from this machine.

    Args:
        workspace: Where the sounds are, up to date.
        settings: Name the upload log and, where there is one, the key for Freesound.
        dry_run: Only find them.

    Yields:
        A line for each, and one for all.

    Raises:
        DatabaseError: The log or the workspace cannot be used.
    """
    folder = settings.workspace_folder / "publications"
    if not folder.is_dir():
        yield "Nothing was published from this workspace."
        return
    log, client = UploadLog(folder), _client(settings)
    uploads = [upload for upload in log.all() if upload.sound_id is not None]
    wrong_count = 0
    for upload in uploads:
        try:
            wrong = find_wrong(upload, log.intent(upload), workspace, client)
        except EarmarkError as error:
            yield f"{upload.file_name}: not checked. {error}"
            continue
        if wrong is not None:
            wrong_count += 1
            yield f"{upload.file_name}, sound {upload.sound_id}: {wrong.reason}"
            if not dry_run:
                correct(wrong, workspace, log, client)
    workspace.sync.wait_until_synced()
    outcome = "to correct" if dry_run else "corrected"
    yield f"{len(uploads)} uploads checked, {wrong_count} {outcome}.{'' if client else _NOT_ASKED}"


def find_wrong(
    upload: Upload, intent: Intent, workspace: Workspace, client: FreesoundClient | None
) -> WrongPublication | None:
    """Return an upload's recorded publication if it did not happen.

    Args:
        upload: The upload.
        intent: What was sent.
        workspace: Has the events.
        client: Asks Freesound for the sound; None to do without.

    Raises:
        FreesoundError: Freesound cannot be asked.
    """
    events = workspace.events.of_sound(f"freesound:{upload.sound_id}")
    event = next(
        (
            event
            for event in effective_events(events)
            if isinstance(event, PublishedEvent) and user_id(event.actor) == upload.user_id
        ),
        None,
    )
    if event is None or upload.sound_id is None:
        return None
    basis = event.payload.basis
    predicted = next(
        (each for each in events if isinstance(each, PredictedEvent) and each.event_id == basis),
        None,
    )
    shown = _shown(upload.sound_id, client) if client else None
    reason = _reason(upload, intent, event, _created(predicted, shown), shown)
    return WrongPublication(upload, event, predicted, shown, reason) if reason else None


def correct(
    wrong: WrongPublication, workspace: Workspace, log: UploadLog, client: FreesoundClient | None
) -> None:
    """Cancel a wrong publication by further events, and close its upload as refused.

    Raises:
        DatabaseError: Something cannot be written.
    """
    sound_id = wrong.event.sound_id
    last = workspace.events.of_sound(sound_id)[-1]
    undone = new_event(
        Undone(event=wrong.event.event_id, mistake=wrong.reason), sound_id, AUTOMATIC, base=last
    )
    events: list[Event] = [undone]
    if wrong.predicted is not None and wrong.shown is not None and client is not None:
        events.append(_with_freesounds_words(wrong.predicted, wrong.shown, client, undone))
    workspace.events.append(events)
    log.close(wrong.upload, "refused", f"Not published. {wrong.reason}")
    logger.info("publish corrected sound=%s event=%s", sound_id, wrong.event.event_id)


def _client(settings: Settings) -> FreesoundClient | None:
    try:
        return client_from(settings)
    except NoKey:
        return None


def _shown(sound_id: int, client: FreesoundClient) -> FreesoundSound | None:
    """Return a sound; None where Freesound does not have it, or hides it until it is moderated."""
    try:
        return client.sound(sound_id)
    except SoundNotFound:
        return None


def _created(predicted: PredictedEvent | None, shown: FreesoundSound | None) -> float | None:
    """Return when Freesound saved the sound; None if neither it nor the log says so."""
    recorded = predicted.payload.sound.created if predicted else ""
    return seconds(shown.created if shown and shown.created else recorded)


def _reason(
    upload: Upload,
    intent: Intent,
    event: PublishedEvent,
    created: float | None,
    shown: FreesoundSound | None,
) -> str:
    """Return why a publication did not happen; empty for one that did, or may have."""
    if shown is not None and Stored(shown, shown).is_empty():
        return "Freesound has the sound without all that was sent: a fault broke the upload off."
    began = intent.since or upload.began
    if created is not None and created < began - CERTAINLY_OLDER_S:
        return "The sound is older than the upload, which Freesound refused as a duplicate."
    sent = set(freesound_tags(" ".join(intent.description.tags)))
    given = {tag for tag, verdict in event.payload.decisions.items() if verdict != "removed"}
    if given == sent or (shown is not None and _has_words_of(intent, upload, shown)):
        return ""
    return "The sound has other tags than were sent: it is an older one of the same bytes."


def _has_words_of(intent: Intent, upload: Upload, shown: FreesoundSound) -> bool:
    """Return True if a sound has the name and description of an upload: its tags were edited."""
    has_name = is_same_text(shown.name, upload.title)
    return has_name and is_same_text(shown.description, intent.description.description)


def _with_freesounds_words(
    predicted: PredictedEvent, shown: FreesoundSound, client: FreesoundClient, base: Event
) -> PredictedEvent:
    """Return the same prediction with the metadata that Freesound has of the sound."""
    decoded = predicted.payload.sound
    facts = {name: getattr(decoded, name) for name in _FACTS}
    sound = FreesoundItem(shown, client).describe(b"").model_copy(update=facts)
    payload = predicted.payload.model_copy(update={"sound": sound})
    return new_event(payload, predicted.sound_id, AUTOMATIC, base=base)
