"""The network of EfficientAT takes the published weights, and answers per clip and per column."""

from pathlib import Path

import numpy as np
import pytest
import torch

from core.audio.decode import decode
from core.model.efficientat import AudioSetNetwork, GreatestOfGroups, channels_of
from core.model.export import to_onnx
from core.model.front_end import network_frames
from core.model.inference import ClipNetwork, _session
from core.model.logmel import AUDIOSET, log_mel
from core.model.networks import EfficientAT, build
from core.model.windows import clip_pieces, without_long_silence
from tests.helpers.small_bundle import with_batch_statistics
from training.pretrained import convert, load_pretrained

TYPING, KEYBOARD = 384, 386
"""AudioSet's labels of somebody who types."""
SMALL = {"width": 0.1, "labels": 7, "hidden": 5, "head_tags": 2, "bands": 64}
LOOP_FRAMES = 200
SOURCES = [[0], [7], [1, 2, 3, 4, 5], [8], [2, 6], [5]]


@pytest.fixture(scope="module")
def published(pretrained_file, tmp_path_factory) -> AudioSetNetwork:
    """The published network."""
    return load_pretrained(convert(pretrained_file, tmp_path_factory.mktemp("mn04") / "weights"))


@pytest.fixture(scope="module")
def small() -> EfficientAT:
    """A network with little to compute, whose batch norms do something."""
    torch.manual_seed(0)
    network = build("efficientat_mn", len(SOURCES), {**SMALL, "sources": SOURCES})
    assert isinstance(network, EfficientAT)
    return with_batch_statistics(network).eval()


@pytest.fixture(scope="module")
def repeating(small) -> EfficientAT:
    """The same network, but that short clips are repeated."""
    arguments = {**SMALL, "sources": SOURCES, "loop_frames": LOOP_FRAMES}
    network = build("efficientat_mn", len(SOURCES), arguments)
    assert isinstance(network, EfficientAT)
    network.load_state_dict(small.state_dict())
    return network.eval()


def patches(count: int, frames: int, bands: int = 64) -> torch.Tensor:
    return torch.randn(count, bands, frames, generator=torch.Generator().manual_seed(frames))


def test_the_published_weights_fit_to_the_last_name(published):
    assert sum(parameter.numel() for parameter in published.parameters()) == 983_599
    assert published.channels == 384
    assert published.hidden_size == 512


@torch.inference_mode()
def test_the_published_network_knows_what_it_was_taught(published, clips):
    file = clips / "audio" / "esc50-2-104168-A.ogg"  # somebody types on a keyboard
    frames = (log_mel(scaled_to_peak(file), AUDIOSET) + 4.5) / 5

    probabilities = torch.sigmoid(published(torch.from_numpy(frames)[None]).labels[0])

    assert probabilities.argmax() in (TYPING, KEYBOARD)


def scaled_to_peak(path: Path) -> np.ndarray:
    samples = decode(path, rate=AUDIOSET.rate).samples
    return samples * np.float32(0.9 / np.abs(samples).max())


@pytest.mark.parametrize(
    ("channels", "width", "expected"),
    [(16, 0.4, 8), (24, 0.4, 16), (40, 0.4, 16), (112, 0.4, 48), (160, 0.4, 64), (960, 0.4, 384)],
)
def test_widths_are_multiples_of_eight(channels, width, expected):
    assert channels_of(channels, width) == expected


@torch.inference_mode()
@pytest.mark.parametrize("frames", [96, 100, 127, 128, 129, 400, 512])
def test_a_short_clip_is_one_window_with_a_column_for_32_frames(small, frames):
    (scores,) = small.score_clips([patches(1, frames)[0]])

    assert scores.logits.shape == (1, len(SOURCES))
    assert scores.embedding.shape == (1, small.embedding_size)
    assert scores.columns.shape == (-(-frames // 32), len(SOURCES))


@torch.inference_mode()
def test_clips_do_not_depend_on_their_neighbours(small):
    clips = patches(3, 200)

    together = small(clips, torch.arange(7)[None])
    alone = small.score_clips(list(clips))

    for number, scores in enumerate(alone):
        for values, expected in zip(scores, together, strict=True):
            torch.testing.assert_close(values, expected[number], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("frames", [513, 544, 545, 1000, 1024, 1025, 1057, 60_000])
def test_pieces_of_a_long_recording_give_every_column_once(frames):
    pieces = clip_pieces(frames)

    assert pieces[0].frames.start == 0
    assert pieces[-1].frames.stop == frames
    assert sum(piece.columns.stop for piece in pieces) == -(-frames // 32)
    seen = set()
    for piece in pieces:
        first, columns = (
            piece.frames.start // 32,
            -(-(piece.frames.stop - piece.frames.start) // 32),
        )
        assert piece.frames.start % 32 == 0
        assert piece.frames.stop - piece.frames.start <= 1024
        assert piece.windows.min() == 0
        assert piece.windows.max() == columns - 1
        seen |= set((piece.windows + first).flatten().tolist())
    assert seen == set(range(-(-frames // 32)))


@torch.inference_mode()
def test_long_recordings_have_windows(small):
    clip = patches(1, 700)[0]

    (scores,) = small.score_clips([clip])

    assert scores.logits.shape == (3, len(SOURCES))
    assert scores.columns.shape == (22, len(SOURCES))
    second = small(clip[None], torch.arange(6, 18)[None])
    torch.testing.assert_close(scores.logits[1], second.logits[0, 0])


@torch.inference_mode()
def test_a_tag_has_the_greatest_logit_of_its_sources(small):
    clips = patches(2, 150)
    features = small.body(clips)
    outputs = torch.cat([features.labels, small.head(features)], dim=1)

    expected = torch.stack([outputs[:, source].amax(dim=1) for source in SOURCES], dim=1)

    torch.testing.assert_close(small(clips, torch.arange(5)[None]).logits[:, 0], expected)


def test_groups_of_any_size_keep_their_order():
    groups = [list(range(size)) for size in (5, 1, 16, 2, 9, 17, 1)]
    values = torch.arange(20.0).expand(3, 4, 20)

    greatest = GreatestOfGroups(groups)(values)

    assert greatest.shape == (3, 4, 7)
    assert greatest[2, 1].tolist() == [4, 0, 15, 1, 8, 16, 0]


@pytest.mark.parametrize(
    "wrong",
    [
        {"sources": SOURCES[:-1]},
        {"sources": [*SOURCES[:-1], []]},
        {"sources": [*SOURCES[:-1], [9]]},
        {"sources": [*SOURCES[:-1], [-1]]},
        {"bands": 16},
        {"hop": 16},
        {"width": 0.0},
    ],
)
def test_networks_that_cannot_be_are_refused(wrong):
    with pytest.raises(ValueError, match="efficientat_mn needs"):
        build("efficientat_mn", len(SOURCES), {**SMALL, "sources": SOURCES, **wrong})


def test_onnx_runtime_gives_the_same_scores_for_clips_of_any_length(small):
    graph = ClipNetwork(_session("small", to_onnx(small), threads=1), small.window)
    clips = [patches(1, frames)[0] for frames in (96, 131, 500, 1300)]

    with torch.inference_mode():
        expected = small.score_clips(clips)
    for scores, actual in zip(expected, graph.score([c.numpy() for c in clips]), strict=True):
        for values, exported in zip(scores, actual, strict=True):
            np.testing.assert_allclose(exported, values.numpy(), atol=1e-4, rtol=1e-4)


def silenced(frames: int, silent: slice) -> np.ndarray:
    sounding = np.ones(frames, bool)
    sounding[silent] = False
    return sounding


@torch.inference_mode()
def test_silence_before_a_sound_is_left_out_and_its_columns_get_no_tag(small):
    clip, sounding = patches(1, 1280)[0], silenced(1280, slice(0, 608))

    (alone,), (scores,) = small.score_clips([clip[:, 608:]]), small.score_clips([clip], [sounding])

    torch.testing.assert_close(scores.logits, alone.logits)
    torch.testing.assert_close(scores.columns[19:], alone.columns)
    assert (torch.sigmoid(scores.columns[:19]) < 1e-6).all()


@pytest.mark.parametrize("frames", [96, 131, 320, 1290, 5000])
@pytest.mark.parametrize(
    "silences", [[(0, 40)], [(50, 5000)], [(0, 90), (100, 5000)], [(100, 900), (1000, 1100)]]
)
def test_all_that_sounds_is_scored_and_little_silence(frames, silences):
    sounding = np.ones(frames, bool)
    for silence in silences:
        sounding[slice(*silence)] = False

    part = without_long_silence(frames, 96, sounding)

    if part is None:
        assert sounding.all() or not sounding.any()
        return
    assert set(np.flatnonzero(sounding)) <= set(part.frames)
    assert np.array_equal(part.sounding, sounding[part.frames])
    assert len(part.frames) == min(frames, 96) or len(part.frames) >= 64
    silent_columns = [
        column for column in part.columns if not sounding[32 * column : 32 * column + 32].any()
    ]
    assert len(silent_columns) <= 2 + 3 * len(silences)


@torch.inference_mode()
@pytest.mark.parametrize("masked", [False, True])
def test_a_short_clip_is_scored_as_if_it_went_on_again_and_again(small, repeating, masked):
    clip = patches(1, 110)[0]
    mask = [np.ones(110, bool)] if masked else None

    (scores,) = repeating.score_clips([clip], mask)

    (expected,) = small.score_clips([torch.cat([clip, clip[:, :90]], dim=1)])
    torch.testing.assert_close(scores.logits, expected.logits)
    torch.testing.assert_close(scores.columns, expected.columns[:4])


@torch.inference_mode()
@pytest.mark.parametrize("frames", [LOOP_FRAMES, LOOP_FRAMES + 1, 700])
def test_a_longer_clip_is_scored_as_it_is(small, repeating, frames):
    clip = patches(1, frames)[0]
    for scores, expected in zip(
        repeating.score_clips([clip])[0], small.score_clips([clip])[0], strict=True
    ):
        torch.testing.assert_close(scores, expected)


@torch.inference_mode()
def test_only_what_sounds_is_repeated(small, repeating):
    clip, sounding = patches(1, 320)[0], silenced(320, slice(128, None))

    (scores,) = repeating.score_clips([clip], [sounding])

    (expected,) = repeating.score_clips([clip[:, :128]])
    torch.testing.assert_close(scores.logits, expected.logits)
    assert (scores.columns[4:] < -20).all()
    assert (scores.columns[:4] > -20).all()


def test_onnx_runtime_repeats_short_clips_alike(repeating):
    graph = ClipNetwork(_session("small", to_onnx(repeating), threads=1), 96, LOOP_FRAMES)
    clips = [patches(1, frames)[0] for frames in (96, 130, 199, 200)]
    masks = [silenced(96, slice(30, None)), np.ones(130, bool), silenced(199, slice(50, 180)), None]
    for clip, mask in zip(clips, masks, strict=True):
        own = None if mask is None else [mask]
        with torch.inference_mode():
            expected = repeating.score_clips([clip], own)[0]
        for values, wanted in zip(graph.score([clip.numpy()], own)[0], expected, strict=True):
            np.testing.assert_allclose(values, wanted.numpy(), atol=1e-4)


@torch.inference_mode()
def test_silence_does_not_dilute_a_short_clip(small):
    clip, sounding = patches(1, 128)[0], silenced(128, slice(64, None))

    (scores,) = small.score_clips([clip], [sounding])

    first_half = small(clip[None], torch.tensor([[0, 1]]))
    torch.testing.assert_close(scores.logits, first_half.logits[0])


def test_onnx_runtime_leaves_the_same_silence_out(small):
    graph = ClipNetwork(_session("small", to_onnx(small), threads=1), small.window)
    clip, calls = patches(1, 1300)[0], []
    # The mask may be shorter than a clip that was filled up to a window.
    masks = [silenced(1300, slice(0, 600)), silenced(1290, slice(300, 900)), np.zeros(1300, bool)]

    with torch.inference_mode():
        expected = small.score_clips([clip] * 3, masks)
    answers = graph.score([clip.numpy()] * 3, masks, lambda: calls.append(None))

    for scores, actual in zip(expected, answers, strict=True):
        assert len(actual.frame_logits) == len(graph.spans(1300)) == 41
        for values, exported in zip(scores, actual, strict=True):
            np.testing.assert_allclose(exported, values.numpy(), atol=1e-4, rtol=1e-4)
    assert len(calls) >= 3


def test_a_long_recording_has_the_frames_of_the_whole():
    samples = np.random.default_rng(0).normal(0, 0.1, 25 * AUDIOSET.rate).astype(np.float32)
    samples *= np.float32(0.9 / np.abs(samples).max())

    frames = network_frames(samples, AUDIOSET)

    np.testing.assert_allclose(frames, log_mel(samples, AUDIOSET), atol=1e-4)
