"""A run that goes on: how far it is, its cancellation, and the end of its process."""

import _thread
import os
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta

import pytest

from core.events.types import ModelRef, iso
from core.pipeline import run as run_module
from core.pipeline.errors import RunCancelled
from core.pipeline.job_lock import JobLock
from core.pipeline.run import RunRecorder
from core.pipeline.sources import FolderSource
from core.pipeline.tagging import tag_new_sounds
from core.storage.local import open_local_workspace
from core.storage.runs import MAX_SILENCE, Run, RunProgress
from tests.helpers.waiting import wait_until

MODEL = ModelRef(name="m", version=1)


@pytest.fixture(autouse=True)
def _report_often(monkeypatch):
    monkeypatch.setattr(run_module, "REPORT_INTERVAL_S", 0.01)


def recorder_of(workspace, **options):
    return RunRecorder(workspace.runs, "Freesound", MODEL, "ada", **options)


def test_how_far_a_run_is_can_be_read_while_it_runs(workspace):
    with recorder_of(workspace) as recorder:
        recorder.report(3, 5, "rain.wav")
        wait_until(lambda: workspace.runs.progress(recorder.run.run_id).done == 3)
        progress = workspace.runs.progress(recorder.run.run_id)
        assert (progress.total, progress.stage) == (5, "rain.wav")
        assert [run.run_id for run in workspace.runs.running()] == [recorder.run.run_id]
    assert workspace.runs.running() == []


def test_a_run_can_be_cancelled_and_keeps_what_it_tagged(workspace, examples, predictor):
    cancelled = threading.Event()

    def cancel(done, total, name):
        (run,) = workspace.runs.running()
        workspace.runs.cancel(run.run_id, "grace (freesound user 9)")
        cancelled.set()

    with pytest.raises(RunCancelled, match=r"Cancelled by grace\."):
        tag_new_sounds(FolderSource(examples), predictor, workspace, progress=cancel)
    (run,) = workspace.runs.latest()
    assert (run.state, run.note) == ("interrupted", "Cancelled by grace.")
    assert 0 < run.tagged < 16
    assert workspace.sounds.counts().sounds == run.tagged


def test_work_that_does_not_ask_is_told_to_stop_once(workspace):
    asked = threading.Event()
    recorder = recorder_of(workspace, kind="training", on_cancel=_thread.interrupt_main)

    def work():
        with recorder:
            assert workspace.runs.cancel(recorder.run.run_id, "ada")
            while not asked.wait(0.01):
                pass

    with pytest.raises(KeyboardInterrupt):
        work()
    assert (recorder.run.state, recorder.run.note) == ("interrupted", "Cancelled by ada.")


def test_a_run_whose_process_was_killed_is_interrupted_not_running_for_ever(tmp_path):
    folder = tmp_path / "w"
    script = (
        "import os, signal; from pathlib import Path\n"
        "from core.pipeline.run import RunRecorder\n"
        "from core.storage.local import open_local_workspace\n"
        f"runs = open_local_workspace(Path({str(folder)!r})).runs\n"
        "with RunRecorder(runs, 'Freesound', None, 'ada', kind='training') as recorder:\n"
        "    os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", script], env=os.environ, check=False)
    workspace = open_local_workspace(folder)
    (run,) = workspace.runs.running()
    seen = datetime.now(UTC) - MAX_SILENCE - timedelta(seconds=1)
    workspace.runs.report(RunProgress(run.run_id, iso(seen), done=7))
    assert workspace.runs.running() == []
    (run,) = workspace.runs.page(0, 10).runs
    assert (run.state, run.done, run.finished) == ("interrupted", 7, iso(seen))
    assert run.note


def test_pages_of_thousands_of_runs_are_complete_and_newest_first(workspace):
    start = datetime(2026, 1, 1, tzinfo=UTC)
    for number in range(95):
        kind = "training" if number % 10 == 0 else "tagging"
        state = "failed" if number % 3 == 0 else "finished"
        started = iso(start + timedelta(hours=number))
        run = Run(f"{number:032x}", started, "Freesound", None, "a", state=state, kind=kind)
        workspace.runs.record(run)
    pages = [workspace.runs.page(number, 20) for number in range(5)]
    assert {page.total for page in pages} == {95}
    started = [run.started for page in pages for run in page.runs]
    assert started == sorted(set(started), reverse=True)
    assert len(started) == 95
    assert workspace.runs.page(0, 20, "training").total == 10
    assert workspace.runs.page(0, 20, "training", ("failed",)).total == 4
    assert all(run.kind == "tagging" for run in workspace.runs.latest(50))


def test_one_job_at_a_time_among_processes_and_a_dead_ones_lock_is_free(tmp_path):
    script = (
        "import sys; from pathlib import Path\n"
        "from core.pipeline.job_lock import JobLock\n"
        f"lock = JobLock(Path({str(tmp_path)!r}))\n"
        "assert lock.acquire()\n"
        "print('locked', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", script]
    lock = JobLock(tmp_path)
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "locked\n"
        assert not lock.acquire()
        other.kill()
    assert lock.acquire()
    another = JobLock(tmp_path)
    assert not another.acquire()
    lock.release()
    assert another.acquire()
    another.release()
