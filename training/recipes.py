"""The two ways of training: the student prototype's and Earmark's."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from core.model.pooling import Pooling


@dataclass(frozen=True)
class Recipe:
    """Everything that decides how a network is trained.

    The same recipe and the same data give the same network.

    Attributes:
        architecture: Name of the network in `core.model.networks`.
        arguments: Its arguments.
        epochs: Validations; the best epoch's network is kept.
        repeats_per_epoch: Patches drawn in an epoch, as a multiple of the number of clips.
        batch_size: Patches per step, over all processes.
        learning_rate: Highest rate: linear warm-up, then a cosine down to zero.
        weight_decay: Of the weight matrices, not of biases and batch norms.
        warm_up: Share of all steps.
        patch_frames: Width of the patches to train on; None for the network's window.
        gain_db: Patches become louder or softer by up to so many decibels.
        hiss: Share of the patches that noise is added to.
        masks: Hide one stretch of bands and one of frames in each patch.
        synthetic_negatives: Share of the patches that are replaced by sounds without tags.
        ema: Decay of the moving average of the weights; 0 for none.
        mixed_precision: Use bfloat16 on GPUs.
        pooling: From windows to the clip, in validation and in the bundle.
        seed: Of all random numbers.
    """

    architecture: str
    arguments: dict[str, Any] = field(default_factory=dict)
    epochs: int = 60
    repeats_per_epoch: int = 1
    batch_size: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    warm_up: float = 0.1
    patch_frames: int | None = None
    gain_db: float = 0.0
    hiss: float = 0.0
    masks: bool = False
    synthetic_negatives: float = 0.0
    ema: float = 0.0
    mixed_precision: bool = False
    pooling: Pooling = "mean"
    seed: int = 1

    @property
    def training_settings(self) -> dict[str, Any]:
        """Return all but what a bundle's model.json says elsewhere."""
        elsewhere = ("architecture", "arguments", "pooling")
        return {name: value for name, value in asdict(self).items() if name not in elsewhere}


PROTOTYPE = Recipe(
    architecture="prototype_cnn",
    arguments={"channels": [128, 128, 128, 128], "hidden": 1152},
)
"""The prototype's network on one 2.2 s window, trained without any augmentation."""

EARMARK = Recipe(
    architecture="earmark_cnn",
    arguments={"window": 112, "hop": 48},
    epochs=40,
    repeats_per_epoch=5,
    learning_rate=3e-3,
    weight_decay=2e-2,
    patch_frames=144,
    gain_db=6.0,
    hiss=0.15,
    masks=True,
    synthetic_negatives=1 / 16,
    ema=0.995,
    mixed_precision=True,
    pooling="top_half",
)
"""The recipe of the default model; docs/model_card.md says what the alternatives gave."""

RECIPES = {"earmark": EARMARK, "prototype": PROTOTYPE}


def customised(
    recipe: Recipe,
    seed: int,
    epochs: int | None = None,
    channels: Sequence[int] | None = None,
    hidden: int | None = None,
) -> Recipe:
    """Return the recipe with another seed, length or size of the network; None keeps a value."""
    sizes: dict[str, Any] = {}
    if channels:
        sizes["channels"] = list(channels)
    if hidden:
        sizes["hidden"] = hidden
    arguments = recipe.arguments | sizes
    return replace(recipe, seed=seed, epochs=epochs or recipe.epochs, arguments=arguments)
