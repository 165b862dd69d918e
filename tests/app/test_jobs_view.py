"""The Jobs view: what ran, what runs, what is due, and starting a run."""

import threading
from datetime import UTC, datetime, timedelta

import pytest

from app import fetcher as fetcher_module
from app import services
from app.views.metrics_jobs_list import reasons_with_counts
from core.events.types import ModelRef, iso
from core.storage.local import open_local_workspace
from core.storage.runs import MAX_SILENCE, Run, RunProgress
from tests.helpers.app_pages import BROWSER, button_keys, open_page, open_to_the_world, shown
from tests.helpers.waiting import wait_until

MODEL = ModelRef(name="m", version=1)
HOSTILE = "<img src=x onerror=alert(1)>"
DAY = timedelta(days=1)


def jobs(app):
    return open_page(app, "metrics.py", view="jobs")


def rows(app):
    """The HTML of the list of runs."""
    return "".join(part for part in (each.proto.body for each in app.get("html")) if "runs" in part)


def record(folder, age=DAY, **fields):
    started = iso(datetime.now(UTC) - age)
    common = {"source": "Freesound", "model": MODEL, "actor": "alice (freesound user 7)"}
    run = Run(**({"run_id": started, "started": started, "state": "finished"} | common | fields))
    open_local_workspace(folder).runs.record(run)
    return run


@pytest.fixture
def empty(app, tmp_path, monkeypatch):
    monkeypatch.setenv("EARMARK_WORKSPACE", str(tmp_path / "empty"))
    return app


@pytest.fixture
def credential(freesound_server, monkeypatch, examples):
    """The app's credential at the double, with a sound there."""
    client = freesound_server.state.add_client("earmark", owner="alice")
    monkeypatch.setenv("FREESOUND_API_KEY", client.client_secret)
    monkeypatch.setenv("EARMARK_FREESOUND_API", f"{freesound_server.url}/apiv2")
    monkeypatch.setenv("EARMARK_PREVIEW_HOSTS", "127.0.0.1")
    audio = (examples / "dog-barking.ogg").read_bytes()
    freesound_server.state.add_sound("alice", audio=audio, duration=3.0, name="dog")


@pytest.fixture
def held(monkeypatch):
    """Holds a fetch until `set`; `entered` tells that it has begun."""
    entered, go_on = threading.Event(), threading.Event()
    really = fetcher_module.tag_new_sounds

    def hold(*arguments, **options):
        entered.set()
        assert go_on.wait(60)
        return really(*arguments, **options)

    monkeypatch.setattr(fetcher_module, "tag_new_sounds", hold)
    yield entered, go_on
    go_on.set()


def test_an_empty_list_says_what_to_do(empty):
    page = jobs(empty)
    assert "No run has been recorded yet" in shown(page)
    assert "python -m jobs tag" in shown(page)


def test_a_run_tells_its_counts_and_why_sounds_were_skipped_as_text(app, own_workspace):
    skipped = (("a1.wav", "a1.wav is cut off."), ("b2.wav", "b2.wav is cut off."), ("c", HOSTILE))
    record(own_workspace, tagged=1200, skipped=skipped, seconds=125.0, source=HOSTILE)
    html = rows(jobs(app))
    assert "1,200 tagged, 3 skipped" in html
    assert "2 min" in html
    assert "a1.wav is cut off. (and 1 more for the same reason)" in html
    assert ">alice<" in html
    assert HOSTILE not in html
    assert "&lt;img" in html


def test_reasons_that_differ_in_names_and_numbers_are_counted_together():
    skipped = [(f"s{n} ({n})", f"The preview of sound {n} is gone.") for n in range(5)]
    skipped.insert(0, ("x.wav", "x.wav is cut off."))
    assert reasons_with_counts(skipped) == [
        ("The preview of sound 0 is gone.", 5),
        ("x.wav is cut off.", 1),
    ]


def test_failures_show_their_sentence_and_can_be_listed_alone(app, own_workspace):
    record(own_workspace, state="failed", note="Freesound cannot be reached.")
    page = jobs(app)
    assert "Freesound cannot be reached." in rows(page)
    assert "folder" in rows(page)
    page.selectbox(key="job-state").set_value("Problems").run()
    assert "Freesound cannot be reached." in rows(page)
    assert "folder" not in rows(page)
    page.selectbox(key="job-kind").set_value("Training").run()
    assert "No run matches" in shown(page)


def test_a_run_that_goes_on_shows_its_progress_and_who_started_it(app, own_workspace):
    run = record(own_workspace, DAY / 24, state="running", kind="training", model=None)
    runs = open_local_workspace(own_workspace).runs
    runs.report(RunProgress(run.run_id, iso(datetime.now(UTC)), 12, 40, "Epoch 12"))
    text = jobs(app).get("progress")[0].proto.text
    assert "alice" in text
    assert "12 of 40" in text
    assert "Epoch 12" in text


def test_a_run_whose_process_died_is_interrupted(app, own_workspace):
    run = record(own_workspace, DAY / 24, state="running")
    long_ago = iso(datetime.now(UTC) - MAX_SILENCE - timedelta(seconds=1))
    open_local_workspace(own_workspace).runs.report(RunProgress(run.run_id, long_ago))
    page = jobs(app)
    assert not page.get("progress")
    assert "Interrupted" in rows(page)


def test_that_nothing_has_run_for_long_is_a_warning(empty, tmp_path):
    record(tmp_path / "empty", 20 * DAY)
    page = jobs(empty)
    assert "No tagging run has finished for 20 days" in page.warning[0].value


def test_the_next_run_from_freesound_is_said_whatever_a_folder_run_says(app, own_workspace):
    record(own_workspace, 5 * DAY)
    assert "is due now" in shown(jobs(app))
    record(own_workspace, DAY)
    assert "is due in 2 days" in shown(jobs(app))


def test_thousands_of_runs_come_in_pages(app, own_workspace):
    runs = open_local_workspace(own_workspace).runs
    for number in range(45):
        record(own_workspace, 10 * DAY + number * DAY / 24, source=f"source {number:02}")
    assert runs.page(0, 1).total == 46
    page = jobs(app)
    assert "Runs 1 to 20 of 46" in shown(page)
    page.button(key="jobs-older").click().run()
    page.button(key="jobs-older").click().run()
    assert "Runs 41 to 46 of 46" in shown(page)
    assert "source 44" in rows(page)
    assert page.button(key="jobs-older").disabled


def test_a_maintainer_starts_a_run_and_sees_it_in_the_list(app, own_workspace, credential):
    page = jobs(app)
    page.button(key="start-tagging").click().run()
    services.job_runner().wait()
    page.run()
    (run, *_) = open_local_workspace(own_workspace).runs.latest()
    assert (run.source, run.tagged, run.actor) == ("Freesound", 1, "Ada")
    assert "1 tagged" in rows(page)


def test_one_at_a_time_also_with_the_monitors_button(app, own_workspace, credential, held):
    entered, go_on = held
    page = jobs(app)
    page.button(key="start-tagging").click().run()
    assert entered.wait(60)
    runner = services.job_runner()
    assert "running" in runner.start("tagging", "Grace")
    assert not services.fetcher().start("Grace")
    assert page.run().button(key="start-tagging").disabled
    go_on.set()
    runner.wait()
    assert runner.start("tagging", "Grace") == ""
    runner.wait()


def test_another_app_process_with_the_same_workspace_starts_no_second_run(
    app, own_workspace, credential, held
):
    from core.pipeline.job_lock import JobLock

    other = JobLock(own_workspace)
    assert other.acquire()
    page = jobs(app)
    page.button(key="start-tagging").click().run()
    assert "nothing was started" in shown(page)
    other.release()


def test_a_run_that_goes_on_can_be_cancelled(app, own_workspace, monkeypatch):
    run = record(own_workspace, DAY / 24, state="running")
    runs = open_local_workspace(own_workspace).runs
    runs.report(RunProgress(run.run_id, iso(datetime.now(UTC)), 1, 5))
    page = jobs(app)
    page.button(key=f"cancel-{run.run_id}").click().run()
    assert runs.progress(run.run_id).cancelled_by == "Ada"
    assert "Ada has cancelled it" in shown(page)


def test_a_run_that_fails_says_so_where_it_was_started(app, credential, monkeypatch):
    monkeypatch.setenv("FREESOUND_API_KEY", "wrong")
    page = jobs(app)
    page.button(key="start-tagging").click().run()
    services.job_runner().wait()
    assert "does not know this server" in shown(page.run())


def test_training_is_offered_where_data_are_configured_and_runs_in_its_own_process(
    app, own_workspace, monkeypatch, tmp_path
):
    assert "start-training" not in button_keys(jobs(app))
    services.settings.clear()
    services.job_runner.clear()
    monkeypatch.setenv("EARMARK_TRAINING_DATA", str(tmp_path / "nothing here"))
    from core import settings

    settings.settings.cache_clear()
    page = jobs(app)
    page.button(key="start-training").click().run()
    services.job_runner().wait()
    error = services.job_runner().current.error
    assert error
    assert "Traceback" not in error
    wait_until(lambda: not services.job_runner().current.running)
    assert "Training did not finish" in shown(page.run())


@pytest.mark.parametrize("who", ["a visitor", "bob", "carol"])
def test_nobody_but_a_maintainer_starts_anything(public, sign_in, who, caplog):
    """The page was drawn for a maintainer; by the time of the press it is somebody else."""
    sign_in("alice")
    page = jobs(public)
    assert "start-tagging" in button_keys(page)
    services.sign_ins().sign_out(BROWSER)
    if who != "a visitor":
        sign_in(who)
    page.button(key="start-tagging").click().run()
    assert services.job_runner().current.number == 0
    assert any("refusal action=start-job" in each.message for each in caplog.records)
    page = jobs(public)
    assert not [key for key in button_keys(page) if key.startswith(("start-", "cancel-"))]


def test_a_cancellation_by_a_visitor_is_refused(app, own_workspace, monkeypatch, caplog):
    run = record(own_workspace, DAY / 24, state="running")
    runs = open_local_workspace(own_workspace).runs
    runs.report(RunProgress(run.run_id, iso(datetime.now(UTC)), 1, 5))
    page = jobs(app)
    open_to_the_world(page, monkeypatch)
    page.button(key=f"cancel-{run.run_id}").click().run()
    assert runs.progress(run.run_id).cancelled_by == ""
    assert any("refusal action=cancel-job" in each.message for each in caplog.records)
