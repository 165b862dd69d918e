"""What the desk's browser side sends, checked before anything is done with it."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from core.events.types import MAX_TAG_LENGTH, SoundId

MAX_ACTIONS, MAX_TAGS, MAX_HELD = 500, 100, 50
HexId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
Text = Annotated[str, Field(max_length=MAX_TAG_LENGTH)]
Kind = Literal["confirm", "opinion", "save", "not sure", "untaggable", "undo"]
MAX_NAME_LENGTH = 60


class _FromBrowser(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")


class Action(_FromBrowser):
    """A decision of the person; it may come more than once, and is applied once.

    Attributes:
        id: Chosen by the browser.
        sound: The sound that it is about.
        kind: What was decided.
        tags: The tags that they want, as typed.
        base: Id of the event that was the sound's last one when they were shown it.
        after: Id of their own action on this sound before, which the browser has no answer to yet.
        target: Of an undo, the id of the action that is undone.
    """

    id: HexId
    sound: SoundId
    kind: Kind
    tags: Annotated[list[Text], Field(max_length=MAX_TAGS)] = []
    base: HexId
    after: HexId | None = None
    target: HexId | None = None


class DeskRequest(_FromBrowser):
    """The state of the desk in the browser.

    Attributes:
        at: The sound in focus, or the last one where the queue is finished; empty at the start.
        have: [id, version] of sounds that the browser has, beginning with `at`.
        refresh: How often the person has asked for a new queue.
        typed: Texts of which only the server knows what Freesound would store.
        actions: Decisions without an answer so far, oldest first.
        vocabulary: Version of the vocabulary that the browser has.
        examples: A tag of which it wants sounds to hear, or empty.
        name: What the person wants their corrections recorded under, where they were asked.
    """

    at: SoundId | Literal[""] = ""
    have: Annotated[list[tuple[str, str]], Field(max_length=MAX_HELD)] = []
    refresh: Annotated[int, Field(ge=0, le=10**6)] = 0
    typed: Annotated[list[Text], Field(max_length=MAX_TAGS)] = []
    actions: Annotated[list[Action], Field(max_length=MAX_ACTIONS)] = []
    vocabulary: Text = ""
    examples: Text = ""
    name: Annotated[str, Field(max_length=MAX_NAME_LENGTH)] = ""


def parse_request(value: object) -> DeskRequest:
    """Return a request from the browser.

    Raises:
        ValueError: The value is none.
    """
    # JSON has no tuples: lenient about those alone, through the mode for JSON.
    return DeskRequest.model_validate(_tuples(value))


def _tuples(value: object) -> object:
    """Return the value with the pairs of `have` as tuples."""
    if isinstance(value, dict) and isinstance(value.get("have"), list):
        pairs = [tuple(pair) if isinstance(pair, list) else pair for pair in value["have"]]
        return value | {"have": pairs}
    return value
