"""What Freesound's values mean in words, and which addresses are its own."""

import re
from urllib.parse import urlsplit

SITES = frozenset({"freesound.org", "www.freesound.org"})
NO_WISH = "no-additional-preferences"
_WISHES = {
    "open-source-models": "only open-source models",
    "noncommercial-open-source-models": "only non-commercial open-source models",
    "no-gen-ai": "no generative AI",
}
_LICENSES = {"publicdomain/zero": "Creative Commons 0", "licenses/by": "Attribution", "licenses/by-nc": "Attribution NonCommercial"}
_DEED = re.compile(r"/(publicdomain/zero|licenses/[a-z+-]+)/([0-9.]+)/?")
_LONGEST_ADDRESS = 300
_PLAIN_PATH = re.compile(r"/[A-Za-z0-9/_.~%+-]*")


def license_name(license: str) -> str:
    """The name of a license of which Freesound gives the deed's address: `Attribution 4.0`. Anything else stays as it is.

    The scheme of these addresses varies from row to row, so that only host and path count.
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
    return _LICENSES[kind] if kind == "publicdomain/zero" else f"{_LICENSES[kind]} {version}"


def wish_in_words(gen_ai_preference: str) -> str:
    """What the uploader wishes about training generative models, empty where there is no wish. An unknown one stays as it is."""
    return "" if gen_ai_preference == NO_WISH else _WISHES.get(gen_ai_preference, gen_ai_preference)


def own_page(url: str, api: str = "") -> str:
    """`url` if it is a plain https address on Freesound's site, or on the host of `api`; else nothing."""
    parts, home = _split(url), _split(api)
    if len(url) > _LONGEST_ADDRESS or parts is None or parts[0] != "https" or not _PLAIN_PATH.fullmatch(parts[2]):
        return ""
    hosts = SITES | ({home[1]} if home else set())
    return url if parts[1] in hosts and url == f"https://{parts[1]}{parts[2]}" else ""


def _split(url: str) -> tuple[str, str, str] | None:
    """Scheme, host and path of an address; None for what is none."""
    try:
        parts = urlsplit(url)
        return (parts.scheme, parts.hostname, parts.path) if parts.hostname else None
    except ValueError:
        return None
