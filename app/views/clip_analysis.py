"""Analysing people's own clips: once per clip, in turn, and within a visitor's limits."""

import hashlib
import logging
import time
from collections.abc import Callable

import streamlit as st

from app import auth, browser, services, state
from app.clips import TriedClip
from app.predictor import ActivePredictor
from app.text import plural
from core.audio.types import AudioLimits
from core.errors import EarmarkError
from core.pipeline.analysis import Analysis, analyse_file

logger = logging.getLogger(__name__)

MAX_REMEMBERED_CLIPS = 3
CLIPS_PER_ADDRESS = 10
"""So many times a visitor's limit per network address: a school has one for all its classes."""


class TooManyClips(EarmarkError):
    """A visitor has reached the limit of an hour."""


def clip_key(name: str, data: bytes) -> str:
    """Return the key that tells clips apart."""
    return hashlib.sha256(name.encode() + data).hexdigest()


def audio_limits() -> AudioLimits:
    """Return the limits on what the viewer may have analysed."""
    settings = services.settings()
    limits = AudioLimits.from_settings(settings)
    if auth.viewer().is_visitor:
        return AudioLimits(limits.seconds, min(limits.megabytes, settings.visitor_megabytes))
    return limits


def analyse_clip(name: str, data: bytes) -> TriedClip:
    """Analyse a clip; the session remembers the last ones.

    Args:
        name: What to call it.
        data: The file's bytes.

    Raises:
        AudioError: The file cannot be decoded.
        TooManyClips: The viewer is a visitor who has reached the limit.
    """
    key, active = clip_key(name, data), services.predictor()
    clip = state.tried_clips.get().get(key)
    if clip is None or clip.model != active.model or not _is_playable(clip):
        _count_visitors_clip()
        with st.spinner("Analysing ..."):
            clip = _tried_clip(key, analyse(name, data, active, audio_limits(), _show_queue))
    others = {old: value for old, value in state.tried_clips.get().items() if old != key}
    remembered = [*others.items(), (key, clip)][-MAX_REMEMBERED_CLIPS:]
    state.tried_clips.set(dict(remembered))
    return clip


def analyse(
    name: str,
    data: bytes,
    active: ActivePredictor,
    limits: AudioLimits,
    on_queue: Callable[[int], None],
) -> Analysis:
    """Analyse a file as soon as there is a free slot.

    Args:
        name: What to call it.
        data: The file's bytes.
        active: The model.
        limits: Longest sound and largest file that are accepted.
        on_queue: Called with the number of those who wait, if there is a queue.

    Raises:
        AudioError: The file cannot be decoded.
    """
    with services.analysis_slots().slot(on_queue):
        start = time.monotonic()
        analysis = analyse_file(data, name, active.predictor, active.model, limits)
    seconds, took = analysis.sound.seconds, time.monotonic() - start
    sound_id = analysis.sound_id
    logger.info("analyse sound=%s length_s=%.2f took_s=%.2f", sound_id, seconds, took)
    return analysis


def _tried_clip(key: str, analysis: Analysis) -> TriedClip:
    media = services.temporary_media()
    audio = media.put(analysis.preview, "ogg")
    return TriedClip(key, analysis, audio, media.put(analysis.spectrogram, "webp"))


def _is_playable(clip: TriedClip) -> bool:
    return services.temporary_media().path(clip.audio) is not None


def _count_visitors_clip() -> None:
    """Raise `TooManyClips` for a visitor who has reached the limit; others have none."""
    if not auth.viewer().is_visitor:
        return
    limit = services.settings().visitor_uploads_an_hour
    limits = {
        f"address {st.context.ip_address}": CLIPS_PER_ADDRESS * limit,
        f"browser {browser.browser_id()}": limit,
    }
    if not services.hourly_limit().spend(limits):
        raise TooManyClips(
            f"Visitors can try {plural(limit, 'clip')} an hour. "
            "Sign in with Freesound, or come back later."
        )


def _show_queue(waiting: int) -> None:
    place = "your clip is next" if waiting == 1 else f"{waiting} clips wait, yours included"
    st.toast(f"The server is busy; {place}.", icon=":material/hourglass_top:")
