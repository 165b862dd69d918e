"""The model card says what the model's files and the stored results say."""

import csv
import json
import shutil
from pathlib import Path
from statistics import mean

import pytest

from core.model import bundle
from training.errors import ResultsError
from training.model_card import stored_tables, write_model_card

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "docs" / "results"


def runs(prefix: str) -> list[dict]:
    lines = (RESULTS / "runs.jsonl").read_text("utf-8").splitlines()
    return [run for run in map(json.loads, lines) if run["key"].startswith(prefix)]


def stored(name: str) -> dict[str, dict[str, str]]:
    """A table of the results by its first column."""
    with (RESULTS / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        return {next(iter(row.values())): row for row in csv.DictReader(file)}


def test_the_card_in_the_repository_is_the_one_that_the_command_writes(tmp_path):
    write_model_card(bundle.load(), RESULTS, tmp_path / "card.md")
    written = (tmp_path / "card.md").read_text("utf-8")
    kept = (ROOT / "docs" / "model_card.md").read_text("utf-8")
    assert written == kept, "python -m training card would change docs/model_card.md"


def test_the_card_shows_the_models_scores_and_every_stored_table(tmp_path):
    model = bundle.load()
    write_model_card(model, RESULTS, tmp_path / "card.md")
    text = (tmp_path / "card.md").read_text("utf-8")
    macro = f"{model.metrics['overall']['pr_auc_macro']:.3f}".removeprefix("0")
    assert f"| pr auc macro | {macro} |" in text
    scored = (tag for tag, row in model.metrics["per_tag"].items() if row["clips"])
    assert all(f"\n| {tag} |" in text for tag in scored)
    for name, table in stored_tables(RESULTS).items():
        assert table in text, name


def test_stored_accuracies_are_those_of_the_single_runs():
    ours = [run["scores"][run["fold"]]["accuracy"] for run in runs("esc10/earmark/")]
    assert len(ours) == 15
    row = stored("esc10")["earmark_cnn, the selected configuration"]
    assert row["accuracy, %"] == f"{100 * mean(ours):.2f}"


def test_stored_ablations_are_those_of_the_single_runs():
    table = stored("ablations")
    for name, configuration in (("earmark with mixup", "earmark"), ("no masks", "no masks")):
        single = runs(f"ablations/{configuration}/")
        scores = [run["scores"]["validation"]["pr_auc_macro"] for run in single]
        assert len(scores) == int(table[name]["seeds"])
        assert float(table[name]["PR-AUC macro"]) == pytest.approx(mean(scores), abs=6e-4)
        spread = max(scores) - min(scores)
        assert float(table[name]["spread over seeds"]) == pytest.approx(spread, abs=6e-4)


def test_results_without_a_table_are_refused_by_its_name(tmp_path):
    shutil.copytree(RESULTS, tmp_path / "results")
    (tmp_path / "results" / "esc10.csv").unlink()
    with pytest.raises(ResultsError, match=r"has no esc10\.csv"):
        write_model_card(bundle.load(), tmp_path / "results", tmp_path / "card.md")
    assert not (tmp_path / "card.md").exists()


def test_a_card_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ResultsError, match="cannot be written"):
        write_model_card(bundle.load(), RESULTS, tmp_path / "file" / "card.md")
