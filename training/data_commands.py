"""The sub-commands about public data sets: prepare, coala. `python -m training` gathers them."""

import os
from pathlib import Path

import click

from training.download import ZENODO

DOWNLOADS = click.option(
    "--downloads", type=click.Path(path_type=Path, file_okay=False), default=Path("runs/downloads"), show_default=True,
    help="Where downloads are kept; the same folder again goes on with them.",
)  # fmt: skip
HOST = click.option("--zenodo", default=ZENODO, show_default=True, help="The host to ask for Zenodo's records.")


@click.command()
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="The clip folder to make or go on with.")
@click.option("--esc50", type=click.Path(path_type=Path, exists=True), help="ESC-50 as an archive or unpacked; without it, it is fetched.")
@click.option("--us8k", type=click.Path(path_type=Path, exists=True), help="UrbanSound8K as an archive or unpacked; without it, likewise.")
@click.option("--only", type=click.Choice(["esc50", "us8k"]), help="Only this one of the two.")
@DOWNLOADS
@HOST
@click.option("--esc50-url", default=None, help="Where ESC-50's archive is fetched from, instead of its repository.")
def prepare(
    out: Path, esc50: Path | None, us8k: Path | None, only: str | None, downloads: Path, zenodo: str, esc50_url: str | None
) -> None:
    """Make a clip folder with clips.csv from the public ESC-50 and UrbanSound8K archives (non-commercial use: CC BY-NC)."""
    from training import prepare as module

    places = {name: place for name, place in (("esc50", esc50), ("us8k", us8k)) if only in (None, name)}
    left_out = module.run(out, places, downloads, zenodo, esc50_url or module.ESC50_URL)
    click.echo(f"{out} is ready: python -m training clips --data {out}")
    if left_out:
        click.echo(f"Left out, because they cannot be heard: {', '.join(left_out)}")


@click.command()
@click.option(
    "--data", type=click.Path(path_type=Path, exists=True, file_okay=False), help="Folder with COALA's files; without it, they are fetched."
)
@DOWNLOADS
@HOST
@click.option("--repository", default=None, help="Where vocabulary and scaler are fetched from, instead of the authors' repository.")
@click.option(
    "--store",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("runs/coala/patches"),
    show_default=True,
    help="The converted set: 3.5 GB, made once.",
)
@click.option(
    "--run",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("runs/coala"),
    show_default=True,
    help="Checkpoints and tables; the same folder again goes on.",
)
@click.option("--out", type=click.Path(path_type=Path), help="Where the finished bundle goes; without it, beside its checkpoints.")
@click.option("--recipe", type=click.Choice(["earmark", "seed"]), default="earmark", show_default=True, help="Ours, or the prototype's.")
@click.option("--scaling", type=click.Choice(["columns", "bands", "global"]), help="How patches are scaled, instead of the recipe's way.")
@click.option("--compare-scalings", is_flag=True, help="Train the recipe with each scaling and tabulate them on validation.")
@click.option("--convert-only", is_flag=True, help="Stop when the converted set is ready.")
@click.option("--epochs", type=click.IntRange(1), help="Instead of the recipe's.")
@click.option("--channels", help="Widths of the four stages, such as 24,48,96,256, instead of the recipe's.")
@click.option("--hidden", type=click.IntRange(1), help="Width of the hidden linear layer, instead of the recipe's.")
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--compile", "compiled", is_flag=True, help="Run the network through torch.compile.")
def coala(
    data: Path | None, downloads: Path, zenodo: str, repository: str | None, store: Path, run: Path, out: Path | None, recipe: str,
    scaling: str | None, compare_scalings: bool, convert_only: bool, epochs: int | None, channels: str | None, hidden: int | None,
    seed: int, compiled: bool,
) -> None:  # fmt: skip
    """Train on COALA: fetch and convert it once, train, score on its published validation file, write a bundle and the table."""
    from training import coala as sets

    widths = _widths(channels)
    patches = _patches(sets, data, downloads / "coala", zenodo, repository, store)
    if convert_only:
        click.echo(f"{store} holds {len(patches.frames):,} patches with {len(patches.tags):,} tags.")
        return
    from training import coala_training as module

    arguments = module.arguments(recipe, widths, hidden)
    if compare_scalings:
        said = module.compare_scalings(patches, recipe, run, seed, epochs, arguments, compiled=compiled)
        if _is_first():
            click.echo(said)
        return
    configuration = module.configured(recipe, scaling, seed, epochs, arguments)
    folder = run / f"{recipe}-{configuration.scaling}-seed{seed}"
    bundle = module.run(patches, f"coala_{recipe}", configuration, folder, out or folder / "bundle", compiled=compiled)
    if bundle is not None:
        click.echo(f"{bundle.folder}: {len(bundle.vocabulary):,} tags\n\n{module.results(run)}")


def _patches(sets, data: Path | None, downloads: Path, zenodo: str, repository: str | None, store: Path):
    """The converted set; nothing is fetched where it is there already."""
    if (store / "coala.json").exists() and not data:
        return sets.load(store)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not (store / "coala.json").exists():
        raise sets.CoalaError(f"{store} holds no converted set yet; run with --convert-only first, in one process.")
    published = sets.find(data) if data else sets.download(downloads, zenodo, repository or sets.REPOSITORY)
    return sets.prepare(published, store)


def _is_first() -> bool:
    """Whether this is the one process, or the first of those that torchrun started."""
    return os.environ.get("RANK", "0") == "0"


def _widths(text: str | None) -> list[int] | None:
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 4 or not all(part.isascii() and part.isdigit() and int(part) for part in parts):
        raise click.BadParameter("four whole numbers from 1 upwards are wanted, such as 24,48,96,256.", param_hint="--channels")
    return [int(part) for part in parts]
