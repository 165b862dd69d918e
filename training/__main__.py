"""Command line of the training room: python -m training clips --data FOLDER --out FOLDER."""

from pathlib import Path
from typing import Any

import click

from core import command_line
from training import commands, data_commands


def _widths(context: click.Context, option: click.Parameter, text: str | None) -> tuple[int, ...] | None:
    """Four widths from "32,64,128,128"."""
    if text is None:
        return None
    widths = tuple(int(part) if part.strip().isascii() and part.strip().isdigit() else 0 for part in text.split(","))
    if len(widths) != 4 or min(widths) < 1:
        raise click.BadParameter("four whole numbers from 1 upwards are wanted, such as 32,64,128,128.")
    return widths


def _model_name(context: click.Context, option: click.Parameter, text: str) -> str:
    """A name that bundles accept; asked for here, because the bundle is written when the training is done."""
    from core.model.bundle import NAME_PATTERN

    if not NAME_PATTERN.fullmatch(text):
        raise click.BadParameter("a-z, 0-9 and _ are accepted.")
    return text


@click.group()
def main() -> None:
    """Train, calibrate and score a tagging network."""


@main.command()
@click.option(
    "--data", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True, help="Folder with clips.csv and the audio."
)
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("runs/bundle"), show_default=True, help="Where the finished bundle goes."
)
@click.option(
    "--run",
    type=click.Path(path_type=Path),
    default=Path("runs/clips"),
    show_default=True,
    help="Checkpoints and cached log-mels; the same folder again resumes.",
)
@click.option("--name", callback=_model_name, default="earmark_starter", show_default=True, help="The model's name: a-z, 0-9 and _.")
@click.option("--recipe", type=click.Choice(["earmark", "seed"]), default="earmark", show_default=True, help="Ours, or the prototype's.")
@click.option("--epochs", type=click.IntRange(1), default=None, help="Instead of the recipe's.")
@click.option(
    "--channels", callback=_widths, default=None, help="Widths of the four stages, such as 24,48,96,256, instead of the recipe's."
)
@click.option("--hidden", type=click.IntRange(1), default=None, help="Width of the hidden linear layer, instead of the recipe's.")
@click.option(
    "--split",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    default=None,
    help="JSON list of recordings for train, validation and test; without it the seed decides.",
)
@click.option(
    "--corrections",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=None,
    help="A workspace: what people decided there joins the training part, never validation or test.",
)
@click.option("--least-recordings", type=click.IntRange(1), default=8, show_default=True, help="Rarer tags stay out of the vocabulary.")
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--licence", default="", help="Condition of use, written into model.json.")
@click.option("--provenance", default="", help="What the data are and where they come from, written into model.json.")
def clips(recipe: str, epochs: int | None, channels: tuple[int, ...] | None, hidden: int | None, seed: int, **options: Any) -> None:
    """Train on a folder of labelled clips and write a scored bundle."""
    from training import clips as clip_training  # torch takes seconds; --help and a wrong option need none of it
    from training.recipes import changed

    clip_training.run(recipe=changed(recipe, seed, epochs, channels, hidden), **options)


main.add_command(commands.benchmark)
main.add_command(commands.evaluate)
main.add_command(commands.card)
main.add_command(data_commands.prepare)
main.add_command(data_commands.coala)


if __name__ == "__main__":
    command_line.run(main, "Stopped. Run the same command again to go on from the last finished epoch.")
