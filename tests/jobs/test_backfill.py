"""A range of Freesound's past, over real HTTP: what is listed, heard and kept, and what a kill, a broken batch or a limit leaves."""

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from pydantic import SecretStr

from core.freesound.budget import Budget, Limits
from core.freesound.client import FreesoundClient
from core.id2prediction import RolledOut, new_event
from core.model import bundle
from core.settings import Settings
from core.tagging import AUTOMATIC, model_in_force
from core.workspace.local import LocalWorkspace
from jobs import backfill as job
from jobs.backfill import BackfillError, Created, Ids, Listing, backfill, hear, in_this_process, span_of, task_of
from jobs.schedule import due_at
from tests.servers.hopsworks import HopsworksServer
from tests.servers.modal import ModalServer

ROOT = Path(__file__).parents[2]
DAY_S = 86_400
PLENTY = Limits(reads_a_minute=10**6, reads_a_day=10**6)
START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def credential(freesound_server):
    return freesound_server.state.add_client("earmark", owner="alice")


@pytest.fixture
def sounds(freesound_server, examples):
    """Ten sounds with ids 2001 to 2010, uploaded one a day from the first of January 2026."""
    audio = [path.read_bytes() for path in sorted(examples.glob("*.ogg"))]
    for number in range(10):
        created = (START + timedelta(days=number)).timestamp()
        freesound_server.state.add_sound("alice", id=2001 + number, audio=audio[number], created=created, duration=3.0, name=f"s{number}")
    return list(range(2001, 2011))


@pytest.fixture
def chosen(freesound_server, credential, tmp_path):
    return Settings(
        freesound_api_key=SecretStr(credential.client_secret), freesound_api=f"{freesound_server.url}/apiv2",
        preview_hosts="127.0.0.1", workspace=tmp_path / "workspace",
    )  # fmt: skip


@pytest.fixture
def fill(chosen, workspace, freesound_server, tmp_path):
    """Runs a backfill into the local workspace."""

    def one(span, fan_out=None, batch=3, limits=PLENTY, again=False):
        budget = Budget(tmp_path / "budget.sqlite", limits, freesound_server.now)
        client = FreesoundClient(
            chosen.freesound_api_key, budget, chosen.freesound_api, tuple(chosen.preview_hosts), freesound_server.advance
        )
        model = model_in_force(workspace)
        listing = Listing(client, workspace, span, 10, model if again else None)
        task = partial(task_of, model=model, chosen=chosen)
        return backfill(workspace, listing, task, fan_out or in_this_process(1), model=model, batch=batch)

    return one


def numbers(workspace):
    return sorted(int(state.sound_id.removeprefix("freesound:")) for state in workspace.states())


def searches(server):
    return [request for request in server.requests if request.path.endswith("/search/")]


def test_a_range_of_ids_is_tagged_with_media_sidecar_and_a_record_of_the_run(fill, sounds, workspace):
    run = fill(Ids(2003, 2008), in_this_process(2))
    assert (run.tagged, run.known, run.skipped, run.state, run.actor) == (6, 0, (), "finished", AUTOMATIC)
    assert run.source == "Freesound, backfill --ids 2003 2008"
    assert workspace.runs() == [run]
    assert numbers(workspace) == [2003, 2004, 2005, 2006, 2007, 2008]
    for state in workspace.states():
        assert len(state.suggestions) == 5
        assert (state.sound.author, state.sound.source) == ("alice", "Freesound")
        assert workspace.media_path(state.media.audio).read_bytes()[:4] == b"OggS"
        assert workspace.media_path(state.media.spectrogram).read_bytes()[8:12] == b"WEBP"
        assert workspace.sidecar(state.sound_id, state.model)["embedding"].ndim == 1


def test_a_range_of_dates_is_tagged_and_a_second_call_finds_nothing_to_do(fill, sounds, workspace, freesound_server):
    span = Created(START + timedelta(days=2), START + timedelta(days=5, hours=1))
    assert fill(span).tagged == 4
    assert numbers(workspace) == [2003, 2004, 2005, 2006]
    before = len(freesound_server.requests)
    assert fill(span) is None
    assert len(freesound_server.requests) == before + 1  # one search, no preview
    assert len(workspace.runs()) == 1
    assert fill(Ids(2001, 2010)).known == 4


def test_no_search_goes_deeper_than_it_may(fill, sounds, workspace, freesound_server, monkeypatch):
    monkeypatch.setattr(job, "MOST_PAGED", 3)
    assert fill(Created(START, START + timedelta(days=30))).tagged == 10
    assert len(searches(freesound_server)) == 5  # 3 rows, then each time the last one again and 2 more
    freesound_server.requests.clear()
    assert fill(Ids(2001, 2010)) is None
    assert [request.query["filter"].split("] ")[0] for request in searches(freesound_server)] == [
        "id:[2001 TO 2003", "id:[2004 TO 2006", "id:[2007 TO 2009", "id:[2010 TO 2010",
    ]  # fmt: skip


def test_more_sounds_of_one_moment_than_one_search_may_page_through_are_all_listed(
    fill, freesound_server, workspace, monkeypatch, examples
):
    monkeypatch.setattr(job, "MOST_PAGED", 2)
    audio = (examples / "sneeze.ogg").read_bytes()
    for number in range(5):
        freesound_server.state.add_sound("bob", id=3001 + number, audio=audio, created=START.timestamp() + 60, duration=3.0)
    assert fill(Created(START, START + timedelta(days=1))).tagged == 5


def test_previews_that_cannot_be_heard_are_skipped_with_their_reasons_and_the_others_kept(fill, sounds, workspace, freesound_server):
    freesound_server.state.sounds[2002].audio = b"OggS and then nonsense"
    freesound_server.state.sounds[2003].audio = b"<html>"
    freesound_server.fail("/2004_", times=None, status=404)
    freesound_server.null_sound_ids.add(2005)
    run = fill(Ids(2001, 2010))
    assert (run.tagged, run.state) == (6, "finished")
    reasons = dict(run.skipped)
    assert set(reasons) == {"s1 (2002)", "s2 (2003)", "s3 (2004)"}
    assert reasons["s2 (2003)"] == "The preview of sound 2003 is no Ogg or MP3 file."
    assert reasons["s3 (2004)"] == "The preview of sound 2004 is gone."


def test_only_freesounds_own_hosts_are_asked_for_previews(fill, sounds, freesound_server):
    freesound_server.media_host = "http://localhost:1"
    run = fill(Ids(2001, 2003))
    assert run.tagged == 0
    assert all("on another host" in reason for _, reason in run.skipped)


def failing(broken):
    """Workers of whom the batch with that sound fails."""

    def attempt(task):
        return OSError("the container was lost") if broken in [row["id"] for row in task["sounds"]] else hear(task)

    return lambda tasks: map(attempt, tasks)


def test_a_batch_that_fails_is_reported_and_taken_by_the_next_call(fill, sounds, workspace):
    with pytest.raises(BackfillError, match="A batch failed, and the next call takes their sounds: OSError: the container was lost"):
        fill(Ids(2001, 2010), failing(2005))
    assert numbers(workspace) == [2001, 2002, 2003, 2007, 2008, 2009, 2010]
    assert (workspace.runs()[0].state, workspace.runs()[0].tagged) == ("failed", 7)
    assert fill(Ids(2001, 2010)).tagged == 3
    assert numbers(workspace) == sounds
    assert all(len(workspace.events(state.sound_id)) == 1 for state in workspace.states())


def test_it_stops_when_one_batch_after_the_other_fails(fill, sounds, workspace):
    with pytest.raises(BackfillError, match="Stopped after 10 batches in a row failed"):
        fill(Ids(2001, 2010), lambda tasks: (OSError("no container") for _ in tasks), batch=1)
    assert numbers(workspace) == []


def test_a_batch_whose_previews_are_all_out_of_reach_has_failed_and_is_not_skipped(fill, sounds, workspace, freesound_server, monkeypatch):
    monkeypatch.setattr("core.freesound.client.MOST_TRIES", 1)
    freesound_server.fail("/previews/", times=None, status=503)
    with pytest.raises(BackfillError, match=r"can.*be fetched \(status 503\)"):
        fill(Ids(2001, 2003))
    freesound_server.heal()
    assert fill(Ids(2001, 2003)).tagged == 3


def test_the_days_limit_ends_it_with_the_range_that_is_left(fill, sounds, workspace, monkeypatch):
    monkeypatch.setattr(job, "MOST_PAGED", 3)
    with pytest.raises(BackfillError, match=r"daily limit .* To go on, call it with --ids 2004 2010\.$"):
        fill(Ids(2001, 2010), limits=Limits(reads_a_minute=100, reads_a_day=2))
    assert numbers(workspace) == [2001, 2002, 2003, 2004, 2005, 2006]
    assert workspace.runs()[0].state == "failed"


def test_a_newer_model_is_fetched_from_the_home_and_tags_again_only_if_asked_to(fill, sounds, workspace, tmp_path, monkeypatch):
    fill(Ids(2001, 2002))
    bundle.copy(bundle.load(), tmp_path / "better")
    metrics = tmp_path / "better" / "metrics.json"
    metrics.write_text(metrics.read_text() + "\n")
    better = workspace.push(bundle.load(tmp_path / "better"))
    workspace.append([new_event(RolledOut(model=better, reason="better"), None, "maintainer", base=workspace.rolled_out())])
    monkeypatch.setenv("EARMARK_WORKSPACE", str(tmp_path / "workspace"))
    assert fill(Ids(2001, 2002)) is None
    assert fill(Ids(2001, 2002), again=True).tagged == 2
    assert {state.model for state in workspace.states()} == {better}


def test_a_backfill_does_not_put_off_the_newest_sounds(fill, sounds, workspace):
    fill(Ids(2001, 2002))
    now = datetime.now(UTC)
    assert due_at(workspace.runs(), timedelta(days=3), now) == now


@pytest.fixture
def environment(freesound_server, credential, tmp_path):
    given = {"FREESOUND_API_KEY": credential.client_secret, "FREESOUND_API": f"{freesound_server.url}/apiv2"}
    given |= {"PREVIEW_HOSTS": "127.0.0.1", "FREESOUND_LEDGER": tmp_path / "ledger.sqlite", "WORKSPACE": tmp_path / "workspace"}
    return os.environ | {f"EARMARK_{name}": str(value) for name, value in given.items()}


def test_killed_half_way_it_loses_nothing_and_repeats_nothing(environment, fill, sounds, freesound_server, tmp_path):
    command = [sys.executable, "-m", "jobs.backfill", "--created", "2026-01-01", "2026-02-01", "--batch", "1", "--workers", "1"]
    answer, processes = freesound_server.answer, []

    def kill_at_the_sixth(request):
        if "/2006_" in request.path and processes:
            processes.pop().send_signal(signal.SIGKILL)
        return answer(request)

    freesound_server.answer = kill_at_the_sixth
    processes.append(process := subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL))
    assert process.wait(120) == -signal.SIGKILL
    workspace = LocalWorkspace(tmp_path / "workspace")
    saved = workspace.counts().sounds
    assert saved in (4, 5)
    assert workspace.runs()[0].state == "running"
    run = fill(Created(START, START + timedelta(days=31)))
    assert (run.tagged, run.known, run.state) == (10 - saved, saved, "finished")
    assert numbers(workspace) == sounds
    assert all(len(workspace.events(state.sound_id)) == 1 for state in workspace.states())


ON_MODAL = """
import json
from hsml.engine import model_engine
model_engine.time.sleep = lambda seconds: None
from jobs.modal_tagging import app, backfill
with app.run():
    print(json.dumps(backfill.local(first_id=2001, last_id=2010, batch=3)))
"""


def test_on_modal_batches_go_through_map_and_land_in_the_teams_home(environment, sounds, freesound_server, credential):
    tasks = []

    def hear_batch(task):
        tasks.append(task)
        return hear(task)

    with HopsworksServer() as home, ModalServer({"hear_batch": hear_batch}) as modal:
        given = {"HOST": home.host, "PORT": home.port, "PROJECT": home.project, "API_KEY": home.key, "CERTIFICATE": home.certificate}
        environment |= modal.environment | {f"EARMARK_HOPSWORKS_{name}": str(value) for name, value in given.items()}
        result = subprocess.run([sys.executable, "-c", ON_MODAL], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
        assert result.returncode == 0, result.stdout + result.stderr
        run = json.loads(result.stdout.splitlines()[-1])
        assert (run["tagged"], run["state"]) == (10, "finished")
        assert sorted(len(task["sounds"]) for task in tasks) == [1, 3, 3, 3]
        assert credential.client_secret not in json.dumps(tasks)
        (called,) = modal.requests["FunctionMap"]
        assert (called.function_id, called.return_exceptions) == ("fu-hear_batch", True)
        there = home.store.files("Resources/earmark")
        assert sum(path.startswith("media/") and path.endswith(".ogg") for path in there) == 10
        assert json.loads(there["id2prediction.json"]).keys() == {str(number) for number in sounds}
        assert home.errors == []


def test_what_is_no_range_is_refused_in_one_sentence():
    for created, ids in ((None, None), (("2026-01-01", "2026-02-01"), (1, 2)), (("2026-02-01", "2026-01-01"), None), (None, (5, 4))):
        with pytest.raises(BackfillError):
            span_of(created, ids)
    with pytest.raises(BackfillError, match="yesterday is no date"):
        span_of(("yesterday", "2026-01-01"), None)
    assert str(span_of(("2026-01-01", "2026-02-01T12:00:00+01:00"), None)) == "--created 2026-01-01T00:00:00Z 2026-02-01T11:00:00Z"
