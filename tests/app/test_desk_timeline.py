"""Levels over time in review mode: where they are drawn, and which parts have a tag."""

import numpy as np
import pytest

from app.components.desk.timeline import parts_of, timeline_rows
from core.events.types import Suggestion

DOG = Suggestion(tag="dog", probability=0.9, above_threshold=True)
RAIN = Suggestion(tag="rain", probability=0.1, above_threshold=False)


def frames(count: int, seconds: float = 0.5) -> np.ndarray:
    starts = seconds * np.arange(count)
    return np.stack([starts, starts + seconds], axis=1)


def test_digital_silence_has_no_level_and_belongs_to_no_part():
    levels = np.array([[0.0, 0.0], [0.9, 0.3], [0.0, 0.0], [0.0, 0.0], [0.8, 0.2], [0.0, 0.0]])
    dog, rain = timeline_rows([DOG, RAIN], frames(6), levels, {"dog": 0.0, "rain": 0.0})
    assert dog["levels"] == [[0.5, 1.0, 0.9], [2.0, 2.5, 0.8]]
    assert dog["parts"] == [(0.5, 1.0), (2.0, 2.5)]
    assert rain["levels"] == [[0.5, 1.0, 0.3], [2.0, 2.5, 0.2]]


def test_windows_that_overlap_meet_halfway():
    times = np.array([[0.0, 2.0], [1.0, 3.0], [2.0, 4.0]])
    [row] = timeline_rows([DOG], times, np.array([[0.1], [0.9], [0.2]]), {"dog": 0.5})
    assert row["levels"] == [[0.0, 1.5, 0.1], [1.5, 2.5, 0.9], [2.5, 4.0, 0.2]]
    assert row["parts"] == [(1.5, 2.5)]


def test_near_parts_are_one_and_far_ones_are_not():
    levels = np.array([0.9, 0.1, 0.9, 0.1, 0.1, 0.1, 0.9])
    assert parts_of(frames(7, 0.3), levels, 0.5) == [(0.0, 0.9), (1.8, 2.1)]


def test_a_suggested_tag_of_which_no_frame_is_sure_has_a_part_all_the_same():
    levels = np.array([[0.1], [0.3], [0.05]])
    [row] = timeline_rows([DOG], frames(3), levels, {"dog": 0.5})
    assert row["parts"] == [(0.5, 1.0)]
    not_suggested = DOG.model_copy(update={"above_threshold": False})
    [row] = timeline_rows([not_suggested], frames(3), levels, {"dog": 0.5})
    assert row["parts"] == []


@pytest.mark.parametrize(("times", "levels"), [(None, None), (frames(0), np.zeros((0, 2)))])
def test_a_sound_without_levels_has_rows_with_probabilities_only(times, levels):
    dog, rain = timeline_rows([DOG, RAIN], times, levels, {"dog": 0.5})
    assert (dog["levels"], dog["parts"], dog["probability"]) == ([], [], 0.9)
    assert (dog["threshold"], rain["threshold"]) == (0.5, None)
