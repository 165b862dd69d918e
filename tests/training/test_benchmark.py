"""Benchmarks on a tiny folder: what is held out stays out, the manifest resumes, the card says what the manifest says."""

import csv
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import KINDS, write_clip, write_list

from core import metrics
from core.errors import EarmarkError
from training import benchmark, card, speed
from training.benchmark import FOLDS, TIERS, Data, Manifest, execute
from training.datasets import DatasetError
from training.recipes import esc10_candidates

ROOT = Path(__file__).parents[2]
TINY = {"channels": [2, 2, 2, 2], "hidden": 4}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """ESC-10 and UrbanSound8K in miniature: five folds of the one and two of the other, three kinds of sound."""
    folder, random, rows = tmp_path_factory.mktemp("folds"), np.random.default_rng(5), []
    for dataset, folds in (("esc10", FOLDS), ("us8k", (1, 2))):
        for fold in folds:
            for kind in KINDS:
                for _ in range(2):
                    name, recording = f"{dataset}-{len(rows)}.wav", str(len(rows) + 1)
                    write_clip(folder / name, kind, random)
                    rows.append(
                        {"file": name, "freesound_id": recording, "dataset": dataset, "category": kind, "fold": str(fold), "tags": kind}
                    )
    return write_list(folder, rows)


@pytest.fixture(scope="module")
def data(folder, tmp_path_factory) -> Data:
    return Data.read(folder, tmp_path_factory.mktemp("cache"))


def tiny(tasks: list[benchmark.Task]) -> list[benchmark.Task]:
    """The same tasks with networks and schedules that take no time."""
    return [
        replace(task, recipe=replace(task.recipe, epochs=1, passes=1, batch=8, arguments=task.recipe.arguments | TINY)) for task in tasks
    ]


@pytest.fixture(scope="module")
def chosen(data, tmp_path_factory) -> tuple[Path, Manifest]:
    folder = tmp_path_factory.mktemp("chosen")
    tasks = [task for task in benchmark.choose_esc10(data, TIERS["cpu"]) if task.configuration in ("base", "plain")]
    return folder, execute(tiny(tasks), data, folder)


def test_every_pair_of_folds_is_held_out_once_for_each_candidate(data):
    tasks = benchmark.choose_esc10(data, TIERS["gpu"])
    assert len(tasks) == 10 * len(esc10_candidates())
    for task in tasks:
        held = {n for part in task.tests.values() for n in part}
        assert not held & set(task.train)
        assert {data.rows[n]["fold"] for n in held} == set(task.fold.split("+"))
        assert {data.rows[n]["dataset"] for n in (*held, *task.train)} == {"esc10"}


def test_the_choice_for_a_test_fold_leaves_that_fold_out(tmp_path):
    """A candidate that shines on fold 1 alone is not taken for it; one that shines elsewhere is."""
    manifest = Manifest(tmp_path / "manifest.jsonl")
    for name in ("base", "plain"):
        for a, b in benchmark.combinations(FOLDS, 2):
            good = {fold: (name == "base") == (fold == 1) for fold in (a, b)}
            scores = {str(fold): {"accuracy": 0.9 if good[fold] else 0.5, "cross_entropy": 1.0} for fold in (a, b)}
            manifest.add({"key": f"esc10-choose/{name}/{a}+{b}/1", "state": "done", "fold": f"{a}+{b}", "scores": scores})
    assert benchmark.chosen_esc10(manifest)[1] == "plain"


def test_nothing_is_chosen_before_every_pair_was_run(tmp_path):
    with pytest.raises(EarmarkError, match="--stage choose"):
        benchmark.chosen_esc10(Manifest(tmp_path / "manifest.jsonl"))


def test_a_finished_run_is_not_run_again(chosen, data):
    folder, manifest = chosen
    before = (folder / "manifest.jsonl").read_text()
    tasks = [task for task in benchmark.choose_esc10(data, TIERS["cpu"]) if task.configuration in ("base", "plain")]
    assert len(execute(tiny(tasks), data, folder).lines) == len(manifest.lines) == 20
    assert (folder / "manifest.jsonl").read_text() == before


def test_a_line_that_was_cut_off_is_run_again(chosen, data, tmp_path):
    text = (chosen[0] / "manifest.jsonl").read_text()
    (tmp_path / "manifest.jsonl").write_text(text[:-30])
    assert len(Manifest(tmp_path / "manifest.jsonl").lines) == 19
    (tmp_path / "manifest.jsonl").write_text("no JSON\n" + text)
    with pytest.raises(EarmarkError, match="Line 1"):
        Manifest(tmp_path / "manifest.jsonl")


def test_ours_and_the_seeds_network_see_the_same_folds_for_as_long(chosen, data):
    tasks = benchmark.esc10(data, TIERS["gpu"], benchmark.chosen_esc10(chosen[1]))
    assert len(tasks) == 2 * 5 * 3
    by_run: dict[tuple[str, int], list[benchmark.Task]] = {}
    for task in tasks:
        by_run.setdefault((task.fold, task.recipe.seed), []).append(task)
    for pair in by_run.values():
        assert len({(task.train, task.recipe.epochs * task.recipe.passes, task.recipe.loss) for task in pair}) == 1
        assert {task.recipe.architecture for task in pair} == {"earmark_cnn", "seed_cnn"}


def test_one_fold_of_us8k_is_tested_by_a_network_of_the_other(data, tmp_path):
    tasks = benchmark.us8k(data, TIERS["cpu"])
    manifest = execute(tiny(tasks), data, tmp_path)
    assert {(line["configuration"], line["fold"]) for line in manifest.lines} == {
        (name, fold) for name in ("earmark", "seed", "seed_cnn, our levers") for fold in "12"
    }
    for task in tasks:
        assert {data.rows[n]["fold"] for n in task.train} | {task.fold} == {"1", "2"}
    assert all(0 <= line["scores"][line["fold"]]["pr_auc_macro"] <= 1 for line in manifest.lines)


def test_two_workers_do_what_one_does(data, tmp_path):
    tasks = tiny(benchmark.us8k(data, TIERS["cpu"])[:2])
    alone, together = execute(tasks, data, tmp_path / "one"), execute(tasks, data, tmp_path / "two", workers=2)
    assert {line["key"]: line["scores"] for line in alone.lines} == {line["key"]: line["scores"] for line in together.lines}


def test_nothing_is_begun_when_the_time_is_up(data, tmp_path):
    assert execute(tiny(benchmark.us8k(data, TIERS["cpu"])), data, tmp_path, minutes=1e-9).lines == []


def test_a_folder_without_folds_is_refused(clip_folder, tmp_path):
    with pytest.raises(DatasetError, match="dataset, category, fold"):
        Data.read(clip_folder, tmp_path)


def test_a_fold_that_is_not_there_is_named(data):
    with pytest.raises(DatasetError, match="no clips of us8k in fold 7"):
        data.where("us8k", [7])


def test_the_card_shows_the_stored_numbers_and_is_the_one_in_the_repository(tmp_path):
    card.write(ROOT / "docs" / "results", tmp_path)
    for name in ("model_card.md", "calibration.svg"):
        assert (tmp_path / name).read_text("utf-8") == (ROOT / "docs" / name).read_text("utf-8"), (
            f"python -m training card would change {name}"
        )


def test_the_cards_accuracy_is_that_of_the_manifest(tmp_path):
    lines = [json.loads(line) for line in (ROOT / "docs" / "results" / "manifest.jsonl").read_text().splitlines()]
    ours = [line["scores"][line["fold"]]["accuracy"] for line in lines if line["key"].startswith("esc10/earmark/")]
    assert len(ours) == 15
    card.write(ROOT / "docs" / "results", tmp_path)
    assert f"| earmark | **{100 * np.mean(ours):.2f}** |" in (tmp_path / "model_card.md").read_text("utf-8")


def test_a_card_without_results_is_refused(tmp_path):
    with pytest.raises(EarmarkError, match=r"manifest\.jsonl"):
        card.write(tmp_path, tmp_path)


def test_speed_is_told_for_both_networks():
    rows = list(speed.rows(patches=8, batch=4, compile_too=False))
    assert {row["network"] for row in rows} == {"earmark_cnn", "seed_cnn"}
    assert all(row["patches_per_second"] > 0 for row in rows)


def test_the_bundle_is_scored_again_from_the_command_line(trained, clip_folder, tmp_path):
    command = [
        sys.executable,
        "-m",
        "training",
        "evaluate",
        "--bundle",
        str(trained.folder),
        "--data",
        str(clip_folder),
        "--run",
        str(tmp_path),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert f"{trained.metrics['overall']['pr_auc_macro']:.3f}" in done.stdout


def test_another_pooling_is_calibrated_again_and_needs_a_split(trained, clip_folder, tmp_path):
    from training import scoring

    with pytest.raises(DatasetError, match="needs a split"):
        scoring.score_bundle(trained, clip_folder, tmp_path, pooling="max")
    with (clip_folder / "clips.csv").open(encoding="utf-8") as file:
        recordings = sorted({row["freesound_id"] for row in csv.DictReader(file)})
    test = trained.description["trained"]["test_recordings"]
    rest = [one for one in recordings if one not in test]
    split = tmp_path / "split.json"
    split.write_text(json.dumps({"train": rest[::2], "validation": rest[1::2], "test": test}))
    scores = scoring.score_bundle(trained, clip_folder, tmp_path, split, "max", out=tmp_path / "other")
    from core.model import bundle

    assert bundle.load(tmp_path / "other").pooling == "max"
    assert bundle.load(tmp_path / "other").metrics["overall"] == scores["overall"]


def test_an_interval_holds_the_score_and_is_wider_when_recordings_are_drawn():
    random = np.random.default_rng(3)
    recordings = np.repeat(np.arange(20), 10)
    labels = (random.random((20, 4)) < 0.4)[recordings]
    scores = labels + random.normal(0, 1, (20, 4))[recordings] + random.normal(0, 0.2, labels.shape)
    whole = metrics.overall(labels, scores)
    by_clip, by_recording = metrics.bootstrap(labels, scores), metrics.bootstrap(labels, scores, recordings)
    for name in ("pr_auc_macro", "pr_auc_micro"):
        for low, high in (by_clip[name], by_recording[name]):
            assert low <= whole[name] + 0.05
            assert whole[name] - 0.05 <= high
        assert np.ptp(by_recording[name]) > np.ptp(by_clip[name])
