"""Any version's scores on the metrics page: little recorded, everything recorded, and damaged."""

import csv
import io
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from app.views.metrics_model_tags import scores_csv
from core.model import bundle as bundles
from core.model.bundle import Bundle, Calibration
from core.model.errors import InvalidBundle
from core.model.metrics_report import check_metrics, difference
from core.storage.active_model import resolve_model
from core.storage.local import open_local_workspace
from tests.helpers.app_pages import open_page, shown

NEEDED = ("overall", "per_tag", "clips", "recordings", "split")


def detail() -> dict[str, object]:
    """What the tag `rain` opens to."""
    roc = {"false_positive_rate": [0, 0.5, 1], "true_positive_rate": [0, 0.9, 1]}
    example = {"file": "a.ogg", "start_s": 1.5, "probability": 0.8, "tags": ["wind"]}
    return {
        "intervals": {"pr_auc": [0.7, 0.9], "roc_auc": None, "precision": None, "recall": None},
        "curves": {"roc": roc, "precision_recall": {"recall": [0, 1], "precision": [1, 0.5]}},
        "reliability": {"ece": 0.1, "predicted": [0.1], "observed": [0.2], "count": [30]},
        "suggested": 9,
        "true_positives": 8,
        "missed_for": {"wind": 2},
        "wrong_for": {},
        "false_positives": [example | {"recording": "123"}],
        "false_negatives": [example | {"recording": "choir-pad"}],
    }


def choice(precision: float | None, suggested: int) -> dict[str, object]:
    row = {"threshold": 0.4, "precision": 0.9, "recall": 0.8, "suggested": suggested}
    counted = row | {"true_positives": suggested - 1}
    overall = counted | {"threshold": None}
    return {"precision": precision, "overall": overall, "tags": 1, "per_tag": {"rain": counted}}


EVERYTHING: dict[str, object] = {
    "test_data": {"name": "esc10, us8k", "fingerprint": "f" * 64, "tags": 45},
    "details": {"rain": detail()},
    "threshold_choices": [choice(None, 12), choice(0.9, 9)],
    "learning_curve": [
        {"recordings": 100, "pr_auc_macro": 0.7, "low": 0.6, "high": 0.8},
        {"recordings": 200, "pr_auc_macro": 0.8, "low": 0.7, "high": 0.9},
    ],
    "unknown_sounds": {
        "data": "negatives",
        "left_out": {
            **{"sounds": 443, "wrong_own_tag": 0.19},
            **{"wrong_tag": 0.18, "no_suggestion": 0.53},
        },
    },
    "history": [{"epoch": 1, "pr_auc_macro": 0.5, "pr_auc_micro": 0.6}],
}


BEFORE = set(bundles.load().metrics) - {"test_data"}
"""The entries of bundles that did not name the data they were scored on."""


def changed(folder, *, only=None, **entries) -> Bundle:
    """The default model with other entries in metrics.json."""
    shutil.copytree(bundles.DEFAULT_BUNDLE, folder)
    path = folder / "metrics.json"
    contents = json.loads(path.read_text())
    kept = {name: contents[name] for name in only or contents}
    path.write_text(json.dumps(kept | entries))
    return bundles.load(folder)


@pytest.fixture
def register(own_workspace, tmp_path):
    """Register a version of the default model with other entries in metrics.json."""

    def register(**changes):
        workspace = open_local_workspace(own_workspace)
        resolve_model(workspace)
        number = len(workspace.models.versions("earmark_default"))
        return workspace.models.register(changed(tmp_path / f"version-{number}", **changes))

    return register


@pytest.mark.parametrize("view", ["model", "nonsense", "<script>"])
def test_an_empty_workspace_shows_the_models_scores(tmp_path, app, monkeypatch, view):
    monkeypatch.setenv("EARMARK_WORKSPACE", str(tmp_path / "empty"))
    page = open_page(app, "metrics.py", view=view)
    assert "Per-tag scores" in shown(page)


def test_only_the_chosen_view_is_drawn(app):
    assert "Per-tag scores" not in shown(open_page(app, "metrics.py", view="feedback"))


def test_a_bundle_without_any_optional_entry_is_shown_and_what_it_lacks_is_said(app, register):
    model = register(only=NEEDED)
    text = shown(open_page(app, "metrics.py", version=str(model)))
    assert "Intervals are not recorded" in text
    assert text.count("Not recorded for this version.") >= 4


def test_a_version_with_everything_is_chosen_by_the_address(app, register):
    model = register(**EVERYTHING)
    page = open_page(app, "metrics.py", version=str(model))
    assert page.selectbox(key="metrics-version").value == str(model)
    text = shown(page)
    assert "Not recorded" not in text
    assert "esc10, us8k" in text.replace("\\", "")


def test_a_tag_opens_from_the_address_with_what_it_is_confused_with(app, register):
    model = register(**EVERYTHING)
    page = open_page(app, "metrics.py", version=str(model), tag="rain")
    text = shown(page)
    assert "wind (2 clips)" in text
    assert "Per-tag scores" not in text
    page.button(key="all-tags").click().run()
    assert "Per-tag scores" in shown(page)


def test_a_tag_that_is_not_scored_is_said_and_never_markup(app):
    page = open_page(app, "metrics.py", tag="[x](javascript:alert(1))")
    assert page.warning
    assert "[x](javascript" not in page.warning[0].value


def test_an_address_of_a_version_that_is_not_there_shows_the_active_one(app):
    page = open_page(app, "metrics.py", version="nobody v9", compare="nobody v8")
    assert page.selectbox(key="metrics-version").value == "earmark_default v1"


def test_a_higher_precision_leaves_fewer_suggestions(app, register):
    page = open_page(app, "metrics.py", version=str(register(**EVERYTHING)))
    page.select_slider(key="metrics-precision").set_value("90%").run()
    figures = {metric.label: metric.value for metric in page.metric}
    assert figures["Suggestions, now 12"] == "9"
    assert figures["Recall"] == "80%"


def test_a_freesound_recording_is_loaded_from_there_only_when_it_is_played(app, register):
    model = register(**EVERYTHING)
    page = open_page(app, "metrics.py", version=str(model), tag="rain")
    assert not page.get("iframe")
    page.button(key="play-wrong-0").click().run()
    assert page.get("iframe")[0].proto.src.startswith("https://freesound.org/embed/")
    keys = [button.key for button in page.button]
    assert "play-missed-0" not in keys  # its recording has no number there


@pytest.mark.parametrize(
    "entries",
    [
        {"details": {"rain": detail() | {"suggested": "many"}}},
        {"details": {"no-tag-of-it": detail()}},
        {"curves": {"roc": []}},
        {"intervals": {"recordings": {"pr_auc_macro": ["low", "high"]}}},
        {"threshold_choices": {}},
        {"unknown_sounds": {"measured": {"sounds": 3}}},
        {"baseline": ["prototype"]},
    ],
)
def test_a_damaged_metrics_json_is_one_sentence(app, register, entries):
    model = register(**entries)
    page = open_page(app, "metrics.py", version=str(model))
    assert len(page.error) == 1
    assert "metrics.json" in page.error[0].value.replace("\\", "")


def test_a_damaged_entry_is_named(tmp_path):
    bundle = changed(tmp_path / "bundle", details={"rain": detail() | {"suggested": "many"}})
    with pytest.raises(InvalidBundle, match=r"details\.rain\.suggested"):
        check_metrics(bundle)


def test_scores_compare_where_the_same_clips_and_tags_were_scored(tmp_path):
    first, second = ({"name": "", "fingerprint": each * 64, "tags": 45} for each in "ab")
    default = changed(tmp_path / "default", only=BEFORE)
    with_data = changed(tmp_path / "a", test_data=first)
    same = changed(tmp_path / "b", test_data=first)
    other = changed(tmp_path / "c", test_data=second)
    fewer = changed(tmp_path / "d", only=BEFORE, clips=3)
    assert difference(with_data, same) == ""
    assert difference(default, with_data) == ""  # of before: the recordings are the same
    assert difference(with_data, other) == "data"
    assert difference(default, fewer) == "data"


def test_scores_of_other_tags_on_the_same_clips_do_not_compare(tmp_path):
    default = bundles.load()
    per_tag = {tag: dict(scores) for tag, scores in default.metrics["per_tag"].items()}
    per_tag["rain"]["clips"] = 0
    assert difference(default, changed(tmp_path / "fewer", only=BEFORE, per_tag=per_tag)) == "tags"


def test_rows_of_other_data_are_marked(app, register):
    model = register(**EVERYTHING)
    other = register(test_data={"name": "coala", "fingerprint": "a" * 64, "tags": 9})
    page = open_page(app, "metrics.py", version=str(model), compare=str(other))
    assert "do not show which model is better" in shown(page)
    assert "not measured on the same data" in shown(page)


def test_the_download_has_a_row_for_each_tag_and_no_formulas(tmp_path):
    per_tag = bundles.load().metrics["per_tag"]
    bundle = changed(tmp_path / "bundle", **EVERYTHING)
    rows = list(csv.DictReader(io.StringIO(scores_csv(bundle).decode("utf-8-sig"))))
    assert len(rows) == sum(bool(scores["clips"]) for scores in per_tag.values())
    rain = next(row for row in rows if row["tag"] == "rain")
    assert (rain["pr_auc_low"], rain["pr_auc_high"], rain["roc_auc_low"]) == ("0.7", "0.9", "")
    worst = [float(row["pr_auc"]) for row in rows]
    assert worst == sorted(worst)
    assert not any(cell.startswith(("=", "+", "@")) for row in rows for cell in row.values())


def test_a_tag_that_looks_like_a_formula_is_text_in_the_download():
    tag = '=HYPERLINK("http://example.org")'
    one = np.array([0.5], np.float32)
    metrics = bundles.load().metrics | {"per_tag": {tag: {"pr_auc": 0.5, "clips": 1}}}
    calibration = Calibration(one, one, one)
    bundle = replace(bundles.load(), vocabulary=(tag,), calibration=calibration, metrics=metrics)
    (row,) = csv.DictReader(io.StringIO(scores_csv(bundle).decode("utf-8-sig")))
    assert row["tag"] == f"'{tag}"
