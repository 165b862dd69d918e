"""Analysing people's own clips: once per clip, in turn, and within a visitor's limits."""

import hashlib
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import streamlit as st
from streamlit import runtime
from streamlit.runtime.scriptrunner import get_script_run_ctx

from app import auth, browser, services, state
from app.analysis_queue import Report, Requester
from app.client_address import client_address
from app.clips import TriedClip
from app.limits import Refusal
from app.predictor import ActivePredictor
from app.text import plural
from core.audio.errors import AudioError
from core.audio.types import AudioLimits
from core.errors import EarmarkError
from core.pipeline.analysis import Analysis, analyse_file
from core.publishing.upload import Progress
from core.work import Checkpoint, WorkStopped

logger = logging.getLogger(__name__)

Show = Callable[[str], object]
"""Shows a text on the page in place of the one before."""

MAX_REMEMBERED_CLIPS = 3
MAX_REMEMBERED_REFUSALS = 20
CLIPS_PER_ADDRESS = 10
"""So many times a visitor's limit per network address: a school has one for all its classes."""


class TooManyClips(EarmarkError):
    """A visitor has reached the limit of an hour."""


def clip_key(name: str, data: bytes) -> str:
    """Return the key that tells clips apart."""
    digest = hashlib.sha256(name.encode())
    digest.update(data)
    return digest.hexdigest()


def audio_limits() -> AudioLimits:
    """Return the limits on what the viewer may have analysed."""
    settings = services.settings()
    limits = AudioLimits.from_settings(settings)
    if auth.viewer().is_visitor:
        megabytes = min(limits.megabytes, settings.visitor_megabytes)
        return replace(limits, megabytes=megabytes)
    return limits


def current_requester() -> Requester:
    """Return whose share of the server's time the viewer's clips use.

    Visitors of one network address share what one person who is signed in has for themselves:
    anybody can be any number of visitors.
    """
    person = auth.viewer().person
    if person:
        name = f"user {person.user_id}"
        return Requester(name, name)
    return Requester(*visitor_names())


def visitor_names() -> tuple[str, str]:
    """Return what a visitor's clips are counted by: network address and browser.

    Who keeps no cookies is told apart from others for as long as the page is open.
    """
    headers, trusted = st.context.headers, services.settings().trusted_proxies
    forwarded_for = headers.get_all("X-Forwarded-For") if "X-Forwarded-For" in headers else []
    address = client_address(st.context.ip_address, forwarded_for, trusted)
    context = get_script_run_ctx(suppress_warning=True)
    session = f"session {context.session_id}" if context else "none"
    return f"address {address}", f"browser {browser.browser_id() or session}"


def analyse_clip(
    name: str,
    data: bytes,
    active: ActivePredictor,
    label: str = "Analysing ...",
    show: Show | None = None,
) -> TriedClip:
    """Analyse a clip; the session remembers the last ones.

    Args:
        name: What to call it.
        data: The file's bytes.
        active: The model.
        label: What to show while it is analysed.
        show: Shows the label, or how long the queue is; by default with a spinner.

    Raises:
        AudioError: The file cannot be decoded.
        WorkStopped: It takes too long.
        TooManyClips: The viewer is a visitor who has reached the limit.
    """
    key, limits = clip_key(name, data), audio_limits()
    clip = state.tried_clips.get().get(key)
    if clip is None or clip.model != active.model or not _is_playable(clip):
        _raise_refusal(key, limits)
        with _counted(key), _remembered_outcome(key, limits), ExitStack() as spinner:
            report = _page_report(label, show or _spinner_in(spinner))
            analysis = analyse(name, data, active, limits, current_requester(), report)
        clip = _tried_clip(key, analysis)
    others = {old: value for old, value in state.tried_clips.get().items() if old != key}
    remembered = [*others.items(), (key, clip)][-MAX_REMEMBERED_CLIPS:]
    state.tried_clips.set(dict(remembered))
    return clip


def analyse(
    name: str,
    data: bytes,
    active: ActivePredictor,
    limits: AudioLimits,
    requester: Requester,
    report: Report,
) -> Analysis:
    """Analyse a file in its turn.

    Args:
        name: What to call it.
        data: The file's bytes.
        active: The model.
        limits: Of what is accepted.
        requester: Whose share of the server's time it uses.
        report: Called with its place in the queue, 0 once it has been begun; it may raise.

    Raises:
        AudioError: The file cannot be decoded.
        WorkStopped: It takes too long.
    """
    start = time.monotonic()
    try:
        with services.analysis_queue().turn(requester, report) as turn:
            checkpoint = turn.limited_to(services.settings().max_work_seconds, name)
            analysis = analyse_file(data, name, active.predictor, active.model, limits, checkpoint)
            worked_s = turn.worked_s
    except AudioError:
        raise
    except BaseException as end:
        text = "analyse stopped bytes=%d took_s=%.2f reason=%s"
        logger.info(text, len(data), time.monotonic() - start, _reason(end))
        raise
    facts = analysis.sound_id, analysis.sound.seconds, time.monotonic() - start, worked_s
    logger.info("analyse sound=%s length_s=%.2f took_s=%.2f worked_s=%.2f", *facts)
    return analysis


@contextmanager
def turn_on_page(name: str, label: str) -> Iterator[Checkpoint]:
    """Wait for the viewer's turn to work on one of their clips, and show that.

    Args:
        name: What to call the clip.
        label: What to show while it is worked on.

    Yields:
        A checkpoint to call during the work. It raises `WorkStopped` if that takes too long.
    """
    with ExitStack() as spinner:
        report = _page_report(label, _spinner_in(spinner))
        with services.analysis_queue().turn(current_requester(), report) as turn:
            yield turn.limited_to(services.settings().max_work_seconds, name)


def analyse_in_background(
    name: str, data: bytes, requester: Requester, report: Progress
) -> Analysis:
    """Analyse a file that is about to be published, in a thread of its own.

    Args:
        name: What to call it.
        data: The file's bytes.
        requester: Whose turn in the queue it takes.
        report: Receives the stage.

    Raises:
        AudioError: The file cannot be decoded.
        WorkStopped: It takes too long.
    """

    def report_place(place: int) -> None:
        report("Waiting for the server to be free" if place else "Analysing", 0.0)

    limits = AudioLimits.from_settings(services.settings())
    return analyse(name, data, services.predictor(), limits, requester, report_place)


def _reason(end: BaseException) -> str:
    """Return for the log what has ended the work; Streamlit's own ways are no `Exception`."""
    if isinstance(end, Exception):
        return type(end).__name__
    context = get_script_run_ctx(suppress_warning=True)
    if context is None or not runtime.exists():
        return type(end).__name__
    is_there = runtime.get_instance().is_active_session(context.session_id)
    return "page drawn again" if is_there else "person left"


def _page_report(label: str, show: Show) -> Report:
    """Return a report that shows the place in the queue, or the label once it is reached.

    It ends the run where the page was left or is drawn again.
    """
    shown = ""

    def report(place: int) -> None:
        nonlocal shown
        state.end_superseded_run()
        text = _queue_text(place) if place else label
        if text != shown:
            show(text)
            shown = text

    return report


def _queue_text(place: int) -> str:
    if place == 1:
        return "The server is busy. Your clip is next ..."
    return f"The server is busy. {plural(place - 1, 'clip')} before yours ..."


def _spinner_in(stack: ExitStack) -> Show:
    """Return a function that shows a text with a spinner, until the next one or the stack's end."""

    def show(text: str) -> None:
        stack.close()
        stack.enter_context(st.spinner(text))

    return show


@contextmanager
def _remembered_outcome(key: str, limits: AudioLimits) -> Iterator[None]:
    """Remember a refusal: the clip is not analysed again for it."""
    try:
        yield
    except (AudioError, WorkStopped) as error:
        refusals = {old: value for old, value in state.refused_clips.get().items() if old != key}
        refusals[key] = Refusal(limits, type(error), str(error))
        state.refused_clips.set(dict([*refusals.items()][-MAX_REMEMBERED_REFUSALS:]))
        raise


def _raise_refusal(key: str, limits: AudioLimits) -> None:
    """Raise the error of a clip that this session was refused under the same limits."""
    refusal = state.refused_clips.get().get(key)
    if refusal and refusal.limits == limits:
        raise refusal.kind(refusal.reason)


def _tried_clip(key: str, analysis: Analysis) -> TriedClip:
    media = services.temporary_media()
    audio = media.put(analysis.preview, "ogg")
    return TriedClip(key, analysis, audio, media.put(analysis.spectrogram, "webp"))


def _is_playable(clip: TriedClip) -> bool:
    return services.temporary_media().path(clip.audio) is not None


@contextmanager
def _counted(key: str) -> Iterator[None]:
    """Count a visitor's clip once an hour, unless it is no sound file; others have no limit.

    Raises:
        TooManyClips: They have reached it.
    """
    if not auth.viewer().is_visitor:
        yield
        return
    limit, (address, visitor) = services.settings().visitor_uploads_an_hour, visitor_names()
    limits = {address: CLIPS_PER_ADDRESS * limit, visitor: limit}
    clip = f"{visitor} {key}"
    if not services.hourly_limit().spend(limits, clip):
        raise TooManyClips(
            f"Visitors can try {plural(limit, 'clip')} an hour. "
            "Sign in with Freesound, or come back later."
        )
    try:
        yield
    except AudioError:
        services.hourly_limit().give_back(limits, clip)
        raise
