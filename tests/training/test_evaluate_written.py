"""Scores that are computed again and put into a bundle that exists."""

import json
import shutil

import numpy as np
import pytest
from click.testing import CliRunner
from sklearn.metrics import average_precision_score, precision_score, recall_score

from core.audio.decode import decode
from core.model import bundle as bundles
from core.model.errors import BundleError
from core.model.metrics_report import check_metrics, difference
from core.model.predictor import Predictor
from training.cli import main
from training.datasets.clips import multi_hot, read_clips
from training.errors import DatasetError, ResultsError
from training.rescoring import check_held_out, read_left_out, write_scores


@pytest.fixture
def bundle(trained, tmp_path):
    """A copy of a trained bundle that may be written to."""
    folder = tmp_path / "bundle"
    shutil.copytree(trained.folder, folder)
    return bundles.load(folder)


@pytest.fixture
def rewritten(bundle, clip_folder, tmp_path):
    """The bundle with scores that the command computed again; clips and other sounds are the same.

    The table of the study says what models without the sounds' sources did.
    """
    table = tmp_path / "open_world.csv"
    table.write_text(
        "part,sounds,wrong own tag,wrong tag,no suggestion\n1,3,0.0%,0.0%,0.0%\n"
        "all,443,19.0%,18.4%,53.0%\n"
    )
    places = {
        "--bundle": bundle.folder,
        "--data": clip_folder,
        "--others": clip_folder,
        "--left-out": table,
        "--run": tmp_path / "run",
    }
    arguments = [str(part) for pair in places.items() for part in pair]
    done = CliRunner().invoke(main, ["evaluate", *arguments, "--write"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return bundles.load(bundle.folder)


def clips_of_test(bundle, clip_folder):
    held_out = set(bundle.description["trained"]["test_recordings"])
    return [clip for clip in read_clips(clip_folder) if clip.recording in held_out]


def predictions_of_test(bundle, clip_folder):
    """Return what the product predicts of the test clips."""
    predictor = Predictor.from_folder(bundle.folder)
    return [predictor.predict(decode(clip.path)) for clip in clips_of_test(bundle, clip_folder)]


def test_a_rewritten_bundle_has_the_same_scores_and_much_more_behind_them(
    rewritten, trained, clip_folder
):
    check_metrics(rewritten)
    metrics = rewritten.metrics
    assert metrics["overall"] == pytest.approx(trained.metrics["overall"], abs=2e-3)
    assert metrics["history"] == trained.metrics["history"]
    assert metrics["details"].keys() == set(trained.vocabulary)
    assert [choice["precision"] for choice in metrics["threshold_choices"]][:2] == [None, 0.5]
    assert metrics["unknown_sounds"]["left_out"] == {
        **{"sounds": 443, "wrong_own_tag": 0.19},
        **{"wrong_tag": 0.184, "no_suggestion": 0.53},
    }
    assert metrics["unknown_sounds"]["measured"]["sounds"] == 33
    assert metrics["reference"]["clips"] == metrics["clips"]
    embeddings = np.stack([each.embedding for each in predictions_of_test(rewritten, clip_folder)])
    np.testing.assert_allclose(
        metrics["reference"]["embedding_mean"], embeddings.mean(axis=0), atol=1e-3
    )
    np.testing.assert_allclose(
        metrics["reference"]["embedding_variance"], embeddings.var(axis=0), atol=1e-3
    )


def test_scores_of_a_tag_are_scikit_learns_on_the_predictors_answers(rewritten, clip_folder):
    test = clips_of_test(rewritten, clip_folder)
    predictions = predictions_of_test(rewritten, clip_folder)
    answers = np.stack([prediction.probabilities for prediction in predictions])
    labels = multi_hot(test, rewritten.vocabulary) > 0
    for column, tag in enumerate(rewritten.vocabulary):
        truth, values = labels[:, column], answers[:, column]
        suggested = values >= rewritten.calibration.threshold[column]
        scores = rewritten.metrics["per_tag"][tag]
        assert scores["pr_auc"] == pytest.approx(average_precision_score(truth, values), abs=0.05)
        assert scores["recall"] == pytest.approx(recall_score(truth, suggested), abs=0.26)
        if suggested.any():
            precision = precision_score(truth, suggested)
            assert scores["precision"] == pytest.approx(precision, abs=0.26)


def test_errors_name_clips_of_held_out_recordings(rewritten, clip_folder):
    files = {clip.path.name: clip for clip in read_clips(clip_folder)}
    held_out = set(rewritten.description["trained"]["test_recordings"])
    for tag, detail in rewritten.metrics["details"].items():
        for kind, has in (("false_positives", False), ("false_negatives", True)):
            for example in detail[kind]:
                clip = files[example["file"]]
                assert clip.recording == example["recording"]
                assert clip.recording in held_out
                assert (tag in clip.tags) == has


def test_the_same_clips_make_versions_comparable(rewritten, trained):
    assert difference(rewritten, trained) == ""
    assert rewritten.metrics["test_data"]["fingerprint"]


def test_a_folder_that_lacks_test_recordings_is_refused_and_nothing_is_written(
    bundle, clip_folder, tmp_path
):
    held_out = set(bundle.description["trained"]["test_recordings"])
    fewer = tmp_path / "fewer"
    shutil.copytree(clip_folder, fewer)
    lines = (fewer / "clips.csv").read_text().splitlines(keepends=True)
    dropped = min(held_out)
    kept = [line for line in lines if f",{dropped}," not in line]
    assert len(kept) < len(lines)
    (fewer / "clips.csv").write_text("".join(kept))
    before = (bundle.folder / "metrics.json").read_bytes()
    with pytest.raises(DatasetError, match=f"lacks 1 of the .* {dropped}"):
        CliRunner().invoke(
            main,
            ["evaluate", "--bundle", str(bundle.folder), "--data", str(fewer), "--write"],
            catch_exceptions=False,
            standalone_mode=False,
        )
    assert (bundle.folder / "metrics.json").read_bytes() == before


def test_a_split_that_tests_on_training_recordings_is_refused(bundle, clip_folder, tmp_path):
    recordings = sorted({clip.recording for clip in read_clips(clip_folder)})
    split = tmp_path / "split.json"
    split.write_text(json.dumps({"train": [], "validation": [], "test": recordings}))
    with pytest.raises(DatasetError, match="was not held out"):
        check_held_out(bundle, clip_folder, split)


def test_a_registered_version_is_never_changed(bundle, tmp_path):
    folder = tmp_path / "models" / "tiny" / "1"
    shutil.copytree(bundle.folder, folder)
    with pytest.raises(DatasetError, match="registered"):
        write_scores(bundles.load(folder), bundle.metrics)


def test_scores_that_do_not_load_leave_the_old_ones(bundle):
    before = (bundle.folder / "metrics.json").read_bytes()
    with pytest.raises(BundleError, match="clips"):
        write_scores(bundle, bundle.metrics | {"clips": "many"})
    assert (bundle.folder / "metrics.json").read_bytes() == before


@pytest.mark.parametrize("text", ["", "part,sounds\n", "part,sounds,wrong own tag\nall,x,1%\n"])
def test_a_table_of_another_kind_is_refused(tmp_path, text):
    path = tmp_path / "table.csv"
    path.write_text(text)
    with pytest.raises(ResultsError, match="no table of unknown sounds"):
        read_left_out(path)


def test_where_a_clip_was_cut_is_read_from_clips_csv(clip_folder, tmp_path):
    folder = tmp_path / "clips"
    shutil.copytree(clip_folder, folder)
    head, *lines = (folder / "clips.csv").read_text().splitlines()
    times = ["2.5", "", "nonsense", "-1", "inf"]
    rows = [f"{line},{time}" for line, time in zip(lines, times, strict=False)]
    (folder / "clips.csv").write_text("\n".join([f"{head},start_s", *rows]))
    assert [clip.start_s for clip in read_clips(folder)] == [2.5, None, None, None, None]
