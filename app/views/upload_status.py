"""Where a person's uploads stand, in words."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from app.text import ago, plain
from core.freesound.types import PendingUploads
from core.freesound.vocabulary import SITE
from core.publishing.standings import GONE_STAGES, Stage, Standing
from core.publishing.upload_log import State, Upload

OLD_S = 3600
"""An answer that is older is said to be."""
MANAGE_PAGE = f"{SITE}/home/sounds/manage/processing/"
WAITING = ":orange[:material/hourglass_top:]"
UNKNOWN = ":gray[:material/help:]"
PROBLEM = ":red[:material/error:]"
PROCESSING = {
    "Pending": "waiting to be processed",
    "Queued": "waiting to be processed",
    "Processing": "being processed",
    "Processed": "processed",
    "Failed": "Freesound could not process it: the file may be damaged",
}
STATE_MARKS: Mapping[State, str] = {
    "incomplete": ":orange[:material/warning:]",
    "refused": PROBLEM,
    "not there": PROBLEM,
}
"""Of uploads that did not become a sound, or not a whole one; others are on their way."""
_REMOVE = "Remove it on Freesound before you publish the same file again."


@dataclass(frozen=True)
class StageText:
    """The words and the icon of a stage.

    Attributes:
        mark: Icon, as Markdown.
        sentence: What it means.
        is_linked: The sound has a page on Freesound that its uploader may open.
        needs_person: The uploader has to do something on Freesound.
    """

    mark: str
    sentence: str
    is_linked: bool = True
    needs_person: bool = False


STAGE_TEXTS: dict[Stage, StageText] = {
    "processing": StageText(WAITING, "On Freesound: being processed."),
    "not processed": StageText(
        PROBLEM,
        "Freesound has not processed it, which takes a minute otherwise: it has probably failed. "
        f"{_REMOVE}",
        is_linked=False,
        needs_person=True,
    ),
    "failed": StageText(
        PROBLEM,
        f"Freesound could not process it: the file may be damaged. {_REMOVE}",
        is_linked=False,
        needs_person=True,
    ),
    "in moderation": StageText(
        WAITING,
        "On Freesound: waiting for moderation, which can take days. If a moderator has a question, "
        "it is among your messages on Freesound.",
    ),
    "set back": StageText(
        WAITING,
        "Not public any more: it was, and Freesound's moderators have set it back. Their reason is "
        "among your messages on Freesound.",
    ),
    "public": StageText(":green[:material/check_circle:]", "Public on Freesound."),
    "removed": StageText(
        ":gray[:material/block:]",
        "No longer on Freesound: it was not accepted, or was deleted.",
        is_linked=False,
    ),
    "deleted": StageText(
        ":gray[:material/delete:]",
        "Deleted from Freesound. It was public before.",
        is_linked=False,
    ),
}
NOT_ASKED = StageText(UNKNOWN, "On Freesound; where it stands is not known yet.")

OF_UPLOAD = StageText(WAITING, "")
"""Until an upload has become a sound, its own message says where it stands."""


def stage_text(standing: Standing | None) -> StageText:
    """Return how a published sound's stage is shown."""
    return STAGE_TEXTS[standing.stage] if standing else NOT_ASKED


def standing_line(upload: Upload, standing: Standing | None, pending: PendingUploads) -> str:
    """Return where a published sound stands, as Markdown.

    Args:
        upload: The upload.
        standing: What is known of it.
        pending: What Freesound lists as pending: it names the step of the processing.
    """
    text = stage_text(standing).sentence
    if standing and standing.stage == "processing":
        rows = (row for row in pending.pending_processing if row.id == upload.sound_id)
        step = next((processing_text(row.processing_state) for row in rows), "being processed")
        text = f"On Freesound: {step}."
    if standing and standing.edits:
        text += f" Changed there since it was published: {', '.join(standing.edits)}."
    if standing and standing.stage not in GONE_STAGES and time.time() - standing.checked > OLD_S:
        text += f" That was {ago(datetime.fromtimestamp(standing.checked, UTC))}."
    return plain(text)


def processing_text(processing_state: str) -> str:
    """Return a state of Freesound's processing in words."""
    return PROCESSING.get(processing_state, processing_state)
