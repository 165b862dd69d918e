"""The website's bulk description: what it reads of a file, and what it refuses of each row."""

import csv
import re
from collections.abc import Collection, Mapping
from io import StringIO

from tests.servers.freesound.checks import has_audio_extension
from tests.servers.freesound.rules import CATEGORIES, UPLOAD_LICENSES, clean_tags

HEADER = (
    "audio_filename,name,tags,geotag,description,license,pack_name,is_explicit,bst_category"
).split(",")
MIN_NAME, MAX_NAME, MIN_PACK = 5, 512, 5
MIN_TAGS, MAX_TAGS = 3, 30
MIN_ZOOM, MAX_ZOOM = 11, 19
MAX_LOUD, MIN_LOUD_LENGTH = 0.6, 5
REQUIRED = "This field is required."
BAD_GEOTAG = (
    "Invalid geotag format. Must be latitude, longitude and zoom separated by commas "
    "(e.g. 41.40348, 2.189420, 18)."
)
BAD_TAGS = "Tags must contain only letters a-z, digits 0-9 and hyphen."
SHOUTING = "Please moderate the amount of upper case characters in your post..."
Row = Mapping[str, str]


class BadBulkFile(Exception):
    """Says why the file as a whole is refused."""


def survives_upload(file_name: str) -> bool:
    """Tell if the website keeps an uploaded file: one with an emoji in its name is dropped."""
    return all(ord(character) < 0x1F000 for character in file_name)


def check_bulk_file(data: bytes, uploaded: Collection[str]) -> list[dict[str, str]]:
    """Return the messages about each row, by column; a row without any is described.

    Args:
        data: The CSV file.
        uploaded: Names of the person's files that wait for a description.

    Raises:
        BadBulkFile: No row is looked at.
    """
    lines = list(csv.reader(StringIO(data.decode("utf-8"), newline="")))
    if not lines or lines[0] != HEADER:
        raise BadBulkFile(f"Invalid header. Header should be: {','.join(HEADER)}")
    if not lines[1:]:
        raise BadBulkFile("The file contains no lines with sound descriptions")
    described: set[str] = set()
    return [_row_problems(line, uploaded, described) for line in lines[1:]]


def _row_problems(
    line: list[str], uploaded: Collection[str], described: set[str]
) -> dict[str, str]:
    if len(line) != len(HEADER):
        return {"columns": f"Row should have {len(HEADER)} columns but it has {len(line)}."}
    row = dict(zip(HEADER, line, strict=True))
    problems = {
        "audio_filename": _file_problem(row["audio_filename"], uploaded, described),
        "name": _name_problem((row["name"] or row["audio_filename"]).strip()),
        "tags": _tags_problem(row["tags"].strip()),
        "geotag": _geotag_problem(row["geotag"]),
        "description": _description_problem(row["description"].strip()),
        "license": _license_problem(row["license"]),
        "pack_name": _pack_problem(row["pack_name"].strip()),
        "is_explicit": _explicit_problem(row["is_explicit"]),
        "bst_category": "" if row["bst_category"] in CATEGORIES else "Invalid category.",
    }
    return {column: problem for column, problem in problems.items() if problem}


def _file_problem(name: str, uploaded: Collection[str], described: set[str]) -> str:
    if not name.strip():
        return "Invalid audio filename."
    if not has_audio_extension(name):
        return "Invalid file extension."
    if name not in uploaded or not survives_upload(name):
        return "Audio file does not exist. This should be the name of one of the audio files."
    if name in described:
        return "Audio file can only be described once."
    described.add(name)
    return ""


def _name_problem(name: str) -> str:
    if 0 < len(name) < MIN_NAME:
        return f"Ensure this value has at least {MIN_NAME} characters (it has {len(name)})."
    if len(name) > MAX_NAME:
        return f"Ensure this value has at most {MAX_NAME} characters (it has {len(name)})."
    return ""


def _tags_problem(tags: str) -> str:
    if not tags:
        return REQUIRED
    if re.search("[^ a-zA-Z0-9,-]", tags):
        return BAD_TAGS
    count = len(clean_tags(tags))
    if count < MIN_TAGS:
        return "You should add at least 3 different tags. Tags must be separated by spaces."
    if count > MAX_TAGS:
        return "There can be maximum 30 tags, please select the most relevant ones!"
    return ""


def _geotag_problem(geotag: str) -> str:
    if not geotag.strip():
        return ""
    parts = geotag.split(",")
    try:
        latitude, longitude, zoom = float(parts[0]), float(parts[1]), int(parts[2])
    except (ValueError, IndexError):
        return BAD_GEOTAG
    if len(parts) != 3:
        return BAD_GEOTAG
    if not (latitude and longitude and zoom):
        return REQUIRED
    if not -90 <= latitude <= 90:
        return "Latitude must be between -90 and 90."
    if not -180 <= longitude <= 180:
        return "Longitude must be between -180 and 180."
    if not MIN_ZOOM <= zoom <= MAX_ZOOM:
        return f"The zoom value should be between {MIN_ZOOM} and {MAX_ZOOM}."
    return ""


def _description_problem(description: str) -> str:
    if not description:
        return REQUIRED
    loud = [letter for letter in description if letter != letter.lower() or letter == "!"]
    is_loud = len(loud) / len(description) > MAX_LOUD
    return SHOUTING if is_loud and len(description) >= MIN_LOUD_LENGTH else ""


def _license_problem(license: str) -> str:
    names = {name.lower() for name in UPLOAD_LICENSES}
    return "" if license.lower() in names else "Invalid license."


def _pack_problem(pack: str) -> str:
    if 0 < len(pack) < MIN_PACK:
        return f"Ensure this value has at least {MIN_PACK} characters (it has {len(pack)})."
    return ""


def _explicit_problem(value: str) -> str:
    try:
        is_flag = int(float(value)) in (0, 1)
    except ValueError:
        is_flag = False
    return "" if is_flag else 'Invalid value. Should be "1" if sound is explicit or "0" otherwise.'
