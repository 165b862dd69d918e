"""How the jobs stand: the active model, the last runs, when the next is due, waiting saves."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from rich.console import Console
from rich.table import Table
from rich.text import Text

from core.errors import EarmarkError
from core.notifications import NotificationError, check_all
from core.pipeline.schedule import due_at, max_quiet_days, quiet_since
from core.pipeline.sources import FREESOUND
from core.settings import Settings
from core.storage.active_model import active_version
from core.storage.errors import StorageError
from core.storage.folder import has_workspace
from core.storage.opening import open_workspace
from core.storage.runs import Run, shown_state
from core.storage.workspace import Workspace

MAX_RUNS = 10
out = Console(highlight=False)


def print_status(settings: Settings, *, notify: bool = False) -> None:
    """Print how the jobs of the configured workspace stand.

    Args:
        settings: Name the workspace.
        notify: Notify people of what is wrong, each thing once.

    Raises:
        EarmarkError: There is no workspace yet, or it cannot be opened.
    """
    workspace = _open(settings)
    problem = _pull(workspace)
    runs = workspace.runs.page(0, MAX_RUNS).runs
    facts = (
        ("Workspace", str(workspace.folder)),
        ("Active model", _active_model(workspace)),
        ("Next run", _next_run(workspace, settings)),
        ("Waiting to be sent", _waiting(workspace, problem)),
    )
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, text in facts:
        table.add_row(Text(name, style="bold"), Text(text))
    out.print(table)
    if quiet_since(workspace, settings):
        out.print(f"No run has finished for more than {max_quiet_days(settings)} days.")
    _print_runs(workspace, runs)
    if notify:
        _notify(workspace, settings)


def notify_people(settings: Settings) -> None:
    """Notify people of what is wrong with the jobs, each thing once.

    Raises:
        EarmarkError: There is no workspace yet, it cannot be opened, or nobody is to be notified.
    """
    workspace = _open(settings)
    if problem := _pull(workspace):
        out.print(problem, markup=False)
    _notify(workspace, settings)


def _notify(workspace: Workspace, settings: Settings) -> None:
    if settings.notify is None:
        raise NotificationError("No address to notify is set: EARMARK_NOTIFY is empty.")
    sent = check_all(workspace, settings)
    out.print(f"Sent {sent} notification{'' if sent == 1 else 's'}.")


def _open(settings: Settings) -> Workspace:
    folder = settings.workspace_folder
    if not (settings.hopsworks_host or has_workspace(folder)):
        raise EarmarkError(f"There is no workspace in {folder} yet; `python -m jobs tag` makes it.")
    return open_workspace(settings)


def _pull(workspace: Workspace) -> str:
    """Bring a shared workspace up to date; returns why it could not be."""
    try:
        workspace.sync.pull()
    except StorageError as error:
        return str(error)
    return ""


def _active_model(workspace: Workspace) -> str:
    try:
        model = active_version(workspace)
    except StorageError as error:
        return f"unknown: {error}"
    return str(model) if model else "none yet; the first run chooses it"


def _next_run(workspace: Workspace, settings: Settings) -> str:
    every = f"from Freesound, every {settings.tag_every_days} days"
    due = due_at(workspace, FREESOUND, timedelta(days=settings.tag_every_days))
    if due <= workspace.runs.now():
        return f"due now ({every})"
    return f"due {due:%Y-%m-%d %H:%M} UTC ({every})"


def _waiting(workspace: Workspace, problem: str) -> str:
    status = workspace.sync.status()
    if status is None:
        return "nothing; the workspace is this machine's alone"
    contact = f"last contact {status.last_contact}" if status.last_contact else "no contact yet"
    text = f"{status.waiting} saves ({contact})"
    trouble = problem or status.problem
    return f"{text}. {trouble}" if trouble else text


def _print_runs(workspace: Workspace, runs: Sequence[Run]) -> None:
    if not runs:
        out.print("No runs yet.")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    columns = ("Started", "Job", "State", "Source", "Done", "Known", "Skipped", "Seconds", "Note")
    for column in columns:
        table.add_column(column, no_wrap=column != "Note")
    for run in runs:
        started = f"{datetime.fromisoformat(run.started):%Y-%m-%d %H:%M}"
        state = shown_state(run, workspace.runs.progress(run.run_id), workspace.runs.now())
        done = run.tagged or run.done
        counts = (done, run.known, len(run.skipped), f"{run.seconds:.0f}")
        cells = (started, run.kind, state, run.source, *map(str, counts), run.note or run.result)
        table.add_row(*map(Text, cells))
    out.print(table)
