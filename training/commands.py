"""The sub-commands that measure: benchmark, evaluate, card. `python -m training` gathers them."""

import json
from pathlib import Path
from typing import Any

import click

DATA = click.option(
    "--data", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True, help="Folder with clips.csv and the audio."
)


@click.group()
def benchmark() -> None:
    """Compare ways to train. The same command again goes on where it was stopped."""


def _measured(command):
    """The options of every benchmark that trains."""
    for option in reversed(
        [
            DATA,
            click.option("--run", type=click.Path(path_type=Path), default=Path("runs/benchmark"), show_default=True,
                         help="Manifest, checkpoints and cached log-mels; the same folder again resumes."),
            click.option("--tier", type=click.Choice(["gpu", "cpu"]), default="cpu", show_default=True,
                         help="Full schedules and three seeds, or small ones and one seed."),
            click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Runs at a time."),
            click.option("--minutes", type=click.FloatRange(0), default=None, help="Begin nothing new after so many minutes."),
        ]
    ):  # fmt: skip
        command = option(command)
    return command


@benchmark.command()
@_measured
@click.option("--stage", type=click.Choice(["choose", "final", "all"]), default="all", show_default=True)
@click.option("--candidate", "candidates", multiple=True, help="Only these of the candidates (choose).")
def esc10(data: Path, run: Path, tier: str, workers: int, minutes: float | None, stage: str, candidates: tuple[str, ...]) -> None:
    """ESC-10, official five folds: choose a configuration without the test fold, then accuracy."""
    from training import benchmark as module

    read, schedule = module.Data.read(data, run), module.TIERS[tier]
    if stage != "final":
        tasks = [task for task in module.choose_esc10(read, schedule) if not candidates or task.configuration in candidates]
        module.execute(tasks, read, run, workers, minutes, tier)
    if stage != "choose":
        chosen = module.chosen_esc10(module.Manifest(run / "manifest.jsonl"))
        click.echo(f"Chosen without the test fold: {chosen}", err=True)
        module.execute(module.esc10(read, schedule, chosen), read, run, workers, minutes, tier)


def _plain(name: str, help_text: str) -> click.Command:
    @_measured
    def run_it(data: Path, run: Path, tier: str, workers: int, minutes: float | None) -> None:
        from training import benchmark as module

        read = module.Data.read(data, run)
        tasks = {"us8k": module.us8k, "mini": module.mini, "ablations": module.ablate}[name](read, module.TIERS[tier])
        module.execute(tasks, read, run, workers, minutes, tier)

    return click.command(name, help=help_text)(run_it)


benchmark.add_command(_plain("us8k", "UrbanSound8K folds 1 and 2: train on one, test on the other, both ways."))
benchmark.add_command(_plain("mini", "All of freesound-mini, split by recording; the first seed's bundle is the starter."))
benchmark.add_command(_plain("ablations", "What each lever gives, on mini's validation part."))


@benchmark.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/speed.json"), show_default=True)
@click.option("--patches", type=click.IntRange(1), default=170_793, show_default=True, help="COALA's published training file has 170,793.")
@click.option("--batch", type=click.IntRange(2), default=512, show_default=True)
@click.option("--compile/--no-compile", "compile_too", default=True, show_default=True)
def speed(out: Path, patches: int, batch: int, compile_too: bool) -> None:
    """Patches per second, an epoch of COALA's size, memory."""
    from training import speed as module

    out.parent.mkdir(parents=True, exist_ok=True)
    found = []
    for row in module.rows(patches, batch, compile_too=compile_too):
        found.append(row)
        out.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
        click.echo(json.dumps(row))


@benchmark.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/listening.json"), show_default=True)
def listening(out: Path) -> None:
    """Milliseconds for ten seconds of sound, both networks, one thread."""
    from training import speed as module

    found = module.listening()
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    for row in found:
        click.echo(json.dumps(row))


@click.command()
@click.option(
    "--bundle", "folder", type=click.Path(path_type=Path, exists=True, file_okay=False), default=None, help="Default: the starter."
)
@DATA
@click.option("--run", type=click.Path(path_type=Path), default=Path("runs/evaluate"), show_default=True, help="Where log-mels are kept.")
@click.option(
    "--split",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    default=None,
    help="JSON list of recordings; without it the test recordings are those that model.json names.",
)
@click.option(
    "--pooling",
    type=click.Choice(["mean", "max", "top_half"]),
    default=None,
    help="Another than the bundle's; calibration is then fitted again on --split's validation recordings.",
)
@click.option("--out", type=click.Path(path_type=Path), default=None, help="Write a bundle with these scores there.")
@click.option("--window", type=click.IntRange(16), default=None, help="Frames of a window, likewise; earmark_cnn takes multiples of 16.")
def evaluate(folder: Path | None, data: Path, run: Path, split: Path | None, pooling: Any, window: int | None, out: Path | None) -> None:
    """Score a bundle on its test recordings: overall, intervals, calibration, tag by tag."""
    from core.model import bundle as bundles
    from training import scoring

    bundle = bundles.load(folder) if folder else bundles.load()
    for line in scoring.in_words(scoring.score_bundle(bundle, data, run, split, pooling, window, out)):
        click.echo(line)


@click.command()
@click.option("--results", type=click.Path(path_type=Path, exists=True, file_okay=False), default=Path("docs/results"), show_default=True)
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("docs"), show_default=True, help="Folder for model_card.md and calibration.svg."
)
def card(results: Path, out: Path) -> None:
    """Write the model card from the stored results and the starter's metrics.json."""
    from training import card as module

    module.write(results, out)
    click.echo(f"{out / 'model_card.md'}")
