"""Command line of the core: python -m core tag FILE... | doctor | export | import."""

import csv
import json
import sys
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from core import command_line
from core.errors import EarmarkError
from core.settings import settings

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


@click.group()
def main() -> None:
    """Earmark on the command line."""


@main.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--json", "form", flag_value="json", help="One JSON object per line and file.")
@click.option("--csv", "form", flag_value="csv", help="CSV with a row per file and tag.")
@click.option("--top", type=click.IntRange(1, 100), default=5, show_default=True, help="How many tags to print.")
def tag(files: tuple[Path, ...], form: str | None, top: int) -> None:
    """Print the tags that the model hears in each FILE."""
    from core.model import audio

    heard, failed = [], 0
    limits, tagger = settings().limits, _tagger()
    for path in files:
        try:
            waveform = audio.load(path, limits=limits)
        except audio.AudioError as error:
            err.print(str(error), markup=False, soft_wrap=True)
            failed += 1
            continue
        heard.append((path, waveform.source.seconds, tagger.tag(waveform, top).top))
        if form == "json":
            print(json.dumps(_as_json(*heard[-1]), ensure_ascii=False), flush=True)
    if form == "csv":
        _print_csv(heard)
    elif form is None:
        for row in heard:
            _print_table(*row)
    if failed:
        sys.exit(1)


def _tagger():
    """The model that is in force in the workspace, else the starter."""
    from core.model.tagger import Tagger
    from core.workspace import open_workspace

    folder = settings().workspace_folder
    if (folder / "index.sqlite").exists():
        workspace = open_workspace(settings())
        current = workspace.rolled_out()
        if current is not None:
            return Tagger.from_folder(workspace.pull(current.payload.model))
    return Tagger.from_folder()


def _as_json(path: Path, seconds: float, top) -> dict:
    tags = [{"tag": one.tag, "probability": round(one.probability, 4), "suggested": one.above_threshold} for one in top]
    return {"file": str(path), "seconds": round(seconds, 2), "tags": tags}


def _print_csv(heard) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["file", "seconds", "rank", "tag", "probability", "suggested"])
    for path, seconds, top in heard:
        for rank, one in enumerate(top, start=1):
            writer.writerow([path, f"{seconds:.2f}", rank, one.tag, f"{one.probability:.4f}", int(one.above_threshold)])


def _print_table(path: Path, seconds: float, top) -> None:
    out.print(f"{path} ({seconds:.1f} s)", markup=False, soft_wrap=True)
    for one in top:
        bar = "█" * round(20 * one.probability)
        out.print(f"  {'*' if one.above_threshold else ' '} {one.tag:<14} {one.probability:4.0%}  {bar}".rstrip(), markup=False)
    if not any(one.above_threshold for one in top):
        out.print("    nothing that the model is sure of")


@main.command()
def doctor() -> None:
    """Say what is configured, what is missing, and what works without it."""
    from core.doctor import examine

    findings = examine()
    table = Table(box=None, show_header=False, pad_edge=False)
    for one in findings:
        table.add_row(Text(one.mark, style=one.style), Text(one.subject, style="bold"), Text(one.text))
    out.print(table)
    if any(one.broken for one in findings):
        sys.exit(1)


@main.command("export")
@click.option("--events", type=click.Path(path_type=Path, dir_okay=False), help="Write all events as JSON lines (nothing is left out).")
@click.option("--tags", type=click.Path(path_type=Path, dir_okay=False), help='Write id2prediction.json: {"<freesound id>": ["tag", ...]}.')
def export_tags(events: Path | None, tags: Path | None) -> None:
    """Write what the workspace knows to files."""
    from core.files import write_atomic
    from core.id2prediction import to_seed_format
    from core.workspace import open_workspace

    if not events and not tags:
        raise click.UsageError("Say what to write: --events FILE, --tags FILE, or both.")
    workspace = open_workspace(settings())
    workspace.mirror()
    if events:
        lines = [event.to_json() for event in workspace.log()]
        write_atomic(events, "".join(f"{line}\n" for line in lines).encode())
        err.print(f"{len(lines)} events written to {events}.", markup=False)
    if tags:
        entries = to_seed_format(workspace.states())
        write_atomic(tags, (json.dumps(entries, indent=1, ensure_ascii=False) + "\n").encode())
        err.print(f"Tags of {len(entries)} sounds written to {tags}.", markup=False)


@main.command("import")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def import_file(file: Path) -> None:
    """Read FILE into the workspace: events as JSON lines (.jsonl), or the seed's id2prediction.json (.json)."""
    from core.id2prediction import Event, EventError, from_seed_format
    from core.workspace import open_workspace

    try:
        text = file.read_bytes()
    except OSError as error:
        raise EarmarkError(f"{file} cannot be read: {error.strerror}.") from error
    events, refused = [], 0
    if file.suffix == ".json":
        events = from_seed_format(text, file.name)
    else:
        for number, line in enumerate(text.splitlines(), start=1):
            try:
                events.append(Event.from_json(line))
            except EventError as error:
                err.print(f"{file}, line {number}: {error}", markup=False, soft_wrap=True)
                refused += 1
    workspace = open_workspace(settings())
    workspace.mirror()
    added = workspace.append(events)
    workspace.settle()
    err.print(f"{added} events added, {len(events) - added} were there already, {refused} lines refused.")
    if refused:
        sys.exit(1)


if __name__ == "__main__":
    command_line.run(main)
