"""The search endpoint: what is found, in which order, on which page."""

import re
from urllib.parse import quote_plus, unquote

from tests.servers.freesound.credentials import Call
from tests.servers.freesound.filters import BadFilter, accepts_query, parse_filter
from tests.servers.freesound.messages import ErrorReply, Reply, as_json, detail
from tests.servers.freesound.site import SITE, Site
from tests.servers.freesound.sounds import sound_fields
from tests.servers.freesound.state import Sound

DEFAULT_FIELDS = "id,name,tags,username,license"
DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE = 15, 150
SORT_KEYS = {
    "created": "created",
    "duration": "duration",
    "downloads": "num_downloads",
    "rating": "avg_rating",
}


def search(call: Call) -> Reply:
    """Return a page of the public sounds that a query and a filter accept."""
    site, query = call.site, call.request.query
    if "filter" in query and not query["filter"].strip():
        raise ErrorReply(detail(400, "Invalid filter."))
    sounds = _matching(site, unquote(query.get("query", "")), query.get("filter", ""))
    _sort(sounds, query.get("sort", ""))
    page = _whole_number(query.get("page"), 1)
    size = min(_whole_number(query.get("page_size"), DEFAULT_PAGE_SIZE), MAX_PAGE_SIZE)
    page_count = -(-len(sounds) // size) if size > 0 else 0
    if size < 1 or (sounds and not 1 <= page <= page_count):
        raise ErrorReply(detail(404, "Not found"))
    shown = sounds[(page - 1) * size : page * size] if sounds else []
    return as_json(
        {
            "count": len(sounds),
            "previous": _link(query, page - 1) if sounds and page > 1 else None,
            "next": _link(query, page + 1) if page < page_count else None,
            "results": [_result(site, sound, query) for sound in shown],
        }
    )


def _result(site: Site, sound: Sound, query: dict[str, str]) -> dict[str, object] | None:
    """Return a sound as it stands in a page of results."""
    if sound.id in site.null_sound_ids:
        return None
    return sound_fields(site, sound, query.get("fields") or DEFAULT_FIELDS, score=True)


def _matching(site: Site, query: str, filter_text: str) -> list[Sound]:
    """Return the public sounds that a query and a filter accept."""
    try:
        accepts = parse_filter(filter_text, site.state.now()) if filter_text else None
    except BadFilter as problem:
        hint = "please check that your filter syntax and field names are correct"
        raise ErrorReply(detail(400, f"Search server error: {problem} ({hint})")) from None
    return [
        sound
        for sound in site.state.sounds.values()
        if sound.public and accepts_query(query, sound) and (accepts is None or accepts(sound))
    ]


def _sort(sounds: list[Sound], order: str) -> None:
    """Sort in place; an unknown order counts as `score`, which here is the order of ids."""
    name, _, direction = order.rpartition("_")
    key = SORT_KEYS.get(name)
    sounds.sort(key=lambda sound: sound.id)
    if key and direction in ("asc", "desc"):
        sounds.sort(key=lambda sound: getattr(sound, key), reverse=direction == "desc")


def _whole_number(text: str | None, default: int) -> int:
    """Return a whole number, the default if the text is none."""
    return int(text) if text and re.fullmatch(r"\s*[-+]?\d+\s*", text) else default


def _link(query: dict[str, str], page: int) -> str:
    """Return another page's address as the site writes it: its own host, no token."""
    parts = [f"query={quote_plus(query.get('query', ''))}"]
    parts += [f"filter={quote_plus(query['filter'])}"] if query.get("filter") else []
    parts += [f"weights={quote_plus(query.get('weights', ''))}"]
    parts += [f"sort={quote_plus(query['sort'])}"] if query.get("sort") else []
    parts += [f"page={page}"]
    for name in ("page_size", "fields"):
        parts += [f"{name}={quote_plus(query[name], safe=',')}"] if query.get(name) else []
    return f"{SITE}/apiv2/search/?&" + "&".join(parts)
