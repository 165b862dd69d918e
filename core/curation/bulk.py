"""One edit of many sounds: confirm, add, remove or replace tags; taken back as a whole.

All events of an edit share a batch. They are written in chunks, each whole or not at all, so an
edit may be stopped or killed anywhere: what is written counts, a second run of the same plan
does the rest, and undoing the batch takes back what was written.
"""

import logging
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from core.curation.errors import InvalidBulkAction, TooManySounds
from core.curation.reviews import ReviewLog
from core.events.fold import SoundState, confirm, effective_events, save_changes, undo
from core.events.query import Order, Query
from core.events.types import ReviewedEvent, UndoneEvent, check_tags
from core.storage.workspace import Workspace
from core.work import Checkpoint, WorkStopped, no_checkpoint

logger = logging.getLogger(__name__)

MAX_SOUNDS = 500
"""That one edit may change."""
CHUNK_SIZE = 25
"""Sounds that are written in one transaction."""
Progress = Callable[[int, int], None]
"""Called with the number of sounds that are done, and of all."""


@dataclass(frozen=True)
class BulkAction:
    """A change that every sound of an edit gets.

    Attributes:
        kind: *confirm* judges all tags as they are; the others change tags and judge nothing else.
        tags: Tags to add or remove; for *replace* the one to replace.
        replacement: For *replace*, the tag in its place.
    """

    kind: Literal["confirm", "add", "remove", "replace"]
    tags: tuple[str, ...] = ()
    replacement: str = ""


@dataclass(frozen=True)
class BulkPlan:
    """An edit that can be shown before it is made: the sounds are chosen, nothing is written."""

    batch: str
    action: BulkAction
    sound_ids: tuple[str, ...]


@dataclass(frozen=True)
class BulkResult:
    """The outcome of an edit.

    Attributes:
        batch: Takes it back, with `undo_batch`.
        changed: Sounds that got an event, also in an earlier run of the same plan.
        unchanged: Sounds that were as they should be, that were withdrawn meanwhile, or, when
            something is taken back, whose event somebody had undone.
        stopped: True where it was stopped; a second run of the plan does the rest.
    """

    batch: str
    changed: int
    unchanged: int
    stopped: bool = False


def plan_bulk(
    workspace: Workspace, query: Query, action: BulkAction, order: Order = "newest"
) -> BulkPlan:
    """Choose the sounds of an edit.

    Args:
        workspace: Holds the sounds.
        query: Which of them.
        action: What to do with each.
        order: Which are done first.

    Raises:
        TooManySounds: More than `MAX_SOUNDS` match.
        InvalidBulkAction: The action names no tag, or none that can be kept.
    """
    _check(action)
    sound_ids = workspace.sounds.ids(query, order=order, limit=MAX_SOUNDS + 1)
    if len(sound_ids) > MAX_SOUNDS:
        number = workspace.sounds.count(query).number
        raise TooManySounds(
            f"{max(number, len(sound_ids)):,} sounds match, and at most {MAX_SOUNDS} can be changed"
            " at once; please narrow the filters."
        )
    return BulkPlan(uuid.uuid4().hex, action, tuple(sound_ids))


def apply_bulk(
    workspace: Workspace,
    reviews: ReviewLog,
    plan: BulkPlan,
    actor: str,
    progress: Progress | None = None,
    checkpoint: Checkpoint = no_checkpoint,
) -> BulkResult:
    """Make an edit, or the rest of one that was stopped.

    Args:
        workspace: Where to.
        reviews: The workspace's reviews.
        plan: The edit.
        actor: Who makes it.
        progress: Is told how far it is.
        checkpoint: Called before each chunk; `WorkStopped` ends the edit there.

    Raises:
        DatabaseError: The workspace cannot be written; earlier chunks are.
    """
    done = set(reviews.events_of_batch(plan.batch))
    changed, unchanged, stopped = len(done), 0, False
    rest = [sound_id for sound_id in plan.sound_ids if sound_id not in done]
    for start in range(0, len(rest), CHUNK_SIZE):
        try:
            checkpoint()
        except WorkStopped:
            stopped = True
            break
        chunk = rest[start : start + CHUNK_SIZE]
        written = _write_chunk(workspace, plan, chunk, actor)
        changed, unchanged = changed + written, unchanged + len(chunk) - written
        if progress is not None:
            progress(changed + unchanged, len(plan.sound_ids))
    logger.info(
        "bulk %s batch=%s sounds=%d changed=%d stopped=%s actor=%s",
        *(plan.action.kind, plan.batch, len(plan.sound_ids), changed, stopped, actor),
    )
    return BulkResult(plan.batch, changed, unchanged, stopped)


def undo_batch(workspace: Workspace, reviews: ReviewLog, batch: str, actor: str) -> BulkResult:
    """Take a whole edit back, in one transaction.

    Exactly the events of the batch are undone: what people decided later about the same tags
    stays, and so does what they had decided before. An event that somebody has undone already is
    left out. The undo has a batch of its own; undoing that brings the edit back.

    Args:
        workspace: Where the edit was made.
        reviews: The workspace's reviews.
        batch: The edit's.
        actor: Who takes it back.
    """
    undo_id = uuid.uuid4().hex
    undone: list[UndoneEvent] = []
    sounds = reviews.events_of_batch(batch)
    states = workspace.sounds.get_many(list(sounds))
    for sound_id, event_ids in sounds.items():
        effective = effective_events(workspace.events.of_sound(sound_id))
        in_effect = [event.event_id for event in effective if event.event_id in event_ids]
        undone += [undo(states[sound_id], each, actor, batch=undo_id) for each in in_effect]
    workspace.events.append(undone)
    changed = len({event.sound_id for event in undone})
    logger.info("undo batch=%s as=%s sounds=%d actor=%s", batch, undo_id, changed, actor)
    return BulkResult(undo_id, changed, len(sounds) - changed)


def _check(action: BulkAction) -> None:
    """Raise where an action lacks a tag, or has one that cannot be kept."""
    needed = {"confirm": 0, "replace": 1}.get(action.kind, max(1, len(action.tags)))
    if len(action.tags) != needed or bool(action.replacement) != (action.kind == "replace"):
        raise InvalidBulkAction("Please name the tags to add, to remove or to replace.")
    if action.replacement in action.tags:
        raise InvalidBulkAction("A tag cannot be replaced by itself.")
    try:
        check_tags([*action.tags, *([action.replacement] if action.replacement else [])])
    except ValueError as error:
        raise InvalidBulkAction(f"These tags cannot be used: {error}.") from error


def _write_chunk(workspace: Workspace, plan: BulkPlan, sound_ids: Sequence[str], actor: str) -> int:
    """Write the events of some sounds; returns how many there were."""
    states = workspace.sounds.get_many(sound_ids)
    events = [
        event
        for state in states.values()
        if not state.withdrawn and (event := _event(state, plan, actor)) is not None
    ]
    workspace.events.append(events)
    return len(events)


def _event(state: SoundState, plan: BulkPlan, actor: str) -> ReviewedEvent | None:
    """Return the event that does the plan's action with a sound; None where nothing changes."""
    tags, action = state.tags, plan.action
    match action.kind:
        case "confirm":
            return confirm(state, tags, actor, batch=plan.batch)
        case "add":
            tags = (*tags, *action.tags)
        case "remove":
            tags = tuple(tag for tag in tags if tag not in action.tags)
        case "replace" if action.tags[0] in tags:
            tags = tuple(action.replacement if tag in action.tags else tag for tag in tags)
    return save_changes(state, tags, actor, batch=plan.batch)
