"""Small events for tests of the event log and the workspace."""

from collections.abc import Sequence

from core.events.fold import confirm, fold
from core.events.types import (
    Media,
    ModelRef,
    Predicted,
    PredictedEvent,
    ReviewedEvent,
    Sound,
    SoundEvent,
    Suggestion,
    new_event,
)

V1, V2 = (ModelRef(name="cnn", version=version, fingerprint="f") for version in (1, 2))
NO_MEDIA = Media()


def predicted(
    number: int, *tags: str, model: ModelRef = V1, media: Media = NO_MEDIA, title: str = ""
) -> PredictedEvent:
    """Make the prediction of `freesound:<number>`, all of whose tags reach their threshold."""
    top = tuple(
        Suggestion(tag=tag, probability=0.9, above_threshold=True)
        for tag in tags or ("dog", "bark")
    )
    sound = Sound(title=title or f"sound {number}", source="test")
    payload = Predicted(model=model, top=top, sound=sound, media=media)
    return new_event(payload, f"freesound:{number}", "job")


def reviewed(
    history: Sequence[SoundEvent], tags: Sequence[str], actor: str = "ada"
) -> ReviewedEvent:
    """Make the review that confirms `tags` for a sound with that history."""
    return confirm(fold(history), tags, actor)
