"""The model card: a template filled from the model's own files and from stored results."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

from core.files import write_atomic
from core.model.bundle import Bundle
from core.model.windows import CLIP_COLUMN_FRAMES, COLUMN_FRAMES
from training.datasets.types import trained_facts
from training.errors import ResultsError
from training.fine_tuning.thresholds import LABEL_FLOOR
from training.pipeline import PROTOTYPE_SCORES
from training.recipes import RECIPES
from training.tables import markdown_table, score_cell

TEMPLATE = Path(__file__).with_name("model_card.md.template")
SCORES = ("pr_auc", "roc_auc", "precision", "recall")


def write_model_card(bundle: Bundle, results: Path, out: Path) -> None:
    """Write the model card.

    Args:
        bundle: The model.
        results: Folder with a CSV file for each table of experiments.
        out: The file to write.

    Raises:
        ResultsError: A table that the template names is missing, or the card cannot be written.
    """
    values = model_values(bundle) | stored_tables(results)
    try:
        text = Template(TEMPLATE.read_text("utf-8")).substitute(values)
        write_atomic(out, text.encode())
    except KeyError as error:
        raise ResultsError(
            f"{results} has no {error.args[0]}.csv, which the card needs."
        ) from error
    except OSError as error:
        raise ResultsError(f"{out} cannot be written ({error.strerror}).") from error


def stored_tables(folder: Path) -> dict[str, str]:
    """Return the folder's CSV files as Markdown tables, by name without suffix."""
    tables = {}
    for path in sorted(folder.glob("*.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            columns, *rows = csv.reader(file)
        tables[path.stem] = markdown_table(columns, rows)
    return tables


def model_values(bundle: Bundle) -> dict[str, str]:
    """Return the template's values that the bundle gives."""
    network, spec = bundle.network(), bundle.front_end
    parameters = sum(parameter.numel() for parameter in network.parameters())
    size_bytes = sum(path.stat().st_size for path in bundle.folder.iterdir())
    metrics, column_frames = bundle.metrics, COLUMN_FRAMES
    if bundle.architecture == "efficientat_mn":
        column_frames = CLIP_COLUMN_FRAMES
    intervals = metrics["intervals"]["recordings"]
    reliability = metrics["reliability"]
    return (
        _training_values(trained_facts(bundle))
        | _tag_values(bundle)
        | {
            "name": bundle.name,
            "architecture": bundle.architecture,
            "parameters": f"{parameters / 1e6:.2f}",
            "size_mb": f"{size_bytes / 1e6:.1f}",
            "tag_count": str(len(bundle.vocabulary)),
            "window": str(network.window),
            "window_s": f"{spec.seconds(network.window):.2f}",
            "hop_s": f"{spec.seconds(network.hop):.2f}",
            "column_s": f"{spec.seconds(column_frames):.2f}",
            "loop_s": f"{spec.seconds(bundle.loop_frames):.0f}",
            "label_floor": score_cell(LABEL_FLOOR),
            "peak_db": f"{spec.peak_db:g}",
            "pooling": bundle.pooling,
            "license": str(bundle.description["license"]),
            "data": str(bundle.description["data"]),
            "test_clips": str(metrics["clips"]),
            "test_recordings": str(metrics["recordings"]),
            "scores": _scores_table(metrics["overall"]),
            "interval_macro": _interval(intervals["pr_auc_macro"]),
            "interval_micro": _interval(intervals["pr_auc_micro"]),
            "per_tag": _per_tag_table(bundle),
            "ece": f"{reliability['ece']:.4f}",
            "reliability": _reliability_table(reliability),
            "prototype_macro": score_cell(PROTOTYPE_SCORES["pr_auc_macro"]),
            "prototype_micro": score_cell(PROTOTYPE_SCORES["pr_auc_micro"]),
        }
    )


def _training_values(trained: Mapping[str, Any]) -> dict[str, str]:
    """Return the values about recipe and split."""
    settings = RECIPES["earmark"].training_settings
    counts = (
        f"{clips} clips of {trained['recordings'][name]} recordings ({name})"
        for name, clips in trained["clips"].items()
    )
    return {name: f"{value:g}" for name, value in settings.items()} | {
        "best_epoch": str(trained.get("best_epoch", "–")),
        "tuning_epochs": str(trained.get("epochs", "–")),
        "made_from": str(trained.get("from", "nothing; it was trained from scratch.")),
        "split_counts": ", ".join(counts),
        "other_counts": str(trained.get("other_sounds", 0)),
    }


def _tag_values(bundle: Bundle) -> dict[str, str]:
    """Return the values about the vocabulary."""
    own = trained_facts(bundle).get("own_tags", bundle.vocabulary)
    others = [tag for tag in bundle.vocabulary if tag not in own]
    return {
        "tags": ", ".join(bundle.vocabulary),
        "own_count": str(len(own)),
        "own_tags": ", ".join(own),
        "other_tags": ", ".join(others),
    }


def _scores_table(overall: Mapping[str, float | None]) -> str:
    rows = [(name.replace("_", " "), score_cell(value)) for name, value in overall.items()]
    return markdown_table(("score", "value"), rows)


def _interval(low_high: Sequence[float] | None) -> str:
    return " to ".join(score_cell(value) for value in low_high or ())


def _per_tag_table(bundle: Bundle) -> str:
    """Return the scores of each tag that clips are labelled with, the best first."""
    precise = bundle.metrics["thresholds"]["precision_0.9"]
    tags = zip(bundle.metrics["per_tag"].items(), bundle.calibration.threshold, strict=True)
    rows = []
    for (tag, scores), threshold in sorted(tags, key=lambda row: -(row[0][1]["pr_auc"] or 0)):
        if not scores["clips"]:
            continue
        cells = [score_cell(scores[name]) for name in SCORES]
        support = (str(scores["clips"]), str(scores["recordings"]))
        thresholds = (score_cell(float(threshold)), score_cell(precise[tag]))
        rows.append((tag, *cells, *support, *thresholds))
    scores_head = ("PR-AUC", "ROC-AUC", "precision", "recall", "clips", "recordings")
    return markdown_table(("tag", *scores_head, "threshold", "threshold for precision .9"), rows)


def _reliability_table(reliability: Mapping[str, Any]) -> str:
    columns = (reliability["predicted"], reliability["observed"], reliability["count"])
    rows = [
        (score_cell(predicted), score_cell(observed), f"{count:,}")
        for predicted, observed, count in zip(*columns, strict=True)
    ]
    return markdown_table(("predicted probability", "observed share", "decisions"), rows)
