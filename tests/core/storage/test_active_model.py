"""Which model version predicts: local or shared, after upgrades, and while Hopsworks is away."""

import json
import logging

import pytest

from core.events.types import ModelRef, RolledOut, new_event
from core.model import bundle
from core.model.errors import BundleError
from core.storage.active_model import (
    AUTOMATIC,
    FROM_REGISTRY,
    active_version,
    deploy_model,
    load_default_bundle,
    resolve_model,
)
from core.storage.errors import ModelNotFound, StorageError
from core.storage.workspace import Workspace


@pytest.fixture
def better(tmp_path):
    """The default model under the same name, with another fingerprint and a higher score."""
    return changed_bundle(tmp_path / "better", pr_auc_macro=0.99)


@pytest.fixture
def older(tmp_path):
    """The default model of a version of Earmark before this one."""
    return changed_bundle(tmp_path / "older", pr_auc_macro=0.01)


def changed_bundle(folder, **scores):
    bundle.copy(bundle.load(), folder)
    metrics = json.loads((folder / "metrics.json").read_text())
    metrics["overall"] |= scores
    (folder / "metrics.json").write_text(json.dumps(metrics))
    return bundle.load(folder)


def roll_out(workspace: Workspace, model: ModelRef, actor: str) -> None:
    """Record a rollout as any version of Earmark does."""
    rollouts = workspace.events.rollouts(1)
    base = rollouts[0] if rollouts else None
    event = new_event(RolledOut(model=model, reason="test"), None, actor, base=base)
    workspace.events.append([event])


def rolled_out_versions(workspace: Workspace) -> list[int]:
    """Return the versions that were rolled out, oldest first."""
    return [event.payload.model.version for event in reversed(workspace.events.rollouts())]


# ---- the first start


def test_at_the_first_start_the_best_of_the_registry_becomes_active_and_that_is_recorded(
    shared, better
):
    trainer = shared("trainer")
    best = trainer.models.register(better)
    trainer.models.register(bundle.load())
    app = shared("app")
    assert resolve_model(app).model == best
    assert resolve_model(app).model == best  # the default model does not take its place
    (rollout,) = app.events.rollouts()
    reason = "first start: the best in the registry"
    assert (rollout.actor, rollout.payload.reason) == (FROM_REGISTRY, reason)
    app.sync.wait_until_synced()
    assert resolve_model(shared("other")).model == best


def test_where_the_registry_is_empty_the_default_model_is_registered(server, shared):
    app = shared("app")
    model = resolve_model(app).model
    assert model.fingerprint == bundle.load().fingerprint
    assert list(server.store.models) == [(model.name, 1)]


def test_a_local_workspace_starts_with_the_default_model(workspace, caplog):
    caplog.set_level(logging.INFO)
    assert active_version(workspace) is None
    active = resolve_model(workspace)
    assert active.model.fingerprint == load_default_bundle().fingerprint
    assert active.notice == ""
    assert bundle.fingerprint(active.folder) == active.model.fingerprint
    assert active_version(workspace) == active.model
    assert "deploy model=" in caplog.text
    assert "actor=earmark" in caplog.text


def test_nothing_is_rolled_out_without_the_teams_knowledge_while_hopsworks_is_away(
    server, shared, better
):
    maintainer = shared("maintainer")
    model = maintainer.models.register(better)
    roll_out(maintainer, model, "ada")
    maintainer.sync.wait_until_synced()
    server.go_offline()
    try:
        with pytest.raises(StorageError, match="cannot be reached"):
            resolve_model(shared("newcomer"))
    finally:
        server.go_online()
    newcomer = shared("newcomer")
    assert list(newcomer.events.all()) == []
    assert resolve_model(newcomer).model == model


# ---- an upgrade that ships a new default model


def test_a_workspace_that_nobody_decided_about_follows_the_new_default_model_exactly_once(
    workspace, older
):
    first = workspace.models.register(older)
    roll_out(workspace, first, AUTOMATIC)
    resolved = [resolve_model(workspace, allow_fallback=fallback) for fallback in (False, True)]
    resolved.append(resolve_model(workspace))
    assert {active.model.fingerprint for active in resolved} == {bundle.load().fingerprint}
    assert {active.model.version for active in resolved} == {2}
    assert active_version(workspace) == resolved[0].model
    assert rolled_out_versions(workspace) == [1, 2]
    (rollout, _) = workspace.events.rollouts()
    assert rollout.payload.reason == "the project ships a new default model"


def test_the_default_model_is_followed_also_where_it_had_another_name(workspace, tmp_path):
    renamed = bundle.load()
    bundle.copy(renamed, tmp_path / "renamed")
    description = json.loads((tmp_path / "renamed" / "model.json").read_text())
    description["name"] = "earmark_of_old"
    (tmp_path / "renamed" / "model.json").write_text(json.dumps(description))
    old = workspace.models.register(bundle.load(tmp_path / "renamed"))
    roll_out(workspace, old, AUTOMATIC)
    active = resolve_model(workspace)
    assert active.model.name == renamed.name
    assert active.model.fingerprint == renamed.fingerprint


def test_a_version_that_a_person_rolled_out_stays(workspace, older):
    model = workspace.models.register(older)
    roll_out(workspace, model, "ada (freesound user 3)")
    assert resolve_model(workspace).model == model
    assert rolled_out_versions(workspace) == [1]


def test_a_version_that_came_from_the_registry_stays(workspace, older):
    model = workspace.models.register(older)
    roll_out(workspace, model, FROM_REGISTRY)
    assert resolve_model(workspace).model == model
    assert rolled_out_versions(workspace) == [1]


def test_a_workspace_with_a_newer_programs_default_model_does_not_go_back_and_forth(
    workspace, better
):
    # A newer program shares the workspace; this one ships what that one replaced.
    own = resolve_model(workspace).model
    newer = workspace.models.register(better)
    roll_out(workspace, newer, AUTOMATIC)
    for _ in range(3):
        assert resolve_model(workspace).model == newer
    assert rolled_out_versions(workspace) == [own.version, newer.version]


def test_all_machines_of_a_team_resolve_the_same_version_after_an_upgrade(shared, older):
    job, app = shared("job"), shared("app")
    roll_out(job, job.models.register(older), AUTOMATIC)
    job.sync.wait_until_synced()
    app.sync.pull()
    first = resolve_model(job).model
    assert resolve_model(app).model == first
    for machine in (job, app):
        machine.sync.wait_until_synced()
        machine.sync.pull()
    assert resolve_model(app).model == resolve_model(job).model == first


# ---- deployment


def test_a_person_deploys_a_version_and_every_machine_follows_without_a_restart(shared, better):
    ada, ben = shared("ada"), shared("ben")
    first = resolve_model(ada)
    ada.sync.wait_until_synced()
    second = ben.models.register(better)
    ben.sync.pull()
    assert deploy_model(ben, second.name, "best", "ben", "better") == second
    ben.sync.wait_until_synced()
    ada.sync.pull()
    now = resolve_model(ada)
    assert (now.model, now.notice) == (second, "")
    assert now.model != first.model
    assert bundle.fingerprint(now.folder) == better.fingerprint
    latest = ada.events.rollouts(1)[0]
    assert (latest.actor, latest.payload.reason) == ("ben", "better")


def test_an_earlier_version_can_be_deployed_again(workspace, better):
    first = resolve_model(workspace).model
    second = workspace.models.register(better)
    deploy_model(workspace, second.name, second.version, "ada", "better")
    deploy_model(workspace, first.name, first.version, "ada", "worse than I thought")
    assert resolve_model(workspace).model == first


def test_a_version_that_does_not_exist_or_is_damaged_cannot_be_deployed(workspace, better):
    model = resolve_model(workspace).model
    with pytest.raises(ModelNotFound):
        deploy_model(workspace, model.name, 7, "ada", "better")
    (better.folder / "id2tag.json").write_text("{}")
    damaged = workspace.models.register(better)
    with pytest.raises(BundleError):
        deploy_model(workspace, damaged.name, damaged.version, "ada", "better")
    assert resolve_model(workspace).model == model


# ---- while a model cannot be fetched


def test_while_a_model_cannot_be_fetched_people_get_the_last_one_and_jobs_an_error(
    server, shared, better
):
    ada, ben = shared("ada"), shared("ben")
    first = resolve_model(ada).model
    ada.sync.wait_until_synced()
    second = ben.models.register(better)
    ben.sync.pull()
    roll_out(ben, second, "ben")
    ben.sync.wait_until_synced()
    ada.sync.pull()
    server.fail("Models", None, status=503)
    with pytest.raises(StorageError):
        resolve_model(ada)
    fallback = resolve_model(ada, allow_fallback=True)
    assert fallback.model == first
    ending = f"Until then {first} is used, the last model that this machine has."
    assert fallback.notice.endswith(ending)
    server.heal()
    assert resolve_model(ada, allow_fallback=True).model == second


def test_a_machine_that_never_reached_hopsworks_uses_the_default_model_and_says_so(server, shared):
    server.go_offline()
    try:
        active = resolve_model(shared("newcomer"), allow_fallback=True)
    finally:
        server.go_online()
    assert active.folder == bundle.DEFAULT_BUNDLE
    assert "cannot be reached" in active.notice
    assert "the model that ships with Earmark" in active.notice
