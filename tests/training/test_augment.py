import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.model.logmel import COALA, FLOOR
from training import augment
from training.batches import SILENCE, PatchSampler
from training.datasets.types import Frames

CPU = torch.device("cpu")
seeds = st.integers(0, 2**32 - 1)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def ramp(frames: int, first: float = 0.0) -> np.ndarray:
    """Log-mel in which every frame has its own number."""
    return np.tile(first + np.arange(frames, dtype=np.float32), (3, 1))


def noise(n: int, bands: int = 24, frames: int = 32, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, bands, frames, generator=generator(seed))


def cut(clips: list[np.ndarray], indices: list[int], width: int, seed: int = 0) -> np.ndarray:
    sampler = PatchSampler(Frames.joined(clips), CPU)
    return sampler.cut(torch.tensor(indices), width, generator(seed)).numpy()


@given(seeds, st.integers(1, 200), st.integers(1, 120))
@settings(deadline=None, max_examples=60)
def test_a_stretch_is_a_part_of_its_own_clip_or_the_whole_clip_in_silence(seed, length, width):
    patches = cut([ramp(70, 500), ramp(length), ramp(70, 900)], [1, 1], width, seed)
    assert patches.shape == (2, 3, width)
    for patch in patches:
        sounding = patch[0][patch[0] > FLOOR + 1]
        assert len(sounding) == min(length, width)
        assert sounding.max() <= length
        np.testing.assert_array_equal(np.diff(sounding), 1)
        assert (patch[:, patch[0] <= FLOOR + 1] == np.float32(FLOOR)).all()


def test_stretches_reach_both_ends_of_a_clip():
    patches = cut([ramp(20)], [0] * 300, 16)
    assert {int(patch[0, 0]) for patch in patches} == set(range(5))


def test_a_short_clip_is_placed_at_any_point_of_its_window():
    patches = cut([np.zeros((2, 3), np.float32)], [0] * 200, 6)
    assert {int(np.argmax(patch[0] == 0)) for patch in patches} == {0, 1, 2, 3}


def test_stretches_avoid_the_silence_of_a_clip_that_is_mostly_silent():
    clip = np.full((4, 400), FLOOR, np.float32)
    clip[:, 100:250] = 0.0
    patches = cut([clip], [0] * 300, 50, seed=1)
    assert np.mean([(patch.max(axis=0) > SILENCE).mean() > 0.25 for patch in patches]) > 0.9


def test_a_memory_map_is_read_where_it_lies(tmp_path):
    path = tmp_path / "frames"
    np.arange(30 * 4, dtype=np.float16).reshape(30, 4).tofile(path)
    mapped = Frames(np.memmap(path, np.float16, "r", shape=(30, 4)), np.array([0, 10, 30]))
    patches = PatchSampler(mapped, CPU).cut(torch.tensor([0]), 10, generator()).numpy()
    np.testing.assert_array_equal(patches[0], mapped.clip(0))


def decibels(change: torch.Tensor) -> torch.Tensor:
    return change / augment.NEPER_PER_DB


def test_gain_shifts_each_patch_by_a_decibel_figure_of_its_own_never_below_silence():
    patches = torch.linspace(FLOOR, 3, 60).reshape(1, 6, 10).repeat(300, 1, 1)
    louder = augment.gain(patches, generator(), 10.0)
    shifts = decibels(louder[:, -1, -1] - patches[:, -1, -1])
    assert (louder >= FLOOR).all()
    assert -10 <= shifts.min() < -9 < 9 < shifts.max() <= 10
    torch.testing.assert_close(
        louder,
        (patches + shifts[:, None, None] * augment.NEPER_PER_DB).clamp(min=FLOOR),
        atol=1e-4,
        rtol=1e-4,
    )


def test_twenty_decibels_are_ten_times_the_magnitude():
    assert np.exp(20 * augment.NEPER_PER_DB) == pytest.approx(10)


def test_hiss_lies_beneath_a_share_of_the_patches_and_far_below_their_peaks():
    patches = torch.full((400, 24, 32), FLOOR)
    patches[:, 10, :16] = 0.0
    changed = augment.hiss(patches, generator(), 0.25)
    touched = (changed != patches).any(dim=2).any(dim=1)
    assert 0.15 < touched.float().mean() < 0.35
    floor = changed[touched][:, :, 16:].mean(dim=(1, 2))
    assert (floor > FLOOR + 1).all()
    assert (floor < 20 * augment.HISS_DB[1] / 20 * augment.NEPER_PER_DB + 0.5).all()


@given(seeds, st.integers(0, 12), st.integers(0, 16))
@settings(deadline=None, max_examples=40)
def test_masks_change_one_block_of_bands_and_one_of_frames_and_nothing_else(seed, bands, frames):
    patch = noise(1, seed=seed % 1000)
    before = patch.clone()
    masked = augment.mask(patch, generator(seed), bands, frames)
    assert torch.equal(patch, before), "the original is left alone"
    changed = (masked != patch)[0].numpy()
    rows, columns = np.flatnonzero(changed.all(axis=1)), np.flatnonzero(changed.all(axis=0))
    assert len(rows) <= bands
    assert len(columns) <= frames
    assert (np.diff(rows) == 1).all()
    assert (np.diff(columns) == 1).all()
    untouched = np.ones_like(changed)
    untouched[rows], untouched[:, columns] = False, False
    assert not changed[untouched].any()
    np.testing.assert_allclose(
        masked[0].numpy()[~untouched], float(patch.mean()), rtol=1e-3, atol=1e-5
    )


def test_synthetic_negatives_are_silence_hiss_tones_and_sweeps_as_log_mel():
    sounds = augment.synthetic_negatives(COALA, np.random.default_rng(0), count=3, seconds=2.0)
    assert len(sounds) == 12
    assert {sound.shape for sound in sounds} == {(96, COALA.frames(44_000))}
    assert {sound.dtype for sound in sounds} == {np.dtype(np.float32)}
    assert all(np.isfinite(sound).all() and sound.min() >= FLOOR - 1e-3 for sound in sounds)
    silence, hiss, tone, sweep = sounds[:4]
    np.testing.assert_allclose(silence, FLOOR, atol=1e-3)
    assert (hiss.max(axis=0) - hiss.min(axis=0)).mean() < 6
    loudest = tone[:, 5:-5].argmax(axis=0)
    assert np.ptp(loudest) <= 1
    assert np.ptp(sweep[:, 5:-5].argmax(axis=0)) > 3
