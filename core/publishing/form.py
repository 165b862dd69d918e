"""The form that goes to Freesound with a sound, and its rules.

Every rule that Freesound has for an upload is checked before anything is sent (its server's own
code was read), and a few more where it would store something else than the person saw, or fail half
way: control characters, paths in file names, tags or packs too long. Its API is laxer than its own
form and its bulk file, which ask for longer names, say. There is one set of rules, the strictest:
what is accepted here can be sent by either way, and edited on Freesound later.
"""

import html
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from core.freesound.types import Description
from core.freesound.vocabulary import SITE
from core.publishing.category import CATEGORIES
from core.publishing.errors import FormError, GeotagError
from core.publishing.geotag import parse_geotag
from core.tags import MAX_TAG_LENGTH, MAX_TAGS, MAX_TAGS_LENGTH, MIN_TAGS, clean

EXTENSIONS = ("wav", "aiff", "aif", "ogg", "flac", "mp3", "m4a", "wv")
ACCEPTED_FILES = (
    f"Freesound takes files that end in {', '.join(EXTENSIONS[:-1])} or {EXTENSIONS[-1]}"
)
MAX_FILE_NAME_LENGTH = 100
MIN_NAME_LENGTH, MAX_NAME_LENGTH = 5, 512
MIN_PACK_LENGTH, MAX_PACK_LENGTH = 5, 255
MAX_CAPITALS = 0.6
"""Share of the characters of a description that may be capitals or exclamation marks."""
MIN_LENGTH_OF_SHOUTING = 5
"""Characters of a description from which on they are counted."""
MAX_SOURCES = 100
MAX_DESCRIPTION_LENGTH = 100_000
"""Ours: Freesound states no limit, but its framework refuses a form of megabytes."""
MAX_REQUEST_BYTES = 1 << 30
MAX_FILE_BYTES = MAX_REQUEST_BYTES - (1 << 20)
"""The site takes 1 GiB a request; a mebibyte is left for the rest of the form."""
_MAX_QUOTE_LENGTH = 60
_MUSIC_SIGNS = "♩♪♫♬♭♮♯"
_FIRST_PICTOGRAPH, _FIRST_EMOJI = 0x2300, 0x1F000
_SOURCE = re.compile(
    r"(?:https?://(?:www\.)?freesound\.org/(?:s|people/[^/\s]+/sounds)/)?(?P<id>[1-9][0-9]{0,17})/?"
)


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
        is_explicit: The sound has explicit content. The API cannot set that: see `Description`.
        sources: Ids or addresses of the Freesound sounds that it was made from; may be empty.
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
    is_explicit: bool = False
    sources: str = ""

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
            is_explicit=self.is_explicit,
            sources=parse_sources(self.sources),
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
    if any(is_emoji(character) for character in file_name):
        yield (
            "The file name has an emoji in it, and Freesound drops such files without a word. "
            "Please rename the file."
        )


def check_size(size: int) -> Iterator[str]:
    """Yield what is wrong with a file's size in bytes, as sentences."""
    if size <= 0:
        yield "The file is empty."
    if size > MAX_FILE_BYTES:
        limit = MAX_REQUEST_BYTES / 1e6
        yield f"The file has {size / 1e6:,.0f} MB; Freesound takes files below {limit:,.0f} MB."


def check_name(name: str, file_name: str = "") -> Iterator[str]:
    """Yield what is wrong with a sound's name as sentences.

    Args:
        name: May be empty: Freesound then shows the name of the file.
        file_name: That name.
    """
    if name:
        yield from check_text(name, "The name", MAX_NAME_LENGTH)
    length = len((name or file_name).strip())
    if 0 < length < MIN_NAME_LENGTH:
        subject = "The name" if name else "The file name, which is the sound's name, too,"
        yield f"{subject} has {_characters(length)}; Freesound requires at least {MIN_NAME_LENGTH}."


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
    if not text.strip():
        yield "Please describe the sound: its source, and where and how it was recorded or made."
        return
    yield from check_text(text, "The description", MAX_DESCRIPTION_LENGTH, multiline=True)
    if is_shouting(text.strip()):
        yield (
            f"More than {MAX_CAPITALS:.0%} of the description are capitals or exclamation marks, "
            "which Freesound does not accept. Please use small letters."
        )


def is_shouting(text: str) -> bool:
    """Return True for a text that Freesound refuses because of its capitals."""
    loud = sum(character != character.lower() or character == "!" for character in text)
    return len(text) >= MIN_LENGTH_OF_SHOUTING and loud > MAX_CAPITALS * len(text)


def check_license(name: str) -> Iterator[str]:
    """Yield what is wrong with a license, as sentences."""
    if name not in LICENSES:
        titles = ", ".join(license.title for license in LICENSES.values())
        yield f"Please choose one of Freesound's licenses: {titles}."


def check_category(code: str) -> Iterator[str]:
    """Yield what is wrong with the code of a category, as sentences."""
    if code not in CATEGORIES:
        yield "Please choose a category."


def check_pack(name: str) -> Iterator[str]:
    """Yield what is wrong with a pack's name, which may be empty, as sentences."""
    if not name:
        return
    yield from check_text(name, "The pack's name", MAX_PACK_LENGTH)
    length = len(name.strip())
    if 0 < length < MIN_PACK_LENGTH:
        yield (
            f"The pack's name has {_characters(length)}; Freesound requires at least "
            f"{MIN_PACK_LENGTH}, or no pack."
        )


def check_geotag(text: str) -> Iterator[str]:
    """Yield what is wrong with a place, which may be empty, as sentences."""
    if text.strip():
        try:
            parse_geotag(text)
        except GeotagError as error:
            yield str(error)


def check_sources(text: str) -> Iterator[str]:
    """Yield what is wrong with a list of sources, which may be empty, as sentences."""
    try:
        parse_sources(text)
    except FormError as error:
        yield str(error)


def parse_sources(text: str) -> tuple[int, ...]:
    """Return the ids of the sounds that a sound was made from, each once.

    Args:
        text: Ids, or addresses of sounds on Freesound, with commas or spaces between them.

    Raises:
        FormError: Something in it is neither.
    """
    ids: dict[int, None] = {}
    for word in re.split(r"[\s,;]+", text.strip()):
        if not word:
            continue
        match = _SOURCE.fullmatch(word)
        if match is None:
            raise FormError(
                f"“{quoted(word)}” is no sound on Freesound. Please give ids or addresses, such as "
                f"1234 or {SITE}/s/1234/."
            )
        ids[int(match["id"])] = None
    if len(ids) > MAX_SOURCES:
        raise FormError(f"At most {MAX_SOURCES} sources can be named, and these are {len(ids)}.")
    return tuple(ids)


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


def sources_note(sources: Iterable[int]) -> str:
    """Return the line of the description that names the sounds that a sound was made from."""
    addresses = [f"{SITE}/s/{source}/" for source in sources]
    return f"Made from sounds on Freesound: {', '.join(addresses)}" if addresses else ""


def quoted(text: str, max_length: int = _MAX_QUOTE_LENGTH) -> str:
    """Return somebody's text as it may stand inside a sentence of ours: printable and short."""
    printable = "".join(character if character.isprintable() else " " for character in text)
    return printable if len(printable) <= max_length else printable[: max_length - 1] + "…"


def _check_audio_file(form: UploadForm) -> Iterator[str]:
    yield from check_file_name(form.file_name)
    yield from check_size(form.size)


_RULES: tuple[tuple[str, Callable[[UploadForm], Iterator[str]]], ...] = (
    ("audiofile", _check_audio_file),
    ("name", lambda form: check_name(form.name, form.file_name)),
    ("tags", lambda form: check_tags(form.tags)),
    ("description", lambda form: check_description(form.description)),
    ("license", lambda form: check_license(form.license)),
    ("bst_category", lambda form: check_category(form.bst_category)),
    ("pack", lambda form: check_pack(form.pack)),
    ("geotag", lambda form: check_geotag(form.geotag)),
    ("sources", lambda form: check_sources(form.sources)),
)


def _would_be_renamed(file_name: str) -> bool:
    """Return True if Freesound would store another name.

    It cuts paths, decodes entities and drops characters that cannot be printed.
    """
    has_path = re.search(r'[/\\"]', file_name) is not None
    has_entity = html.unescape(file_name) != file_name
    has_margin = file_name != file_name.strip()
    return has_path or has_entity or has_margin or not file_name.isprintable()


def is_emoji(character: str) -> bool:
    """Return True for a pictograph, or what colours or joins one; not for signs such as ° or ♪."""
    if character in "\ufe0f\u20e3":
        return True
    if character in _MUSIC_SIGNS:
        return False
    kind, is_sign = unicodedata.category(character), ord(character) >= _FIRST_PICTOGRAPH
    return is_sign and (kind == "So" or (kind == "Sk" and ord(character) >= _FIRST_EMOJI))


def _characters(count: int) -> str:
    return "1 character" if count == 1 else f"{count} characters"


def _is_visible(character: str) -> bool:
    """Return True if a character leaves a mark: no space, control, joiner or unassigned one."""
    return unicodedata.category(character)[0] not in "ZC"


def _is_control(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")
