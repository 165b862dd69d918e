"""The metrics page's feedback: verdicts with their numbers, and thresholds learned from them."""

import pytest

from app import state
from core.events.fold import confirm, fold
from core.events.types import Predicted, Published, Sound, Suggestion, new_event
from core.model import bundle
from core.storage.active_model import resolve_model
from core.storage.local import open_local_workspace
from core.storage.tag_thresholds import changes_of, current_thresholds
from tests.helpers.app_pages import first_sound, open_page, shown

TAG = "dog"


@pytest.fixture
def empty_workspace(tmp_path, monkeypatch):
    """A workspace without sounds, named in the settings."""
    folder = tmp_path / "empty"
    monkeypatch.setenv("EARMARK_WORKSPACE", str(folder))
    monkeypatch.setenv("EARMARK_CURATOR", "Ada")
    return folder


def open_feedback(app, **params):
    return open_page(app, "metrics.py", view="feedback", **params)


def table_with(page, column):
    """The first table of the page that has a column; None where none has it."""
    tables = (each.value for each in page.dataframe)
    return next((table for table in tables if column in table), None)


def metrics(page):
    return {metric.label: metric.value for metric in page.metric}


def add_judged(folder, number, probability, *, right, by="ada", tag=TAG, added=()):
    """Add a sound with one suggestion of the active model, and a person's verdict on it."""
    workspace = open_local_workspace(folder)
    model = resolve_model(workspace).model
    top = (Suggestion(tag=tag, probability=probability, above_threshold=True),)
    payload = Predicted(model=model, top=top, sound=Sound(title="a sound", source="test"))
    shown_event = new_event(payload, f"freesound:{number}", "job")
    verdict = confirm(fold([shown_event]), [*([tag] if right else []), *added], by)
    if by == "uploader":
        decisions = verdict.payload.decisions
        published = Published(decisions=decisions, basis=shown_event.event_id)
        verdict = new_event(published, shown_event.sound_id, by, base=shown_event)
    workspace.events.append([shown_event, verdict])


@pytest.fixture
def judged(own_workspace):
    """The example sounds and sixty with a verdict: suggestions below .7 are often wrong."""
    for number in range(1, 61):
        low = number % 2
        right = number % 6 == 1 if low else number % 20 != 0
        probability = 0.3 + number / 200 if low else 0.7 + number / 250
        add_judged(own_workspace, number, probability, right=right)
    return own_workspace


# ---- verdicts


def test_an_empty_workspace_says_where_verdicts_come_from(empty_workspace, app, monkeypatch):
    monkeypatch.setenv("EARMARK_WORKSPACE", str(empty_workspace))
    page = open_feedback(app)
    text = shown(page)
    assert "No curator has judged a suggestion yet" in text
    assert "too few sounds to tell" in text
    assert "%" not in "".join(metrics(page).values())


def test_few_verdicts_are_counted_and_get_no_percentage(app, own_workspace):
    sound = first_sound(own_workspace)
    app.run()
    app.button(key=f"confirm-{sound.sound_id}").click().run()
    page = open_feedback(app)
    table = table_with(page, "Kept")
    assert set(table["Tag"]) == set(sound.tags)
    assert table["Kept"].tolist() == [1] * len(sound.tags)
    assert set(table["95% interval"]) == {"too few: 1"}
    assert table["Accepted"].isna().all()
    assert metrics(page)["Accepted"] == "–"


def test_enough_verdicts_get_a_percentage_with_interval_and_number(app, judged):
    page = open_feedback(app)
    row = table_with(page, "Kept").iloc[0]
    right = 10 + 27
    assert (row["Tag"], row["n"], row["Kept"]) == (TAG, 60, right)
    assert row["Accepted"] == pytest.approx(100 * right / 60)
    assert row["95% interval"] == "49–73%"  # Wilson's of 37 of 60: .4902 to .7291
    assert page.metric[0].delta == "n = 60 suggestions · 49–73%"
    assert metrics(page)["Accepted"] == "62%"


def test_verdicts_of_uploaders_are_shown_apart(app, own_workspace):
    add_judged(own_workspace, 1, 0.9, right=True, by="uploader")
    add_judged(own_workspace, 2, 0.9, right=False)
    for by, kept, removed in (("", 0, 1), ("uploader", 1, 0)):
        table = table_with(open_feedback(app, by=by), "Kept")
        assert table["Kept"].tolist() == [kept]
        assert table["Removed"].tolist() == [removed]


def test_tags_can_be_searched_and_formulas_in_them_are_neutralised(app, own_workspace):
    add_judged(own_workspace, 1, 0.9, right=False, added=["=1+1"])
    page = open_feedback(app)
    assert "'=1+1" in set(table_with(page, "Kept")["Tag"])
    page.text_input(key="feedback-search").set_value("DO").run()
    assert set(table_with(page, "Kept")["Tag"]) == {TAG}


def test_replacements_and_tags_that_the_model_lacks_are_listed(app, own_workspace):
    add_judged(own_workspace, 1, 0.9, right=False, added=["dingo-song"])
    page = open_feedback(app)
    replaced = table_with(page, "Added instead").iloc[0]
    assert (replaced["Removed"], replaced["Added instead"]) == (TAG, "dingo-song")
    missing = [each.value for each in page.dataframe if list(each.value) == ["Tag", "Added"]]
    assert missing[0]["Tag"].tolist() == ["dingo-song"]


# ---- thresholds


def press_apply(page, precision=0.85):
    page.session_state[state.threshold_precision.key] = precision
    page.run()
    return page.button(key="apply-thresholds").click().run()


def test_a_maintainer_uses_and_reverts_learned_thresholds(app, judged):
    workspace = open_local_workspace(judged)
    model = resolve_model(workspace).model
    page = press_apply(open_feedback(app))
    assert not page.exception
    [threshold] = current_thresholds(workspace, model).values()
    assert 0.4 < threshold < 0.9
    assert "1 threshold for sounds that are predicted from now on" in shown(page)
    own = dict(zip(bundle.load().vocabulary, bundle.load().calibration.threshold, strict=True))
    row = table_with(page, "In use").iloc[0]
    assert row["In use"] == pytest.approx(threshold)
    assert row["Model's own"] == pytest.approx(own[TAG])
    [change] = changes_of(workspace, model)
    assert (change.actor, change.payload.verdicts) == ("Ada", {TAG: 60})
    page.button(key=f"revert-thresholds-{change.event_id}").click().run()
    assert current_thresholds(workspace, model) == {}
    assert len(changes_of(workspace, model)) == 2


def test_somebody_who_is_no_maintainer_changes_no_threshold(public, own_workspace, judged):
    page = open_feedback(public)
    keys = {button.key for button in page.button}
    assert not any(key and "thresholds" in key for key in keys)
    assert table_with(page, "In use") is not None


def test_the_next_prediction_uses_the_thresholds_and_earlier_ones_stay(app, judged, predictor):
    workspace = open_local_workspace(judged)
    before = {state.sound_id: state.tags for state in workspace.sounds.all()}
    press_apply(open_feedback(app))
    assert {state.sound_id: state.tags for state in workspace.sounds.all()} == before
    model = resolve_model(workspace).model
    thresholds = current_thresholds(workspace, model)
    changed = predictor.with_thresholds(thresholds)
    index = predictor.vocabulary.index(TAG)
    assert changed.bundle.calibration.threshold[index] == pytest.approx(thresholds[TAG])
    others = [number for number in range(len(predictor.vocabulary)) if number != index]
    same = changed.bundle.calibration.threshold == predictor.bundle.calibration.threshold
    assert same[others].all()
