"""Bundles in the Hopsworks model registry."""

import json
import threading

import pytest

from core.model import bundle
from core.storage.active_model import resolve_model
from core.storage.errors import StorageError
from core.storage.hopsworks import registering
from tests.helpers.shared_workspace import SHARED_FOLDER, open_shared


@pytest.fixture
def app(shared):
    return shared("app")


def test_a_registered_model_comes_to_another_machine_byte_by_byte(server, shared, app):
    model = shared("trainer").models.register(bundle.load())
    for version in ("best", "latest", 1):
        assert app.models.find(model.name, version) == model
    assert bundle.fingerprint(app.models.fetch(model)) == model.fingerprint
    (registered,) = server.store.models.values()
    overall = bundle.load().metrics["overall"]
    assert registered["metrics"]["pr_auc_macro"] == overall["pr_auc_macro"]
    assert "README.md" in server.store.files(f"Models/{model.name}/1/Files")


def test_a_damaged_copy_is_fetched_anew(app):
    model = app.models.register(bundle.load())
    metrics = app.models.fetch(model) / "metrics.json"
    metrics.write_text(metrics.read_text() + " ")
    assert app.models.cached(model) is None
    assert bundle.fingerprint(app.models.fetch(model)) == model.fingerprint


def test_a_model_that_came_short_does_not_replace_the_copy(server, app):
    model = app.models.register(bundle.load())
    server.fail("with_auth", truncate=10)
    with pytest.raises(StorageError, match="came incomplete or changed"):
        app.models.fetch(model)
    assert list((app.folder / "models" / model.name).iterdir()) == []
    assert app.models.fetch(model).is_dir()


@pytest.mark.parametrize(
    "fault",
    [
        {"path": "/upload//Projects", "status": 500},
        {"path": "modelregistries", "method": "PUT", "status": 503},
        {"path": "modelregistries", "method": "PUT", "drop": "after"},
        {"path": "/upload//Projects", "drop": "after"},
    ],
)
def test_a_failed_save_leaves_no_half_registered_version(server, app, fault):
    app.sync.pull()
    server.fail(times=1, **fault)
    with pytest.raises(StorageError):
        app.models.register(bundle.load())
    assert server.store.models == {}
    assert server.store.files("Models") == {}
    server.heal()
    assert app.models.register(bundle.load()).fingerprint == bundle.load().fingerprint


def test_an_error_while_waiting_for_the_registration_leaves_nothing_half(server, app):
    # The client deletes the files then, although the model is registered.
    registered = []

    def fail_after_registration(request):
        if request.method == "PUT":
            server.fail("modelregistries", method="GET", status=500)
            registered.append(request.path)

    server.after = fail_after_registration
    with pytest.raises(StorageError, match="out of order"):
        app.models.register(bundle.load())
    assert registered
    assert server.store.models == {}


def test_a_version_without_its_files_is_never_the_best(server, app):
    model = app.models.register(bundle.load())
    description = f"fingerprint {'0' * 64}"
    body = {"name": model.name, "metrics": {"pr_auc_macro": 1.0}, "description": description}
    server.store.register(f"{model.name}_2", body)
    assert app.models.find(model.name, "best") == model


def test_machines_that_register_at_once_take_different_numbers(server, tmp_path):
    bundles = [changed_bundle(tmp_path / f"bundle{number}", number) for number in range(3)]
    machines = [open_shared(server, tmp_path / f"machine{number}") for number in range(3)]
    models, start = {}, threading.Barrier(3)

    def register(number):
        start.wait()
        models[number] = machines[number].models.register(bundles[number])

    threads = [threading.Thread(target=register, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({model.version for model in models.values()}) == 3
    reader = open_shared(server, tmp_path / "reader")
    fetched = [bundle.fingerprint(reader.models.fetch(models[number])) for number in range(3)]
    assert fetched == [each.fingerprint for each in bundles]


def changed_bundle(folder, number):
    """Write the default model as another bundle of its name."""
    bundle.copy(bundle.load(), folder)
    metrics = json.loads((folder / "metrics.json").read_text()) | {"number": number}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    return bundle.load(folder)


@pytest.fixture
def fingerprints(server):
    """Return the descriptions of the registered versions."""
    return lambda: [model["description"] for model in server.store.models.values()]


def test_two_first_starts_register_one_default_model(server, shared, monkeypatch, fingerprints):
    monkeypatch.setattr(registering, "POLL_INTERVAL_S", 0.01)
    machines = [shared(name) for name in ("first", "second", "third")]
    models, start = [], threading.Barrier(len(machines))

    def begin(machine):
        start.wait()
        models.append(resolve_model(machine).model)

    threads = [threading.Thread(target=begin, args=(machine,)) for machine in machines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(fingerprints()) == 1
    assert [model.version for model in models] == [1, 1, 1]
    assert server.store.files(f"{SHARED_FOLDER}/registering") == {}


def test_a_machine_that_died_while_registering_is_not_waited_for(server, app, fingerprints):
    path = f"registering/{bundle.load().name}/{bundle.load().fingerprint}/dead"
    server.store.put(f"{SHARED_FOLDER}/{path}", b"")
    server.store.find(f"{SHARED_FOLDER}/{path}").modified -= registering.MAX_TURN.total_seconds()
    assert app.models.register(bundle.load()).version == 1
    assert len(fingerprints()) == 1
