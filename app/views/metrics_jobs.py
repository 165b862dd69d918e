"""Runs of tagging, training and maintenance: what ran, what runs, what is due, and starting one."""

import logging
from datetime import datetime, timedelta

import streamlit as st

from app import auth, services, state
from app.callbacks import callback
from app.job_runner import NAMES, JobKind
from app.text import ago, plain
from app.views.errors import log_error, shows_errors
from app.views.metrics_jobs_list import RunRow, count_text, rows_html
from core.people import shown_name
from core.pipeline.schedule import due_at, last_start, max_quiet_days, quiet_since
from core.pipeline.sources import FREESOUND
from core.settings import ROOT
from core.storage.runs import Run, RunKind, RunState

logger = logging.getLogger(__name__)

POLL_INTERVAL_S = 2.0
PAGE_SIZE = 20
FILTER_WIDTH = 140
"""Two of them and the heading fit on a phone."""
STYLES = ROOT / "app" / "assets" / "jobs.css"
NAMELESS_ACTOR = "somebody on this machine"
CANCELLABLE = ("tagging", "backfill", "training")
LABELS: dict[JobKind, tuple[str, str]] = {
    "tagging": ("Tag new sounds", ":material/download:"),
    "training": ("Retrain the model", ":material/model_training:"),
    "compaction": ("Compact the shared workspace", ":material/compress:"),
}
HELP: dict[JobKind, str] = {
    "tagging": "Fetches the newest sounds of Freesound that are not here yet, and tags them",
    "training": "Trains a new version with the corrections; it takes hours and deploys nothing",
    "compaction": "Combines many small files of the shared workspace, and removes old media",
}
STATE_FILTERS: dict[str, tuple[RunState, ...]] = {
    "Finished": ("finished",),
    "Problems": ("failed", "interrupted"),
    "Running": ("running",),
}
KIND_FILTERS: dict[str, RunKind] = {
    "Tagging": "tagging",
    "Backfill": "backfill",
    "Training": "training",
    "Compaction": "compaction",
}


def jobs_view() -> None:
    """Draw what runs, what is due, and the list of runs."""
    st.html(STYLES)
    _quiet_warning()
    _schedule()
    jobs_now()
    _history()


def _quiet_warning() -> None:
    workspace, settings = services.workspace(), services.settings()
    last = quiet_since(workspace, settings)
    if last is None:
        return
    days = (workspace.runs.now() - last).days
    text = (
        f"No tagging run has finished for {days} days (warning after {max_quiet_days(settings)})."
    )
    below = " If the last runs failed, the list below says why."
    st.warning(f"{text} {_what_to_do()}{below}", icon=":material/warning:")


def _what_to_do() -> str:
    """Return how to run a job, for the viewer."""
    if not auth.viewer().run.allowed:
        return "A maintainer can start a run here."
    if "tagging" in services.job_runner().kinds():
        return f"Press *{LABELS['tagging'][0]}*."
    return "Run `python -m jobs tag` for the folder of sounds, or set `EARMARK_FREESOUND_API_KEY`."


def _schedule() -> None:
    """Say when the newest sounds of Freesound are due."""
    workspace, settings = services.workspace(), services.settings()
    last = last_start(workspace, FREESOUND)
    if last is None:
        return
    now = workspace.runs.now()
    due = due_at(workspace, FREESOUND, timedelta(days=settings.tag_every_days))
    when = "now" if due <= now else f"in {_span(due - now)} ({due:%Y-%m-%d %H:%M} UTC)"
    every = f"every {settings.tag_every_days} days"
    st.caption(
        f"Freesound: last run {ago(last, now)}; the next scheduled run is due {when}, {every}."
    )


def _span(time: timedelta) -> str:
    minutes = round(time.total_seconds() / 60)
    if minutes >= 48 * 60:
        return f"{minutes / 60 / 24:.0f} days"
    return f"{minutes / 60:.0f} hours" if minutes >= 120 else f"{max(1, minutes)} min"


@st.fragment(run_every=POLL_INTERVAL_S)
@shows_errors
def jobs_now() -> None:
    """Draw the runs that go on, and what a maintainer may start; anew every few seconds."""
    runs = services.workspace().runs.running()
    running = frozenset(run.run_id for run in runs)
    job = services.job_runner().current
    if state.jobs_seen_running.get() - running or (
        state.job_seen.get() == job.number and not job.running and state.job_seen.pop()
    ):
        state.jobs_seen_running.set(running)
        state.job_note.set(_outcome(job.error, job.kind) if not job.running else "")
        st.rerun(scope="app")  # a run has ended: the list and the times are to show it
    state.jobs_seen_running.set(running)
    for run in runs:
        _running(run)
    if job.running and not any(run.kind == job.kind for run in runs):
        name = plain(shown_name(job.actor))
        st.progress(0.0, text=f"{NAMES[job.kind]}, started by {name}, is about to begin")
    if auth.viewer().run.allowed:
        _start_buttons(is_busy=bool(runs) or job.running)


def _running(run: Run) -> None:
    """Draw the progress of a run, and the button that cancels it."""
    progress = services.workspace().runs.progress(run.run_id)
    share = progress.done / progress.total if progress and progress.total else 0.0
    what = f"**{NAMES[run.kind]}** ({plain(run.source)}), started by {plain(shown_name(run.actor))}"
    what += f" {ago(datetime.fromisoformat(run.started), services.workspace().runs.now())}"
    if progress is None:
        what += ", on another machine"
    else:
        stage = f": {plain(progress.stage)}" if progress.stage else ""
        what += f". {count_text(run, progress)} done{stage}"
    with st.container(key=f"jobs-running-{run.run_id}", border=True):
        st.progress(min(1.0, share), text=what)
        if progress and progress.cancelled_by:
            st.caption(
                f"{plain(shown_name(progress.cancelled_by))} has cancelled it; it is ending."
            )
        elif progress and run.kind in CANCELLABLE and auth.viewer().run.allowed:
            key = f"cancel-{run.run_id}"
            icon = ":material/cancel:"
            st.button("Cancel", key=key, on_click=_cancel, args=(run.run_id,), icon=icon)


def _start_buttons(*, is_busy: bool) -> None:
    kinds = services.job_runner().kinds()
    with st.container(key="jobs-start", horizontal=True):
        for kind in kinds:
            label, icon = LABELS[kind]
            st.button(
                label,
                key=f"start-{kind}",
                icon=icon,
                help=HELP[kind],
                disabled=is_busy,
                on_click=_start,
                args=(kind,),
            )
    if note := state.job_note.get():
        st.caption(note)


@callback
def _start(kind: JobKind) -> None:
    """Begin a job for the viewer, or tell them why not."""
    viewer, runner = auth.viewer(), services.job_runner()
    if not viewer.run.allowed:
        logger.warning("refusal action=start-job kind=%s actor=%s", kind, viewer.actor)
        return
    refusal = runner.start(kind, viewer.actor or NAMELESS_ACTOR)
    state.job_note.set(plain(refusal))
    if not refusal:
        state.job_seen.set(runner.current.number)


@callback
def _cancel(run_id: str) -> None:
    """Ask a run to stop, if the viewer may."""
    viewer = auth.viewer()
    if not viewer.run.allowed:
        logger.warning("refusal action=cancel-job run=%s actor=%s", run_id, viewer.actor)
        return
    actor = viewer.actor or NAMELESS_ACTOR
    if not services.workspace().runs.cancel(run_id, actor):
        state.job_note.set("It runs on another machine and can be cancelled only there.")


def _outcome(error: str, kind: JobKind) -> str:
    """Return how the last job ended, as Markdown."""
    if not error:
        return ""
    log_error(error)
    return f":red[{NAMES[kind]} did not finish.] {plain(error)}"


def _history() -> None:
    """Draw the list of runs, a page of it."""
    runs = services.workspace().runs
    if not runs.page(0, 1).total:
        st.info(f"No run has been recorded yet. {_what_to_do()}", icon=":material/info:")
        return
    with st.container(key="jobs-filters", horizontal=True, vertical_alignment="center"):
        st.header("Runs", anchor=False, width="stretch")
        for entry, label, placeholder, options in (
            (state.job_kind_filter, "Job", "All jobs", KIND_FILTERS),
            (state.job_state_filter, "State", "All states", STATE_FILTERS),
        ):
            st.selectbox(
                label,
                list(options),
                index=None,
                key=entry.key,
                placeholder=placeholder,
                label_visibility="collapsed",
                on_change=_first_page,
                width=FILTER_WIDTH,
            )
    kind = KIND_FILTERS.get(state.job_kind_filter.get() or "")
    states = STATE_FILTERS.get(state.job_state_filter.get() or "", ())
    number = state.jobs_page.get()
    page = runs.page(number, PAGE_SIZE, kind, states)
    if not page.total:
        st.caption("No run matches these filters.")
        return
    now = runs.now()
    st.html(rows_html(RunRow(run, runs.progress(run.run_id), now) for run in page.runs))
    _paging(number, page.total)


def _first_page() -> None:
    state.jobs_page.set(0)


def _paging(number: int, total: int) -> None:
    first, last = number * PAGE_SIZE + 1, min(total, (number + 1) * PAGE_SIZE)
    with st.container(horizontal=True, vertical_alignment="center", key="jobs-paging"):
        st.caption(f"Runs {first:,} to {last:,} of {total:,}", width="content")
        for label, step, is_possible in (
            ("Newer", -1, number > 0),
            ("Older", 1, last < total),
        ):
            st.button(
                label,
                key=f"jobs-{label.lower()}",
                disabled=not is_possible,
                on_click=state.jobs_page.set,
                args=(number + step,),
            )
