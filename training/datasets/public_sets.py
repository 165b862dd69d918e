"""A clip folder from the public ESC-50 and UrbanSound8K archives.

Clips become mono FLAC at the front-end's rate, a sixth of the size. Archives are read from front
to end and never unpacked: UrbanSound8K would take another 7 GB.
"""

import csv
import io
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path, PurePosixPath

import soundfile

from core.audio.decode import decode
from core.audio.errors import AudioError
from core.files import write_atomic
from training.datasets import archives
from training.datasets.download import ZENODO, RemoteFile, fetch, zenodo_files
from training.errors import DownloadError, PrepareError

logger = logging.getLogger(__name__)

ESC50_URL = "https://github.com/karolpiczak/ESC-50/archive/master.zip"
US8K_RECORD, US8K_ARCHIVE = "1203745", "UrbanSound8K.tar.gz"


def _read_category_tags() -> dict[str, str]:
    """Return the sets' categories with the tags that people give on Freesound."""
    text = Path(__file__).with_name("category_tags.tsv").read_text("utf-8")
    rows = csv.DictReader(io.StringIO(text), delimiter="\t")
    return {row["category"]: row["tags"] for row in rows}


CATEGORY_TAGS = _read_category_tags()


@dataclass(frozen=True)
class Row:
    """A line of clips.csv; `freesound_id` names the recording, spaces separate `tags`.

    In a set's own list, `file` is the name there, and tags and duration are not known yet.
    """

    file: str
    freesound_id: str
    dataset: str
    category: str
    fold: str
    tags: str = ""
    license: str = ""
    author: str = ""
    duration_s: str = ""


@dataclass(frozen=True)
class PublicSet:
    """The layout of a public data set.

    Attributes:
        title: Its name.
        sound: Matches the last three parts of a sound's path.
        table: File name of its list.
        credits: File name of its authors.
        read: From the texts of both to the clips.
    """

    title: str
    sound: re.Pattern[str]
    table: str
    credits: str
    read: Callable[[str, str], list[Row]]

    def is_sound(self, path: PurePosixPath) -> bool:
        """Return True for the path of a clip inside the archive."""
        return self.sound.fullmatch("/".join(path.parts[-3:])) is not None


def _read_esc50(table: str, credits_text: str) -> list[Row]:
    """Read meta/esc50.csv; authors and licenses are in the file LICENSE."""
    line = re.compile(r"^- \[(\S+)\.ogg\]:.*\(http\S+\) by (.*) \[([^\]]+)\]\s*$", re.MULTILINE)
    credits = {stem: (author, terms) for stem, author, terms in line.findall(credits_text)}
    clips = []
    for row in csv.DictReader(io.StringIO(table)):
        esc10 = row["esc10"] == "True"
        stem = f"{row['fold']}-{row['src_file']}-{row['take']}"
        author, terms = credits.get(stem, ("", "CC-BY" if esc10 else "CC-BY-NC"))
        dataset = "esc10" if esc10 else "esc50"
        listed = (row["filename"], row["src_file"], dataset, row["category"], row["fold"])
        clips.append(Row(*listed, license=terms, author=author))
    return clips


def _read_us8k(table: str, credits_text: str) -> list[Row]:
    """Read metadata/UrbanSound8K.csv; authors are in FREESOUNDCREDITS.txt."""
    authors = dict(re.findall(r"^\s*(\d+) by (.+?)\s*$", credits_text, re.MULTILINE))
    columns = ("slice_file_name", "fsID", "class", "fold")
    clips = []
    for row in csv.DictReader(io.StringIO(table)):
        name, recording, category, fold = (row[column] for column in columns)
        author = authors.get(recording, "")
        terms = "CC-BY-NC"  # of the set as a whole
        clips.append(Row(name, recording, "us8k", category, fold, license=terms, author=author))
    return clips


PUBLIC_SETS = {
    "esc50": PublicSet(
        "ESC-50",
        re.compile(r"(.*/)?audio/\d-\d+-[A-Z]-\d+\.wav"),
        "esc50.csv",
        "LICENSE",
        _read_esc50,
    ),
    "us8k": PublicSet(
        "UrbanSound8K",
        re.compile(r"audio/fold\d+/\d+-\d+-\d+-\d+\.wav"),
        "UrbanSound8K.csv",
        "FREESOUNDCREDITS.txt",
        _read_us8k,
    ),
}


def prepare(
    out: Path,
    places: Mapping[str, Path | None],
    downloads: Path,
    zenodo: str = ZENODO,
    esc50_url: str = ESC50_URL,
) -> list[str]:
    """Make or complete a clip folder.

    Existing clips are not made again. clips.csv is written when all clips of a set exist, and keeps
    the lines of sets that were prepared before.

    Args:
        out: The clip folder.
        places: By name of the set, an archive or an unpacked folder; None to download it.
        downloads: Where downloads are kept.
        zenodo: Host of UrbanSound8K.
        esc50_url: Of ESC-50's archive.

    Returns:
        Names of clips that cannot be decoded; they are left out.

    Raises:
        PrepareError: A place is not the set that it should be, or the folder cannot be written.
        ArchiveError: An archive is damaged.
        DownloadError: A set cannot be downloaded.
    """
    rows = _read_rows(out / "clips.csv")
    unreadable: list[str] = []
    for name, place in places.items():
        public_set = PUBLIC_SETS[name]
        source = place or _download(name, downloads, zenodo, esc50_url)
        added, skipped = _prepare_set(public_set, source, out, name)
        replaced = {row.dataset for row in added}
        rows = [row for row in rows if row.dataset not in replaced] + added
        unreadable += skipped
        _write_rows(out / "clips.csv", rows)
        logger.info("prepare set=%s clips=%d skipped=%d", name, len(added), len(skipped))
    return unreadable


def _download(name: str, downloads: Path, zenodo: str, esc50_url: str) -> Path:
    """Download a set's archive."""
    if name == "esc50":
        archive = "ESC-50-master.zip"
        return fetch(RemoteFile(archive, esc50_url), downloads / archive)
    for remote in zenodo_files(US8K_RECORD, zenodo):
        if remote.name == US8K_ARCHIVE:
            return fetch(remote, downloads / US8K_ARCHIVE)
    raise DownloadError(f"Record {US8K_RECORD} on {zenodo} has no {US8K_ARCHIVE}.")


def _prepare_set(
    public_set: PublicSet, place: Path, out: Path, prefix: str
) -> tuple[list[Row], list[str]]:
    """Write a set's clips; return its lines for clips.csv and the clips that are left out."""
    if not place.is_dir() and not archives.is_archive(place.name):
        kinds = ", ".join(archives.SUFFIXES)
        raise PrepareError(f"{place} is neither a folder nor an archive ({kinds}).")
    texts: dict[str, str] = {}
    unreadable: set[str] = set()

    def is_needed(path: PurePosixPath) -> bool:
        if public_set.is_sound(path):
            return not _clip_path(out, prefix, path.name).exists()
        return path.name in (public_set.table, public_set.credits)

    for path, data in archives.contents(place, is_needed):
        if not public_set.is_sound(path):
            texts[path.name] = data.decode("utf-8", "replace")
        elif not _write_clip(data, _clip_path(out, prefix, path.name), path.name):
            unreadable.add(path.name)
    listed = _read_list(public_set, texts, place)
    kept = [row for row in listed if row.file not in unreadable]
    missing = [row.file for row in kept if not _clip_path(out, prefix, row.file).exists()]
    if missing:
        raise PrepareError(
            f"{place} lacks {len(missing)} of the {len(listed)} clips that it lists, "
            f"{missing[0]} among them."
        )
    return [_finished_row(row, out, prefix) for row in kept], sorted(unreadable)


def _read_list(public_set: PublicSet, texts: Mapping[str, str], place: Path) -> list[Row]:
    """Return the clips that the set lists.

    Raises:
        PrepareError: It is not that set's list.
    """
    table, title = public_set.table, public_set.title
    if table not in texts:
        raise PrepareError(f"{place} has no {table}; it is not {title}.")
    try:
        clips = public_set.read(texts[table], texts.get(public_set.credits, ""))
    except (KeyError, TypeError, csv.Error) as error:
        where = f"{table} in {place}"
        raise PrepareError(f"{where} lacks the column {error}; it is not {title}'s.") from error
    if not clips:
        raise PrepareError(f"{table} in {place} lists no clips; it is not {title}'s.")
    for clip in clips:
        if clip.category not in CATEGORY_TAGS or not (clip.freesound_id or "").isdecimal():
            what = f"lists {clip.file!r} with a category or Freesound id that is not known"
            raise PrepareError(f"{table} in {place} {what}; it is not {title}'s.")
    return clips


def _clip_path(out: Path, prefix: str, name: str) -> Path:
    return out / "audio" / f"{prefix}-{PurePosixPath(name).stem}.flac"


def _write_clip(data: bytes, path: Path, name: str) -> bool:
    """Write a sound as mono FLAC; return False if it cannot be decoded."""
    try:
        recording = decode(data, name=name)
    except AudioError as error:
        logger.warning("clip skipped name=%s reason=%s", name, error)
        return False
    flac = io.BytesIO()
    samples = recording.samples.clip(-1, 1)
    soundfile.write(flac, samples, recording.rate, format="FLAC", subtype="PCM_16")
    _write(path, flac.getvalue())
    return True


def _finished_row(row: Row, out: Path, prefix: str) -> Row:
    """Return the line of clips.csv for a clip that was written."""
    path = _clip_path(out, prefix, row.file)
    tags, seconds = CATEGORY_TAGS[row.category], soundfile.info(str(path)).duration
    return replace(row, file=f"audio/{path.name}", tags=tags, duration_s=f"{seconds:.3f}")


def _read_rows(table: Path) -> list[Row]:
    """Return the lines of an earlier clips.csv; none if there is no such file.

    Raises:
        PrepareError: This program did not write it.
    """
    try:
        with table.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            if reader.fieldnames != [field.name for field in fields(Row)]:
                what = f"{table} was not written by this program"
                raise PrepareError(f"{what}; choose another folder.")
            return [Row(**row) for row in reader]
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError, csv.Error, TypeError) as error:
        raise PrepareError(f"{table} cannot be read; choose another folder.") from error


def _write_rows(table: Path, rows: list[Row]) -> None:
    """Write clips.csv."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Row)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    _write(table, text.getvalue().encode())


def _write(path: Path, data: bytes) -> None:
    """Write a file of the clip folder; raise `PrepareError` if that fails."""
    try:
        write_atomic(path, data)
    except OSError as error:
        what = f"{path} cannot be written ({error.strerror})"
        raise PrepareError(f"{what}; the same command goes on from here.") from error
