"""Notifications through Apprise: off by default, each occurrence once, and never in a job's way."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pydantic import SecretStr

from core.curation.drift import drift_report
from core.curation.feedback import open_feedback
from core.errors import EarmarkError
from core.model import bundle as bundles
from core.model.reference import read_reference
from core.people import shown_name
from core.pipeline.schedule import quiet_since
from core.settings import Occasion, Settings
from core.storage.active_model import active_version
from core.storage.runs import ENDED_SILENTLY, Run, RunKind
from core.storage.workspace import Workspace

logger = logging.getLogger(__name__)

MAX_AGE = timedelta(days=3)
"""Nobody is told of a run that failed longer ago: notifications may have been set up just now."""
MAX_RUNS = 20
TITLES: dict[RunKind, str] = {
    "tagging": "Tagging",
    "backfill": "Backfill",
    "training": "Training",
    "compaction": "Compaction",
}
TEST_TITLE = "Earmark: test"
TEST_TEXT = "Notifications of this Earmark arrive here."


class NotificationError(EarmarkError):
    """A notification that could not be sent; the text names no address."""


@dataclass(frozen=True)
class Notice:
    """Something to tell people of.

    Attributes:
        occasion: Of what kind it is.
        key: Which occurrence it is: people are told of each once.
        title: A few words.
        text: A sentence or two.
    """

    occasion: Occasion
    key: str
    title: str
    text: str


def send_notices(workspace: Workspace, settings: Settings, notices: Iterable[Notice]) -> int:
    """Tell people of what they were not told of yet, and want to be; returns of how much.

    It never raises: what cannot be sent is logged, and tried again at the next check.

    Args:
        workspace: Remembers what people were told of.
        settings: Name the addresses and the occasions.
        notices: What there is to tell.
    """
    if settings.notify is None:
        return 0
    selected = [notice for notice in notices if notice.occasion in settings.notify_on]
    return sum(_send_once(workspace, settings, notice) for notice in selected)


def check_runs(workspace: Workspace, settings: Settings) -> int:
    """Tell people of runs that failed, and that runs have stopped; returns of how much.

    It never raises.
    """
    if settings.notify is None:
        return 0
    try:
        notices = run_notices(workspace, settings)
    except EarmarkError as error:
        logger.warning("notifications not checked reason=%s", error)
        return 0
    return send_notices(workspace, settings, notices)


def check_all(workspace: Workspace, settings: Settings) -> int:
    """Tell people of runs and of drift; returns of how much. It never raises."""
    if settings.notify is None:
        return 0
    notices: list[Notice] = []
    if "drift" in settings.notify_on:
        try:
            notices = drift_notices(workspace)
        except EarmarkError as error:
            logger.warning("drift not checked reason=%s", error)
    return check_runs(workspace, settings) + send_notices(workspace, settings, notices)


def drift_notices(workspace: Workspace) -> list[Notice]:
    """Return a notice if the newest sounds differ strongly from what the active model knows.

    Raises:
        EarmarkError: The workspace or the model cannot be read.
    """
    model = active_version(workspace)
    if model is None:
        return []
    metrics = bundles.load(workspace.models.fetch(model)).metrics
    feedback = open_feedback(workspace)
    report = drift_report(workspace, feedback, model, read_reference(metrics))
    if report.level != "strong":
        return []
    text = (
        f"The sounds since {report.since} differ strongly from those that {model} knows; "
        "the page Model metrics shows by how much."
    )
    return [Notice("drift", f"{model} {report.since[:7]}", "Drift", text)]


def run_notices(workspace: Workspace, settings: Settings) -> list[Notice]:
    """Return what there is to tell of a workspace's runs, whether people were told or not.

    Raises:
        DatabaseError: The workspace's database cannot be read.
    """
    workspace.runs.running()  # records the end of runs whose process ended without a word
    runs = workspace.runs.page(0, MAX_RUNS, states=("failed", "interrupted")).runs
    earliest = workspace.runs.now() - MAX_AGE
    notices = [
        _failure(run)
        for run in reversed(runs)
        if datetime.fromisoformat(run.started) > earliest
        and (run.state == "failed" or run.note == ENDED_SILENTLY)
    ]
    last = quiet_since(workspace, settings)
    if last is not None:
        days = (workspace.runs.now() - last).days
        text = f"No tagging run has finished for {days} days; the last one began {_day(last)} UTC."
        notices.append(Notice("nothing_ran", last.isoformat(), "Nothing has run", text))
    return notices


def send_test(settings: Settings) -> int:
    """Send a test message; returns to how many addresses it went.

    Raises:
        NotificationError: No address is set, or one of them could not be reached.
    """
    addresses = settings.notify_addresses
    if not addresses:
        raise NotificationError("No address to notify is set: EARMARK_NOTIFY is empty.")
    problems = _send(addresses, TEST_TITLE, TEST_TEXT)
    if problems:
        raise NotificationError(" ".join(problems))
    return len(addresses)


def _send_once(workspace: Workspace, settings: Settings, notice: Notice) -> bool:
    """Send a notice, unless somebody was told of it; returns True if it was sent."""
    try:
        if not workspace.notices.claim(notice.occasion, notice.key):
            return False
        addresses = settings.notify_addresses
        problems = _send(addresses, f"Earmark: {notice.title}", notice.text)
        for problem in problems:
            logger.warning("notification failed occasion=%s reason=%s", notice.occasion, problem)
        if len(problems) == len(addresses):
            workspace.notices.release(notice.occasion, notice.key)
            return False
    except EarmarkError as error:
        logger.warning("notification failed occasion=%s reason=%s", notice.occasion, error)
        return False
    logger.info("notification sent occasion=%s key=%s", notice.occasion, notice.key)
    return True


def _send(addresses: Sequence[SecretStr], title: str, text: str) -> list[str]:
    """Send a message to each address; returns a sentence for each that did not get it."""
    apprise = _load_apprise()
    problems = []
    for number, address in enumerate(addresses, 1):
        target = apprise.Apprise(asset=apprise.AppriseAsset(app_id="Earmark", app_desc="Earmark"))
        if not target.add(address.get_secret_value()):
            problems.append(f"Address {number} in EARMARK_NOTIFY is none that Apprise knows.")
        elif not target.notify(title=title, body=text, body_format=apprise.NotifyFormat.TEXT):
            problems.append(f"Address {number} in EARMARK_NOTIFY did not take the message.")
    return problems


def _load_apprise() -> Any:
    """Return the library, whose own log would show addresses."""
    import apprise

    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
    return apprise


def _failure(run: Run) -> Notice:
    """Return the notice of a run that failed."""
    what = f"{TITLES[run.kind]} ({run.source})"
    began = _day(datetime.fromisoformat(run.started))
    text = f"{what}, begun {began} UTC by {shown_name(run.actor)}, {run.state}: {run.note}"
    return Notice("run_failed", run.run_id, f"{TITLES[run.kind]} failed", text)


def _day(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M}"
