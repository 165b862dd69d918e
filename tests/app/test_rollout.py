"""Maintainers decide which model version is in force."""

import json

from core.model import bundle as bundles
from core.workspace.local import LocalWorkspace
from tests.app.test_roles import ALICE, BOB, keys, public, shown, signed_in  # noqa: F401 (fixtures)


def metrics_page(app):
    from tests.app.test_pages import open_page

    return open_page(app, "metrics.py")


def second_version(folder, tmp_path):
    """Another bundle of the starter's name in the workspace."""
    bundles.copy(bundles.load(), tmp_path / "other")
    description = json.loads((tmp_path / "other" / "model.json").read_text())
    (tmp_path / "other" / "model.json").write_text(json.dumps(description | {"data": "another run"}))
    return LocalWorkspace(folder).push(bundles.load(tmp_path / "other"))


def roll_out(page, version):
    page.text_input(key="rollout-version").set_value(version)
    page.text_input(key="rollout-reason").set_value("hears rain better")
    page.run()
    page.button(key="rollout").click().run()


def test_a_version_is_rolled_out_with_who_and_why_and_back_again(app, own_workspace, tmp_path):
    second = second_version(own_workspace, tmp_path)
    page = metrics_page(app)
    roll_out(page, "latest")
    assert not page.exception
    event = LocalWorkspace(own_workspace).rolled_out()
    assert (event.payload.model, event.payload.reason, event.actor) == (second, "hears rain better", "Ada")
    assert f"v{second.version}" in shown(page)
    roll_out(page, "1")
    assert LocalWorkspace(own_workspace).rolled_out().payload.model.version == 1


def test_a_version_that_is_not_there_is_one_sentence(app, own_workspace):
    before = LocalWorkspace(own_workspace).rolled_out()
    page = metrics_page(app)
    for version in ("99", "newest", "-1"):
        roll_out(page, version)
        assert "Not rolled out" in shown(page)
    assert LocalWorkspace(own_workspace).rolled_out() == before


def test_curators_do_not_see_it_and_the_handler_refuses(public, own_workspace, signed_in, monkeypatch):  # noqa: F811
    monkeypatch.setenv("EARMARK_MAINTAINERS", str(BOB.user_id))
    signed_in(BOB)
    before = LocalWorkspace(own_workspace).rolled_out()
    page = metrics_page(public)
    assert "rollout" in keys(page)
    signed_in(ALICE)
    page.button(key="rollout").click().run()
    assert "rollout" not in keys(page)
    assert LocalWorkspace(own_workspace).rolled_out() == before
