"""A clip folder from the public ESC-50 and UrbanSound8K archives: `python -m training prepare`.

Clips become mono FLAC at the front-end's rate, which is all that training hears of them, at a sixth of the size. The archives are
read from front to end and never unpacked: UrbanSound8K would take another 7 GB.
"""

import csv
import io
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path, PurePosixPath

import soundfile
from rich.console import Console

from core.errors import EarmarkError
from core.files import write_atomic
from core.model import audio
from core.model.audio import AudioError
from training import archives
from training.download import ZENODO, DownloadError, Remote, fetch, zenodo_files

ESC50_URL = "https://github.com/karolpiczak/ESC-50/archive/master.zip"
US8K_RECORD, US8K_ARCHIVE = "1203745", "UrbanSound8K.tar.gz"
DATASETS = ("esc50", "us8k")

TAGS = {
    category: tags
    for category, _, tags in (
        line.strip().partition(": ")
        for line in """
        air_conditioner: hum machine motor
        airplane: airplane vehicle engine
        breathing: breath human
        brushing_teeth: brush bathroom human
        can_opening: can open metal household
        car_horn: horn car vehicle city
        cat: cat meow animal
        chainsaw: chainsaw engine tool
        children_playing: child voice human city
        chirping_birds: bird chirp nature
        church_bells: bell church metal
        clapping: applause clap human
        clock_alarm: alarm clock beep
        clock_tick: clock tick household
        coughing: cough human
        cow: cow animal farm
        crackling_fire: fire crackle nature
        crickets: insect night nature
        crow: crow bird animal nature
        crying_baby: baby cry human voice
        dog: dog bark animal
        dog_bark: dog bark animal
        door_wood_creaks: creak door wood household
        door_wood_knock: knock door wood household
        drilling: drill tool construction
        drinking_sipping: drink mouth human
        engine: engine car vehicle
        engine_idling: engine car vehicle
        fireworks: firework explosion
        footsteps: footstep walk human
        frog: frog animal nature
        glass_breaking: glass break smash
        gun_shot: gun shot explosion
        hand_saw: saw wood tool
        helicopter: helicopter vehicle engine
        hen: hen bird animal farm
        insects: insect buzz nature
        jackhammer: jackhammer tool construction
        keyboard_typing: typing keyboard computer
        laughing: laugh human voice
        mouse_click: click mouse computer
        pig: pig animal farm
        pouring_water: pour water household
        rain: rain water weather nature
        rooster: rooster bird animal farm
        sea_waves: wave water nature
        sheep: sheep animal farm
        siren: siren alarm city
        sneezing: sneeze human
        snoring: snore human
        street_music: music street city
        thunderstorm: thunder storm weather nature
        toilet_flush: toilet water household
        train: train vehicle
        vacuum_cleaner: vacuum motor household
        washing_machine: machine motor household
        water_drops: drip water
        wind: wind weather nature
        """.strip().splitlines()
    )
}
"""The data sets' categories as tags that people give on Freesound."""


class PrepareError(EarmarkError):
    """An archive that is not the data set it should be, or a folder that cannot be made."""


@dataclass(frozen=True)
class Row:
    """A line of clips.csv. `recording` is told by `freesound_id`; `tags` are separated by spaces."""

    file: str
    freesound_id: str
    dataset: str
    category: str
    fold: str
    tags: str
    license: str
    author: str
    duration_s: str


@dataclass(frozen=True)
class Listed:
    """A clip as a data set's own list has it; `name` is its file there."""

    name: str
    freesound_id: str
    dataset: str
    category: str
    fold: str
    license: str
    author: str


@dataclass(frozen=True)
class Layout:
    """How a data set is laid out: which paths are its sounds and its texts, and what the texts say."""

    title: str
    sound: re.Pattern[str]
    table: str
    credits: str
    read: Callable[[str, str], list[Listed]]

    def wants(self, path: PurePosixPath) -> bool:
        return path.name in (self.table, self.credits) or self.is_sound(path)

    def is_sound(self, path: PurePosixPath) -> bool:
        return self.sound.fullmatch("/".join(path.parts[-3:])) is not None


def _esc50(table: str, credits_text: str) -> list[Listed]:
    """ESC-50's meta/esc50.csv, with author and licence of each clip from its LICENSE file."""
    line = re.compile(r"^- \[(\S+)\.ogg\]:.*\(http\S+\) by (.*) \[([^\]]+)\]\s*$", re.MULTILINE)
    known = {stem: (author, licence) for stem, author, licence in line.findall(credits_text)}
    listed = []
    for row in csv.DictReader(io.StringIO(table)):
        ten = row["esc10"] == "True"
        stem = f"{row['fold']}-{row['src_file']}-{row['take']}"
        author, licence = known.get(stem, ("", "CC-BY" if ten else "CC-BY-NC"))
        listed.append(Listed(row["filename"], row["src_file"], "esc10" if ten else "esc50", row["category"], row["fold"], licence, author))
    return listed


def _us8k(table: str, credits_text: str) -> list[Listed]:
    """UrbanSound8K's metadata/UrbanSound8K.csv, with authors from its FREESOUNDCREDITS.txt; the set as a whole is CC BY-NC."""
    known = dict(re.findall(r"^\s*(\d+) by (.+?)\s*$", credits_text, re.MULTILINE))
    return [
        Listed(row["slice_file_name"], row["fsID"], "us8k", row["class"], row["fold"], "CC-BY-NC", known.get(row["fsID"], ""))
        for row in csv.DictReader(io.StringIO(table))
    ]


LAYOUTS = {
    "esc50": Layout("ESC-50", re.compile(r"(.*/)?audio/\d-\d+-[A-Z]-\d+\.wav"), "esc50.csv", "LICENSE", _esc50),
    "us8k": Layout(
        "UrbanSound8K", re.compile(r"audio/fold\d+/\d+-\d+-\d+-\d+\.wav"), "UrbanSound8K.csv", "FREESOUNDCREDITS.txt", _us8k
    ),
}  # fmt: skip


def run(
    out: Path,
    places: dict[str, Path | None],
    downloads: Path,
    zenodo: str = ZENODO,
    esc50_url: str = ESC50_URL,
) -> list[str]:
    """Build the clip folder `out` of the data sets in `places`, each an archive, an unpacked folder, or None: download it.

    Clips that are there already are not made again; clips.csv is written when all of a data set's are, and keeps the lines of data
    sets that were prepared before. Returns the names of clips that cannot be heard, which are left out. Raises `PrepareError`,
    `ArchiveError` or `DownloadError`.
    """
    rows = _rows_there(out / "clips.csv")
    silent: list[str] = []
    for name, place in places.items():
        layout = LAYOUTS[name]
        found, missing = _prepare(layout, place or _download(name, downloads, zenodo, esc50_url), out, name)
        datasets = {row.dataset for row in found}
        rows = [row for row in rows if row.dataset not in datasets] + found
        silent += missing
        _write_rows(out / "clips.csv", rows)
        Console(stderr=True).print(f"{layout.title}: {len(found)} clips of {len({row.freesound_id for row in found})} recordings")
    return silent


def _download(name: str, downloads: Path, zenodo: str, esc50_url: str) -> Path:
    if name == "esc50":
        return fetch(Remote("ESC-50-master.zip", esc50_url), downloads / "ESC-50-master.zip")
    for remote in zenodo_files(US8K_RECORD, zenodo):
        if remote.name == US8K_ARCHIVE:
            return fetch(remote, downloads / US8K_ARCHIVE)
    raise DownloadError(f"Record {US8K_RECORD} on {zenodo} has no {US8K_ARCHIVE}.")


def _prepare(layout: Layout, place: Path, out: Path, prefix: str) -> tuple[list[Row], list[str]]:
    """One data set's lines for clips.csv, its sounds written; and the names of those that cannot be heard."""
    if not place.is_dir() and not archives.is_archive(place.name):
        raise PrepareError(f"{place} is neither a folder nor an archive ({', '.join(archives.ENDINGS)}).")
    texts: dict[str, str] = {}
    silent: set[str] = set()

    def wanted(path: PurePosixPath) -> bool:
        return layout.wants(path) and not (layout.is_sound(path) and _target(out, prefix, path.name).exists())

    for path, data in archives.contents(place, wanted):
        if layout.is_sound(path):
            if not _make_clip(data, _target(out, prefix, path.name), path.name):
                silent.add(path.name)
        else:
            texts[path.name] = data.decode("utf-8", "replace")
    listed = _listed(layout, texts, place)
    missing = [one.name for one in listed if one.name not in silent and not _target(out, prefix, one.name).exists()]
    if missing:
        raise PrepareError(f"{place} lacks {len(missing)} of the {len(listed)} clips that it lists, {missing[0]} among them.")
    return [_row(one, out, prefix) for one in listed if one.name not in silent], sorted(silent)


def _listed(layout: Layout, texts: dict[str, str], place: Path) -> list[Listed]:
    """What the data set's own list says. Raises `PrepareError`."""
    if layout.table not in texts:
        raise PrepareError(f"{place} has no {layout.table}; it is not {layout.title}.")
    try:
        listed = layout.read(texts[layout.table], texts.get(layout.credits, ""))
    except (KeyError, TypeError, csv.Error) as error:
        raise PrepareError(f"{layout.table} in {place} lacks the column {error}; it is not {layout.title}'s.") from error
    wrong = [one for one in listed if one.category not in TAGS or not (one.freesound_id or "").isdecimal()]
    if wrong or not listed:
        what = f"lists {wrong[0].name!r} with a category or Freesound id that is not known" if wrong else "lists no clips"
        raise PrepareError(f"{layout.table} in {place} {what}; it is not {layout.title}'s.")
    return listed


def _target(out: Path, prefix: str, name: str) -> Path:
    return out / "audio" / f"{prefix}-{PurePosixPath(name).stem}.flac"


def _make_clip(data: bytes, path: Path, name: str) -> bool:
    """Write a sound as mono FLAC at the front-end's rate; False if it cannot be heard. Raises `PrepareError`."""
    try:
        waveform = audio.load(data, name=name)
    except AudioError as error:
        Console(stderr=True).print(f"left out: {error}", markup=False)
        return False
    flac = io.BytesIO()
    soundfile.write(flac, waveform.samples.clip(-1, 1), waveform.rate, format="FLAC", subtype="PCM_16")
    try:
        write_atomic(path, flac.getvalue())
    except OSError as error:
        raise PrepareError(f"{path.parent} cannot be written ({error.strerror}); the same command goes on from here.") from error
    return True


def _row(one: Listed, out: Path, prefix: str) -> Row:
    path = _target(out, prefix, one.name)
    seconds = soundfile.info(str(path)).duration
    return Row(
        f"audio/{path.name}", one.freesound_id, one.dataset, one.category, one.fold, TAGS[one.category], one.license, one.author,
        f"{seconds:.3f}",
    )  # fmt: skip


def _rows_there(table: Path) -> list[Row]:
    """The lines of a clips.csv that this program wrote; none if there is no such file. Raises `PrepareError` if another wrote it."""
    names = [field.name for field in fields(Row)]
    try:
        with table.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            if reader.fieldnames != names:
                raise PrepareError(f"{table} was not written by this program; choose another folder.")
            return [Row(**row) for row in reader]
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError, csv.Error, TypeError) as error:
        raise PrepareError(f"{table} cannot be read; choose another folder.") from error


def _write_rows(table: Path, rows: list[Row]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Row)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    try:
        write_atomic(table, text.getvalue().encode())
    except OSError as error:
        raise PrepareError(f"{table} cannot be written ({error.strerror}); the same command goes on from here.") from error
