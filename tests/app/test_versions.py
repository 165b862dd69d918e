"""Maintainers see the model's versions, and decide which predicts."""

import logging

import pytest

from core.storage.active_model import active_version
from core.storage.local import open_local_workspace
from core.storage.model_versions import list_versions
from tests.helpers.app_pages import button_keys, button_names, open_page, shown
from tests.helpers.model_versions import add_challenger


@pytest.fixture
def challenger(own_workspace, tmp_path):
    return add_challenger(open_local_workspace(own_workspace), tmp_path / "challenger")


def versions_page(app):
    return open_page(app, "metrics.py", view="versions")


def decide(page, action, reason=""):
    """Press a button, and the one of its dialog."""
    page.button(key=action).click().run()
    page.text_input(key="deploy-reason").set_value(reason)
    page.button(key=f"{action}-confirmed").click().run()
    assert not page.exception
    return page


def rollouts(folder):
    return open_local_workspace(folder).events.rollouts()


def test_a_challenger_is_shown_with_its_comparison_and_what_it_learned(app, challenger):
    page = versions_page(app)
    assert page.selectbox(key="version-choice").value == str(challenger)
    texts = shown(page)
    assert "150 recordings" in texts
    assert "3 license unknown" in texts
    cells = " ".join(frame.value.to_string() for frame in page.dataframe)
    assert "Active" in cells
    assert "To decide" in cells
    assert "[+0.010, +0.030]" in cells
    assert "90%" in cells  # 54 of 60 learned decisions
    assert {frame.proto.placeholder for frame in page.dataframe} == {"–"}  # not None


def test_a_version_is_deployed_with_who_and_why(app, own_workspace, challenger):
    page = decide(versions_page(app), "deploy", "finds rain more often")
    event = rollouts(own_workspace)[0]
    assert event.payload.model == challenger
    assert (event.payload.reason, event.actor) == ("finds rain more often", "Ada")
    assert "Deployed" in shown(page)


def test_the_confirmation_says_what_changes_and_nothing_happens_before_it(
    app, own_workspace, challenger
):
    before = rollouts(own_workspace)
    page = versions_page(app)
    page.button(key="deploy").click().run()
    texts = shown(page)
    assert "12%" in texts
    assert "rain" in texts
    assert rollouts(own_workspace) == before
    page.button(key="deploy-confirmed-cancel").click().run()
    assert rollouts(own_workspace) == before


def test_a_rollback_is_one_press(app, own_workspace, challenger):
    first = active_version(open_local_workspace(own_workspace))
    page = versions_page(app)
    assert "roll" not in button_names(page)
    decide(page, "deploy")
    page.button(key="roll-back").click().run()
    assert active_version(open_local_workspace(own_workspace)) == first


def test_a_rejection_is_kept_with_its_reason_and_changes_nothing_else(
    app, own_workspace, challenger
):
    before = rollouts(own_workspace)
    decide(versions_page(app), "reject", "worse on birds")
    assert rollouts(own_workspace) == before
    page = versions_page(app)
    assert "Rejected" in page.dataframe[0].value.to_string()
    page.selectbox(key="version-choice").set_value(str(challenger)).run()
    assert "worse on birds" in shown(page)
    assert "reject" not in button_names(page)
    assert "deploy" in button_names(page)


def test_a_deployment_after_a_rejection_is_the_newer_decision(app, own_workspace, challenger):
    workspace = open_local_workspace(own_workspace)
    decide(versions_page(app), "reject")
    page = versions_page(app)
    page.selectbox(key="version-choice").set_value(str(challenger)).run()
    decide(page, "deploy")
    (version,) = (each for each in list_versions(workspace) if each.model == challenger)
    assert version.is_active
    assert version.decision is None


def test_somebody_elses_deployment_is_not_rolled_back_by_an_old_page(
    app, own_workspace, challenger, tmp_path
):
    from core.storage.active_model import deploy_model

    page = decide(versions_page(app), "deploy")
    workspace = open_local_workspace(own_workspace)
    third = add_challenger(workspace, tmp_path / "third")
    deploy_model(workspace, third.name, third.version, "Bob", "newer")
    page.button(key="roll-back").click().run()
    assert active_version(workspace) == third
    assert "Not rolled back" in shown(page)


def test_a_workspace_with_the_first_version_only(app, own_workspace):
    page = versions_page(app)
    assert not page.exception
    assert "not compared" in shown(page)
    assert not {"deploy", "reject", "roll"} & button_names(page)


def test_a_damaged_comparison_does_not_hide_the_page(app, own_workspace, challenger):
    notes = own_workspace / "models" / challenger.name / "notes" / str(challenger.version)
    for path in notes.glob("comparison-*.json"):
        path.write_text("{")
    assert str(challenger) in " ".join(f.value.to_string() for f in versions_page(app).dataframe)


def test_others_do_not_see_it_and_the_handlers_refuse(
    public, own_workspace, sign_in, challenger, caplog
):
    sign_in("alice")
    before = rollouts(own_workspace)
    page = versions_page(public)
    page.button(key="deploy").click().run()
    assert "deploy-confirmed" in button_keys(page)
    sign_in("carol")
    page.button(key="deploy-confirmed").click().run()
    assert not {"deploy", "reject", "roll"} & button_names(page)
    assert rollouts(own_workspace) == before
    refusals = [record.message for record in caplog.records if "refusal" in record.message]
    assert len(refusals) == 1
    assert refusals[0].startswith("refusal action=deploy actor=carol")


def test_a_deployment_is_one_line_in_the_log(app, challenger, caplog):
    caplog.set_level(logging.INFO)
    decide(versions_page(app), "deploy")
    lines = [record.message for record in caplog.records if record.message.startswith("deploy ")]
    assert len(lines) == 1
    assert f"model={challenger}" in lines[0]
    assert "actor=Ada" in lines[0]
