"""How the jobs stand: the active model, the last runs, when the next is due, waiting saves."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from rich.console import Console
from rich.table import Table
from rich.text import Text

from core.errors import EarmarkError
from core.settings import Settings
from core.storage.active_model import active_version
from core.storage.errors import StorageError
from core.storage.folder import has_workspace
from core.storage.opening import open_workspace
from core.storage.runs import Run
from core.storage.workspace import Workspace
from jobs.schedule import due_at

MAX_RUNS = 10
out = Console(highlight=False)


def print_status(settings: Settings) -> None:
    """Print how the jobs of the configured workspace stand.

    Raises:
        EarmarkError: There is no workspace yet, or it cannot be opened.
    """
    folder = settings.workspace_folder
    if not (settings.hopsworks_host or has_workspace(folder)):
        raise EarmarkError(f"There is no workspace in {folder} yet; `python -m jobs tag` makes it.")
    workspace = open_workspace(settings)
    problem = _pull(workspace)
    runs = workspace.runs.latest(MAX_RUNS)
    facts = (
        ("Workspace", str(folder)),
        ("Active model", _active_model(workspace)),
        ("Next run", _next_run(runs, settings.tag_every_days)),
        ("Waiting to be sent", _waiting(workspace, problem)),
    )
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, text in facts:
        table.add_row(Text(name, style="bold"), Text(text))
    out.print(table)
    _print_runs(runs)


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


def _next_run(runs: Sequence[Run], every_days: int) -> str:
    now = datetime.now(UTC)
    due = due_at(runs, timedelta(days=every_days), now)
    if due <= now:
        return f"due now (every {every_days} days)"
    return f"due {due:%Y-%m-%d %H:%M} UTC (every {every_days} days)"


def _waiting(workspace: Workspace, problem: str) -> str:
    status = workspace.sync.status()
    if status is None:
        return "nothing; the workspace is this machine's alone"
    contact = f"last contact {status.last_contact}" if status.last_contact else "no contact yet"
    text = f"{status.waiting} saves ({contact})"
    trouble = problem or status.problem
    return f"{text}. {trouble}" if trouble else text


def _print_runs(runs: Sequence[Run]) -> None:
    if not runs:
        out.print("No runs yet.")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("Started", "State", "Source", "Tagged", "Known", "Skipped", "Seconds", "Note"):
        table.add_column(column)
    for run in runs:
        started = f"{datetime.fromisoformat(run.started):%Y-%m-%d %H:%M}"
        counts = (run.tagged, run.known, len(run.skipped), f"{run.seconds:.0f}")
        cells = (started, run.state, run.source, *map(str, counts), run.note)
        table.add_row(*map(Text, cells))
    out.print(table)
