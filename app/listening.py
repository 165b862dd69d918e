"""Listening to people's own clips: once per clip, no more at a time than there are cores, and within a visitor's limits."""

import hashlib
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import streamlit as st

from app import browser, session, tries
from app.player import Heard
from app.text import clock, plural
from core import media
from core.errors import EarmarkError
from core.freesound import publishing
from core.id2prediction import ModelRef, Suggestion
from core.model import audio
from core.model.audio import AudioFacts, AudioLimits
from core.tagging import sidecar, suggestions

HOUR_S = 3600
CLIPS_KEPT = 3
FROM_ONE_ADDRESS = 10
"""So many times a visitor's limit may come from one network address: a school has one for all its classes."""


class TooManyClips(EarmarkError):
    """A visitor who has had enough listened to for an hour."""


@dataclass(frozen=True)
class Listened:
    """One clip, listened to. `key` is a SHA-256 of name and content; `audio` and `picture` are names in the store of tried clips."""

    key: str
    name: str
    facts: AudioFacts
    suggestions: tuple[Suggestion, ...]
    heard: Heard
    audio: str
    picture: str
    vocabulary: tuple[str, ...]
    model: ModelRef

    @property
    def facts_in_words(self) -> str:
        facts = self.facts
        return f"{clock(facts.seconds)} · {facts.container} · {facts.rate / 1000:g} kHz · {facts.channels} ch"


class Slots:
    """So many may listen at a time; the rest wait in turn and are told so."""

    def __init__(self, slots: int) -> None:
        self._free = threading.BoundedSemaphore(slots)
        self._lock, self._waiting = threading.Lock(), 0

    @contextmanager
    def one(self, tell: Callable[[int], None]) -> Iterator[None]:
        """A slot. `tell` hears how many are waiting, this one included, if there is a queue."""
        if not self._free.acquire(blocking=False):
            with self._lock:
                self._waiting += 1
            try:
                tell(self._waiting)
                self._free.acquire()
            finally:
                with self._lock:
                    self._waiting -= 1
        try:
            yield
        finally:
            self._free.release()


class HourlyLimit:
    """How often something was done in the last hour, by whom. `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._times: dict[str, deque[float]] = {}

    def spend(self, limits: dict[str, int]) -> bool:
        """Count one for each name, if none of them has reached its limit."""
        now = self._clock()
        with self._lock:
            self._forget(now)
            if any(len(self._times.get(name, ())) >= most for name, most in limits.items()):
                return False
            for name in limits:
                self._times.setdefault(name, deque()).append(now)
            return True

    def _forget(self, now: float) -> None:
        for name, times in list(self._times.items()):
            while times and times[0] <= now - HOUR_S:
                times.popleft()
            if not times:
                del self._times[name]


@st.cache_resource(show_spinner=False)
def slots() -> Slots:
    """The server's slots: one per core."""
    return Slots(os.cpu_count() or 1)


@st.cache_resource(show_spinner=False)
def hourly_limit() -> HourlyLimit:
    """The server's count of visitors' clips."""
    return HourlyLimit()


def limits() -> AudioLimits:
    """What the viewer may have listened to."""
    chosen = session.settings()
    if session.viewer().is_visitor:
        return AudioLimits(chosen.max_seconds, min(chosen.max_megabytes, chosen.visitor_megabytes))
    return chosen.limits


def listen(name: str, data: bytes) -> Listened:
    """What the model hears, remembered for as long as the session shows the same clip. Raises `AudioError` and `TooManyClips`."""
    key = hashlib.sha256(name.encode() + data).hexdigest()
    tagger, model = session.tagger()
    remembered: dict[str, Listened] = st.session_state.setdefault("listened", {})
    clip = remembered.get(key)
    if clip is None or clip.model != model or tries.store().path(clip.audio) is None:
        _count_visitors_clip()
        with st.spinner("Listening ..."), slots().one(_tell_queue):
            clip = remembered[key] = _listen(key, name, data, tagger, model)
        for old in list(remembered)[:-CLIPS_KEPT]:
            del remembered[old]
    return clip


def hear_to_publish(name: str, data: bytes, tell: Callable[[int], None]) -> publishing.Heard:
    """What Earmark keeps of a clip that is published: listened to anew, as it may be a part. Raises `AudioError`.

    `tell` hears how many are waiting, if there is a queue.
    """
    tagger, model = session.tagger()
    with slots().one(tell):
        waveform = audio.load(data, name=name, limits=session.settings().limits)
        tagging = tagger.tag(waveform)
        facts = waveform.source
        return publishing.Heard(
            model=model,
            top=suggestions(tagging),
            seconds=facts.seconds,
            container=facts.container,
            rate=facts.rate,
            channels=facts.channels,
            ogg=media.playable_ogg(data, name, session.settings().limits),
            webp=media.spectrogram_webp(tagging.log_mel),
            arrays=sidecar(tagging),
        )


def _listen(key: str, name: str, data: bytes, tagger, model: ModelRef) -> Listened:
    allowed, store = limits(), tries.store()
    waveform = audio.load(data, name=name, limits=allowed)
    tagging = tagger.tag(waveform)
    columns = [tagger.vocabulary.index(one.tag) for one in tagging.top]
    return Listened(
        key=key,
        name=name,
        facts=waveform.source,
        suggestions=suggestions(tagging),
        heard=Heard(tagging.times, tagging.activations[:, columns]),
        audio=store.put(media.playable_ogg(data, name, allowed), "ogg"),
        picture=store.put(media.spectrogram_webp(tagging.log_mel), "webp"),
        vocabulary=tagger.vocabulary,
        model=model,
    )


def _count_visitors_clip() -> None:
    """Raises `TooManyClips` for a visitor who has reached the limit; others have none."""
    if not session.viewer().is_visitor:
        return
    most = session.settings().visitor_uploads_an_hour
    names = {f"address {st.context.ip_address}": FROM_ONE_ADDRESS * most, f"browser {browser.browser_id()}": most}
    if not hourly_limit().spend(names):
        raise TooManyClips(f"Visitors can have {plural(most, 'clip')} an hour listened to. Sign in with Freesound, or come back later.")


def _tell_queue(waiting: int) -> None:
    others = "one clip" if waiting == 1 else f"{waiting} clips"
    st.toast(f"The server is listening to others just now; {others} in the queue, yours among them.", icon=":material/hourglass_top:")
