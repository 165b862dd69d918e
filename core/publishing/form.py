"""The form that goes to Freesound with a sound, and its rules.

Every rule that Freesound's API has for an upload is checked before anything is sent (its server's
own code was read), and a few more where it would store something else than the person saw, or fail
half way: control characters, paths in file names, tags or packs too long. The bulk description uses
the same rules.
"""

import html
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from core.freesound.types import Description
from core.publishing.category import CATEGORIES
from core.publishing.errors import FormError, GeotagError
from core.publishing.geotag import parse_geotag
from core.tags import MAX_TAG_LENGTH, MAX_TAGS, MAX_TAGS_LENGTH, MIN_TAGS, clean

EXTENSIONS = ("wav", "aiff", "aif", "ogg", "flac", "mp3", "m4a", "wv")
ACCEPTED_FILES = (
    f"Freesound takes files that end in {', '.join(EXTENSIONS[:-1])} or {EXTENSIONS[-1]}"
)
MAX_FILE_NAME_LENGTH = 100
MAX_NAME_LENGTH = 512
MAX_PACK_LENGTH = 255
MAX_DESCRIPTION_LENGTH = 100_000
"""Ours: Freesound states no limit, but its framework refuses a form of megabytes."""
MAX_REQUEST_BYTES = 1 << 30
MAX_FILE_BYTES = MAX_REQUEST_BYTES - (1 << 20)
"""The site takes 1 GiB a request; a mebibyte is left for the rest of the form."""
_MAX_QUOTE_LENGTH = 60


@dataclass(frozen=True)
class License:
    """A license that Freesound takes.

    Attributes:
        name: As Freesound spells it.
        title: As people know it.
        deed: Address of the license's text.
        meaning: The permission it gives, as a sentence.
    """

    name: str
    title: str
    deed: str
    meaning: str


_LICENSES = (
    License(
        "Creative Commons 0",
        "Public domain (CC0)",
        "https://creativecommons.org/publicdomain/zero/1.0/",
        "Anyone may use it for anything, without credit to you.",
    ),
    License(
        "Attribution",
        "Attribution (CC BY 4.0)",
        "https://creativecommons.org/licenses/by/4.0/",
        "Anyone may use it, including commercially, with credit to you.",
    ),
    License(
        "Attribution NonCommercial",
        "Attribution, non-commercial (CC BY-NC 4.0)",
        "https://creativecommons.org/licenses/by-nc/4.0/",
        "Anyone may use it non-commercially, with credit to you.",
    ),
)
LICENSES = {license.name: license for license in _LICENSES}
"""By the name that Freesound expects, letter for letter."""


@dataclass(frozen=True)
class Problem:
    """A reason why a form cannot be sent.

    Attributes:
        field: Freesound's own name for the field (`audiofile`, `tags`, ...).
        sentence: The reason, for the person.
    """

    field: str
    sentence: str


@dataclass(frozen=True)
class UploadForm:
    """A form as a person filled it in.

    Attributes:
        file_name: Name of the audio file.
        size: Bytes of the file.
        tags: As typed.
        description: Several lines of text.
        license: A key of `LICENSES`.
        bst_category: A key of `CATEGORIES`.
        name: May be empty: Freesound then shows the file name.
        pack: May be empty.
        geotag: May be empty.
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
        """Return the checked form as it is sent: cleaned.

        Raises:
            FormError: With the first problem, if there is one.
        """
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


def check(form: UploadForm) -> list[Problem]:
    """Return everything that Freesound would refuse or change, in the order of the form."""
    return [Problem(field, sentence) for field, rule in _RULES for sentence in rule(form)]


def check_file_name(file_name: str) -> Iterator[str]:
    """Yield what is wrong with the name of a file, as sentences."""
    stem, _, extension = file_name.rpartition(".")
    if extension.lower() not in EXTENSIONS or not stem.strip(". "):
        yield f"{ACCEPTED_FILES}, and this one is called “{quoted(file_name)}”."
    if len(file_name) > MAX_FILE_NAME_LENGTH:
        yield (
            f"The file name has {len(file_name)} characters; {MAX_FILE_NAME_LENGTH} are allowed. "
            "Please rename the file."
        )
    if _would_be_renamed(file_name):
        yield (
            "The file name has characters that Freesound would change. Please rename the file, "
            "with letters, digits, spaces and hyphens."
        )


def check_size(size: int) -> Iterator[str]:
    """Yield what is wrong with a file's size in bytes, as sentences."""
    if size <= 0:
        yield "The file is empty."
    if size > MAX_FILE_BYTES:
        limit = MAX_REQUEST_BYTES / 1e6
        yield f"The file has {size / 1e6:,.0f} MB; Freesound takes files below {limit:,.0f} MB."


def check_name(name: str) -> Iterator[str]:
    """Yield what is wrong with a sound's name, which may be empty, as sentences."""
    if name:
        yield from check_text(name, "The name", MAX_NAME_LENGTH)


def check_tags(typed: Iterable[str]) -> Iterator[str]:
    """Yield what is wrong with tags as typed, checked as they would be stored, as sentences."""
    cleaned = clean(typed)
    count, length = len(cleaned.tags), len(" ".join(cleaned.tags))
    too_long = [text for text, reason in cleaned.dropped if reason.startswith("is longer")]
    if too_long:
        tag = quoted(too_long[0])
        yield f"The tag “{tag}” is too long; a tag has {MAX_TAG_LENGTH} characters at most."
    if count < MIN_TAGS:
        yield (
            f"Freesound requires at least {MIN_TAGS} tags, and {count} of these would be stored. "
            f"Please add {MIN_TAGS - count} more."
        )
    if count > MAX_TAGS:
        yield (
            f"Freesound takes {MAX_TAGS} tags at most, and these are {count}. "
            f"Please remove {count - MAX_TAGS}."
        )
    if length > MAX_TAGS_LENGTH:
        yield (
            f"All tags together have {length} characters; {MAX_TAGS_LENGTH} are allowed. "
            "Please remove a few."
        )


def check_description(text: str) -> Iterator[str]:
    """Yield what is wrong with a description, as sentences."""
    if text.strip():
        yield from check_text(text, "The description", MAX_DESCRIPTION_LENGTH, multiline=True)
    else:
        yield "Please describe the sound: its source, and where and how it was recorded or made."


def check_license(name: str) -> Iterator[str]:
    """Yield what is wrong with a license, as sentences."""
    if name not in LICENSES:
        titles = ", ".join(license.title for license in LICENSES.values())
        yield f"Please choose one of Freesound's licenses: {titles}."


def check_category(code: str) -> Iterator[str]:
    """Yield what is wrong with the code of a category, as sentences."""
    if code not in CATEGORIES:
        yield "Please choose a category."


def check_pack(name: str, min_length: int = 1) -> Iterator[str]:
    """Yield what is wrong with a pack's name, which may be empty, as sentences.

    Args:
        name: As typed.
        min_length: Fewest characters of a name that is not empty: a bulk description needs more.
    """
    if not name:
        return
    yield from check_text(name, "The pack's name", MAX_PACK_LENGTH)
    length = len(name.strip())
    if 0 < length < min_length:
        yield (
            f"The pack's name has {length} characters; "
            f"a bulk description needs at least {min_length}, or none."
        )


def check_geotag(text: str) -> Iterator[str]:
    """Yield what is wrong with a place, which may be empty, as sentences."""
    if text.strip():
        try:
            parse_geotag(text)
        except GeotagError as error:
            yield str(error)


def check_text(
    text: str, subject: str, max_length: int, *, multiline: bool = False
) -> Iterator[str]:
    """Yield what is wrong with a text that must not be empty, as sentences.

    Args:
        text: As typed.
        subject: The sentences begin with it.
        max_length: In characters.
        multiline: Line breaks and tabs are allowed.
    """
    if not any(_is_visible(character) for character in text):
        yield f"{subject} has nothing in it that can be seen."
    length = len(text.strip())
    if length > max_length:
        yield (
            f"{subject} has {length:,} characters; {max_length:,} are allowed. Please shorten it."
        )
    allowed = "\n\r\t" if multiline else ""
    if any(_is_control(character) and character not in allowed for character in text):
        yield (
            f"{subject} has control characters in it, which Freesound does not keep. "
            "Please type it again."
        )


def machine_note(kept_tags: Iterable[str], model: object) -> str:
    """Return the line of the description that names the tags a model had suggested.

    Args:
        kept_tags: Suggested tags that the person kept.
        model: The model's name and version.

    Returns:
        One paragraph; empty if there are no such tags.
    """
    tags = list(kept_tags)
    if not tags:
        return ""
    if len(tags) == 1:
        subject = f"the tag “{tags[0]}” was"
    else:
        subject = f"the tags {', '.join(tags[:-1])} and {tags[-1]} were"
    return (
        f"Machine-assisted tags: {subject} suggested by an audio tagging model "
        f"(Earmark, {model}) and kept by the uploader."
    )


def with_note(description: str, note: str) -> str:
    """Return the description with the note as its last paragraph; never twice."""
    text = description.rstrip()
    return text if not note or text.endswith(note) else f"{text}\n\n{note}".lstrip()


def quoted(text: str, max_length: int = _MAX_QUOTE_LENGTH) -> str:
    """Return somebody's text as it may stand inside a sentence of ours: printable and short."""
    printable = "".join(character if character.isprintable() else " " for character in text)
    return printable if len(printable) <= max_length else printable[: max_length - 1] + "…"


def _check_audio_file(form: UploadForm) -> Iterator[str]:
    yield from check_file_name(form.file_name)
    yield from check_size(form.size)


_RULES: tuple[tuple[str, Callable[[UploadForm], Iterator[str]]], ...] = (
    ("audiofile", _check_audio_file),
    ("name", lambda form: check_name(form.name)),
    ("tags", lambda form: check_tags(form.tags)),
    ("description", lambda form: check_description(form.description)),
    ("license", lambda form: check_license(form.license)),
    ("bst_category", lambda form: check_category(form.bst_category)),
    ("pack", lambda form: check_pack(form.pack)),
    ("geotag", lambda form: check_geotag(form.geotag)),
)


def _would_be_renamed(file_name: str) -> bool:
    """Return True if Freesound would store another name.

    It cuts paths, decodes entities and drops characters that cannot be printed.
    """
    has_path = re.search(r'[/\\"]', file_name) is not None
    has_entity = html.unescape(file_name) != file_name
    has_margin = file_name != file_name.strip()
    return has_path or has_entity or has_margin or not file_name.isprintable()


def _is_visible(character: str) -> bool:
    """Return True if a character leaves a mark: no space, control, joiner or unassigned one."""
    return unicodedata.category(character)[0] not in "ZC"


def _is_control(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")
