"""Clips that people try and publish: what a session remembers of them."""

from dataclasses import dataclass

from app.text import clock
from core.events.types import ModelRef, Suggestion
from core.pipeline.analysis import Analysis
from core.publishing.bulk import BulkRow

Part = tuple[float, float]
"""From when to when, in seconds."""


@dataclass(frozen=True)
class TriedClip:
    """An analysed clip.

    Attributes:
        key: SHA-256 of name and content.
        analysis: What the model predicted, and what is kept if the clip is published.
        audio: Name of the preview among the temporary media.
        spectrogram: Name of the picture there.
    """

    key: str
    analysis: Analysis
    audio: str
    spectrogram: str

    @property
    def suggestions(self) -> tuple[Suggestion, ...]:
        """Return the model's top tags."""
        return self.analysis.suggestions

    @property
    def model(self) -> ModelRef:
        """Return the version that predicted them."""
        return self.analysis.model

    @property
    def facts(self) -> str:
        """Return length and format of the file, for people."""
        sound = self.analysis.sound
        parts = [clock(sound.seconds), sound.container, f"{sound.rate / 1000:g} kHz"]
        return " · ".join([*parts, f"{sound.channels} ch"])

    @property
    def note(self) -> str:
        """Return a sentence where not all of the file was analysed; empty where it was."""
        return self.analysis.sound.note


@dataclass(frozen=True)
class OutgoingSound:
    """A file to publish.

    Attributes:
        data: The original bytes, or those of the part that was chosen.
        file_name: What to call it on Freesound.
        note: What cutting changed; empty if nothing.
        analysis: Of exactly these bytes; None while they were not analysed.
    """

    data: bytes
    file_name: str
    note: str = ""
    analysis: Analysis | None = None


@dataclass(frozen=True)
class BatchClip:
    """One file of a batch.

    Attributes:
        row: Its description, with the model's tags and category.
        key: SHA-256 of name and content.
        sound_id: `file:<sha256>`.
        audio: Name of the preview among the temporary media.
        spectrogram: Name of the picture there.
        facts: Length and format, for people.
        seconds: Its length.
        suggestions: The model's top tags.
        model: The version that predicted them; None for a file that could not be analysed.
        note: A sentence where not all of it was analysed.
        problem: Why it could not be analysed; empty if it was.
    """

    row: BulkRow
    key: str = ""
    sound_id: str = ""
    audio: str = ""
    spectrogram: str = ""
    facts: str = ""
    seconds: float = 0.0
    suggestions: tuple[Suggestion, ...] = ()
    model: ModelRef | None = None
    note: str = ""
    problem: str = ""
