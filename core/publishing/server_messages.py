"""Freesound's messages about a form as sentences for a person."""

import re

from core.publishing.form import ACCEPTED_FILES, quoted
from core.tags import MIN_TAGS

_FIELD_NAMES = {
    "": "the upload",
    "audiofile": "the file",
    "name": "the name",
    "tags": "the tags",
    "description": "the description",
    "license": "the license",
    "bst_category": "the category",
    "pack": "the pack",
    "geotag": "the place",
    "upload_filename": "the file",
}
"""Freesound's fields as people know them, within a sentence."""

_NO_FILE = "No file was sent; please choose one."
_BLANK = {
    "": "Please fill in {field}.",
    "tags": f"Freesound requires at least {MIN_TAGS} tags.",
    "license": "Please choose a license.",
    "bst_category": "Please choose a category.",
    "audiofile": _NO_FILE,
}
_NO_CHOICE = {
    "": "Freesound's list of choices for {field} does not have this one.",
    "license": "Please choose one of Freesound's licenses.",
    "bst_category": "Please choose a category from the list.",
}
_SENTENCES: tuple[tuple[str, str | dict[str, str]], ...] = (
    (r"No file was submitted\.|The submitted data was not a file\..*", _NO_FILE),
    (r"The submitted file is empty\.", "The file is empty."),
    (r"Uploaded file format not supported or not an audio file\.", f"{ACCEPTED_FILES}."),
    (
        r"Ensure this filename has at most (\d+) characters \(it has (\d+)\)\.",
        "The file name has {1} characters; {0} are allowed. Please rename the file.",
    ),
    (
        r"You should add at least (\d+) tags\.*",
        "Freesound requires at least {0} tags. Please add more.",
    ),
    (
        r"There can be maximum (\d+) tags, please select the most relevant ones!",
        "Freesound takes {0} tags at most. Please keep the most fitting ones.",
    ),
    (
        r"Ensure this field has no more than (\d+) characters\.",
        "{Field} may have {0} characters at most; please shorten that.",
    ),
    (
        r"This field may not be blank\.|This field is required\.|This field may not be null\.",
        _BLANK,
    ),
    (r'"(?:.*)" is not a valid choice\.', _NO_CHOICE),
    (r"Invalid License, must be either .*", _NO_CHOICE["license"]),
    (r"Invalid BST category, should be .*", _NO_CHOICE["bst_category"]),
    (
        r"Geotag should have the format .*",
        "The place should be latitude, longitude and zoom, for example 52.52, 13.405, 14.",
    ),
    (
        r"Latitude must be in the range .*",
        "The latitude is not between -90 (south pole) and 90 (north pole).",
    ),
    (r"Longitude must be in the range .*", "The longitude is not between -180 and 180."),
    (r"Zoom must be at least (\d+)\.", "The map's zoom must be {0} at least; please zoom in."),
    (r"Not a valid string\.", "Freesound could not read {field}; please fill that in again."),
    (
        r"Null characters are not allowed\.|Surrogate characters are not allowed.*",
        "{Field} has control characters in it. Please type it again.",
    ),
    (
        r"Sound could not be created because the uploaded file is already part of freesound\.",
        "This very file is on Freesound already, from you or from somebody else; "
        "it was not added again.",
    ),
    (
        r"Upload filename \(.*\) must match with a filename from 'Pending Uploads' resource\.",
        "Freesound has no such file waiting for a description (any more).",
    ),
    (
        r"Unexpected error|Server [Ee]rror.*",
        "Freesound had trouble of its own. The sound may be there half; "
        "please look before sending it again.",
    ),
    (
        r"JSON parse error.*|Method .* not allowed\.|Unsupported media type .*",
        "Freesound did not understand what Earmark sent; that is our mistake.",
    ),
)
"""Patterns of messages, each with a sentence, or with sentences by field."""


def explain(field: str, message: str) -> str:
    """Return a message of the server as a sentence for a person.

    Args:
        field: The form field; empty for a message about the whole upload.
        message: The server's words. Unknown ones are quoted.
    """
    name = _FIELD_NAMES.get(field, f"the field “{quoted(field)}”")
    for pattern, sentences in _SENTENCES:
        if match := re.fullmatch(pattern, message.strip(), re.DOTALL):
            if isinstance(sentences, dict):
                sentence = sentences.get(field, sentences[""])
            else:
                sentence = sentences
            return sentence.format(*match.groups(), field=name, Field=name[0].upper() + name[1:])
    return f"Freesound does not accept {name}: {quoted(message.strip().rstrip('.'), 300)}."
