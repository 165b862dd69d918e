"""The networks have the shapes they are named for, and use every frame of any clip."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from core.model.networks import (
    FRAMES_BATCH_SIZE,
    WINDOWS_BATCH_SIZE,
    EarmarkCNN,
    Network,
    PrototypeCNN,
    build,
    fuse_batch_norm,
)
from tests.helpers.small_bundle import tiny_network, with_batch_statistics


def layers(network: nn.Module, kind: type) -> list:
    return [module for module in network.modules() if isinstance(module, kind)]


def frames(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(96, count, generator=torch.Generator().manual_seed(seed))


def test_the_prototype_has_four_convolutions_and_two_linear_layers():
    network = build("prototype_cnn", 1000, {})

    assert [layer.out_channels for layer in layers(network, nn.Conv2d)] == [128, 128, 128, 128]
    assert {(layer.kernel_size, layer.stride) for layer in layers(network, nn.Conv2d)} == {
        ((4, 4), (2, 2))
    }
    assert [(layer.in_features, layer.out_features) for layer in layers(network, nn.Linear)] == [
        (128 * 6 * 6, 1152),
        (1152, 1000),
    ]


@torch.inference_mode()
def test_the_prototype_gives_logits_and_an_embedding_per_window():
    logits, embedding = build("prototype_cnn", 1000, {}).eval()(torch.randn(3, 96, 96))

    assert logits.shape == (3, 1000)
    assert embedding.shape == (3, 1152)
    assert torch.isfinite(logits).all()
    assert (logits.std(dim=0) > 0).all(), "different windows must get different answers"


def test_lists_from_json_do_as_arguments():
    network = build(
        "prototype_cnn", 5, {"channels": [2, 3, 4, 5], "hidden": 7, "window": 128, "hop": 64}
    )

    assert [layer.out_channels for layer in layers(network, nn.Conv2d)] == [2, 3, 4, 5]
    assert network(torch.randn(2, 96, 128)).logits.shape == (2, 5)


def test_unknown_names_and_arguments_are_refused():
    with pytest.raises(KeyError, match="transformer"):
        build("transformer", 5, {})
    with pytest.raises(TypeError, match="depth"):
        build("prototype_cnn", 5, {"depth": 12})


@given(count=st.integers(96, 6000), hop=st.integers(1, 96))
@settings(deadline=None)
def test_windows_cover_every_frame_and_the_last_ends_with_the_clip(count, hop):
    starts = PrototypeCNN(1, (1, 1, 1, 1), 1, hop=hop).window_starts(count)

    assert starts[0] == 0
    assert starts[-1] == count - 96
    assert all(0 < later - earlier <= hop for earlier, later in itertools.pairwise(starts))


def test_a_clip_no_longer_than_a_window_has_a_single_window():
    for count in (1, 95, 96):
        assert tiny_network().window_starts(count) == [0]


@torch.inference_mode()
def test_clips_scored_together_get_the_answers_they_get_alone():
    network = tiny_network()
    clips = [
        frames(count, seed)
        for seed, count in enumerate(
            (96, 97, 96 + 48 * WINDOWS_BATCH_SIZE, 500, 96 + 48 * WINDOWS_BATCH_SIZE + 5, 143)
        )
    ]
    assert sum(len(network.window_starts(clip.shape[1])) for clip in clips) > 2 * WINDOWS_BATCH_SIZE

    together = network.score(clips)

    assert len(together) == len(clips)
    for clip, scores in zip(clips, together, strict=True):
        [alone] = network.score([clip])
        assert scores.logits.shape == (len(network.window_starts(clip.shape[1])), 3)
        torch.testing.assert_close(scores.logits, alone.logits, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(scores.embedding, alone.embedding, atol=1e-5, rtol=1e-4)


@torch.inference_mode()
def test_each_windows_score_is_that_of_its_own_frames():
    network, clip = tiny_network(), frames(400)

    [scores] = network.score([clip])

    for index, start in enumerate(network.window_starts(400)):
        patch = clip[:, start : start + 96].unsqueeze(0)
        torch.testing.assert_close(
            scores.logits[index], network(patch).logits[0], atol=1e-5, rtol=1e-4
        )


@torch.inference_mode()
def test_fusing_the_batch_norms_changes_no_answer():
    network, patches = tiny_network(), torch.randn(6, 96, 96)

    fused = fuse_batch_norm(network)

    assert not layers(fused, nn.BatchNorm2d)
    assert len(layers(network, nn.BatchNorm2d)) == 4, "the original is left as it was"
    for actual, expected in zip(fused(patches), network(patches), strict=True):
        torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-4)


def test_the_network_can_learn():
    torch.manual_seed(1)
    network = PrototypeCNN(1, (4, 4, 4, 4), 8, dropout=0.0)
    patches = torch.cat([torch.randn(8, 96, 96) + 1, torch.randn(8, 96, 96) - 1])
    targets = torch.cat([torch.ones(8, 1), torch.zeros(8, 1)])
    optimiser = torch.optim.Adam(network.parameters(), lr=0.01)
    losses = []
    for _ in range(15):
        loss = nn.functional.binary_cross_entropy_with_logits(network(patches).logits, targets)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())

    assert losses[-1] < 0.2 * losses[0]
    assert np.isfinite(losses).all()


# --- Earmark's own architecture


def tiny_earmark() -> Network:
    torch.manual_seed(7)
    return with_batch_statistics(EarmarkCNN(3, (4, 4, 6, 8), hidden=7))


def test_earmarks_network_is_small_enough_to_ship():
    network = build("earmark_cnn", 45, {})
    parameters = sum(parameter.numel() for parameter in network.parameters())

    assert 0.9e6 < parameters < 1.3e6
    assert 2 * parameters < 6e6, "half precision on disk"
    assert {layer.kernel_size for layer in layers(network, nn.Conv2d)} == {(3, 3)}


@pytest.mark.parametrize(
    "arguments",
    [
        {"window": 100},
        {"hop": 10},
        {"channels": (1, 2, 3)},
        {"bands": 8},
        {"hidden": 0},
        {"window": 0},
    ],
    ids=str,
)
def test_arguments_that_earmarks_network_cannot_have_are_refused(arguments):
    with pytest.raises(ValueError, match="earmark_cnn needs"):
        build("earmark_cnn", 3, arguments)


@torch.inference_mode()
def test_a_patch_of_any_length_is_a_window():
    network = tiny_earmark()
    for count in (1, 15, 96, 144, 333):
        logits, embedding = network(torch.randn(2, 96, count))
        assert logits.shape == (2, 3)
        assert embedding.shape == (2, 7)
        assert torch.isfinite(logits).all()


@torch.inference_mode()
@given(count=st.integers(96, 700))
@settings(deadline=None, max_examples=25)
def test_a_clip_of_earmarks_network_has_a_score_for_each_window(count):
    network = tiny_earmark()
    [scores] = network.score([frames(count)])
    assert scores.logits.shape == (len(network.window_starts(count)), 3)
    assert scores.embedding.shape == (len(network.window_starts(count)), 7)


@torch.inference_mode()
def test_a_clip_of_a_single_window_scores_as_the_patch_does():
    network, clip = tiny_earmark(), frames(96)
    [scores] = network.score([clip])
    torch.testing.assert_close(
        scores.logits[0], network(clip.unsqueeze(0)).logits[0], atol=1e-5, rtol=1e-4
    )


@torch.inference_mode()
def test_clips_scored_together_by_earmarks_network_get_the_answers_they_get_alone():
    network = tiny_earmark()
    clips = [
        frames(count, seed)
        for seed, count in enumerate((96, 430, 97, 430, 2 * FRAMES_BATCH_SIZE + 77, 143, 430))
    ]
    for clip, scores in zip(clips, network.score(clips), strict=True):
        [alone] = network.score([clip])
        torch.testing.assert_close(scores.logits, alone.logits, atol=1e-5, rtol=1e-4)


@torch.inference_mode()
@pytest.mark.parametrize(
    "count", [FRAMES_BATCH_SIZE + 1, FRAMES_BATCH_SIZE + 16, 2 * FRAMES_BATCH_SIZE + 333]
)
def test_a_long_clip_goes_through_in_pieces_without_a_seam(count, monkeypatch):
    network, clip = tiny_earmark(), frames(count)
    [in_pieces] = network.score([clip])
    monkeypatch.setattr("core.model.networks.FRAMES_BATCH_SIZE", 10**9)
    [at_once] = network.score([clip])
    torch.testing.assert_close(in_pieces.logits, at_once.logits, atol=1e-4, rtol=1e-3)


@torch.inference_mode()
def test_what_lies_far_away_cannot_reach_a_window_and_its_own_frames_can():
    network, clip = tiny_earmark(), frames(800)
    [before] = network.score([clip])
    starts = network.window_starts(800)
    changed = clip.clone()
    changed[:, 400:416] += 5
    [after] = network.score([changed])
    touched = (before.logits != after.logits).any(dim=1)
    for start, is_touched in zip(starts, touched.tolist(), strict=True):
        if start + 96 + 80 < 400 or start - 80 > 416:
            assert not is_touched, start
        if start <= 400 and start + 96 >= 416:
            assert is_touched, start


@torch.inference_mode()
def test_fusing_the_batch_norms_of_earmarks_network_changes_no_answer():
    network, clip = tiny_earmark(), frames(300)
    fused = fuse_batch_norm(network)
    assert not layers(fused, nn.BatchNorm2d)
    torch.testing.assert_close(
        fused.score([clip])[0].logits, network.score([clip])[0].logits, atol=1e-5, rtol=1e-4
    )


@torch.inference_mode()
@pytest.mark.parametrize("count", [97, 129, 145, 160])
def test_the_end_of_a_silent_clip_is_no_event(count):
    """Frames that are missing from the last column repeat the last frame."""
    network = tiny_earmark()
    silence = torch.full((96, count), -3.0)
    whole = torch.full((96, -(-count // 16) * 16), -3.0)
    torch.testing.assert_close(
        network.score([silence])[0].logits[-1],
        network.score([whole])[0].logits[-1],
        atol=1e-5,
        rtol=1e-4,
    )
