"""The form that goes to Freesound with a sound: checked here before anything is sent, and its answers in plain words.

Every rule that Freesound's API has for an upload is checked (its server's own code was read), and a few more where it would store
something else than the person saw, or fail half way: control characters, paths in file names, tags or packs too long.
"""

import html
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from core.errors import EarmarkError
from core.freesound.client import Description
from core.freesound.taxonomy import CATEGORIES
from core.tags import FEWEST, LONGEST_TAG, LONGEST_TEXT, MOST, clean

EXTENSIONS = ("wav", "aiff", "aif", "ogg", "flac", "mp3", "m4a", "wv")
LONGEST_FILE_NAME = 100
LONGEST_NAME = 512
LONGEST_PACK = 255
LONGEST_DESCRIPTION = 100_000
"""Ours: Freesound states no limit, but a form of megabytes is refused by its framework."""
SITE_LIMIT = 1 << 30
LARGEST_FILE = SITE_LIMIT - (1 << 20)
"""Bytes. The site takes 1 GiB a request; a mebibyte is left for the rest of the form."""
CLOSEST_ZOOM, WIDEST_ZOOM, DEFAULT_ZOOM = 22, 11, 14
"""Freesound wants 11 at least, so that a place is meant and not a country; maps end at 22."""


@dataclass(frozen=True)
class License:
    """A licence that Freesound takes: its `name` there, what people call it, the deed's address, and what it allows."""

    name: str
    title: str
    deed: str
    meaning: str


LICENSES = {
    one.name: one
    for one in (
        License(
            "Creative Commons 0",
            "Public domain (CC0)",
            "https://creativecommons.org/publicdomain/zero/1.0/",
            "Everybody may use the sound for anything, without naming you.",
        ),
        License(
            "Attribution",
            "Attribution (CC BY 4.0)",
            "https://creativecommons.org/licenses/by/4.0/",
            "Everybody may use the sound for anything, also for money, and has to name you.",
        ),
        License(
            "Attribution NonCommercial",
            "Attribution, non-commercial (CC BY-NC 4.0)",
            "https://creativecommons.org/licenses/by-nc/4.0/",
            "Everybody may use the sound where no money is made with it, and has to name you.",
        ),
    )
}
"""By the name that Freesound wants, letter for letter."""


@dataclass(frozen=True)
class UploadForm:
    """What a person filled in. `size`: bytes of the file; `tags`: as typed; `name` and `pack` and `geotag` may be empty.

    Without a name Freesound shows the file name.
    """

    file_name: str
    size: int
    tags: tuple[str, ...]
    description: str
    license: str
    bst_category: str
    name: str = ""
    pack: str = ""
    geotag: str = ""

    def to_description(self) -> Description:
        """What is sent: the checked form, cleaned. Raises `FormError` with the first problem if there is one."""
        if problems := check(self):
            raise FormError(problems[0].sentence)
        return Description(
            name=self.name.strip(),
            tags=clean(self.tags).tags,
            description=self.description.strip(),
            license=self.license,
            bst_category=self.bst_category,
            pack=self.pack.strip(),
            geotag=parse_geotag(self.geotag).text if self.geotag.strip() else "",
        )


@dataclass(frozen=True)
class Problem:
    """Why the form cannot go out: the `field` by Freesound's own name for it (`audiofile`, `tags`, ...), and one sentence."""

    field: str
    sentence: str


class FormError(EarmarkError):
    """A form that Freesound would refuse."""


class GeotagError(EarmarkError):
    """A place that cannot be understood."""


@dataclass(frozen=True)
class Geotag:
    """A place: degrees north and east, and the map's zoom."""

    latitude: float
    longitude: float
    zoom: int = DEFAULT_ZOOM

    @property
    def text(self) -> str:
        """As the upload wants it, six decimals (10 cm) at most."""
        return f"{_degrees(self.latitude)},{_degrees(self.longitude)},{self.zoom}"


def check(form: UploadForm) -> list[Problem]:
    """Everything that Freesound would refuse or change, in the order of the form; empty if it can go out."""
    return [Problem(field, sentence) for field, rule in _RULES for sentence in rule(form)]


def check_file_name(file_name: str) -> Iterator[str]:
    """What is wrong with the name of a file; sentences."""
    stem, _, extension = file_name.rpartition(".")
    if extension.lower() not in EXTENSIONS or not stem.strip(". "):
        yield f"{_ENDINGS}, and this one is called “{_shown(file_name)}”."
    if len(file_name) > LONGEST_FILE_NAME:
        yield f"The file name has {len(file_name)} characters; {LONGEST_FILE_NAME} are allowed. Please rename the file."
    if _changed(file_name):
        yield "The file name has characters that Freesound would change. Please rename the file, with letters, digits, spaces and hyphens."


def check_tags(typed: Iterable[str]) -> Iterator[str]:
    """What is wrong with tags as typed, judged as they would be stored; sentences."""
    typed = tuple(typed)
    cleaned = clean(typed)
    count, length = len(cleaned.tags), len(" ".join(cleaned.tags))
    too_long = [piece for piece, reason in cleaned.dropped if reason.startswith("is longer")]
    if too_long:
        yield f"The tag “{_shown(too_long[0])}” is too long; a tag has {LONGEST_TAG} characters at most."
    if count < FEWEST:
        yield f"Freesound wants at least {FEWEST} tags, and {count} of these would be stored. Please add {FEWEST - count} more."
    if count > MOST:
        yield f"Freesound takes {MOST} tags at most, and these are {count}. Please remove {count - MOST}."
    if length > LONGEST_TEXT:
        yield f"All tags together have {length} characters; {LONGEST_TEXT} are allowed. Please remove some."


def check_text(text: str, what: str, longest: int, *, lines: bool = False) -> Iterator[str]:
    """What is wrong with a text that is there; `lines`: it may have several. Sentences that begin with `what`."""
    if not any(_visible(character) for character in text):
        yield f"{what} has nothing in it that can be seen."
    if len(text.strip()) > longest:
        yield f"{what} has {len(text.strip()):,} characters; {longest:,} are allowed. Please shorten it."
    allowed = "\n\r\t" if lines else ""
    if any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") and character not in allowed for character in text):
        yield f"{what} has control characters in it, which Freesound does not keep. Please type it anew."


def parse_geotag(text: str) -> Geotag:
    """A place from `52.5, 13.4` or `52.5 13.4 14` or `33.9 S, 151.2 E`; without a zoom 14. Raises `GeotagError` with one sentence."""
    match = _GEOTAG.fullmatch(text.strip().replace("−", "-"))
    if not match:
        raise GeotagError("The place should be latitude, longitude and, if you like, zoom: for example 52.52, 13.405 or 52.52, 13.405, 14.")
    latitude = _signed(match["latitude"], match["south"], "S")
    longitude = _signed(match["longitude"], match["west"], "W")
    zoom = int(match["zoom"] or DEFAULT_ZOOM)
    if abs(latitude) > 90:
        raise GeotagError(f"The latitude {match['latitude']} is not between -90 (south pole) and 90 (north pole).")
    if abs(longitude) > 180:
        raise GeotagError(f"The longitude {match['longitude']} is not between -180 and 180.")
    if not WIDEST_ZOOM <= zoom <= CLOSEST_ZOOM:
        raise GeotagError(f"The zoom {zoom} is not between {WIDEST_ZOOM} (a town) and {CLOSEST_ZOOM} (a house).")
    return Geotag(latitude, longitude, zoom)


def machine_note(kept: Iterable[str], model: object) -> str:
    """The line of the description that says which tags a machine had suggested and the person kept; empty if there are none."""
    tags = list(kept)
    if not tags:
        return ""
    some = f"the tag “{tags[0]}” was" if len(tags) == 1 else f"the tags {', '.join(tags[:-1])} and {tags[-1]} were"
    return f"Machine-assisted tags: {some} suggested by a computer that listened to the sound (Earmark, {model}) and kept by the uploader."


def with_note(description: str, note: str) -> str:
    """The description with the note as a paragraph of its own at its end; a note that is there already is not said twice."""
    text = description.rstrip()
    return text if not note or text.endswith(note) else f"{text}\n\n{note}".lstrip()


def explain(field: str, message: str) -> str:
    """The server's `message` about a `field` as a sentence for a person; `field` is empty for what is said of the whole upload."""
    what = FIELD_WORDS.get(field, f"the field “{_shown(field)}”")
    for pattern, sentence in _SERVER_MESSAGES:
        if match := re.fullmatch(pattern, message.strip(), re.DOTALL):
            words = sentence if isinstance(sentence, str) else sentence.get(field, sentence[""])
            return words.format(*match.groups(), what=what, What=what[0].upper() + what[1:])
    return f"Freesound does not accept {what}: {_shown(message.strip().rstrip('.'), 300)}."


FIELD_WORDS = {
    "": "the upload",
    "audiofile": "the file",
    "name": "the name",
    "tags": "the tags",
    "description": "the description",
    "license": "the licence",
    "bst_category": "the category",
    "pack": "the pack",
    "geotag": "the place",
    "upload_filename": "the file",
}
"""What each field of Freesound's is called towards people, within a sentence."""


def _audiofile(form: UploadForm) -> Iterator[str]:
    yield from check_file_name(form.file_name)
    if form.size <= 0:
        yield "The file is empty."
    if form.size > LARGEST_FILE:
        yield f"The file has {form.size / 1e6:,.0f} MB; Freesound takes files below {SITE_LIMIT / 1e6:,.0f} MB."


def _name(form: UploadForm) -> Iterator[str]:
    return check_text(form.name, "The name", LONGEST_NAME) if form.name else iter(())


def _pack(form: UploadForm) -> Iterator[str]:
    return check_text(form.pack, "The pack's name", LONGEST_PACK) if form.pack else iter(())


def check_description(text: str) -> Iterator[str]:
    """What is wrong with a description; sentences."""
    if not text.strip():
        return iter(("Please describe the sound: what is heard, where and how it was made.",))
    return check_text(text, "The description", LONGEST_DESCRIPTION, lines=True)


def _license(form: UploadForm) -> Iterator[str]:
    if form.license not in LICENSES:
        yield f"Please choose one of Freesound's licences: {', '.join(one.title for one in LICENSES.values())}."


def _category(form: UploadForm) -> Iterator[str]:
    if form.bst_category not in CATEGORIES:
        yield "Please choose a category."


def _geotag(form: UploadForm) -> Iterator[str]:
    if form.geotag.strip():
        try:
            parse_geotag(form.geotag)
        except GeotagError as error:
            yield str(error)


_RULES: tuple[tuple[str, Callable[[UploadForm], Iterator[str]]], ...] = (
    ("audiofile", _audiofile),
    ("name", _name),
    ("tags", lambda form: check_tags(form.tags)),
    ("description", lambda form: check_description(form.description)),
    ("license", _license),
    ("bst_category", _category),
    ("pack", _pack),
    ("geotag", _geotag),
)

_NUMBER = r"[-+]?[0-9]{1,3}(?:\.[0-9]{1,30})?"
_GEOTAG = re.compile(
    rf"(?P<latitude>{_NUMBER})\s*°?\s*(?P<south>[NSns])?(?:\s*[,;]\s*|\s+)"
    rf"(?P<longitude>{_NUMBER})\s*°?\s*(?P<west>[EWew])?(?:(?:\s*[,;]\s*|\s+)(?P<zoom>[0-9]{{1,2}}))?"
)

_ENDINGS = f"Freesound takes files that end in {', '.join(EXTENSIONS[:-1])} or {EXTENSIONS[-1]}"
_BLANK = {
    "": "Please fill in {what}.",
    "tags": f"Freesound wants at least {FEWEST} tags.",
    "license": "Please choose a licence.",
    "bst_category": "Please choose a category.",
    "audiofile": "No file was sent; please choose one.",
}
_SERVER_MESSAGES: tuple[tuple[str, str | dict[str, str]], ...] = (
    (r"No file was submitted\.|The submitted data was not a file\..*", "No file was sent; please choose one."),
    (r"The submitted file is empty\.", "The file is empty."),
    (r"Uploaded file format not supported or not an audio file\.", f"{_ENDINGS}."),
    (
        r"Ensure this filename has at most (\d+) characters \(it has (\d+)\)\.",
        "The file name has {1} characters; {0} are allowed. Please rename the file.",
    ),
    (r"You should add at least (\d+) tags\.*", "Freesound wants at least {0} tags. Please add some."),
    (
        r"There can be maximum (\d+) tags, please select the most relevant ones!",
        "Freesound takes {0} tags at most. Please keep the most fitting ones.",
    ),
    (r"Ensure this field has no more than (\d+) characters\.", "{What} may have {0} characters at most; please shorten that."),
    (r"This field may not be blank\.|This field is required\.|This field may not be null\.", _BLANK),
    (
        r'"(?:.*)" is not a valid choice\.',
        {
            "": "What was chosen for {what} is not in Freesound's list.",
            "license": "Please choose one of Freesound's licences.",
            "bst_category": "Please choose a category from the list.",
        },
    ),
    (r"Invalid License, must be either .*", "Please choose one of Freesound's licences."),
    (r"Invalid BST category, should be .*", "Please choose a category from the list."),
    (
        r"Geotag should have the format .*",
        "The place should be latitude, longitude and zoom, for example 52.52, 13.405, 14.",
    ),
    (r"Latitude must be in the range .*", "The latitude is not between -90 (south pole) and 90 (north pole)."),
    (r"Longitude must be in the range .*", "The longitude is not between -180 and 180."),
    (r"Zoom must be at least (\d+)\.", "The map's zoom must be {0} at least; please zoom in."),
    (r"Not a valid string\.", "{What} could not be read by Freesound; please fill that in anew."),
    (
        r"Null characters are not allowed\.|Surrogate characters are not allowed.*",
        "{What} has control characters in it. Please type it anew.",
    ),
    (
        r"Sound could not be created because the uploaded file is already part of freesound\.",
        "This very file is on Freesound already, from you or from somebody else; it was not added again.",
    ),
    (
        r"Upload filename \(.*\) must match with a filename from 'Pending Uploads' resource\.",
        "Freesound does not have that file waiting for a description (any more).",
    ),
    (
        r"Unexpected error|Server [Ee]rror.*",
        "Freesound had trouble of its own. The sound may be there half; please look before sending it again.",
    ),
    (
        r"JSON parse error.*|Method .* not allowed\.|Unsupported media type .*",
        "Freesound did not understand what Earmark sent; that is our mistake.",
    ),
)


def _changed(file_name: str) -> bool:
    """Whether Freesound would store another name: it cuts paths, decodes entities and drops what cannot be printed."""
    unsafe = re.search(r'[/\\"]', file_name) or not file_name.isprintable() or html.unescape(file_name) != file_name
    return bool(unsafe) or file_name != file_name.strip()


def _signed(number: str, letter: str | None, negative: str) -> float:
    """Degrees from `33.9` with S, or from `-33.9`. Raises `GeotagError` for both at once, which could mean either."""
    if letter and number[0] in "+-":
        raise GeotagError(f"The place has a sign and a letter ({number} {letter}); please use one of them.")
    return -float(number) if letter and letter.upper() == negative else float(number)


def _degrees(value: float) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".")


def _visible(character: str) -> bool:
    """Whether a character leaves a mark: no space, no control, no joiner, nothing unassigned."""
    return unicodedata.category(character)[0] not in "ZC"


def _shown(text: str, most: int = 60) -> str:
    """Somebody's text inside our sentence: printable and short."""
    printable = "".join(character if character.isprintable() else " " for character in text)
    return printable if len(printable) <= most else printable[: most - 1] + "…"
