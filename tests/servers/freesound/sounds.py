"""Endpoints that read: a sound, the caller's own account, uploads that wait."""

from datetime import datetime, timedelta, timezone
from urllib.parse import quote

from tests.servers.freesound.credentials import Call
from tests.servers.freesound.media import image_addresses, preview_addresses
from tests.servers.freesound.messages import ErrorReply, Reply, as_json, detail
from tests.servers.freesound.rules import LICENSES
from tests.servers.freesound.site import SITE, Site, utc
from tests.servers.freesound.state import Sound

DESCRIPTORS = tuple(
    "bpm loudness pitch mfcc brightness warmth single_event fsdsinet_detected_class".split()
)
SIMILARITY_SPACES = ("sim_laion_clap", "sim_freesound_classic")
PENDING_FIELDS = "id,name,tags,description,created,license"
PROCESSING_STATES = {"PE": "Pending", "QU": "Queued", "PR": "Processing", "FA": "Failed"}
ACCOUNT_TIMEZONE = timezone(timedelta(hours=1))


def sound(call: Call) -> Reply:
    """Return one sound with all its fields, or those that were asked for."""
    stored = call.site.state.sounds.get(call.number)
    if stored is None or (not stored.public and call.site.unmoderated_status == 404):
        raise ErrorReply(detail(404, "No Sound matches the given query."))
    return as_json(sound_fields(call.site, stored, call.request.query.get("fields", "")))


def sound_fields(site: Site, sound: Sound, names: str, score: bool = False) -> dict[str, object]:
    """Return a sound as the API writes it.

    Args:
        site: The site that the sound is on.
        sound: The sound.
        names: Fields between commas, without spaces; blank for the default ones.
        score: Give a score to a sound of a search's result.

    Returns:
        The fields in the site's order; unknown names are left out.
    """
    everything = _default_fields(site, sound)
    if not names:
        return everything
    asked = set(names.split(","))
    kept = {name: value for name, value in everything.items() if "*" in asked or name in asked}
    computed = set(DESCRIPTORS) if asked & {"*", "all_descriptors"} else asked & set(DESCRIPTORS)
    computed |= (
        set(SIMILARITY_SPACES)
        if "all_similarity_spaces" in asked
        else asked & set(SIMILARITY_SPACES)
    )
    for name in DESCRIPTORS + SIMILARITY_SPACES:
        if name in computed:
            kept[name] = sound.descriptors.get(name)
    if "score" in asked:
        kept["score"] = 1.0 if score else None
    return kept


def me(call: Call) -> Reply:
    """Return the caller's account."""
    user = call.caller.person
    own = f"{SITE}/apiv2/users/{quote(user.username)}/"
    joined = datetime.fromtimestamp(user.joined, ACCOUNT_TIMEZONE)
    sounds = call.site.state.sounds_of(user.username)
    return as_json(
        {
            "url": f"{SITE}/people/{quote(user.username)}/",
            "username": user.username,
            "about": "",
            "home_page": "",
            "avatar": {"small": None, "medium": None, "large": None},
            "date_joined": joined.isoformat(timespec="microseconds"),
            "num_sounds": sum(sound.public for sound in sounds),
            "sounds": f"{own}sounds/",
            "num_packs": sum(owner == user.username for owner, _ in call.site.state.packs),
            "packs": f"{own}packs/",
            "num_posts": 0,
            "num_comments": 0,
            "email": user.email,
            "unique_id": user.id,
            "bookmark_categories": f"{SITE}/apiv2/me/bookmark_categories/",
        }
    )


def pending_uploads(call: Call) -> Reply:
    """Return the caller's uploads that wait for a description, processing or a moderator."""
    site, user = call.site, call.caller.person
    sounds = site.state.sounds_of(user.username)
    waiting = [sound for sound in sounds if sound.moderation_state != "OK"]
    processing, moderation = [], []
    for sound in waiting:
        entry = sound_fields(site, sound, PENDING_FIELDS)
        if sound.processed:
            moderation.append(entry | {"images": image_addresses(site, sound)})
        else:
            state = PROCESSING_STATES[sound.processing_state]
            processing.append(entry | {"processing_state": state})
    return as_json(
        {
            "pending_description": list(user.pending_files),
            "pending_processing": processing,
            "pending_moderation": moderation,
        }
    )


def _default_fields(site: Site, sound: Sound) -> dict[str, object]:
    """Return all default fields in the site's order."""
    own = f"{SITE}/apiv2/sounds/{sound.id}/"
    return {
        "id": sound.id,
        "url": f"{SITE}/people/{quote(sound.username)}/sounds/{sound.id}/",
        "name": sound.name,
        "tags": sound.tags,
        "description": sound.description,
        "category": sound.category[0],
        "subcategory": sound.category[1],
        "category_code": sound.category_code,
        "category_is_user_provided": sound.category_is_user_provided,
        "geotag": sound.geotag,
        "is_geotagged": sound.geotag is not None,
        "created": utc(sound.created),
        "license": sound.license_url or LICENSES[sound.license],
        "gen_ai_preference": sound.gen_ai_preference,
        "type": sound.type,
        "channels": sound.channels,
        "filesize": sound.filesize,
        "bitrate": sound.bitrate,
        "bitdepth": sound.bitdepth,
        "duration": sound.duration,
        "samplerate": sound.samplerate,
        "username": sound.username,
        "pack": _pack_address(site, sound),
        "pack_name": sound.pack,
        "download": f"{own}download/",
        "bookmark": f"{own}bookmark/",
        "previews": preview_addresses(site, sound),
        "images": image_addresses(site, sound),
        "num_downloads": sound.num_downloads,
        "avg_rating": sound.avg_rating,
        "num_ratings": sound.num_ratings,
        "rate": f"{own}rate/",
        "comments": f"{own}comments/",
        "num_comments": sound.num_comments,
        "comment": f"{own}comment/",
        "similar_sounds": f"{own}similar/",
        "is_explicit": sound.is_explicit,
        "is_remix": False,
        "was_remixed": False,
        "md5": sound.md5,
    }


def _pack_address(site: Site, sound: Sound) -> str | None:
    """Return the address of a sound's pack."""
    if not sound.pack:
        return None
    return f"{SITE}/apiv2/packs/{site.state.pack_id(sound.username, sound.pack)}/"
