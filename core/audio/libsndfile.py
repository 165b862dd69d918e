"""Decoding through libsndfile: WAV, FLAC, Ogg (Vorbis, Opus), MP3, AIFF and the like."""

import io
import re
from collections.abc import Iterator

import soundfile

from core.audio.detect import truncated, unreadable
from core.audio.types import AudioFacts, AudioLimits, Block, OpenedSound, check_header

BLOCK_SAMPLES = 1 << 18
"""Of all channels; decoding and encoding them takes less than two tenths of a second."""
MP3_LENGTH_SLACK_S = 0.2
"""Writers of MP3 headers disagree by a few frames (26 ms each) about what counts."""


class BytesFile(io.BytesIO):
    """A file in memory that, like one on disk, refuses a seek before its start quietly."""

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move, or stay where the position would be negative."""
        try:
            return super().seek(offset, whence)
        except ValueError:
            return self.tell()


class _UnseekableFile(soundfile.SoundFile):  # type: ignore[misc]  # soundfile is untyped
    """Read from start to end: a seek after every read makes libmpg123 lose its place in an MP3."""

    def seekable(self) -> bool:
        return False


def open_blocks(data: bytes, name: str, limits: AudioLimits) -> OpenedSound:
    """Open a file that libsndfile reads.

    Raises:
        AudioError: The header shows what is wrong; errors of the samples come with the blocks.
    """
    try:
        file = _UnseekableFile(BytesFile(data))
    except (soundfile.LibsndfileError, TypeError) as error:
        raise unreadable(data, name) from error
    seconds = file.frames / max(1, file.samplerate)
    facts = AudioFacts(file.format, file.samplerate, file.channels, seconds)
    check_header(facts, name, limits)
    if _found_less_than_stated(file.extra_info):
        raise truncated(name)
    return OpenedSound(facts, _blocks(file, name), data)


def _found_less_than_stated(report: str) -> bool:
    """Return True if libsndfile reports less sound than announced.

    It would read on as if that were the whole.
    """
    pattern = r"^ *(?:data|SSND|Data Size|riff) *: (\d+) \(should be (\d+)\)"
    sizes = re.findall(pattern, report, re.MULTILINE)
    stated_counts = re.findall(r"'ds64' chunk of (\d+)", report)
    found_counts = re.findall(r"Calculated frame count (\d+)", report)
    pairs = [*sizes, *zip(stated_counts, found_counts, strict=False)]
    return any(int(stated) > int(read) for stated, read in pairs)


def _blocks(file: soundfile.SoundFile, name: str) -> Iterator[Block]:
    """Yield blocks until the file ends.

    Raises:
        TruncatedAudio: It ends too soon.
    """
    done, block_frames = 0, max(1, BLOCK_SAMPLES // file.channels)
    with file:
        while done < file.frames:
            try:
                frames = min(block_frames, file.frames - done)
                block = file.read(frames, dtype="float32", always_2d=True)
            except soundfile.LibsndfileError as error:
                raise truncated(name) from error
            if not len(block):
                break
            done += len(block)
            yield block
    slack = MP3_LENGTH_SLACK_S * file.samplerate if file.format == "MP3" else 0
    if done + slack < file.frames:
        raise truncated(name)
