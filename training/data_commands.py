"""The sub-commands that make data sets ready: prepare. `python -m training` gathers them."""

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
