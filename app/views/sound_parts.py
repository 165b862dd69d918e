"""What a card and a second opinion both show of a sound: its player, and the tags to offer."""

from collections.abc import Collection

import streamlit as st

from app import services
from app.components.player import Floats, levels_over_time, player
from app.routes import media_url
from app.text import plain
from app.views.sound_text import facts_text
from core.events.fold import SoundState
from core.events.types import Suggestion

MIN_GUESS_PROBABILITY = 0.05
"""Guesses below it are noise; the player lists them all the same."""


def sound_player(sound: SoundState, key: str) -> None:
    """Draw a sound's player with its suggestions over time.

    Args:
        sound: The sound, with the decisions that may be seen.
        key: Of the player in the session.
    """
    if missing := missing_media(sound):
        st.markdown(f"**{plain(sound.sound.title)}**")
        st.caption(missing)
        return
    times, levels = _levels(sound)
    player(
        key=key,
        audio_url=media_url(sound.media.audio),
        picture_url=media_url(sound.media.spectrogram),
        title=sound.sound.title,
        facts=facts_text(sound, short=True),
        seconds=sound.sound.seconds,
        suggestions=sound.suggestions,
        times=times,
        levels=levels,
        thresholds=services.thresholds_of(sound),
        rejected=rejected_tags(sound),
        compact=True,
    )
    if sound.sound.note:
        st.caption(f":material/info: {plain(sound.sound.note)}")


def missing_media(sound: SoundState) -> str:
    """Return why a sound cannot be played, as a sentence; empty if it can."""
    if not sound.media.audio:
        return "This workspace has no media of the sound: it was imported without them."
    if services.workspace().media.path(sound.media.audio) is None:
        return "The audio file of this sound is missing in the workspace."
    return ""


def offered_tags(sound: SoundState, present: Collection[str]) -> list[Suggestion]:
    """Return the suggestions that are offered at a click: not present, not rejected, no noise."""
    taken = {*present, *rejected_tags(sound)}
    return [
        tag
        for tag in sound.suggestions
        if tag.tag not in taken and tag.probability >= MIN_GUESS_PROBABILITY
    ]


def rejected_tags(sound: SoundState) -> set[str]:
    """Return the tags that a person has said the sound does not have."""
    return {tag for tag, decision in sound.decisions.items() if not decision.is_positive}


def _levels(sound: SoundState) -> tuple[Floats, Floats] | tuple[None, None]:
    """Return the suggestions over time, if the sidecar of their prediction is there."""
    if sound.model is None:
        return None, None
    arrays = services.workspace().sidecars.get(sound.sound_id, sound.model)
    return levels_over_time(arrays, services.vocabulary(sound.model), sound.suggestions)
