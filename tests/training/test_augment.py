import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.model.logmel import COALA, FLOOR
from training import augment

seeds = st.integers(0, 2**32 - 1)


def ramp(bands: int, frames: int) -> np.ndarray:
    """Log-mel in which every frame has its own number."""
    return np.tile(np.arange(frames, dtype=np.float32), (bands, 1))


@given(seeds, st.integers(1, 200), st.integers(1, 120))
@settings(deadline=None)
def test_a_crop_is_a_stretch_of_the_clip_or_the_whole_clip_in_silence(seed, length, width):
    patch = augment.crop(ramp(3, length), width, np.random.default_rng(seed))
    assert patch.shape == (3, width)
    heard = patch[0][patch[0] > FLOOR]
    assert len(heard) == min(length, width)
    np.testing.assert_array_equal(np.diff(heard), 1)
    assert (patch[:, patch[0] <= FLOOR] == np.float32(FLOOR)).all()


def test_crops_reach_both_ends_of_a_clip():
    random = np.random.default_rng(0)
    starts = {int(augment.crop(ramp(2, 20), 16, random)[0, 0]) for _ in range(200)}
    assert starts == set(range(5))


def test_a_short_clip_is_placed_at_any_point_of_its_window():
    random = np.random.default_rng(0)
    places = {int(np.argmax(augment.crop(np.zeros((2, 3), np.float32), 6, random)[0] == 0)) for _ in range(200)}
    assert places == {0, 1, 2, 3}


def test_crops_avoid_the_silence_of_a_clip_that_is_mostly_silent():
    clip = np.full((4, 400), FLOOR, np.float32)
    clip[:, 100:250] = 0.0
    random = np.random.default_rng(1)

    def loud_share(patch: np.ndarray) -> float:
        return float((patch.max(axis=0) > augment.SILENT).mean())

    chosen = [loud_share(augment.crop(clip, 50, random)) > 0.25 for _ in range(300)]
    blind = [loud_share(clip[:, start : start + 50]) > 0.25 for start in random.integers(351, size=300)]
    assert np.mean(blind) < 0.6
    assert np.mean(chosen) > 0.9


def test_a_clip_of_nothing_but_silence_is_cropped_all_the_same():
    patch = augment.crop(np.full((4, 40), FLOOR, np.float32), 10, np.random.default_rng(0))
    assert patch.shape == (4, 10)


@given(seeds, st.floats(0.1, 40))
@settings(deadline=None)
def test_gain_shifts_a_patch_by_so_many_decibels_at_most_and_never_below_silence(seed, most_db):
    patch = np.linspace(FLOOR, 3, 60, dtype=np.float32).reshape(6, 10)
    louder = augment.gain(patch, np.random.default_rng(seed), most_db)
    assert (louder >= np.float32(FLOOR)).all()
    shift = float(louder[-1, -1] - patch[-1, -1])
    np.testing.assert_allclose(louder, np.maximum(patch + shift, FLOOR), atol=1e-4)
    assert abs(20 * np.log10(np.exp(shift))) <= most_db + 1e-3


def test_a_gain_of_twenty_decibels_is_ten_times_the_magnitude():
    assert np.exp(20 * augment.NEPER_PER_DB) == pytest.approx(10)


def test_gains_use_the_range_in_both_directions():
    random, patch = np.random.default_rng(0), np.zeros((1, 1), np.float32)
    decibels = [20 * np.log10(np.exp(float(augment.gain(patch, random)[0, 0]))) for _ in range(300)]
    assert min(decibels) < -9
    assert max(decibels) > 9


@given(seeds, st.integers(0, 12), st.integers(0, 16))
@settings(deadline=None)
def test_masks_change_one_block_of_bands_and_one_of_frames_and_nothing_else(seed, bands, frames):
    patch = np.random.default_rng(seed).standard_normal((24, 32)).astype(np.float32)
    masked = augment.mask(patch, np.random.default_rng(seed), bands, frames)
    changed = masked != patch
    rows, columns = np.flatnonzero(changed.all(axis=1)), np.flatnonzero(changed.all(axis=0))
    assert len(rows) <= bands
    assert len(columns) <= frames
    assert (np.diff(rows) == 1).all()
    assert (np.diff(columns) == 1).all()
    untouched = np.ones_like(changed)
    untouched[rows], untouched[:, columns] = False, False
    np.testing.assert_array_equal(masked[untouched], patch[untouched])
    np.testing.assert_allclose(masked[~untouched], patch.mean(), rtol=1e-4)


def test_masking_leaves_the_original_alone():
    patch = np.random.default_rng(0).standard_normal((96, 96)).astype(np.float32)
    before = patch.copy()
    masked = augment.mask(patch, np.random.default_rng(1))
    np.testing.assert_array_equal(patch, before)
    assert (masked != before).any()


def batch(seed: int, clips: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return random.standard_normal((clips, 3, 4)).astype(np.float32), (random.random((clips, 5)) < 0.4).astype(np.float32)


def test_without_mixing_nothing_changes_and_no_random_number_is_used():
    patches, labels = batch(0, 6)
    random = np.random.default_rng(0)
    mixed, targets = augment.mixup(patches, labels, random, 0)
    np.testing.assert_array_equal(mixed, patches)
    np.testing.assert_array_equal(targets, labels)
    assert random.bit_generator.state == np.random.default_rng(0).bit_generator.state


@given(seeds, st.floats(0.1, 5))
@settings(deadline=None)
def test_shares_of_a_mix_sum_to_one_and_the_clip_itself_has_the_larger(seed, alpha):
    marks = np.eye(8, dtype=np.float32)
    mixed, shares = augment.mixup(marks[:, :, None], marks, np.random.default_rng(seed), alpha)
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(mixed[:, :, 0], shares, rtol=1e-5)
    assert (np.diagonal(shares) >= 0.5 - 1e-6).all()


def test_labels_are_mixed_like_their_patches():
    patches, labels = batch(4, 8)
    mixed, targets = augment.mixup(patches, labels, np.random.default_rng(4), 0.3)
    _, shares = augment.mixup(np.eye(8, dtype=np.float32)[:, :, None], np.eye(8, dtype=np.float32), np.random.default_rng(4), 0.3)
    np.testing.assert_allclose(targets, shares @ labels, atol=1e-5)
    np.testing.assert_allclose(mixed, np.tensordot(shares, patches, 1), atol=1e-5)


def test_sounds_without_tags_are_silence_hiss_tones_and_sweeps_as_log_mel():
    sounds = augment.sounds_without_tags(COALA, np.random.default_rng(0), count=3, seconds=2.0)
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
