"""The commands of `python -m jobs`: tag, backfill, train, status, notify."""

import logging
import os
from datetime import timedelta

import click

from core.notifications import send_test
from core.pipeline.backfill import BATCH_SIZE, in_this_process
from core.pipeline.freesound_range import parse_range
from core.settings import read_settings
from core.storage.runs import Run
from jobs.backfill import run_backfill
from jobs.schedule import TimeSpan, notifying
from jobs.status import notify_people, print_status
from jobs.tagging import NO_EXAMPLES, stay, tag_folder, tag_newest
from jobs.training import MODEL_COMMANDS, train_and_register

logger = logging.getLogger(__name__)

STOPPED = "Stopped. What was finished is kept; run the same command again for the rest."


@click.group()
def main() -> None:
    """Tag sounds, train models, and see how the jobs stand."""


@main.command()
@click.option(
    "--source",
    type=click.Choice(["folder", "freesound"]),
    default="folder",
    show_default=True,
    help="Where sounds come from.",
)
@click.option(
    "--limit",
    type=click.IntRange(1),
    help="Tag at most so many new sounds; from Freesound, EARMARK_FEED_LIMIT without it.",
)
@click.option("--again", is_flag=True, help="Tag again what only an older model version tagged.")
@click.option(
    "--every",
    type=TimeSpan(),
    help="Stay, and tag whenever so long has passed since the last finished run: 3d, 12h, 30m.",
)
def tag(source: str, limit: int | None, again: bool, every: timedelta | None) -> None:
    """Tag the new sounds of the configured folder, or the newest of Freesound."""
    settings = read_settings()
    logger.info("start command=tag source=%s limit=%s every=%s", source, limit, every)

    def tag_source() -> Run | None:
        if source == "freesound":
            return tag_newest(settings, limit, again)
        return tag_folder(settings, limit, again, record_always=every is not None)

    if every is not None:
        if source == "folder" and settings.sounds is None and settings.hopsworks_host:
            raise click.UsageError(NO_EXAMPLES)
        stay(tag_source, settings, every, from_freesound=source == "freesound")
    with notifying(settings):
        tag_source()


@main.command()
@click.option(
    "--created",
    nargs=2,
    metavar="FROM TO",
    help="Sounds uploaded between two dates or moments, UTC.",
)
@click.option(
    "--ids", nargs=2, type=int, metavar="FIRST LAST", help="Sounds with ids in this range."
)
@click.option(
    "--max-seconds",
    "--longest",
    type=click.FloatRange(0, min_open=True),
    help="Longest sound, in seconds; EARMARK_FEED_SECONDS without it.",
)
@click.option(
    "--batch",
    "batch_size",
    type=click.IntRange(1, 500),
    default=BATCH_SIZE,
    show_default=True,
    help="Sounds that a worker takes at once.",
)
@click.option(
    "--workers", type=click.IntRange(1), help="Threads that analyse; one per core without it."
)
@click.option("--again", is_flag=True, help="Tag again what only an older model version tagged.")
def backfill(
    created: tuple[str, str] | None,
    ids: tuple[int, int] | None,
    max_seconds: float | None,
    batch_size: int,
    workers: int | None,
    again: bool,
) -> None:
    """Tag a range of Freesound's sounds that the workspace does not know yet."""
    settings, freesound_range = read_settings(), parse_range(created, ids)
    logger.info("start command=backfill range=%s", freesound_range)
    fan_out = in_this_process(settings, workers or os.cpu_count() or 1)
    with notifying(settings):
        run_backfill(
            settings,
            freesound_range,
            fan_out,
            batch_size=batch_size,
            max_seconds=max_seconds,
            again=again,
        )


@main.command(
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
)
@click.argument("arguments", nargs=-1, required=True, type=click.UNPROCESSED)
def train(arguments: tuple[str, ...]) -> None:
    """Train here as `python -m training ARGUMENTS` does, and register the model."""
    from training.cli import main as training

    if arguments[0] not in MODEL_COMMANDS:  # --help, or a mistake: the training says what there is
        training.main(list(arguments), prog_name="python -m jobs train", standalone_mode=False)
        return
    logger.info("start command=train kind=%s", arguments[0])
    settings = read_settings()
    with notifying(settings):
        model = train_and_register(settings, arguments)
    click.echo(f"Registered {model}.", err=True)


@main.command()
@click.option("--notify", is_flag=True, help="Notify people of what is wrong, each thing once.")
def status(notify: bool) -> None:
    """Show the active model, the last runs, when the next is due, and what waits to be sent."""
    print_status(read_settings(), notify=notify)


@main.command()
@click.option("--test", "is_test", is_flag=True, help="Send a test message.")
def notify(is_test: bool) -> None:
    """Notify people of runs that failed and of runs that have stopped, each thing once."""
    settings = read_settings()
    if is_test:
        sent = send_test(settings)
        click.echo(f"The test message was sent to {sent} address{'es' if sent > 1 else ''}.")
    else:
        notify_people(settings)
