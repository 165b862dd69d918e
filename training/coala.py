"""Training on COALA: both recipes on the same patches, in one table with the prototype's scores."""

from collections.abc import Sequence
from dataclasses import replace

from core.model.bundle import Bundle
from training.datasets.coala import PATCH_FRAMES, Coala
from training.datasets.types import trained_facts
from training.pipeline import PROTOTYPE_SCORES
from training.recipes import RECIPES, Recipe
from training.tables import markdown_table, score_cell

BATCH_SIZE = 256
SCORES = {
    "pr_auc_macro": "PR-AUC macro",
    "pr_auc_micro": "PR-AUC micro",
    "roc_auc_macro": "ROC-AUC macro",
    "roc_auc_micro": "ROC-AUC micro",
    "exact_match_accuracy": "exact match",
}


def coala_recipe(name: str, coala: Coala) -> Recipe:
    """Return a recipe by name, fitted to patches of 96 frames.

    The prototype's network scales them by time column, as they were published.
    """
    recipe = RECIPES[name]
    if name == "prototype":
        columns = {"scale": coala.scaler.scale.tolist(), "offset": coala.scaler.offset.tolist()}
        arguments = recipe.arguments | columns
        return replace(recipe, architecture="prototype_cnn_columns", arguments=arguments)
    return replace(
        recipe,
        arguments=recipe.arguments | {"window": PATCH_FRAMES},
        repeats_per_epoch=1,
        batch_size=BATCH_SIZE,
        patch_frames=PATCH_FRAMES,
    )


def results_table(bundles: Sequence[Bundle]) -> str:
    """Return the bundles' scores on COALA's test part as Markdown, below the prototype's."""
    columns = ("model", "network", "scaling", "seed", "best epoch", "patches", *SCORES.values())
    scores = [score_cell(PROTOTYPE_SCORES[name]) for name in SCORES]
    rows = [("student prototype, as published", "", "", "", "", "", *scores)]
    for bundle in bundles:
        trained, recipe = trained_facts(bundle), trained_facts(bundle)["recipe"]
        scores = [score_cell(bundle.metrics["overall"][name]) for name in SCORES]
        epoch = f"{trained['best_epoch']} of {recipe['epochs']}"
        facts = (bundle.name, bundle.architecture, trained["scaling"], str(recipe["seed"]), epoch)
        rows.append((*facts, str(bundle.metrics["clips"]), *scores))
    return f"COALA test:\n\n{markdown_table(columns, rows)}"
