"""Reading of a damaged file, and what is wrong with the way it was read."""

import math
import os
import resource
import signal
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import av
import numpy as np
import soundfile

from core.audio.decode import decode
from core.audio.detect import plan_reading
from core.audio.errors import AudioError
from core.audio.preview import MAX_PREVIEW_RATE_HZ
from core.audio.types import Recording

LENGTH_SLACK_S = 0.03
"""Of what is played."""
VORBIS_BLOCK = 512
"""FFmpeg ends a Vorbis at one of its blocks, libvorbis within."""
DECODER_SLACK_S = 0.2
"""Decoders disagree about the priming of an encoder, a frame or two."""
DECODED, UNTYPED, CRASH, HANG = "decoded", "untyped error", "crash", "hang"
FOREIGN, MEMORY, DURATION, PATH = "foreign output", "memory", "wrong duration", "path and bytes"
FAULTS = (UNTYPED, CRASH, HANG, FOREIGN, MEMORY, DURATION, PATH)
MAX_ADDRESS_SPACE_MB = 4000
"""Beyond what the process has; a file that needs more fails with a MemoryError."""
SUFFIXES = ("", ".wav", ".mp3", ".flac", ".ogg", ".m4a", ".aiff", ".raw")
_FORMATS = "wav,w64,aiff,caf,au,flac,ogg,mp3,mp2,aac,mov,mp4,m4a,matroska,webm,wv"


@dataclass(frozen=True)
class Outcome:
    """The end of reading a file.

    Attributes:
        verdict: One of `FAULTS`, `DECODED`, or the class of the error that refused it.
        detail: What is wrong.
        seconds: CPU time.
    """

    verdict: str
    detail: str = ""
    seconds: float = 0.0

    @property
    def is_fault(self) -> bool:
        """Return True for what a reader must never do."""
        return self.verdict in FAULTS


def check(data: bytes, suffix: str = "") -> Outcome:
    """Read a file from its bytes and from a path, and compare the lengths.

    Args:
        data: The file.
        suffix: Of the path.
    """
    try:
        recording = decode(data, with_preview=True)
    except AudioError as error:
        return _same_by_path(data, suffix, error)
    except Exception as error:  # the fault that is looked for
        return Outcome(UNTYPED, f"{type(error).__name__}: {error}")
    for fault in (_inconsistent_length, _length_of_preview, _length_by_others):
        detail = fault(recording)
        if detail:
            return Outcome(DURATION, detail)
    return _same_by_path(data, suffix, recording)


def _same_by_path(data: bytes, suffix: str, result: Recording | AudioError) -> Outcome:
    """Return the outcome; a fault if the file as a path is read otherwise."""
    by_path: Recording | AudioError
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"sound{suffix}"
        path.write_bytes(data)
        try:
            by_path = decode(path, name="The sound")
        except AudioError as error:
            by_path = error
        except Exception as error:
            return Outcome(UNTYPED, f"by path {type(error).__name__}: {error}")
    if isinstance(result, Recording) and isinstance(by_path, Recording):
        is_same = np.array_equal(result.samples, by_path.samples)
    else:
        is_same = type(result) is type(by_path) and str(result) == str(by_path)
    if not is_same:
        return Outcome(PATH, f"{result!r:.200} by bytes, {by_path!r:.200} by path")
    return Outcome(DECODED if isinstance(result, Recording) else type(result).__name__)


def _inconsistent_length(recording: Recording) -> str:
    """Return what is wrong between the samples and the facts."""
    if not np.isfinite(recording.samples).all():
        return "samples that are not numbers"
    if abs(recording.seconds - recording.facts.seconds) > 2 / recording.rate:
        return f"{recording.seconds:.3f} s of samples, facts of {recording.facts.seconds:.3f} s"
    return ""


def _length_of_preview(recording: Recording) -> str:
    played = _played_seconds(recording.preview)
    slack = LENGTH_SLACK_S + VORBIS_BLOCK / min(recording.facts.rate, MAX_PREVIEW_RATE_HZ)
    if abs(played - recording.seconds) > slack:
        return f"{played:.3f} s are played, {recording.seconds:.3f} s analysed"
    return ""


def _played_seconds(data: bytes) -> float:
    """Return how long FFmpeg, as browsers do, plays a file."""
    return _ffmpeg_seconds(data, "ogg")


def _length_by_others(recording: Recording) -> str:
    """Return the length that other decoders find, where the sound is longer or shorter than that.

    A shorter one is right where a note says so. FFmpeg reads an AU beyond the size that it states.
    """
    plan = plan_reading(recording.data, recording.name)
    sounds = plan.parts() if plan.links else (recording.data,)
    ffmpeg, libsndfile = sum(map(_ffmpeg_seconds, sounds)), sum(map(_libsndfile_seconds, sounds))
    mended = max(_ffmpeg_seconds(plan.data), _libsndfile_seconds(plan.data))
    longest, seconds = max(ffmpeg, libsndfile), recording.seconds
    lengths = f"{seconds:.3f} s; FFmpeg {ffmpeg:.3f}, libsndfile {libsndfile:.3f}"
    if seconds > max(longest, mended) * 1.02 + DECODER_SLACK_S and longest:
        return f"longer: {lengths}"
    is_noted = bool(recording.facts.note) or recording.facts.container == "AU"
    longest = ffmpeg if plan.ffmpeg_format else longest
    if seconds < longest * 0.98 - DECODER_SLACK_S and not is_noted:
        return f"shorter: {lengths}"
    return ""


def _ffmpeg_seconds(data: bytes, container: str | None = None) -> float:
    """Return how much FFmpeg decodes, as far as it comes."""
    options = {} if container else {"format_whitelist": _FORMATS}
    seconds = 0.0
    try:
        with av.open(BytesIO(data), "r", container, options, metadata_errors="replace") as file:
            for packet in file.demux(audio=0):
                try:
                    for frame in packet.decode():
                        seconds += frame.samples / frame.sample_rate
                except av.error.InvalidDataError:
                    continue
    except (av.error.FFmpegError, IndexError, ValueError):
        return seconds
    return seconds


class _UnseekableFile(soundfile.SoundFile):  # type: ignore[misc]  # soundfile is untyped
    """Read from start to end: libmpg123 loses its place in an MP3 when soundfile seeks."""

    def seekable(self) -> bool:
        return False


def _libsndfile_seconds(data: bytes) -> float:
    """Return how much libsndfile decodes, as far as it comes."""
    seconds = 0.0
    try:
        with _UnseekableFile(BytesIO(data)) as file:
            while len(block := file.read(1 << 15, always_2d=True)):
                seconds += len(block) / file.samplerate
    except (soundfile.LibsndfileError, TypeError, ValueError):
        return seconds
    return seconds


class Guard:
    """Watches one process that reads files: its time, its memory and what it prints.

    It takes over the process's standard output and standard error.
    """

    def __init__(self, seconds: float, megabytes: float) -> None:
        """Begin.

        Args:
            seconds: CPU time for a file; the process is killed by SIGPROF after that.
            megabytes: A file may need above what the process has.
        """
        self._seconds, self._megabytes = seconds, megabytes
        for descriptor in (1, 2):  # libmpg123 writes about every damaged frame to the second
            with tempfile.TemporaryFile() as printed:
                os.dup2(printed.fileno(), descriptor)
        warnings.simplefilter("error")  # a warning of Python's is an error of another kind
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        size = _memory_megabytes("VmSize") + MAX_ADDRESS_SPACE_MB
        if not math.isnan(size):
            resource.setrlimit(resource.RLIMIT_AS, (round(1e6 * size), round(1e6 * size)))

    def run(self, work: Callable[[], Outcome]) -> Outcome:
        """Return the outcome of the work, or the fault that is worse."""
        before, size = _memory_megabytes("VmRSS"), os.fstat(1).st_size
        _reset_peak()
        started = sum(os.times()[:2])
        signal.setitimer(signal.ITIMER_PROF, self._seconds)
        outcome = work()
        signal.setitimer(signal.ITIMER_PROF, 0)
        seconds = sum(os.times()[:2]) - started
        used = _memory_megabytes("VmHWM") - before
        if os.fstat(1).st_size > size:
            return Outcome(FOREIGN, repr(os.pread(1, 300, size)), seconds)
        if used > self._megabytes:
            return Outcome(MEMORY, f"{used:.0f} MB ({outcome.verdict})", seconds)
        return Outcome(outcome.verdict, outcome.detail, seconds)


def _memory_megabytes(name: str) -> float:
    """Return a figure of the process's memory, where the system tells it; NaN elsewhere."""
    try:
        text = Path("/proc/self/status").read_text("ascii")
    except OSError:
        return math.nan
    return float(text.partition(f"{name}:")[2].split()[0]) / 1000


def _reset_peak() -> None:
    """Let the peak of the process's memory begin anew, where the system can."""
    try:
        Path("/proc/self/clear_refs").write_text("5", "ascii")
    except OSError:
        return
