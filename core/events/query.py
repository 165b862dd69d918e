"""What a view of sounds asks for, and what it gets."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Literal

from core.events.fold import ReviewState, SoundState

Show = Literal["all"] | ReviewState
Agreement = Literal["same", "some", "none", "no uploader tags"]
"""Of the suggestions that reach their threshold: all, some or none of them are among the tags that
the uploader gave the sound."""
Order = Literal["newest", "most uncertain", "most informative", "most disputed"]


@dataclass(frozen=True)
class Query:
    """A choice of sounds: those that meet every condition that is set.

    Attributes:
        show: How far people are with the sound.
        tag: It carries this tag now; with a probability below, it is suggested this tag.
        min_probability: Least probability of the suggestion `tag`, or of the best suggestion where
            `tag` is not set. Probabilities are compared to four decimals.
        max_probability: The greatest.
        agreement: How the suggestions agree with the uploader's own tags.
        license: Exactly as the sound's source names it.
        uploader: Exactly as the sound's source names them.
        since: The first day on which it was recorded or uploaded, else arrived, in UTC.
        until: The last such day.
        run: Id of the run that made its latest prediction.
        explicit: Marked as explicit on Freesound or not.
        text: Words in its title, tags, uploader's tags or description; the last may be a beginning.
    """

    show: Show = "all"
    tag: str | None = None
    min_probability: float | None = None
    max_probability: float | None = None
    agreement: Agreement | None = None
    license: str | None = None
    uploader: str | None = None
    since: date | None = None
    until: date | None = None
    run: str | None = None
    explicit: bool | None = None
    text: str = ""


@dataclass(frozen=True)
class Page:
    """Some of the sounds that match.

    Attributes:
        sounds: In the order asked for.
        total: How many match in all.
        total_is_exact: False where there are at least `total`.
        next: Cursor of the page after it; None on the last one.
        previous: Cursor of the page before it; None on the first one.
    """

    sounds: tuple[SoundState, ...]
    total: int
    total_is_exact: bool = True
    next: str | None = None
    previous: str | None = None


@dataclass(frozen=True)
class Count:
    """A number of sounds that match; at least so many where it is not `exact`."""

    number: int
    exact: bool = True


@dataclass(frozen=True)
class Counts:
    """The number of sounds in view, and of those that a person has reviewed."""

    sounds: int
    reviewed: int


@dataclass(frozen=True)
class Facets:
    """Numbers of sounds that each choice of a filter would give, the other filters as they are.

    Attributes:
        states: By how far people are with them; every state is in it.
        agreement: By agreement with the uploader's tags; every kind is in it.
        licenses: (license, number), most frequent first.
        uploaders: (uploader, number), the 50 most frequent.
        explicit: Of sounds that are marked as explicit, and that are not.
        runs: (id, number) of runs, the 50 most frequent.
        exact: False where each number is the least that it can be.
    """

    states: Mapping[ReviewState, int]
    agreement: Mapping[Agreement, int]
    licenses: tuple[tuple[str, int], ...]
    uploaders: tuple[tuple[str, int], ...]
    explicit: Mapping[bool, int]
    runs: tuple[tuple[str, int], ...]
    exact: bool = True


LAST_PAGE = "last"
"""The cursor of the last page of any list."""
