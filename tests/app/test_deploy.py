"""Maintainers decide which model version predicts."""

import json
import logging

import pytest

from core.model import bundle as bundles
from core.storage.active_model import active_version
from core.storage.local import open_local_workspace
from tests.helpers.app_pages import button_names, open_page, shown


@pytest.fixture
def second(own_workspace, tmp_path):
    """Another bundle of the default model's name in the workspace."""
    bundles.copy(bundles.load(), tmp_path / "other")
    description = json.loads((tmp_path / "other" / "model.json").read_text())
    changed = json.dumps(description | {"data": "another run"})
    (tmp_path / "other" / "model.json").write_text(changed)
    registry = open_local_workspace(own_workspace).models
    return registry.register(bundles.load(tmp_path / "other"))


def deploy(page, version):
    page.text_input(key="deploy-version").set_value(version)
    page.text_input(key="deploy-reason").set_value("finds rain more often")
    page.run()
    page.button(key="deploy").click().run()


def rollouts(folder):
    return open_local_workspace(folder).events.rollouts()


def test_a_version_is_deployed_with_who_and_why_and_back_again(app, own_workspace, second):
    page = open_page(app, "metrics.py")
    deploy(page, "latest")
    assert not page.exception
    event = rollouts(own_workspace)[0]
    assert event.payload.model == second
    assert (event.payload.reason, event.actor) == ("finds rain more often", "Ada")
    assert f"v{second.version}" in shown(page)
    deploy(page, "1")
    assert active_version(open_local_workspace(own_workspace)).version == 1


def test_a_deployment_is_one_line_in_the_log(app, own_workspace, second, caplog):
    caplog.set_level(logging.INFO)
    deploy(open_page(app, "metrics.py"), "latest")
    lines = [record.message for record in caplog.records if record.message.startswith("deploy ")]
    assert len(lines) == 1
    assert f"model={second}" in lines[0]
    assert "actor=Ada" in lines[0]


def test_a_version_that_is_not_there_is_one_sentence(app, own_workspace):
    before = rollouts(own_workspace)
    page = open_page(app, "metrics.py")
    for version in ("99", "newest", "-1"):
        deploy(page, version)
        assert "Not deployed" in shown(page)
    assert rollouts(own_workspace) == before


def test_others_do_not_see_it_and_the_handler_refuses(public, own_workspace, sign_in, caplog):
    sign_in("alice")
    before = rollouts(own_workspace)
    page = open_page(public, "metrics.py")
    assert "deploy" in button_names(page)
    sign_in("carol")
    page.button(key="deploy").click().run()
    assert "deploy" not in button_names(page)
    assert rollouts(own_workspace) == before
    refusals = [record.message for record in caplog.records if "refusal" in record.message]
    assert len(refusals) == 1
    assert refusals[0].startswith("refusal action=deploy actor=carol")
