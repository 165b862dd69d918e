"""What decoders print themselves never reaches the program's own output.

libsndfile writes about every damaged block of an SDS to stdout, libmpg123 about every damaged frame
to stderr, and FFmpeg about whatever it dislikes.
"""

import json

import numpy as np
import pytest

from tests.helpers.commands import run_module, run_script
from tests.helpers.sound_files import encoded, id3_tag, tone, written

SOUND = tone(seconds=2.0)


def damaged(data: bytes, start: float = 0.5, every: int = 400) -> bytes:
    """Return a file with every so-manieth byte changed behind a share of it."""
    changed = np.frombuffer(data, np.uint8).copy()
    changed[int(start * len(data)) :: every] ^= 0xA5
    return changed.tobytes()


def files() -> dict[str, bytes]:
    """Return damaged files by name, and SDS behind a tag, where libsndfile looks for it too."""
    sds = damaged(written(SOUND, container="SDS"), 0.1, 127)
    made = {
        "a.sds": sds,
        "behind-id3.sds": id3_tag() + sds,
        "behind-two-tags.mp3": id3_tag() + id3_tag(padding=9) + sds,
        "behind-footer.mp3": id3_tag(padding=0)[:5] + b"\x10" + id3_tag()[6:] + sds,
        "sds.wav": sds,
        "a.mp3": damaged(written(SOUND, container="MP3")),
        "lame.mp3": damaged(encoded(SOUND, 44_100, "mp3", "libmp3lame")),
        "a.aac": damaged(encoded(SOUND, 44_100, "adts", "aac")),
        "a.m4a": damaged(encoded(SOUND)),
        "a.ogg": damaged(written(SOUND, container="OGG", subtype="VORBIS"), every=900),
        "a.flac": damaged(written(SOUND, container="FLAC")),
        "a.wv": damaged(encoded(SOUND, 44_100, "wv", "wavpack")),
        "adpcm.wav": damaged(written(SOUND, subtype="IMA_ADPCM")),
        "ms-adpcm.wav": damaged(written(SOUND, subtype="MS_ADPCM"), 0.02),
        "alac.caf": damaged(written(SOUND, container="CAF", subtype="ALAC_16")),
    }
    return made


@pytest.fixture
def folder(tmp_path):
    for name, data in files().items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "whole.wav").write_bytes(written(SOUND))
    return tmp_path


def test_the_output_of_tag_has_its_own_lines_only(folder):
    paths = sorted(path for path in folder.iterdir() if path.is_file())
    result = run_module(
        "core", "tag", "--json", *paths, EARMARK_WORKSPACE=folder / "none", COLUMNS=2000
    )
    tagged = [json.loads(line) for line in result.stdout.splitlines()]
    assert str(folder / "whole.wav") in [file["file"] for file in tagged]
    own = (*(f"{path.name} " for path in paths), *(f"{path}: " for path in paths))
    assert result.returncode == 1
    for line in result.stderr.splitlines():
        assert line.startswith(own), line


def test_nothing_is_printed_where_bytes_are_decoded(folder):
    script = f"""
from pathlib import Path
from core.audio.decode import decode
from core.audio.errors import AudioError
for path in Path({str(folder)!r}).iterdir():
    try:
        decode(path.read_bytes(), name=path.name, with_preview=True)
    except AudioError:
        pass
"""
    result = run_script(script)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
