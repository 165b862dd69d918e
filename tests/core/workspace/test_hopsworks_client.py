"""The client's traps, and one clear sentence for whatever goes wrong."""

import logging
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from events import predicted
from pydantic import SecretStr
from shared import account_of, shared_workspace

from core.workspace import WorkspaceError, open_workspace
from core.workspace.hopsworks import HopsworksWorkspace, client
from core.workspace.hopsworks.client import Away, Missing, Refused, TooSlow, Torn, connect, disconnect
from core.workspace.local import LocalWorkspace

ROOT = Path(__file__).parents[3]
SENTENCE = re.compile(r"Hopsworks at localhost:\d+ [^.]+(\.[a-z0-9]+[^.]*)*\.")


@pytest.fixture
def fresh(server):
    """The double with nobody logged in."""
    disconnect()
    yield server
    server.heal()
    disconnect()


@pytest.fixture
def project(server):
    return connect(account_of(server))


def sentence(error) -> str:
    """The error's text, which is one sentence without markup, code or secret."""
    text = str(error.value)
    assert SENTENCE.fullmatch(text), text
    assert "<" not in text
    return text


# ---- logging in


def test_a_wrong_key(fresh):
    with pytest.raises(Refused) as error:
        connect(account_of(fresh, api_key=SecretStr("wrong-secret")))
    assert "does not accept the API key; check EARMARK_HOPSWORKS_API_KEY" in sentence(error)


def test_a_wrong_project(fresh):
    with pytest.raises(Refused) as error:
        connect(account_of(fresh, project="domo"))
    assert "has no project domo" in sentence(error)


def test_a_key_without_the_scopes(fresh):
    fresh.fail("getProjectInfo", None, status=403, code=320004)
    with pytest.raises(Refused) as error:
        connect(account_of(fresh))
    assert "needs the scopes" in sentence(error)


def test_a_certificate_that_is_not_trusted(fresh):
    with pytest.raises(Refused) as error:
        connect(account_of(fresh, certificate=None))
    assert "certificate that is not trusted; name its PEM file in EARMARK_HOPSWORKS_CERTIFICATE" in sentence(error)


def test_a_certificate_file_that_is_not_there(fresh, tmp_path):
    with pytest.raises(WorkspaceError, match=r"There is no certificate file .*nothing\.pem"):
        connect(account_of(fresh, certificate=tmp_path / "nothing.pem"))


def test_without_verification_any_certificate_is_believed(fresh):
    assert connect(account_of(fresh, certificate=None, verify=False)).names("Resources") == []


def test_nobody_there(fresh):
    fresh.away()
    try:
        with pytest.raises(Away) as error:
            connect(account_of(fresh))
        assert sentence(error).endswith("cannot be reached.")
    finally:
        fresh.back()


@pytest.mark.parametrize("status", [200, 404, 502])
def test_a_web_page_instead_of_hopsworks(fresh, status):
    fresh.fail("variables", None, status=status, body=b"<html>Please sign in</html>", content_type="text/html")
    with pytest.raises(Away) as error:
        connect(account_of(fresh))
    assert ("not as Hopsworks does" in sentence(error)) or ("out of order" in sentence(error) and status == 502)


@pytest.mark.parametrize("body", [b"{}", b"[]", b"null", b'"no"'])
def test_answers_that_make_the_client_stumble(fresh, body):
    for status in (200, 400, 500):
        fresh.heal()
        fresh.fail("getProjectInfo", None, status=status, body=body)
        with pytest.raises(WorkspaceError) as error:
            connect(account_of(fresh))
        sentence(error)


def test_a_server_that_stalls_during_the_login(fresh, monkeypatch):
    monkeypatch.setattr(client, "TIMEOUT_S", (1, 0.2))
    fresh.fail("variables", delay=1.5)
    with pytest.raises(TooSlow) as error:
        connect(account_of(fresh))
    assert "does not answer in time" in sentence(error)


def test_after_a_failed_login_the_next_one_may_work(fresh):
    fresh.fail("getProjectInfo", status=503)
    with pytest.raises(Away):
        connect(account_of(fresh))
    assert connect(account_of(fresh)).names("Resources") == []


def test_threads_that_ask_at_once_share_one_login(fresh):
    found = []
    threads = [threading.Thread(target=lambda: found.append(connect(account_of(fresh)))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, found))) == 1
    assert sum("credentials" in request.path for request in fresh.requests) == 1


def test_a_second_account_in_one_process_is_refused(fresh):
    connect(account_of(fresh))
    with pytest.raises(WorkspaceError, match="another Hopsworks project already"):
        connect(account_of(fresh, project="other"))


def test_the_clients_variables_do_not_overrule_the_settings(fresh, monkeypatch):
    variables = {"PORT": "1", "HOSTNAME_VERIFICATION": "false", "TRUST_STORE_PATH": "/nowhere", "PROJECT": "other", "API_KEY": "other"}
    for name, value in variables.items():
        monkeypatch.setenv(f"HOPSWORKS_{name}", value)
    connect(account_of(fresh))
    assert os.environ["HOPSWORKS_PORT"] == "1"
    disconnect()
    with pytest.raises(Refused, match="not trusted"):
        connect(account_of(fresh, certificate=None))


# ---- while it works


def test_a_stalled_answer_ends(project, server, monkeypatch):
    monkeypatch.setattr(client, "TIMEOUT_S", (1, 0.2))
    server.fail("dataset", delay=1.5)
    with pytest.raises(TooSlow) as error:
        project.names("Resources")
    sentence(error)


def test_a_short_illness_is_waited_out_when_reading(project, server):
    server.fail("dataset", 2, status=503)
    assert project.names("Resources") == []


def test_storage_is_full(project, server):
    server.store.full = True
    with pytest.raises(Refused) as error:
        project.create("Resources/a.jsonl", b"x")
    assert "no space left; what is waiting stays on this machine" in sentence(error)


def test_a_cut_download_is_an_error_or_noticed_by_its_length(project, server):
    project.create("Resources/a.jsonl", b"x" * 1000)
    server.fail("with_auth", None, drop="after")
    with pytest.raises(Away) as error:
        project.read("Resources/a.jsonl")
    sentence(error)
    server.heal()
    server.fail("with_auth", truncate=10)
    with pytest.raises(Torn):
        project.create("Resources/a.jsonl", b"x" * 1000)


def test_creating_again_is_recognised_and_other_bytes_are_not_overwritten(project, server):
    project.create("Resources/new/folder/a.jsonl", b"one")
    project.create("Resources/new/folder/a.jsonl", b"one")
    with pytest.raises(Torn):
        project.create("Resources/new/folder/a.jsonl", b"two")
    assert server.store.files("Resources") == {"new/folder/a.jsonl": b"one"}


def test_an_ill_server_is_not_taken_for_a_missing_file(project, server):
    project.create("Resources/a.jsonl", b"one")
    server.fail("dataset/Resources/a.jsonl", method="GET", status=503)  # the client's own "is it there" is answered no
    project.create("Resources/a.jsonl", b"one")
    server.fail("with_auth", None, status=503)
    with pytest.raises(Away):
        project.read("Resources/a.jsonl")
    server.heal()
    with pytest.raises(Missing):
        project.read("Resources/b.jsonl")


def test_an_ill_server_is_not_taken_for_a_missing_registry(project, server):
    server.fail("Models", 3, status=503)
    with pytest.raises(Away):
        project.models("cnn")
    assert project.models("cnn") == []


def test_uploading_forbidden(project, server):
    server.fail("/upload/", None, status=403, code=110056)
    with pytest.raises(Refused) as error:
        project.create("Resources/a.jsonl", b"x")
    sentence(error)


def test_derived_files_are_replaced_whole(project, server):
    for text in (b"one", b"two"):
        project.replace("Resources/id2prediction.json", text)
        assert server.store.files("Resources") == {"id2prediction.json": text}
    server.fail("/upload/", None, status=503)
    with pytest.raises(Away):
        project.replace("Resources/id2prediction.json", b"three")
    assert server.store.files("Resources") == {"id2prediction.json": b"two"}


# ---- silence and secrets

SILENT = """
import logging, sys, warnings
from pathlib import Path
from pydantic import SecretStr
from core.workspace.hopsworks import Account, HopsworksWorkspace
from core.model import bundle
show = warnings.formatwarning
host, port, key, certificate, folder = sys.argv[1:]
workspace = HopsworksWorkspace(Path(folder), Account(host, "demo", SecretStr(key), int(port), Path(certificate)))
workspace.mirror()
workspace.home.project().create("Resources/x.bin", b"x" * 100)
from hsml.engine import model_engine
model_engine.time.sleep = lambda seconds: None
workspace.pull(workspace.push(bundle.load()))
assert logging.getLogger().handlers == [] and logging.getLogger().level == logging.WARNING
assert warnings.formatwarning is show
print("done")
"""


def test_the_client_prints_nothing_draws_nothing_and_leaves_logging_alone(server, tmp_path):
    arguments = [server.host, str(server.port), server.key, str(server.certificate), str(tmp_path / "w")]
    environment = os.environ | {"TMPDIR": str(tmp_path), "HOME": str(tmp_path)}
    script = [sys.executable, "-c", SILENT, *arguments]
    result = subprocess.run(script, cwd=ROOT, capture_output=True, text=True, timeout=60, env=environment)
    assert (result.stdout, result.stderr) == ("done\n", "")
    assert [path.name for path in tmp_path.iterdir()] == ["w"]  # no certificates, no caches, no progress left behind


def test_no_secret_in_errors_or_logs(fresh, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    account = account_of(fresh, api_key=SecretStr("very-secret"))
    workspace = HopsworksWorkspace(tmp_path / "w", account)
    with pytest.raises(Refused) as error:
        workspace.mirror()
    told = [repr(account), str(error.value), repr(error.value.__cause__), workspace.sharing().problem, caplog.text]
    assert "very-secret" not in " ".join(told)


# ---- settings choose


def test_the_settings_choose_the_home(server, monkeypatch, tmp_path):
    from core.settings import read_settings

    monkeypatch.setenv("EARMARK_WORKSPACE", str(tmp_path / "w"))
    assert type(open_workspace(read_settings())) is LocalWorkspace
    monkeypatch.setenv("EARMARK_WORKSPACE", str(tmp_path / "shared"))
    monkeypatch.setenv("EARMARK_HOPSWORKS_HOST", server.host)
    with pytest.raises(WorkspaceError, match="EARMARK_HOPSWORKS_PROJECT or EARMARK_HOPSWORKS_API_KEY is not"):
        open_workspace(read_settings())
    more = {"PORT": server.port, "PROJECT": server.project, "API_KEY": server.key, "CERTIFICATE": server.certificate}
    for name, value in more.items():
        monkeypatch.setenv(f"EARMARK_HOPSWORKS_{name}", str(value))
    workspace = open_workspace(read_settings())
    workspace.append([predicted(1)])
    workspace.settle()
    assert shared_workspace(server, tmp_path / "other").mirror() == 1
    assert server.key not in repr(read_settings())


def test_each_shared_folder_has_a_folder_of_its_own_on_this_machine(monkeypatch):
    from core.settings import read_settings

    monkeypatch.setenv("EARMARK_HOPSWORKS_HOST", "h")
    folders = set()
    for project in ("one", "two"):
        monkeypatch.setenv("EARMARK_HOPSWORKS_PROJECT", project)
        folders.add(read_settings().workspace_folder)
    assert len(folders) == 2
