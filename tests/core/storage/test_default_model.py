"""Which model is active in a workspace of this machine, and when it follows the default model."""

from pathlib import Path

import pytest

from core.events.types import RolledOut, new_event
from core.model import bundle as bundles
from core.storage.active_model import (
    AUTOMATIC,
    active_version,
    deploy_model,
    resolve_model,
)


@pytest.fixture
def other_bundle(tmp_path: Path) -> Path:
    """The default model with another fingerprint."""
    folder = tmp_path / "other"
    bundles.copy(bundles.load(bundles.DEFAULT_BUNDLE), folder)
    metrics = folder / "metrics.json"
    metrics.write_text(metrics.read_text() + "\n")
    return folder


def test_the_first_start_deploys_the_default_model_and_records_it(workspace):
    model = resolve_model(workspace).model
    (rollout,) = workspace.events.rollouts()
    assert (rollout.actor, rollout.payload.reason) == (AUTOMATIC, "first start")
    assert resolve_model(workspace).model == model
    assert len(list(workspace.events.all())) == 1


def test_what_a_maintainer_deployed_stays_active(workspace, other_bundle):
    resolve_model(workspace)
    model = workspace.models.register(bundles.load(other_bundle))
    deploy_model(workspace, model.name, model.version, "maintainer", "better")
    assert resolve_model(workspace).model == active_version(workspace) == model


def test_a_new_default_model_replaces_the_former_where_nobody_decided(
    workspace, other_bundle, monkeypatch
):
    first = resolve_model(workspace).model
    monkeypatch.setattr("core.storage.active_model.DEFAULT_BUNDLE", other_bundle)
    newer = resolve_model(workspace).model
    assert newer.version == first.version + 1

    monkeypatch.undo()  # an older program that is still running does not take it back
    assert resolve_model(workspace).model == newer
    assert len(workspace.events.rollouts()) == 2


def test_a_workspace_on_an_older_default_model_follows_the_current_one(workspace, other_bundle):
    older = workspace.models.register(bundles.load(other_bundle))
    workspace.events.append(
        [new_event(RolledOut(model=older, reason="first start"), None, AUTOMATIC)]
    )
    model = resolve_model(workspace).model
    assert model.fingerprint == bundles.load(bundles.DEFAULT_BUNDLE).fingerprint
