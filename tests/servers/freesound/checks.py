"""Checks of the fields of an upload, a description or an edit, with the site's own messages."""

from collections.abc import Collection, Mapping

from tests.servers.freesound.messages import ErrorReply, Files, detail
from tests.servers.freesound.rules import CATEGORIES, EXTENSIONS, UPLOAD_LICENSES, clean_tags

Fields = Mapping[str, object]
"""Fields as they were sent: text in a form, anything in JSON."""

MAX_TEXT_LENGTH, MAX_GEOTAG_LENGTH, MAX_FILE_NAME_LENGTH = 512, 100, 100
MIN_TAGS, MAX_TAGS, MIN_ZOOM = 3, 30, 11
REQUIRED = "This field is required."
BAD_CATEGORY = "Invalid BST category, should be a valid Broad Sound Taxonomy subcategory code."
BAD_LICENSE = (
    "Invalid License, must be either 'Attribution', 'Attribution NonCommercial' or "
    "'Creative Commons 0'."
)
BAD_GEOTAG = (
    "Geotag should have the format 'float,float,integer' (for latitude, longitude and zoom "
    "respectively)."
)


def refuse_if_any(problems: Mapping[str, str | None]) -> None:
    """End the request if a field has a problem.

    Args:
        problems: The message of each field, None where it is good.

    Raises:
        ErrorReply: A field has a problem.
    """
    messages = {name: [problem] for name, problem in problems.items() if problem}
    if messages:
        raise ErrorReply(detail(400, messages))


def check_upload(fields: Fields, files: Files) -> None:
    """Check each field of an upload by itself.

    Raises:
        ErrorReply: A field is malformed.
    """
    refuse_if_any(
        {
            "audiofile": check_file(files, fields),
            "name": check_text(fields, "name", max_length=MAX_TEXT_LENGTH),
            "bst_category": check_choice(fields, "bst_category", CATEGORIES),
            "tags": check_text(fields, "tags", max_length=MAX_TEXT_LENGTH),
            "description": check_text(fields, "description"),
            "license": check_choice(fields, "license", UPLOAD_LICENSES),
            "pack": check_text(fields, "pack"),
            "geotag": check_text(fields, "geotag", max_length=MAX_GEOTAG_LENGTH),
        }
    )


def check_description(fields: Mapping[str, str]) -> None:
    """Check the fields of a described upload together, once each is well-formed by itself.

    Raises:
        ErrorReply: A field is missing or has a value that the site does not take.
    """
    refuse_if_any(
        {
            "description": None if fields.get("description", "").strip() else REQUIRED,
            "bst_category": None if fields.get("bst_category") in CATEGORIES else BAD_CATEGORY,
            "tags": check_tags(fields.get("tags", "")),
            "geotag": check_geotag(fields["geotag"]) if fields.get("geotag") else None,
            "license": None if fields.get("license") in UPLOAD_LICENSES else BAD_LICENSE,
        }
    )


def check_edit(fields: Fields, form: bool) -> None:
    """Check the fields of an edit; `form` is False for JSON.

    Raises:
        ErrorReply: A field has a problem.
    """
    refuse_if_any(_written_problems(fields, form, required=False))


def check_pending_description(fields: Fields, form: bool, pending: Collection[str]) -> None:
    """Check the description of a file that was uploaded before.

    Args:
        fields: The fields as they were sent.
        form: False if they were sent as JSON.
        pending: Names of the files that wait for a description.

    Raises:
        ErrorReply: A field has a problem.
    """
    problems = _written_problems(fields, form, required=True)
    problems["upload_filename"] = check_text(
        fields, "upload_filename", required=True, max_length=MAX_TEXT_LENGTH, form=form
    )
    filename = fields.get("upload_filename")
    if not problems["upload_filename"] and filename not in pending:
        problems["upload_filename"] = (
            f"Upload filename ({filename}) must match with a filename from 'Pending Uploads' "
            "resource."
        )
    problems["bst_category"] = check_choice(fields, "bst_category", CATEGORIES)
    refuse_if_any(problems)


def _written_problems(fields: Fields, form: bool, *, required: bool) -> dict[str, str | None]:
    """Return the problems of a description or an edit: each field by itself and together."""
    problems = {
        "name": check_text(fields, "name", max_length=MAX_TEXT_LENGTH, form=form),
        "tags": check_text(
            fields, "tags", required=required, max_length=MAX_TEXT_LENGTH, form=form
        ),
        "description": check_text(fields, "description", required=required, form=form),
        "license": check_choice(fields, "license", UPLOAD_LICENSES, required=required),
        "pack": check_text(fields, "pack", form=form),
        "geotag": check_text(fields, "geotag", max_length=MAX_GEOTAG_LENGTH, form=form),
    }
    if fields.get("tags"):
        problems["tags"] = problems["tags"] or check_tags(str(fields["tags"]))
    if fields.get("geotag"):
        problems["geotag"] = problems["geotag"] or check_geotag(str(fields["geotag"]))
    return problems


def check_text(
    fields: Fields,
    name: str,
    *,
    required: bool = False,
    max_length: int | None = None,
    form: bool = True,
) -> str | None:
    """Return the message about a text field, None if it is good.

    Args:
        fields: The fields as they were sent.
        name: The field's name.
        required: It must be there.
        max_length: Characters that it may have.
        form: It comes from a form, where an empty optional field counts as absent.
    """
    if name not in fields or (form and fields[name] == "" and not required):
        return REQUIRED if required else None
    value = fields[name]
    if value is None:
        return "This field may not be null."
    if isinstance(value, bool | list | dict):
        return "Not a valid string."
    text = str(value).strip()
    if not text:
        return "This field may not be blank."
    if max_length and len(text) > max_length:
        return f"Ensure this field has no more than {max_length} characters."
    return None


def check_choice(
    fields: Fields, name: str, choices: Collection[str], *, required: bool = False
) -> str | None:
    """Return the message about a field with fixed values, None if it is good."""
    if name not in fields:
        return REQUIRED if required else None
    value = fields[name]
    if value is None:
        return "This field may not be null."
    accepted = value in choices or (value == "" and not required)
    return None if accepted else f'"{value}" is not a valid choice.'


def check_tags(text: str) -> str | None:
    """Return the message about the number of tags, None if it is good."""
    count = len(clean_tags(text))
    if count < MIN_TAGS:
        return "You should add at least 3 tags..."
    if count > MAX_TAGS:
        return "There can be maximum 30 tags, please select the most relevant ones!"
    return None


def check_geotag(text: str) -> str | None:
    """Return the message about a geotag, None if it is good."""
    parts = text.split(",")
    try:
        latitude, longitude, zoom = float(parts[0]), float(parts[1]), int(parts[2])
        if len(parts) != 3:
            return BAD_GEOTAG
    except (ValueError, IndexError):
        return BAD_GEOTAG
    if abs(latitude) > 90:
        return "Latitude must be in the range [-90,90]."
    if longitude > 180:  # the site does not check the lower end either
        return "Longitude must be in the range [-180,180]."
    return "Zoom must be at least 11." if zoom < MIN_ZOOM else None


def check_file(files: Files, fields: Fields) -> str | None:
    """Return the message about the uploaded file, None if it is good."""
    if "audiofile" not in files:
        if fields.get("audiofile"):
            return "The submitted data was not a file. Check the encoding type on the form."
        return "No file was submitted."
    name, content = files["audiofile"]
    if not content:
        return "The submitted file is empty."
    if len(name) > MAX_FILE_NAME_LENGTH:
        return f"Ensure this filename has at most 100 characters (it has {len(name)})."
    if not has_audio_extension(name):
        return "Uploaded file format not supported or not an audio file."
    return None


def has_audio_extension(file_name: str) -> bool:
    """Tell if a file's name ends as those of the formats that the site takes."""
    return "." in file_name and file_name.rsplit(".", 1)[-1].lower() in EXTENSIONS
