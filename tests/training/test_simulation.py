"""The table of what corrections are worth, and the files that it is stored in."""

import csv
import json

import pytest

from core.settings import ROOT
from training.retraining.simulation import COLUMNS, ORDERS, STEPS, summary

RESULTS = ROOT / "docs" / "results"


def row(seed, order, corrections, gain):
    scores = {"champion": "0.8", "challenger": f"{0.8 + gain:.4f}", "gain": f"{gain:.4f}"}
    facts = {"seed": seed, "order": order, "corrections": corrections}
    return dict.fromkeys(COLUMNS, "") | facts | scores


def test_gains_are_averaged_over_the_seeds_with_their_least_and_greatest():
    rows = [row("1", "random", "100", 0.01), row("2", "random", "100", 0.03)]
    (mean,) = summary(rows)
    assert (mean["seeds"], mean["gain"], mean["sd"]) == ("2", "0.0200", "0.0141")
    assert (mean["low"], mean["high"]) == ("0.0100", "0.0300")


@pytest.fixture(scope="module")
def runs():
    lines = (RESULTS / "loop_runs.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_the_stored_table_is_the_mean_of_the_stored_runs(runs):
    with (RESULTS / "loop.csv").open(newline="", encoding="utf-8") as file:
        assert list(csv.DictReader(file)) == summary(runs)


def test_the_app_has_the_same_table():
    copy = ROOT / "app" / "assets" / "loop.csv"
    assert copy.read_bytes() == (RESULTS / "loop.csv").read_bytes()


def test_every_order_was_tried_with_every_number_of_corrections(runs):
    tried = {(run["order"], int(run["corrections"])) for run in runs}
    assert tried == {("none", 0)} | {(order, step) for order in ORDERS for step in STEPS}


def test_corrections_are_worth_more_than_further_training_alone(runs):
    gains = {(line["order"], line["corrections"]): float(line["gain"]) for line in summary(runs)}
    for order in ORDERS:
        assert gains[order, "300"] > gains["none", "0"]
