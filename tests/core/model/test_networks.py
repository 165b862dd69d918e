"""The networks have the shapes they are named for, and hear every frame of a clip of any length."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_bundle import tiny_network
from torch import nn

from core.model.networks import WINDOWS_AT_ONCE, SeedCNN, build, fuse_batch_norm


def layers(network: nn.Module, kind: type) -> list:
    return [module for module in network.modules() if isinstance(module, kind)]


def frames(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(96, count, generator=torch.Generator().manual_seed(seed))


def test_the_seeds_network_has_four_convolutions_and_two_linear_layers():
    network = build("seed_cnn", 1000, {})

    assert [layer.out_channels for layer in layers(network, nn.Conv2d)] == [128, 128, 128, 128]
    assert {(layer.kernel_size, layer.stride) for layer in layers(network, nn.Conv2d)} == {((4, 4), (2, 2))}
    assert [(layer.in_features, layer.out_features) for layer in layers(network, nn.Linear)] == [(128 * 6 * 6, 1152), (1152, 1000)]


@torch.inference_mode()
def test_the_seeds_network_gives_logits_and_an_embedding_per_window():
    logits, embedding = build("seed_cnn", 1000, {}).eval()(torch.randn(3, 96, 96))

    assert logits.shape == (3, 1000)
    assert embedding.shape == (3, 1152)
    assert torch.isfinite(logits).all()
    assert (logits.std(dim=0) > 0).all(), "different windows must get different answers"


def test_lists_from_json_do_as_arguments():
    network = build("seed_cnn", 5, {"channels": [2, 3, 4, 5], "hidden": 7, "window": 128, "hop": 64})

    assert [layer.out_channels for layer in layers(network, nn.Conv2d)] == [2, 3, 4, 5]
    assert network(torch.randn(2, 96, 128)).logits.shape == (2, 5)


def test_unknown_names_and_arguments_are_refused():
    with pytest.raises(KeyError, match="transformer"):
        build("transformer", 5, {})
    with pytest.raises(TypeError, match="depth"):
        build("seed_cnn", 5, {"depth": 12})


@given(count=st.integers(96, 6000), hop=st.integers(1, 96))
@settings(deadline=None)
def test_windows_cover_every_frame_and_the_last_is_flush_with_the_end(count, hop):
    starts = SeedCNN(1, (1, 1, 1, 1), 1, hop=hop).window_starts(count)

    assert starts[0] == 0
    assert starts[-1] == count - 96
    assert all(0 < later - earlier <= hop for earlier, later in itertools.pairwise(starts))


def test_a_clip_of_one_window_or_less_has_one_window():
    for count in (1, 95, 96):
        assert tiny_network().window_starts(count) == [0]


@torch.inference_mode()
def test_clips_scored_together_get_the_answers_they_get_alone():
    network = tiny_network()
    clips = [frames(count, seed) for seed, count in enumerate((96, 97, 96 + 48 * WINDOWS_AT_ONCE, 500, 96 + 48 * WINDOWS_AT_ONCE + 5, 143))]
    assert sum(len(network.window_starts(clip.shape[1])) for clip in clips) > 2 * WINDOWS_AT_ONCE

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
        torch.testing.assert_close(scores.logits[index], network(patch).logits[0], atol=1e-5, rtol=1e-4)


@torch.inference_mode()
def test_fusing_the_batch_norms_changes_no_answer():
    network, patches = tiny_network(), torch.randn(6, 96, 96)

    fused = fuse_batch_norm(network)

    assert not layers(fused, nn.BatchNorm2d)
    assert len(layers(network, nn.BatchNorm2d)) == 4, "the original is left as it was"
    for ours, theirs in zip(fused(patches), network(patches), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


def test_the_network_can_learn():
    torch.manual_seed(1)
    network = SeedCNN(1, (4, 4, 4, 4), 8, dropout=0.0)
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
