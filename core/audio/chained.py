"""Files that hold several sounds one after the other: chained Ogg, concatenated FLAC."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeVar

import numpy as np
import soxr
from numpy.typing import NDArray

from core.audio.types import AudioFacts, AudioLimits, Block, OpenedSound, check_samples, too_long

_Number = TypeVar("_Number", bound=np.number)


def with_channels(block: NDArray[_Number], channels: int) -> NDArray[_Number]:
    """Return a block [n, any] as [n, channels]: the mean in each where their numbers differ."""
    if block.shape[1] == channels:
        return block
    with np.errstate(over="ignore", invalid="ignore"):  # what is no sound is refused later
        mean = block.mean(axis=1, keepdims=True).astype(block.dtype)
    return np.repeat(mean, channels, axis=1)


def open_links(
    links: tuple[bytes, ...],
    open_link: Callable[[bytes], OpenedSound],
    name: str,
    limits: AudioLimits,
) -> OpenedSound:
    """Open several sounds as one, at the rate and with the channels of the first.

    Args:
        links: The sounds' files.
        open_link: Opens one of them.
        name: What to call the whole in errors.
        limits: Of the whole.

    Raises:
        AudioError: The first header shows what is wrong; other errors come with the blocks.
    """
    first = open_link(links[0])
    facts = replace(first.facts, seconds=0.0)  # known when all are decoded
    return OpenedSound(facts, _blocks(first, links[1:], open_link, name, limits))


def _blocks(
    first: OpenedSound,
    others: tuple[bytes, ...],
    open_link: Callable[[bytes], OpenedSound],
    name: str,
    limits: AudioLimits,
) -> Iterator[Block]:
    """Yield the blocks of all links.

    Raises:
        TooLong: Together they are longer than the limit.
        TooManySamples: Together they have too many samples.
    """
    facts, frames = first.facts, 0
    for block in _all_blocks(first, others, open_link):
        frames += len(block)
        if frames > limits.seconds * facts.rate:
            raise too_long(name, limits)
        check_samples(facts, frames, name, limits)
        yield block


def _all_blocks(
    first: OpenedSound, others: tuple[bytes, ...], open_link: Callable[[bytes], OpenedSound]
) -> Iterator[Block]:
    yield from first.blocks
    for data in others:
        yield from _converted(open_link(data), first.facts)


def _converted(link: OpenedSound, facts: AudioFacts) -> Iterator[Block]:
    """Yield a link's blocks at the rate and with the channels of `facts`."""
    resampler = None
    if link.facts.rate != facts.rate:
        resampler = soxr.ResampleStream(
            link.facts.rate, facts.rate, facts.channels, dtype="float32", quality="HQ"
        )
    for block in link.blocks:
        fitting = np.ascontiguousarray(with_channels(block, facts.channels))
        yield resampler.resample_chunk(fitting) if resampler else fitting
    if resampler:
        yield resampler.resample_chunk(np.zeros((0, facts.channels), np.float32), last=True)
