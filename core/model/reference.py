"""What a model's predictions look like on its own data: the reference that drift is measured from.

It is kept in a bundle's metrics.json under `reference`, which may be absent.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

HIGHEST_BINS = 20
"""Bins of equal width for the highest probability of a clip."""
_DIGITS = 6


class Reference(TypedDict):
    """A summary of predictions.

    Attributes:
        clips: How many were predicted.
        highest: Number of clips by bin of their highest probability.
        embedding_mean: Of each dimension; empty where no embeddings were given.
        embedding_variance: Of each dimension.
    """

    clips: int
    highest: list[int]
    embedding_mean: list[float]
    embedding_variance: list[float]


@dataclass(frozen=True)
class ParsedReference:
    """A reference that was checked.

    Attributes:
        clips: How many were predicted.
        highest: int64 [bins], clips by bin of their highest probability.
        mean: float64 [size], of the embeddings; of size 0 where there are none.
        variance: float64 [size].
    """

    clips: int
    highest: NDArray[np.int64]
    mean: NDArray[np.float64]
    variance: NDArray[np.float64]


def summary(
    highest: NDArray[np.floating], embeddings: NDArray[np.floating] | None = None
) -> Reference:
    """Summarise a model's predictions of clips that are like its training data.

    Args:
        highest: The highest probability of each clip, [clips]; NaN where nothing was predicted.
        embeddings: Of unit length, [clips, size].
    """
    known = highest[np.isfinite(highest)]
    bins = np.minimum((known * HIGHEST_BINS).astype(np.int64), HIGHEST_BINS - 1)
    counts = np.bincount(bins, minlength=HIGHEST_BINS)
    vectors = np.zeros((0, 0)) if embeddings is None else np.asarray(embeddings, np.float64)
    return {
        "clips": len(highest),
        "highest": counts.tolist(),
        "embedding_mean": _rounded(vectors.mean(axis=0)) if len(vectors) else [],
        "embedding_variance": _rounded(vectors.var(axis=0)) if len(vectors) else [],
    }


def read_reference(metrics: Mapping[str, object]) -> ParsedReference | None:
    """Return the reference in a bundle's metrics; None where there is none that can be used."""
    values = metrics.get("reference")
    if not isinstance(values, Mapping):
        return None
    try:
        parsed = ParsedReference(
            clips=int(values["clips"]),
            highest=np.array(values["highest"], np.int64),
            mean=np.array(values.get("embedding_mean", []), np.float64),
            variance=np.array(values.get("embedding_variance", []), np.float64),
        )
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    is_whole = parsed.highest.shape == (HIGHEST_BINS,) and (parsed.highest >= 0).all()
    fits = parsed.mean.ndim == 1 and parsed.mean.shape == parsed.variance.shape
    is_finite = np.isfinite(parsed.mean).all() and (parsed.variance >= 0).all()
    return parsed if is_whole and fits and is_finite else None


def _rounded(values: NDArray[np.float64]) -> list[float]:
    return [float(f"{value:.{_DIGITS}g}") for value in values]
