"""Endpoints that write: upload, describe, edit."""

import hashlib
import json
from collections.abc import Callable, Mapping

from tests.servers.freesound.checks import (
    check_description,
    check_edit,
    check_pending_description,
    check_upload,
)
from tests.servers.freesound.credentials import Call
from tests.servers.freesound.messages import (
    ErrorReply,
    Reply,
    Request,
    as_json,
    detail,
    server_error_page,
)
from tests.servers.freesound.rules import clean_tags
from tests.servers.freesound.site import Site, UploadStep
from tests.servers.freesound.state import Sound, User

DESCRIPTION_FIELDS = {"name", "license", "tags", "geotag", "pack", "description"}
MAX_STORED_TAG_LENGTH, MAX_STORED_PACK_LENGTH = 100, 255  # beyond these the database breaks
UPLOADED_AND_DESCRIBED = (
    "Audio file successfully uploaded and described (now pending processing and moderation)."
)
DESCRIBED = "Sound successfully described (now pending processing and moderation)."
DUPLICATE = "Sound could not be created because the uploaded file is already part of freesound."
NOT_THE_OWNER = (
    "Not authorized. The sound you're trying to edit is not owned by the OAuth2 logged in user."
)


def upload(call: Call) -> Reply:
    """Store a file; with a description it becomes a sound, without it waits for that."""
    request, user = call.request, call.caller.person
    if request.content_type != "multipart/form-data":
        message = f'Unsupported media type "{request.content_type}" in request.'
        raise ErrorReply(detail(415, message))
    fields, files = request.form
    check_upload(fields, files)
    described = bool(fields.keys() & DESCRIPTION_FIELDS)
    if described:
        check_description(fields)
    name, content = files["audiofile"]
    user.pending_files[name] = content
    if described:
        return _create(call.site, user, name, fields, UPLOADED_AND_DESCRIBED)
    size = f"{len(content)} Bytes"
    message = f"Audio file successfully uploaded ({size}, now pending description)."
    return as_json({"filename": name, "detail": message}, 201)


def describe(call: Call) -> Reply:
    """Make a sound of a file that was uploaded before."""
    request, user = call.request, call.caller.person
    fields = _written_fields(request)
    check_pending_description(fields, _is_form(request), user.pending_files)
    if call.site.describe_mode == "broken":
        # as on the site: the view reads an attribute that access tokens do not have
        return server_error_page()
    # the one-step upload keeps white space, this does not
    stripped = {name: str(value).strip() for name, value in fields.items()}
    return _create(call.site, user, stripped["upload_filename"], stripped, DESCRIBED)


def edit(call: Call) -> Reply:
    """Change the description of one of the caller's own sounds."""
    sound = call.site.state.sounds.get(call.number)
    if not sound or not sound.public:
        raise ErrorReply(detail(404, "Not found"))
    if sound.username != call.caller.person.username:
        raise ErrorReply(detail(401, NOT_THE_OWNER))
    sent = _written_fields(call.request)
    check_edit(sent, _is_form(call.request))
    fields = {name: value for name, value in sent.items() if value}
    if "geotag" in fields and sound.geotag is not None:
        return server_error_page()
    _apply_edit(call.site, sound, fields)
    return detail(200, f"Description of sound {call.number} successfully edited.")


def _apply_edit(site: Site, sound: Sound, fields: dict[str, object]) -> None:
    """Write the fields of an edit into a sound."""
    for name in ("name", "description", "pack"):
        if name in fields:
            setattr(sound, name, str(fields[name]).strip())
    sound.license = str(fields.get("license", sound.license))
    sound.geotag = _stored_geotag(fields.get("geotag")) or sound.geotag
    if "tags" in fields:
        tags = str(fields["tags"]).strip()
        # the site's edit takes the letters of the text for tags
        sound.tags = clean_tags(tags) if site.edit_tags_mode == "docs" else sorted(set(tags))


def _create(
    site: Site, user: User, filename: str, fields: Mapping[str, str], message: str
) -> Reply:
    """Make a sound of a pending file step by step, and leave it half made where the site breaks."""
    content = user.pending_files.pop(filename)
    md5 = hashlib.md5(content).hexdigest()
    if any(sound.md5 == md5 for sound in site.state.sounds.values()):
        raise ErrorReply(detail(400, DUPLICATE))
    extension = filename.rsplit(".", 1)[-1].lower()
    sound = site.state.add_sound(
        user.username,
        audio=content,
        public=False,
        name=fields.get("name") or filename,
        tags=[],
        license=fields["license"],
        type="aiff" if extension == "aif" else extension,
        filename=filename,
        half_made=True,
    )
    stop, site.stop_upload_after = site.stop_upload_after, None
    _stop_if(stop == "row")
    for step, write in STEPS.items():
        write(site, sound, fields)
        _stop_if(stop == step)
    sound.half_made = False
    if user.whitelisted:
        site.state.moderate(sound.id)
    _stop_if(stop == "ticket")
    if site.auto_process:
        site.state.process(sound.id)
    return as_json({"detail": message, "id": sound.id}, 201)


def _stop_if(stops: bool) -> None:
    """Break off as the site does in the middle of an upload: the row stays as it is."""
    if stops:
        raise ErrorReply(detail(500, "Unexpected error"))


def _write_pack(site: Site, sound: Sound, fields: Mapping[str, str]) -> None:
    """Put a sound into its pack, a new one if need be."""
    pack = fields.get("pack") or None
    _stop_if(len(pack or "") > MAX_STORED_PACK_LENGTH)
    sound.pack = pack
    if pack:
        site.state.pack_id(sound.username, pack)


def _write_geotag(site: Site, sound: Sound, fields: Mapping[str, str]) -> None:
    sound.geotag = _stored_geotag(fields.get("geotag"))


def _write_description(site: Site, sound: Sound, fields: Mapping[str, str]) -> None:
    """Write the description, and the category that comes with it."""
    sound.description = fields["description"]
    sound.category_code = fields.get("bst_category") or None
    sound.category_is_user_provided = bool(sound.category_code)


def _write_tags(site: Site, sound: Sound, fields: Mapping[str, str]) -> None:
    tags = clean_tags(fields["tags"])
    _stop_if(any(len(tag) > MAX_STORED_TAG_LENGTH for tag in tags))
    sound.tags = tags


STEPS: dict[UploadStep, Callable[[Site, Sound, Mapping[str, str]], None]] = {
    "pack": _write_pack,
    "geotag": _write_geotag,
    "description": _write_description,
    "tags": _write_tags,
}
"""What is written between the row and the moderation ticket, in the site's order."""


def _stored_geotag(geotag: object) -> str | None:
    """Return a geotag as the site stores it: without the zoom."""
    if not geotag:
        return None
    return " ".join(str(float(part)) for part in str(geotag).split(",")[:2])


def _is_form(request: Request) -> bool:
    """Tell a form from JSON."""
    return request.content_type != "application/json"


def _written_fields(request: Request) -> dict[str, object]:
    """Return the fields of a describe or edit call: multipart, urlencoded or JSON."""
    if _is_form(request):
        return dict(request.fields)
    try:
        fields = json.loads(request.body or b"{}")
    except ValueError as problem:
        raise ErrorReply(detail(400, f"JSON parse error - {problem}")) from None
    if not isinstance(fields, dict):
        message = {"non_field_errors": ["Invalid data. Expected a dictionary."]}
        raise ErrorReply(detail(400, message))
    return fields
