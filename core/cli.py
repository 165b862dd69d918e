"""The command line of the core, and how every command line of the project ends.

An error is one sentence on stderr, never a traceback.
"""

import io
import json
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from core.errors import EarmarkError
from core.logging import configure
from core.settings import Settings, SettingsError, read_settings
from core.untrusted import CsvWriter

if TYPE_CHECKING:
    from core.curation.export import ExportFormat
    from core.events.types import Event
    from core.model.predictor import Predictor, TagScore
    from core.storage.workspace import Workspace

logger = logging.getLogger(__name__)

INTERRUPTED = 130
"""The shell's exit status for Ctrl-C."""
FOR_TRAINING = ("h5py", "librosa", "onnx", "sklearn", "torch")
"""Modules that an installation without training may lack."""
BAR_LENGTH = 20
TAGS_PRINTED = 5
MANY_FILES = 10
"""From so many files on, importing FFmpeg takes less time than it gains."""
MAX_LINES_NAMED = 20
"""Lines of an imported file whose faults are printed one by one."""
OutputFormat = Literal["json", "csv"] | None


def run(command: click.Command, when_stopped: str = "Stopped.") -> None:
    """Run a command on the program's arguments and exit with its status.

    Args:
        command: The command; it may raise `EarmarkError`.
        when_stopped: Printed after Ctrl-C.
    """
    _configure_log()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files may not be UTF-8
    try:
        command(standalone_mode=False)
        sys.stdout.flush()
    except EarmarkError as error:
        logger.debug("command failed", exc_info=True)
        sys.exit(str(error))
    except ModuleNotFoundError as error:
        if error.name not in FOR_TRAINING:
            raise
        sys.exit(f"{error.name} is not installed here; requirements.txt has what training needs.")
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo(when_stopped, err=True)
        sys.exit(INTERRUPTED)
    except OSError as error:  # most likely of what is printed: a full disk, a pipe that was closed
        logger.debug("command failed", exc_info=True)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is still to be printed fails as well
        sys.exit(f"{error.filename or 'The output'} cannot be written or read: {error.strerror}.")


def _configure_log() -> None:
    """Set up the log; settings that cannot be read are the command's to complain about."""
    try:
        settings = read_settings()
    except SettingsError:
        configure()
    else:
        configure(settings.log_level, settings.secrets)


@click.group()
def main() -> None:
    """Earmark on the command line."""


@dataclass(frozen=True)
class TaggedFile:
    """A file, its length in seconds, its best tags, and the model version that predicted them.

    `note` says so where not all of the file was analysed.
    """

    path: Path
    seconds: float
    top: "tuple[TagScore, ...]"
    model: str
    note: str = ""


@main.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--json", "form", flag_value="json", help="One JSON object per line and file.")
@click.option("--csv", "form", flag_value="csv", help="CSV with a row per file and tag.")
@click.option(
    "--top",
    type=click.IntRange(1, 100),
    help="How many tags to print; by default 5, and of a long file all that are suggested.",
)
def tag(files: tuple[Path, ...], form: OutputFormat, top: int | None) -> None:
    """Print the tags that the model predicts for each FILE."""
    from core.audio.decode import decode
    from core.audio.errors import AudioError
    from core.audio.types import AudioLimits

    settings = read_settings()
    limits = AudioLimits.from_settings(settings)
    predictor, model = _load_model(settings)
    tagged: list[TaggedFile] = []
    for path in files:
        try:
            recording = decode(
                path, rate=predictor.rate, limits=limits, import_little=len(files) < MANY_FILES
            )
        except AudioError as error:
            click.echo(str(error), err=True)
            continue
        scores = predictor.predict(recording, top or TAGS_PRINTED).top[:top]
        facts = recording.facts
        tagged.append(TaggedFile(path, facts.seconds, scores, model, facts.note))
        if facts.note:
            click.echo(f"{path}: {facts.note}", err=True)
        if form == "json":
            print(_to_json(tagged[-1]), flush=True)
    if form == "csv":
        _print_csv(tagged)
    elif form is None:
        for file in tagged:
            _print_table(file)
    if len(tagged) < len(files):
        sys.exit(1)


def _load_model(settings: Settings) -> "tuple[Predictor, str]":
    """Return the active model of the workspace, where there is one; else the default model."""
    from core.model.predictor import Predictor
    from core.storage.folder import has_workspace

    if not has_workspace(settings.workspace_folder):
        predictor = Predictor.from_folder()
        return predictor, predictor.bundle.name
    from core.storage.active_model import resolve_model
    from core.storage.opening import open_workspace
    from core.storage.tag_thresholds import current_thresholds

    workspace = open_workspace(settings)
    active = resolve_model(workspace, allow_fallback=True)
    if active.notice:
        click.echo(active.notice, err=True)
    predictor = Predictor.from_folder(active.folder)
    thresholds = current_thresholds(workspace, active.model)
    return predictor.with_thresholds(thresholds), str(active.model)


def _to_json(file: TaggedFile) -> str:
    tags = [
        {
            "tag": score.tag,
            "probability": round(score.probability, 4),
            "suggested": score.above_threshold,
        }
        for score in file.top
    ]
    fields = {"file": str(file.path), "seconds": round(file.seconds, 2), "tags": tags}
    note = {"note": file.note} if file.note else {}
    return json.dumps(fields | {"model": file.model} | note, ensure_ascii=False)


def _print_csv(tagged: Sequence[TaggedFile]) -> None:
    writer = CsvWriter(sys.stdout, "\n")
    writer.write(["file", "seconds", "rank", "tag", "probability", "suggested"])
    for file in tagged:
        for rank, score in enumerate(file.top, start=1):
            numbers = f"{score.probability:.4f}", int(score.above_threshold)
            cells = [str(file.path), f"{file.seconds:.2f}", rank, score.tag]
            writer.write([*cells, *numbers])


def _print_table(file: TaggedFile) -> None:
    click.echo(f"{file.path} ({file.seconds:.1f} s)")
    for score in file.top:
        bar = "█" * round(BAR_LENGTH * score.probability)
        mark = "*" if score.above_threshold else " "
        line = f"  {mark} {score.tag:<14} {score.probability:4.0%}  {bar}"
        click.echo(line.rstrip())
    if not any(score.above_threshold for score in file.top):
        click.echo("    nothing that the model is sure of")


@main.command()
def doctor() -> None:
    """Say what is configured, what is missing, and what works without it."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from core.doctor import examine

    findings = examine()
    table = Table(box=None, show_header=False, pad_edge=False)
    for finding in findings:
        mark = Text(finding.mark, style=finding.style)
        table.add_row(mark, Text(finding.subject, style="bold"), Text(finding.text))
    Console(highlight=False).print(table)
    if any(finding.health == "broken" for finding in findings):
        sys.exit(1)


@main.command("export")
@click.option(
    "--events",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write all events as JSON lines (nothing is left out).",
)
@click.option(
    "--tags",
    type=click.Path(path_type=Path, dir_okay=False),
    help='Write id2prediction.json: {"<freesound id>": ["tag", ...]}.',
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["csv", "jsonl", "id2prediction"]),
    help="Format of FILE; by default what its name ends in: .csv, .jsonl or .json.",
)
@click.option("--filter", "filter_text", default="", help="Which sounds, as in the page's address.")
@click.option("--verified", is_flag=True, help="Only sounds whose tags a person has confirmed.")
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False))
def export_files(
    events: Path | None,
    tags: Path | None,
    form: "ExportFormat | None",
    filter_text: str,
    verified: bool,
    file: Path | None,
) -> None:
    """Write events or tags of the workspace to files.

    Sounds with their tags go to FILE, all of them or those of a filter such as
    "state=reviewed&tag=rain".
    """
    if not events and not tags and not file:
        raise click.UsageError("Say what to write: FILE, --events FILE or --tags FILE.")
    if not file and (form or filter_text or verified):
        raise click.UsageError("--format, --filter and --verified need a FILE.")
    from core.curation import commands

    workspace = _open_workspace()
    if file:
        number = commands.export_sounds(workspace, file, form, filter_text, verified)
        click.echo(f"Tags of {number} sounds written to {file}.", err=True)
    if events:
        number = commands.export_events(workspace, events)
        click.echo(f"{number} events written to {events}.", err=True)
    if tags:
        number = commands.export_sounds(workspace, tags, "id2prediction")
        click.echo(f"Tags of {number} sounds written to {tags}.", err=True)


@main.command("import")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def import_file(file: Path) -> None:
    """Read FILE into the workspace.

    Events as JSON lines (.jsonl), or the prototype's id2prediction.json (.json).
    """
    events, refused = _parse_file(file)
    for number, reason in refused[:MAX_LINES_NAMED]:
        click.echo(f"{file}, line {number}: {reason}", err=True)
    if len(refused) > MAX_LINES_NAMED:
        more = f"{len(refused) - MAX_LINES_NAMED} more lines are no events, either."
        click.echo(f"{file}: {more}", err=True)
    workspace = _open_workspace()
    added = workspace.events.append(events)
    workspace.sync.wait_until_synced()
    known = len(events) - added
    logger.info("import added=%d known=%d refused=%d", added, known, len(refused))
    click.echo(
        f"{added} events added, {known} were there already, {len(refused)} lines refused.", err=True
    )
    if refused:
        sys.exit(1)


@main.command()
def rebuild() -> None:
    """Make the workspace's search tables anew from its events."""
    workspace = _open_workspace()
    count = workspace.events.rebuild()
    logger.info("rebuild sounds=%d", count)
    click.echo(f"The tables of {count} sounds were rebuilt.", err=True)


@main.command("repair-uploads")
@click.option("--dry-run", is_flag=True, help="Only say what is wrong.")
def repair_uploads(dry_run: bool) -> None:
    """Correct what was recorded of uploads that never became the sound they are said to be.

    Nothing is deleted: each correction is an event of its own.
    """
    from core.publishing.repair import repair

    for line in repair(_open_workspace(), read_settings(), dry_run=dry_run):
        click.echo(line)


@main.command()
@click.argument("sound_id")
@click.option("--limit", default=10, show_default=True, type=click.IntRange(1, 100))
def similar(sound_id: str, limit: int) -> None:
    """Print the sounds that are most like SOUND_ID, such as freesound:1234."""
    from core.curation.commands import similar_sounds

    for neighbour in similar_sounds(_open_workspace(), sound_id, limit):
        state = neighbour.state
        tags = ", ".join(state.tags)
        line = f"{neighbour.similarity:.3f}  {state.sound_id}  {state.sound.title}  ({tags})"
        click.echo(line)


@main.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def backup(file: Path) -> None:
    """Write a backup of the workspace to FILE, and check it; the workspace may be in use.

    Without sign-ins and drafts. Interrupted, the same command goes on.
    """
    from core.storage.backup import back_up

    folder = read_settings().workspace_folder
    done = back_up(folder, file)
    size = f"{done.files:,} files, {done.size / 1e6:,.1f} MB"
    text = f"Backup of {folder} as of {done.created}: {file} ({size}), read again and checked."
    click.echo(text, err=True)
    if done.left_out:
        click.echo(f"Not in it: {', '.join(done.left_out)}.", err=True)


@main.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def restore(file: Path) -> None:
    """Bring the workspace in the backup FILE back, into a folder where there is none."""
    from core.storage.restore import restore as restore_workspace

    folder = read_settings().workspace_folder
    about = restore_workspace(file, folder)
    text = f"The workspace as of {about.created} is in {folder}. Everybody signs in anew."
    click.echo(text, err=True)


def _parse_file(file: Path) -> "tuple[list[Event], list[tuple[int, str]]]":
    """Return a file's events, and (line number, reason) for each line that is none."""
    from core.events.formats import from_prototype_format, parse_lines

    try:
        data = file.read_bytes()
    except OSError as error:
        raise EarmarkError(f"{file} cannot be read: {error.strerror}.") from error
    if file.suffix.lower() == ".json":
        return [*from_prototype_format(data, file.name)], []
    lines = parse_lines(data)
    return lines.events, lines.refused


def _open_workspace() -> "Workspace":
    """Return the configured workspace, up to date."""
    from core.storage.opening import open_workspace

    workspace = open_workspace(read_settings())
    workspace.sync.pull()
    return workspace
