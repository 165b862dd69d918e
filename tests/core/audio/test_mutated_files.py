"""Damaged files of every kind: decoded or refused in a sentence, at the right length.

A small part of what `python -m benchmarks fuzz` does, and the kinds of faults that it finds.
"""

import subprocess
import sys
import time
import warnings
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.__main__ import main
from benchmarks.fuzz import FuzzSettings, fuzz
from benchmarks.fuzz_checks import DECODED, FAULTS, HANG, MEMORY, check
from benchmarks.fuzz_files import damaged_file
from benchmarks.fuzz_kinds import whole_files
from core.audio.decode import decode
from core.audio.errors import AudioError, BadSamples
from tests.helpers.sound_files import float_wav, tone, written

ROOT = Path(__file__).parents[3]
KINDS = whole_files()
MAX_CPU_S = 5.0
SEED = 20


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_file_of_every_kind_is_decoded(kind):
    assert check(KINDS[kind]).verdict == DECODED


@pytest.mark.parametrize("start", range(0, 160, 20))
def test_damaged_files_are_decoded_at_their_length_or_refused(start):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for number in range(start, start + 20):
            damaged = damaged_file(KINDS, SEED, number)
            started = time.process_time()

            outcome = check(damaged.data)

            assert not outcome.is_fault, (number, damaged.kind, damaged.mutations, outcome)
            assert time.process_time() - started < MAX_CPU_S


@given(seed=st.integers(0, 1 << 32), number=st.integers(0, len(KINDS) - 1))
@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
def test_any_damage_leaves_samples_facts_and_preview_of_one_length(seed, number):
    damaged = damaged_file(KINDS, seed, number)
    started = time.process_time()

    try:
        recording = decode(damaged.data, with_preview=True)
    except AudioError:
        recording = None

    assert time.process_time() - started < MAX_CPU_S, damaged.mutations
    if recording:
        played = soundfile.info(BytesIO(recording.preview)).duration
        assert recording.seconds == pytest.approx(recording.facts.seconds, abs=2 / recording.rate)
        assert played == pytest.approx(recording.facts.seconds, abs=0.03), damaged.mutations
        assert np.isfinite(recording.samples).all()


def test_the_same_seed_and_number_make_the_same_file():
    assert damaged_file(KINDS, 1, 5) == damaged_file(KINDS, 1, 5)
    assert damaged_file(KINDS, 1, 5).data != damaged_file(KINDS, 2, 5).data


# --- What damaged files have shown


def test_many_channels_that_only_ffmpeg_reads_do_not_end_the_process():
    sound = tone(seconds=0.2, rate=8000, channels=64)
    data = written(sound, 8000)
    start = data.index(b"data")
    # libsndfile does not read samples that stand before their format.
    reordered = data[:12] + data[start:] + data[12:start]
    program = """
import sys
from core.audio.decode import decode
recording = decode(sys.stdin.buffer.read(), with_preview=True)
print(recording.seconds, abs(recording.samples).max())
"""

    done = subprocess.run(
        [sys.executable, "-c", program], input=reordered, cwd=ROOT, capture_output=True
    )

    assert done.returncode == 0, done.stderr
    seconds, loudest = map(float, done.stdout.split())
    assert seconds == pytest.approx(0.2, abs=0.001)
    assert loudest == pytest.approx(0.5, rel=0.05)


@pytest.mark.parametrize("sample", [np.nan, np.inf, 1e38])
def test_samples_beyond_all_sound_that_cancel_out_are_refused_without_a_warning(sample):
    stereo = np.zeros((5000, 2), np.float32)
    stereo[100] = sample, -sample

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(BadSamples):
            decode(written(stereo, 44_100, "WAV", "FLOAT"))
        with pytest.raises(BadSamples):
            decode(float_wav([0.0, float(sample)] * 100))


# --- The command


def cpu_seconds(number: int) -> float:
    """Return what reading a damaged file costs."""
    started = time.process_time()
    check(damaged_file(KINDS, 1, number).data)
    return time.process_time() - started


def test_the_command_notices_what_takes_too_long():
    check(KINDS["m4a"])  # imports what is imported late
    slowest = max(range(len(KINDS)), key=cpu_seconds)

    report = fuzz(FuzzSettings(files=1, first=slowest, workers=1, seconds=0.002))

    assert {number: outcome.verdict for number, outcome in report.faults.items()} == {slowest: HANG}


def test_the_command_notices_what_takes_too_much_memory(tmp_path):
    report = fuzz(FuzzSettings(files=1, workers=1, megabytes=-1.0, keep=tmp_path))

    assert report.verdicts == {MEMORY: 1}
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [damaged_file(KINDS, 1, 0).data]


def test_the_command_prints_what_became_of_the_files_and_ends_with_status_0():
    done = CliRunner().invoke(main, ["fuzz", "--files", "6"])

    assert done.exit_code == 0, done.output
    assert "6 damaged files" in done.output
    assert all(verdict in done.output for verdict in (DECODED, *FAULTS))
