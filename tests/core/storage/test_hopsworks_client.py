"""The client's traps, and one clear sentence for whatever goes wrong."""

import logging
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from pydantic import SecretStr

from core.settings import read_settings
from core.storage.errors import StorageError
from core.storage.hopsworks import client
from core.storage.hopsworks.client import connect, disconnect
from core.storage.hopsworks.errors import (
    NotFound,
    PartialUpload,
    PermanentError,
    RequestTimeout,
    Unavailable,
)
from core.storage.hopsworks.workspace import open_shared_workspace
from core.storage.opening import open_workspace
from tests.helpers.events import predicted
from tests.helpers.shared_workspace import account_from, open_shared

ROOT = Path(__file__).parents[3]
SENTENCE = re.compile(r"Hopsworks at localhost:\d+ [^.]+(\.[a-z0-9]+[^.]*)*\.")


@pytest.fixture
def no_login(server):
    """The double with nobody logged in."""
    disconnect()
    yield server
    server.heal()
    disconnect()


@pytest.fixture
def project(server):
    return connect(account_from(server))


def sentence(error) -> str:
    """Return the error's text, which is one sentence without markup, code or secret."""
    text = str(error.value)
    assert SENTENCE.fullmatch(text), text
    assert "<" not in text
    return text


# ---- logging in


def test_a_wrong_key(no_login):
    with pytest.raises(PermanentError) as error:
        connect(account_from(no_login, api_key=SecretStr("wrong-secret")))
    assert "does not accept the API key; check EARMARK_HOPSWORKS_API_KEY" in sentence(error)


def test_a_wrong_project(no_login):
    with pytest.raises(PermanentError) as error:
        connect(account_from(no_login, project="domo"))
    assert "has no project domo" in sentence(error)


def test_a_key_without_the_scopes(no_login):
    no_login.fail("getProjectInfo", None, status=403, code=320004)
    with pytest.raises(PermanentError) as error:
        connect(account_from(no_login))
    assert "needs the scopes" in sentence(error)


def test_a_certificate_that_is_not_trusted(no_login):
    with pytest.raises(PermanentError) as error:
        connect(account_from(no_login, certificate=None))
    assert (
        "certificate that is not trusted; name its PEM file in EARMARK_HOPSWORKS_CERTIFICATE"
        in sentence(error)
    )


def test_a_certificate_file_that_is_not_there(no_login, tmp_path):
    with pytest.raises(StorageError, match=r"There is no certificate file .*nothing\.pem"):
        connect(account_from(no_login, certificate=tmp_path / "nothing.pem"))


def test_without_verification_any_certificate_is_believed(no_login):
    assert (
        connect(account_from(no_login, certificate=None, verify=False)).list_names("Resources")
        == []
    )


def test_nobody_there(no_login):
    no_login.go_offline()
    try:
        with pytest.raises(Unavailable) as error:
            connect(account_from(no_login))
        assert sentence(error).endswith("cannot be reached.")
    finally:
        no_login.go_online()


@pytest.mark.parametrize("status", [200, 404, 502])
def test_a_web_page_instead_of_hopsworks(no_login, status):
    no_login.fail(
        "variables",
        None,
        status=status,
        body=b"<html>Please sign in</html>",
        content_type="text/html",
    )
    with pytest.raises(Unavailable) as error:
        connect(account_from(no_login))
    assert ("out of order" if status == 502 else "not as Hopsworks does") in sentence(error)


@pytest.mark.parametrize("body", [b"{}", b"[]", b"null", b'"no"'])
def test_malformed_answers(no_login, body):
    for status in (200, 400, 500):
        no_login.heal()
        no_login.fail("getProjectInfo", None, status=status, body=body)
        with pytest.raises(StorageError) as error:
            connect(account_from(no_login))
        sentence(error)


def test_a_server_that_stalls_during_the_login(no_login, monkeypatch):
    monkeypatch.setattr(client, "TIMEOUT_S", (1, 0.2))
    no_login.fail("variables", delay=1.5)
    with pytest.raises(RequestTimeout) as error:
        connect(account_from(no_login))
    assert "does not answer in time" in sentence(error)


def test_after_a_failed_login_the_next_one_may_work(no_login):
    no_login.fail("getProjectInfo", status=503)
    with pytest.raises(Unavailable):
        connect(account_from(no_login))
    assert connect(account_from(no_login)).list_names("Resources") == []


def test_threads_that_ask_at_once_share_one_login(no_login):
    projects = []
    threads = [
        threading.Thread(target=lambda: projects.append(connect(account_from(no_login))))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, projects))) == 1
    assert sum("credentials" in request.path for request in no_login.requests) == 1


def test_a_second_account_in_one_process_is_refused(no_login):
    connect(account_from(no_login))
    with pytest.raises(StorageError, match="another Hopsworks project already"):
        connect(account_from(no_login, project="other"))


def test_the_clients_own_variables_do_not_override_the_settings(no_login, monkeypatch):
    variables = {
        "PORT": "1",
        "HOSTNAME_VERIFICATION": "false",
        "TRUST_STORE_PATH": "/nowhere",
        "PROJECT": "other",
        "API_KEY": "other",
    }
    for name, value in variables.items():
        monkeypatch.setenv(f"HOPSWORKS_{name}", value)
    connect(account_from(no_login))
    assert os.environ["HOPSWORKS_PORT"] == "1"
    disconnect()
    with pytest.raises(PermanentError, match="not trusted"):
        connect(account_from(no_login, certificate=None))


# ---- while it works


def test_a_stalled_answer_ends(project, server, monkeypatch):
    monkeypatch.setattr(client, "TIMEOUT_S", (1, 0.2))
    server.fail("dataset", delay=1.5)
    with pytest.raises(RequestTimeout) as error:
        project.list_names("Resources")
    sentence(error)


def test_reading_is_tried_again_after_a_short_outage(project, server):
    server.fail("dataset", 2, status=503)
    assert project.list_names("Resources") == []


def test_a_throttled_client_says_so_and_logs_it(project, server, caplog):
    server.fail("dataset", None, status=429)
    with pytest.raises(Unavailable) as error:
        project.list_names("Resources")
    assert "asks for fewer requests" in sentence(error)
    assert f"throttled by=localhost:{server.port}" in caplog.text


def test_storage_is_full(project, server):
    server.store.full = True
    with pytest.raises(PermanentError) as error:
        project.create_file("Resources/a.jsonl", b"x")
    assert "no space left; what is waiting stays on this machine" in sentence(error)


def test_a_cut_download_is_an_error_or_noticed_by_its_length(project, server):
    project.create_file("Resources/a.jsonl", b"x" * 1000)
    server.fail("with_auth", None, drop="after")
    with pytest.raises(Unavailable) as error:
        project.read_file("Resources/a.jsonl")
    sentence(error)
    server.heal()
    server.fail("with_auth", truncate=10)
    with pytest.raises(PartialUpload):
        project.create_file("Resources/a.jsonl", b"x" * 1000)


def test_creating_again_is_recognised_and_other_bytes_are_not_overwritten(project, server):
    project.create_file("Resources/new/folder/a.jsonl", b"one")
    project.create_file("Resources/new/folder/a.jsonl", b"one")
    with pytest.raises(PartialUpload):
        project.create_file("Resources/new/folder/a.jsonl", b"two")
    assert server.store.files("Resources") == {"new/folder/a.jsonl": b"one"}


def test_an_ailing_server_is_not_taken_for_a_missing_file(project, server):
    project.create_file("Resources/a.jsonl", b"one")
    # The client's own "does it exist" takes this for a no.
    server.fail("dataset/Resources/a.jsonl", method="GET", status=503)
    project.create_file("Resources/a.jsonl", b"one")
    server.fail("with_auth", None, status=503)
    with pytest.raises(Unavailable):
        project.read_file("Resources/a.jsonl")
    server.heal()
    with pytest.raises(NotFound):
        project.read_file("Resources/b.jsonl")


def test_an_ailing_server_is_not_taken_for_a_missing_registry(project, server):
    server.fail("Models", 3, status=503)
    with pytest.raises(Unavailable):
        project.list_models("cnn")
    assert project.list_models("cnn") == []


def test_uploading_forbidden(project, server):
    server.fail("/upload/", None, status=403, code=110056)
    with pytest.raises(PermanentError) as error:
        project.create_file("Resources/a.jsonl", b"x")
    sentence(error)


def test_derived_files_are_replaced_whole(project, server):
    for text in (b"one", b"two"):
        project.replace_file("Resources/id2prediction.json", text)
        assert server.store.files("Resources") == {"id2prediction.json": text}
    server.fail("/upload/", None, status=503)
    with pytest.raises(Unavailable):
        project.replace_file("Resources/id2prediction.json", b"three")
    assert server.store.files("Resources") == {"id2prediction.json": b"two"}


# ---- silence and secrets

SILENT = """
import logging, sys, warnings
from pathlib import Path
from pydantic import SecretStr
from core.model import bundle
from core.storage.hopsworks.client import Account, connect
from core.storage.hopsworks.workspace import open_shared_workspace
formatwarning = warnings.formatwarning
host, port, key, certificate, folder = sys.argv[1:]
account = Account(host, "demo", SecretStr(key), int(port), Path(certificate))
workspace = open_shared_workspace(Path(folder), account)
workspace.sync.pull()
connect(account).create_file("Resources/x.bin", b"x" * 100)
from hsml.engine import model_engine
model_engine.time.sleep = lambda seconds: None
workspace.models.fetch(workspace.models.register(bundle.load()))
assert logging.getLogger().handlers == [] and logging.getLogger().level == logging.WARNING
assert warnings.formatwarning is formatwarning
print("done")
"""


def test_the_client_prints_nothing_draws_nothing_and_leaves_logging_alone(server, tmp_path):
    arguments = [server.host, server.port, server.key, server.certificate, tmp_path / "w"]
    script = [sys.executable, "-c", SILENT, *map(str, arguments)]
    result = subprocess.run(
        script,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"TMPDIR": str(tmp_path), "HOME": str(tmp_path)},
    )
    assert (result.stdout, result.stderr) == ("done\n", "")
    # no certificates, no caches, no progress left behind
    assert [path.name for path in tmp_path.iterdir()] == ["w"]


def test_no_secret_in_errors_or_logs(no_login, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    account = account_from(no_login, api_key=SecretStr("very-secret"))
    workspace = open_shared_workspace(tmp_path / "w", account)
    with pytest.raises(PermanentError) as error:
        workspace.sync.pull()
    shown = [
        repr(account),
        str(error.value),
        repr(error.value.__cause__),
        workspace.sync.status().problem,
        caplog.text,
    ]
    assert "sync trouble" in caplog.text
    assert "very-secret" not in " ".join(shown)


# ---- settings choose


def test_the_settings_choose_between_a_local_and_a_shared_workspace(server, monkeypatch, tmp_path):
    monkeypatch.setenv("EARMARK_WORKSPACE", str(tmp_path / "w"))
    assert open_workspace(read_settings()).sync.status() is None
    monkeypatch.setenv("EARMARK_WORKSPACE", str(tmp_path / "shared"))
    monkeypatch.setenv("EARMARK_HOPSWORKS_HOST", server.host)
    missing = "EARMARK_HOPSWORKS_PROJECT or EARMARK_HOPSWORKS_API_KEY is not"
    with pytest.raises(StorageError, match=missing):
        open_workspace(read_settings())
    variables = {
        "PORT": server.port,
        "PROJECT": server.project,
        "API_KEY": server.key,
        "CERTIFICATE": server.certificate,
    }
    for name, value in variables.items():
        monkeypatch.setenv(f"EARMARK_HOPSWORKS_{name}", str(value))
    workspace = open_workspace(read_settings())
    workspace.events.append([predicted(1)])
    workspace.sync.wait_until_synced()
    assert open_shared(server, tmp_path / "other").sync.pull() == 1
    assert server.key not in repr(read_settings())


def test_each_shared_folder_has_a_folder_of_its_own_on_this_machine(monkeypatch):
    monkeypatch.setenv("EARMARK_HOPSWORKS_HOST", "h")
    folders = set()
    for project in ("one", "two"):
        monkeypatch.setenv("EARMARK_HOPSWORKS_PROJECT", project)
        folders.add(read_settings().workspace_folder)
    assert len(folders) == 2
