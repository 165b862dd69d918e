"""The address under which people reach this server, and come back to it from Freesound.

Freesound sends people back to one registered address, and a browser's cookies belong to one host.
So whoever comes under another name of this machine is sent to the registered one first.
"""

from urllib.parse import urlsplit, urlunsplit

from starlette.datastructures import URL

from app.base_path import base_path
from core.settings import Settings, is_loopback

LOCAL_NAME = "localhost"
"""The host of the callback that is registered for a machine of one's own."""


def own_address(url: URL, settings: Settings) -> str | None:
    """Return the address that the app's pages lie below; None where it is not known.

    Args:
        url: Of a request.
        settings: The settings.
    """
    if settings.public_url:
        path = urlsplit(settings.public_url).path
        return settings.public_url if path else f"{settings.public_url}{base_path()}"
    if not is_loopback(url.hostname or ""):
        return None
    port = f":{url.port}" if url.port else ""
    return f"{url.scheme}://{LOCAL_NAME}{port}{base_path()}"


def at_registered_host(url: URL, settings: Settings) -> str | None:
    """Return a request's address at the registered host; None where it is there already."""
    own = own_address(url, settings)
    if own is None or urlsplit(own).hostname == url.hostname:
        return None
    parts = urlsplit(own)
    return urlunsplit((parts.scheme, parts.netloc, url.path, url.query, ""))


def local_page_elsewhere(url: URL, settings: Settings) -> str | None:
    """Return the address of a page on this machine that was asked for under another local name.

    None where nobody can sign in, and where people come from elsewhere.
    """
    public = urlsplit(settings.public_url or "").hostname or LOCAL_NAME
    is_local = is_loopback(public) and is_loopback(url.hostname or "")
    return at_registered_host(url, settings) if settings.can_sign_in and is_local else None
