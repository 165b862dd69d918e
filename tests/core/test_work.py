"""Work that is stopped between two of its steps."""

import threading
import time

import pytest

from core.audio.decode import decode
from core.pipeline.analysis import analyse_file
from core.work import WorkStopped, WorkTooLong, limited_to, no_checkpoint, stop_after
from tests.helpers.events import V1
from tests.helpers.sound_files import tone, written


class Stop(WorkStopped):
    """Stops at a checkpoint."""


def stop_at(number: int):
    """Return a checkpoint that stops the work when it is called the so-manieth time."""
    calls = []

    def checkpoint():
        calls.append(None)
        if len(calls) == number:
            raise Stop("Enough.")

    return checkpoint, calls


def test_work_is_stopped_once_its_time_is_over_and_says_so():
    now = [100.0]
    checkpoint = stop_after(60, "rain.ogg", lambda: now[0])
    for now[0] in (100.0, 130.0, 160.0):
        checkpoint()
    now[0] = 160.1
    with pytest.raises(WorkTooLong, match=r"^rain\.ogg takes too long .* 60 s of work"):
        checkpoint()


def test_the_limit_of_a_turn_counts_the_threads_own_work_and_no_waiting():
    limit_s = 0.05
    with limited_to(limit_s)("rain.ogg") as checkpoint:
        threading.Event().wait(2 * limit_s)
        checkpoint()
        start = time.thread_time()
        while time.thread_time() - start <= limit_s:
            pass
        with pytest.raises(WorkTooLong, match=r"^rain\.ogg takes too long"):
            checkpoint()


def test_an_analysis_can_be_stopped_at_each_of_its_steps(predictor):
    data = written(tone(seconds=20))
    checkpoint, calls = stop_at(0)
    whole = analyse_file(data, "tone.wav", predictor, V1, checkpoint=checkpoint)
    assert len(calls) > 5
    for number in range(1, len(calls) + 1):
        with pytest.raises(Stop):
            analyse_file(data, "tone.wav", predictor, V1, checkpoint=stop_at(number)[0])
    again = analyse_file(data, "tone.wav", predictor, V1, checkpoint=no_checkpoint)
    assert again.suggestions == whole.suggestions


def test_what_is_decoded_is_stopped_in_the_middle():
    data = written(tone(seconds=60, channels=2))
    checkpoint, calls = stop_at(3)
    with pytest.raises(Stop):
        decode(data, checkpoint=checkpoint, with_preview=True)
    assert len(calls) == 3
