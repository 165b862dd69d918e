"""The list of runs as HTML: a row for each, which opens to its details."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape

from app.job_runner import NAMES
from app.text import ago, plural
from core.people import shown_name
from core.storage.runs import TAGGING_KINDS, Run, RunProgress, RunState, shown_state

MAX_REASONS = 12
UNITS = {"training": "epoch", "compaction": "file"}
STATES = {
    "running": "Running",
    "finished": "Finished",
    "failed": "Failed",
    "interrupted": "Interrupted",
}


@dataclass(frozen=True)
class RunRow:
    """A run as it is shown.

    Attributes:
        run: Its record.
        progress: How far it is; None for one of another machine.
        now: The time by the clock of those who record runs.
    """

    run: Run
    progress: RunProgress | None
    now: datetime

    @property
    def state(self) -> RunState:
        """Return its state: interrupted where its process ended without a word."""
        return shown_state(self.run, self.progress, self.now)


def rows_html(rows: Iterable[RunRow]) -> str:
    """Return the list of runs."""
    return f'<div class="runs">{"".join(map(_row, rows))}</div>'


def duration(seconds: float) -> str:
    """Return how long something took: `4 s`, `3 min`, `2 h 5 min`."""
    minutes, hours = int(seconds // 60), int(seconds // 3600)
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min"


def count_text(run: Run, progress: RunProgress | None = None) -> str:
    """Return how much a run did."""
    if run.state == "running" and progress is not None:
        total = f" of {progress.total:,}" if progress.total else ""
        return f"{progress.done:,}{total}"
    if run.kind in TAGGING_KINDS:
        skipped = f", {len(run.skipped):,} skipped" if run.skipped else ""
        return f"{run.tagged:,} tagged{skipped}"
    if run.kind == "training" and not run.done:
        return run.result
    text = plural(run.done, UNITS[run.kind])
    return f"{text}, {run.result}" if run.result else text


def reasons_with_counts(skipped: Sequence[tuple[str, str]]) -> list[tuple[str, int]]:
    """Return why sounds could not be used: reasons that differ in names and numbers only are one.

    Returns:
        The first text of each reason, and how often it occurs, the most frequent first.
    """
    examples: dict[str, str] = {}
    counts: dict[str, int] = {}
    for name, reason in skipped:
        pattern = re.sub(r"\d+", "0", reason.replace(name, "") if name else reason)
        examples.setdefault(pattern, reason)
        counts[pattern] = counts.get(pattern, 0) + 1
    order = sorted(counts, key=lambda pattern: -counts[pattern])
    return [(examples[pattern], counts[pattern]) for pattern in order]


def _row(row: RunRow) -> str:
    run, state = row.run, row.state
    took = "" if state == "running" or not run.seconds else duration(run.seconds)
    cells = (
        ("state", STATES[state]),
        ("job", NAMES[run.kind]),
        ("source quiet", run.source),
        ("count", count_text(run, row.progress)),
        ("took quiet", took),
        ("when quiet", _when(run.started)),
        ("who quiet", shown_name(run.actor)),
    )
    spans = "".join(f'<span class="{name}">{escape(text)}</span>' for name, text in cells)
    if run.note:
        spans += f'<span class="why">{escape(run.note)}</span>'
    return f'<details class="{state}"><summary>{spans}</summary>{_details(run)}</details>'


def _when(text: str) -> str:
    try:
        return ago(datetime.fromisoformat(text))
    except (ValueError, TypeError):
        return text


def _details(run: Run) -> str:
    facts = [
        ("Started", _moment(run.started)),
        ("Ended", _moment(run.finished)),
        ("Started by", shown_name(run.actor)),
        ("Model", str(run.model) if run.model else ""),
        ("Result", run.result),
        ("Known before", f"{run.known:,}" if run.known else ""),
        ("Run id", run.run_id),
    ]
    entries = [(name, escape(text)) for name, text in facts if text]
    if run.skipped:
        entries.insert(-1, _skipped(run))
    return "<dl>" + "".join(f"<dt>{name}</dt><dd>{html}</dd>" for name, html in entries) + "</dl>"


def _skipped(run: Run) -> tuple[str, str]:
    """Return what a run left out: a training does so by the number, tagging sound by sound."""
    if run.kind == "training":
        lines = [escape(f"{name}: {reason}") for name, reason in run.skipped]
        return "Left out", "<ul>" + "".join(f"<li>{line}</li>" for line in lines) + "</ul>"
    return f"Skipped ({len(run.skipped):,})", _reasons(run.skipped)


def _moment(text: str) -> str:
    try:
        return f"{datetime.fromisoformat(text).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    except ValueError:
        return text


def _reasons(skipped: Sequence[tuple[str, str]]) -> str:
    """Return the reasons as a list, each with how often it occurs."""
    reasons = reasons_with_counts(skipped)
    lines = [
        escape(reason) + (f" (and {count - 1:,} more for the same reason)" if count > 1 else "")
        for reason, count in reasons[:MAX_REASONS]
    ]
    if len(reasons) > MAX_REASONS:
        lines.append(f"and {len(reasons) - MAX_REASONS:,} other reasons")
    return "<ul>" + "".join(f"<li>{line}</li>" for line in lines) + "</ul>"
