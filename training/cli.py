"""The commands of `python -m training`, from clips and weights to a bundle and its model card."""

import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from training.errors import CoalaError

if TYPE_CHECKING:
    from training.datasets.coala import Coala

Command = TypeVar("Command", bound=Callable[..., None])
EXISTING_FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)
EXISTING_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
EXISTING = click.Path(path_type=Path, exists=True)
FOLDER = click.Path(path_type=Path, file_okay=False)
NEW_FILE = click.Path(path_type=Path, dir_okay=False)
option = partial(click.option, show_default=True)


def _widths(
    context: click.Context, parameter: click.Parameter, text: str | None
) -> tuple[int, ...] | None:
    """Return four widths from "32,64,128,128"."""
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    widths = tuple(int(part) for part in parts if part.isascii() and part.isdigit())
    if len(parts) != 4 or len(widths) != 4 or min(widths) < 1:
        raise click.BadParameter("it must be four whole numbers from 1 upwards: 32,64,128,128.")
    return widths


def _model_name(context: click.Context, parameter: click.Parameter, text: str) -> str:
    """Return a name that bundles accept; checked before the training, not after."""
    from core.model.bundle import NAME_PATTERN

    if not NAME_PATTERN.fullmatch(text):
        raise click.BadParameter("it may have a-z, 0-9 and _ only.")
    return text


def recipe_options(command: Command) -> Command:
    """Add the options that choose and change a recipe."""
    recipes = click.Choice(["earmark", "prototype"])
    for add in (
        option("--seed", type=int, default=1, help="Of random numbers."),
        option("--hidden", type=click.IntRange(1), help="Width of the hidden layer, likewise."),
        option("--channels", callback=_widths, help="Widths of the four stages, likewise."),
        option("--epochs", type=click.IntRange(1), help="Instead of the recipe's."),
        option("--recipe", type=recipes, default="earmark", help="Ours or the prototype's."),
    ):
        command = add(command)
    return command


data_option = option("--data", type=EXISTING_FOLDER, required=True, help="Folder with clips.csv.")
downloads_option = option("--downloads", type=FOLDER, default="runs/downloads", help="Kept there.")


@click.group()
def main() -> None:
    """Train, calibrate and score a tagging network."""


@main.command()
@data_option
@option("--out", type=FOLDER, default="runs/bundle", help="Where the finished bundle goes.")
@option("--run", type=FOLDER, default="runs/clips", help="Checkpoints; the same again resumes.")
@option("--name", callback=_model_name, default="earmark_default", help="The model's name.")
@recipe_options
@option("--split", type=EXISTING_FILE, help="JSON list of recordings, else the seed decides.")
@option("--corrections", type=EXISTING_FOLDER, help="Workspace whose corrections are learned.")
@option("--min-recordings", type=click.IntRange(1), default=8, help="Of a tag, to be learned.")
@option("--license", default="", help="Condition of use, written into model.json.")
@option("--provenance", default="", help="What the data are, written into model.json.")
def clips(
    data: Path,
    out: Path,
    run: Path,
    name: str,
    recipe: str,
    split: Path | None,
    corrections: Path | None,
    min_recordings: int,
    license: str,
    provenance: str,
    **changes: Any,
) -> None:
    """Train on a folder of labelled clips and write a scored bundle."""
    # torch takes seconds to import; --help and a wrong option need none of it
    from training.datasets.clip_folder import ClipSource, load_training_data
    from training.evaluate import summary_lines
    from training.pipeline import train_and_evaluate
    from training.recipes import RECIPES, customised

    training_recipe = customised(RECIPES[recipe], **changes)
    source = ClipSource(data, run, split, min_recordings, corrections, provenance, license)
    prepared = load_training_data(source, training_recipe.seed)
    bundle = train_and_evaluate(prepared, training_recipe, name=name, run=run, out=out)
    if bundle:
        click.echo(f"{out}: {len(bundle.vocabulary)} tags. On held-out recordings:")
        click.echo("\n".join(summary_lines(bundle.metrics)))


@main.command()
@option("--data", type=EXISTING_FOLDER, help="Folder with COALA's files; else they are fetched.")
@downloads_option
@option("--store", type=FOLDER, default="runs/coala/patches", help="Converted: 3.5 GB, made once.")
@option("--run", type=FOLDER, default="runs/coala", help="Checkpoints; the same again resumes.")
@option("--out", type=FOLDER, help="Where the bundle goes; by default beside the checkpoints.")
@option("--convert-only", is_flag=True, help="Stop when the converted set is ready.")
@recipe_options
def coala(
    data: Path | None,
    downloads: Path,
    store: Path,
    run: Path,
    out: Path | None,
    convert_only: bool,
    recipe: str,
    **changes: Any,
) -> None:
    """Train on COALA: fetch and convert it once, train, score, write a bundle and a table."""
    patches = _converted_coala(data, downloads / "coala", store)
    if convert_only:
        click.echo(f"{store}: {len(patches.frames):,} patches with {len(patches.tags):,} tags.")
        return
    from core.model import bundle as bundles
    from training.coala import coala_recipe, results_table
    from training.datasets.coala import training_data
    from training.pipeline import train_and_evaluate
    from training.recipes import customised

    training_recipe = customised(coala_recipe(recipe, patches), **changes)
    prepared = training_data(patches, scale_bands=recipe != "prototype")
    folder = run / f"{recipe}-seed{training_recipe.seed}"
    target = out or folder / "bundle"
    name = f"coala_{recipe}"
    if train_and_evaluate(prepared, training_recipe, name=name, run=folder, out=target):
        folders = sorted({target, *(path.parent for path in run.glob("*/bundle/model.json"))})
        click.echo(f"{target}\n\n{results_table([bundles.load(path) for path in folders])}")


def _converted_coala(data: Path | None, downloads: Path, store: Path) -> "Coala":
    """Return the converted set; nothing is fetched where it exists already."""
    from training.datasets import coala
    from training.datasets.coala_conversion import convert

    is_converted = (store / "coala.json").exists()
    if is_converted and not data:
        return coala.load(store)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not is_converted:
        advice = "run with --convert-only first, in one process"
        raise CoalaError(f"{store} holds no converted set yet; {advice}.")
    return convert(coala.find(data) if data else coala.download(downloads), store)


@main.command("fine-tune")
@data_option
@option("--others", type=EXISTING_FOLDER, required=True, help="Other sounds, likewise.")
@option("--weights", type=EXISTING_FILE, help="Converted; by default what `pretrained` wrote.")
@option("--out", type=FOLDER, default="runs/bundle", help="Where the finished bundle goes.")
@option("--run", type=FOLDER, default="runs/fine-tune", help="Checkpoints; the same resumes.")
@option("--name", callback=_model_name, default="earmark_default", help="The model's name.")
@option("--split", type=EXISTING_FILE, help="JSON list of recordings, else the seed decides.")
@option("--min-recordings", type=click.IntRange(1), default=8, help="Of a tag, to be learned.")
@option("--seed", type=int, default=1, help="Of random numbers.")
@option("--commercial", is_flag=True, help="Train without clips under non-commercial licenses.")
@option("--license", default="", help="Condition of use, written into model.json.")
@option("--provenance", default="", help="What the data are, written into model.json.")
def fine_tune(
    data: Path, others: Path, weights: Path | None, out: Path, name: str, **more: Any
) -> None:
    """Train the default model from published weights on clips and on other sounds."""
    from training.evaluate import summary_lines
    from training.fine_tuning import pipeline
    from training.fine_tuning.material import Source
    from training.pretrained import CONVERTED

    source = Source(data, others, weights or CONVERTED, **more)
    bundle = pipeline.fine_tune(source, name, out)
    click.echo(f"{out}: {len(bundle.vocabulary)} tags. Its own tags on held-out recordings:")
    click.echo("\n".join(summary_lines(bundle.metrics)))


@main.command()
@option("--data", type=EXISTING_FOLDER, help="Folder with clips.csv; else EARMARK_TRAINING_DATA.")
@option("--others", type=EXISTING_FOLDER, help="Other sounds; else EARMARK_TRAINING_OTHERS.")
@option("--workspace", type=EXISTING_FOLDER, help="Instead of the configured workspace.")
@option("--out", type=FOLDER, default="runs/retrain/bundle", help="Bundle and comparison.")
@option("--run", type=FOLDER, default="runs/retrain", help="Features; the same again resumes.")
@option("--split", type=EXISTING_FILE, help="JSON list of recordings, else the champion's.")
@option(
    "--copies",
    "with_copies",
    is_flag=True,
    help="Also learn from softer, clipped, slower, faster copies.",
)
@option("--whole", is_flag=True, help="Train every layer, not only the head; takes much longer.")
@option("--commercial/--any-license", default=None, help="Instead of EARMARK_COMMERCIAL_ONLY.")
@option("--gen-ai/--ignore-gen-ai", default=None, help="Instead of EARMARK_RESPECT_GEN_AI.")
@option("--seed", type=int, default=1, help="Of random numbers.")
@option("--provenance", default="", help="What the data are; else as the champion says.")
def retrain(
    data: Path | None,
    others: Path | None,
    workspace: Path | None,
    out: Path,
    commercial: bool | None,
    gen_ai: bool | None,
    **more: Any,
) -> None:
    """Train a challenger of the active model with people's corrections, and compare the two."""
    from core.settings import read_settings
    from core.storage.opening import open_workspace as open_configured
    from training.datasets.corrections import CorrectionPolicy, open_workspace
    from training.retraining.retrain import RetrainingSource
    from training.retraining.retrain import retrain as train
    from training.retraining.verdict import REPORT

    settings = read_settings()
    clips = data or settings.training_data
    if clips is None:
        raise click.UsageError("Give --data FOLDER, or set EARMARK_TRAINING_DATA.")
    policy = CorrectionPolicy(
        settings.commercial_only if commercial is None else commercial,
        settings.respect_gen_ai if gen_ai is None else gen_ai,
    )
    source = RetrainingSource(
        data=clips, others=others or settings.training_others, policy=policy, **more
    )
    stores = open_workspace(workspace) if workspace else open_configured(settings)
    train(stores, source, out)
    click.echo((out / REPORT).read_text("utf-8"))


@main.command()
@data_option
@option("--others", type=EXISTING_FOLDER, required=True, help="Other sounds, likewise.")
@option("--weights", type=EXISTING_FILE, help="Converted; by default what `pretrained` wrote.")
@option("--seeds", type=click.IntRange(1), default=3, help="Splits of the recordings.")
@option("--run", type=FOLDER, default="runs/simulate", help="Features; the same again resumes.")
@option("--out", type=NEW_FILE, default="docs/results/loop.csv", help="Means; beside it each run.")
@option("--page", type=NEW_FILE, default="app/assets/loop.csv", help="The app's copy of --out.")
def simulate(
    data: Path,
    others: Path,
    weights: Path | None,
    seeds: int,
    run: Path,
    out: Path,
    page: Path,
) -> None:
    """Let a scripted curator correct 300 sounds, and see whether retraining helps."""
    from core.files import write_atomic
    from training.pretrained import CONVERTED
    from training.retraining import simulation
    from training.tables import markdown_table, write_table

    rows = simulation.simulate(data, others, weights or CONVERTED, range(1, seeds + 1), run)
    lines = "".join(f"{json.dumps(row)}\n" for row in rows)
    write_atomic(out.with_name(f"{out.stem}_runs.jsonl"), lines.encode())
    cells = [tuple(row.values()) for row in simulation.summary(rows)]
    for path in (out, page):
        write_table(path, [simulation.SUMMARY_COLUMNS, *cells])
    click.echo(markdown_table(simulation.SUMMARY_COLUMNS, cells))


@main.command()
@data_option
@option("--others", type=EXISTING_FOLDER, required=True, help="Other sounds, likewise.")
@option("--weights", type=EXISTING_FILE, help="Converted; by default what `pretrained` wrote.")
@option("--run", type=FOLDER, default="runs/fine-tune", help="That of the fine-tuning.")
@option("--out", type=FOLDER, default="docs/results", help="Where the tables go.")
@option("--split", type=EXISTING_FILE, help="JSON list of recordings, else the seed decides.")
@option("--seed", type=int, default=1, help="Of random numbers.")
def study(data: Path, others: Path, weights: Path | None, out: Path, **more: Any) -> None:
    """Fine-tune again and again for the model card: unknown sounds, folds, seeds, licenses."""
    from training.fine_tuning.material import Source
    from training.fine_tuning.study import study
    from training.pretrained import CONVERTED

    for path in study(Source(data, others, weights or CONVERTED, **more), out):
        click.echo(str(path))


@main.command()
@option("--weights", type=EXISTING_FILE, help="The file as it was published.")
@option("--fetch", is_flag=True, help="Fetch it from its authors' release.")
@downloads_option
@option("--out", type=NEW_FILE, default="runs/pretrained/mn04.safetensors", help="Converted.")
def pretrained(weights: Path | None, fetch: bool, downloads: Path, out: Path) -> None:
    """Bring the published weights of EfficientAT mn04 that the recipe earmark starts from."""
    if bool(weights) == fetch:
        raise click.UsageError("Give either --weights FILE or --fetch.")
    from training.pretrained import convert, download

    click.echo(str(convert(weights or download(downloads), out)))


@main.command()
@option("--bundle", type=EXISTING_FOLDER, help="By default the model that ships with Earmark.")
@data_option
@option("--others", type=EXISTING_FOLDER, help="Sounds outside the vocabulary, likewise.")
@option("--left-out", type=EXISTING_FILE, help="The study's open_world.csv of this recipe.")
@option("--run", type=FOLDER, default="runs/evaluate", help="Where log-mels are kept.")
@option("--split", type=EXISTING_FILE, help="JSON list of recordings, instead of model.json's.")
@option("--weights", type=EXISTING_FILE, help="Published ones, for the learning curve.")
@option("--write", is_flag=True, help="Put the scores into the bundle's metrics.json.")
def evaluate(bundle: Path | None, data: Path, write: bool, **more: Any) -> None:
    """Score a bundle on its test recordings: overall, intervals, calibration, tag by tag."""
    from core.model import bundle as bundles
    from training.evaluate import summary_lines
    from training.rescoring import rescore, write_scores

    loaded = bundles.load(bundle or bundles.DEFAULT_BUNDLE)
    scores = rescore(loaded, data, must_be_held_out=write, **more)
    click.echo("\n".join(summary_lines(scores)))
    if write:
        write_scores(loaded, scores)
        click.echo(f"\n{loaded.folder}/metrics.json written.")


@main.command()
@option("--bundle", type=EXISTING_FOLDER, help="By default the model that ships with Earmark.")
@data_option
@option("--split", type=EXISTING_FILE, required=True, help="JSON list of recordings.")
@option("--run", type=FOLDER, default="runs/evaluate", help="Where log-mels are kept.")
@option("--out", type=FOLDER, default="runs/bundle", help="Where the new bundle goes.")
def calibrate(bundle: Path | None, data: Path, split: Path, run: Path, out: Path) -> None:
    """Calibrate and score a bundle again, with the same weights."""
    from core.model import bundle as bundles
    from training.calibration import recalibrate_bundle
    from training.evaluate import summary_lines

    loaded = bundles.load(bundle or bundles.DEFAULT_BUNDLE)
    written = recalibrate_bundle(loaded, data, run, split, out)
    click.echo("\n".join(summary_lines(written.metrics)))


@main.command()
@option("--out", type=FOLDER, required=True, help="The clip folder to make or complete.")
@option("--esc50", type=EXISTING, help="ESC-50, archive or unpacked; else it is fetched.")
@option("--us8k", type=EXISTING, help="UrbanSound8K, likewise.")
@option("--only", type=click.Choice(["esc50", "us8k"]), help="Only this set.")
@downloads_option
def prepare(
    out: Path, esc50: Path | None, us8k: Path | None, only: str | None, downloads: Path
) -> None:
    """Make a clip folder from the public ESC-50 and UrbanSound8K archives (CC BY-NC)."""
    from training.datasets import public_sets

    places = {"esc50": esc50, "us8k": us8k}
    selected = {name: place for name, place in places.items() if only in (None, name)}
    unreadable = public_sets.prepare(out, selected, downloads)
    click.echo(f"{out} is ready: python -m training clips --data {out}")
    if unreadable:
        click.echo(f"Left out, because they cannot be decoded: {', '.join(unreadable)}")


@main.command()
@option("--results", type=EXISTING_FOLDER, default="docs/results", help="Tables of experiments.")
@option("--out", type=NEW_FILE, default="docs/model_card.md", help="The card.")
def card(results: Path, out: Path) -> None:
    """Write the default model's card from its own files and the stored results."""
    from core.model import bundle as bundles
    from training.model_card import write_model_card

    write_model_card(bundles.load(), results, out)
    click.echo(str(out))
