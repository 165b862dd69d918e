"""Events as phrases of Markdown; everything from outside is escaped."""

from collections.abc import Mapping

from app.text import plain
from core.events.types import (
    ImportedEvent,
    PredictedEvent,
    PublishedEvent,
    Reviewed,
    ReviewedEvent,
    SoundEvent,
    UndoneEvent,
    Verdict,
)
from core.people import shown_name

VERDICTS: tuple[Verdict, ...] = ("kept", "removed", "added")


def event_text(event: SoundEvent) -> str:
    """Return an event as half a sentence."""
    actor = plain(shown_name(event.actor))
    match event:
        case PredictedEvent(payload=payload):
            tags = [f"{plain(tag.tag)} {tag.probability:.0%}" for tag in payload.top]
            return f"{plain(str(payload.model))} suggested {', '.join(tags) or 'nothing'}"
        case ReviewedEvent(payload=review):
            return f"{actor} {review_text(review)}"
        case PublishedEvent(payload=published):
            return f"{actor} published it and {decisions_text(published.decisions)}"
        case ImportedEvent(payload=imported):
            tags = [plain(tag) for tag in imported.tags]
            return f"imported from {plain(imported.file or 'a file')}: {', '.join(tags)}"
        case UndoneEvent(payload=undone) if undone.mistake:
            return f"{actor} corrected a mistake: {plain(undone.mistake)}"
        case UndoneEvent():
            return f"{actor} undid a change"
    return f"withdrawn: {plain(event.payload.reason)}"


def review_text(review: Reviewed) -> str:
    """Return a review as what somebody did: `changed: removed dog; added howl`."""
    match review.outcome:
        case "confirmed":
            return decisions_text(review.decisions)
        case "changed":
            return f"{decisions_text(review.decisions)}; other tags still to review"
        case "not sure":
            return "marked it as not sure"
    return "marked it as cannot be tagged"


def decisions_text(decisions: Mapping[str, Verdict]) -> str:
    """Return `removed dog; added howl, night`."""
    phrases = []
    for verdict in VERDICTS:
        tags = [plain(tag) for tag, decided in decisions.items() if decided == verdict]
        if tags:
            phrases.append(f"{verdict} {', '.join(tags)}")
    return "; ".join(phrases) or "confirmed that no suggested tag fits"
