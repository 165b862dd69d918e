"""Freesound's values in words, and the addresses that are its own."""

import re
from urllib.parse import urlsplit

SITE = "https://freesound.org"
SITES = frozenset({"freesound.org", "www.freesound.org"})
NO_PREFERENCE = "no-additional-preferences"
_PREFERENCES = {
    "open-source-models": "only open-source models",
    "noncommercial-open-source-models": "only non-commercial open-source models",
    "no-gen-ai": "no generative AI",
}
_LICENSES = {
    "publicdomain/zero": "Public domain (CC0)",
    "licenses/by": "Attribution (CC BY {version})",
    "licenses/by-nc": "Attribution, non-commercial (CC BY-NC {version})",
}
_DEED = re.compile(r"/(publicdomain/zero|licenses/[a-z+-]+)/([0-9.]+)/?")
_MAX_ADDRESS_LENGTH = 300
_PLAIN_PATH = re.compile(r"/[A-Za-z0-9/_.~%+-]*")


def license_name(license: str) -> str:
    """Return the name of a license.

    Args:
        license: The deed's address, as the API gives it. The scheme varies from row to row, so only
            host and path count.

    Returns:
        Its name as in the form for publishing, such as `Attribution (CC BY 4.0)`; anything that is
        no known deed stays as it is.
    """
    parts = _split(license)
    deed = _DEED.fullmatch(parts[2]) if parts and parts[1] == "creativecommons.org" else None
    if deed is None:
        return license
    kind, version = deed.groups()
    if kind == "licenses/sampling+":
        return "Sampling+"
    if kind not in _LICENSES:
        return license
    return _LICENSES[kind].format(version=version)


def preference_in_words(gen_ai_preference: str) -> str:
    """Return an uploader's wish about training generative models.

    Returns:
        Words for a known wish, the value itself for an unknown one, empty for none.
    """
    if gen_ai_preference == NO_PREFERENCE:
        return ""
    return _PREFERENCES.get(gen_ai_preference, gen_ai_preference)


def own_page(url: str, api: str = "") -> str:
    """Return an address if it is safe to link to as Freesound's own page.

    Args:
        url: The address.
        api: Address of the API; its host counts as Freesound's too.

    Returns:
        `url` if it is a plain https address on one of those hosts, else an empty text.
    """
    parts, api_parts = _split(url), _split(api)
    if len(url) > _MAX_ADDRESS_LENGTH or parts is None or parts[0] != "https":
        return ""
    hosts = SITES | ({api_parts[1]} if api_parts else set())
    _, host, path = parts
    is_plain = _PLAIN_PATH.fullmatch(path) and url == f"https://{host}{path}"
    return url if host in hosts and is_plain else ""


def _split(url: str) -> tuple[str, str, str] | None:
    """Return scheme, host and path of an address; None for a text that is none."""
    try:
        parts = urlsplit(url)
        return (parts.scheme, parts.hostname, parts.path) if parts.hostname else None
    except ValueError:
        return None
