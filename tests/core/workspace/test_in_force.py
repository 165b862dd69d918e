"""Which model a machine listens with: on either home, and while Hopsworks is away."""

import json

import pytest

from core.id2prediction import RolledOut, new_event
from core.in_force import usable_model
from core.model import bundle
from core.tagging import FROM_REGISTRY, model_in_force
from core.workspace import WorkspaceError


@pytest.fixture
def better(tmp_path):
    """The starter under another hat: the same name, another fingerprint, a higher score."""
    bundle.copy(bundle.load(), folder := tmp_path / "better")
    metrics = json.loads((folder / "metrics.json").read_text())
    metrics["overall"]["pr_auc_macro"] = 0.99
    (folder / "metrics.json").write_text(json.dumps(metrics))
    return bundle.load(folder)


def test_at_the_first_start_the_best_of_the_registry_comes_into_force_and_that_is_recorded(shared, better):
    trainer = shared("trainer")
    best = trainer.push(better)
    trainer.push(bundle.load())
    app = shared("app")
    assert model_in_force(app) == best
    assert model_in_force(app) == best  # the starter that ships with the project does not take its place
    (rollout,) = app.rollouts()
    assert (rollout.actor, rollout.payload.reason) == (FROM_REGISTRY, "first start: the best in the registry")
    app.settle()
    assert model_in_force(shared("other")) == best


def test_where_the_registry_is_empty_the_starter_is_registered(server, shared):
    app = shared("app")
    model = model_in_force(app)
    assert model.fingerprint == bundle.load().fingerprint
    assert list(server.store.models) == [(model.name, 1)]


def test_nothing_is_rolled_out_over_the_teams_head_while_hopsworks_is_away(server, shared, better):
    chief = shared("chief")
    chosen = chief.push(better)
    chief.append([new_event(RolledOut(model=chosen, reason="better"), None, "ada")])
    chief.settle()
    server.away()
    try:
        with pytest.raises(WorkspaceError, match="cannot be reached"):
            model_in_force(shared("newcomer"))
    finally:
        server.back()
    newcomer = shared("newcomer")
    assert list(newcomer.log()) == []
    assert model_in_force(newcomer) == chosen


def test_a_rollout_elsewhere_changes_the_model_without_a_restart(shared, better):
    ada, ben = shared("ada"), shared("ben")
    first = usable_model(ada)
    ada.settle()
    second = ben.push(better)
    ben.mirror()
    ben.append([new_event(RolledOut(model=second, reason="better"), None, "ben", base=ben.rolled_out())])
    ben.settle()
    ada.mirror()
    now = usable_model(ada)
    assert (now.model, now.notice) == (second, "")
    assert now.model != first.model
    assert bundle.fingerprint(now.folder) == better.fingerprint


def test_while_a_model_cannot_be_fetched_the_last_good_one_is_used_and_that_is_said(server, shared, better):
    ada, ben = shared("ada"), shared("ben")
    first = usable_model(ada).model
    ada.settle()
    second = ben.push(better)
    ben.mirror()
    ben.append([new_event(RolledOut(model=second, reason="better"), None, "ben", base=ben.rolled_out())])
    ben.settle()
    ada.mirror()
    server.fail("Models", None, status=503)
    before = usable_model(ada)
    assert before.model == first
    assert before.notice.endswith(f"Until then {first} is used, the last model that this machine has.")
    server.heal()
    assert usable_model(ada).model == second


def test_a_machine_that_never_reached_hopsworks_uses_the_starter_and_says_so(server, shared):
    server.away()
    try:
        usable = usable_model(shared("newcomer"))
    finally:
        server.back()
    assert usable.folder == bundle.STARTER
    assert "cannot be reached" in usable.notice
    assert "the model that ships with Earmark" in usable.notice
