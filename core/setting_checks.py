"""Checks of settings that name places: paths, and a folder on Hopsworks."""

import re
from pathlib import Path
from urllib.parse import urlsplit

_HOST_NAME = re.compile(r"[0-9a-z_]([0-9a-z_.-]*[0-9a-z_])?\.?|[0-9a-f:.]*:[0-9a-f:.]*", re.I)
_FOLDER_NAME = re.compile(r"(?!\.+$)(?!.*__)[0-9A-Za-z ._-]{1,88}")
"""Hopsworks allows no more in a folder's name."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def check_path(path: Path) -> Path:
    """Return a path.

    Raises:
        ValueError: It has characters that steer a terminal or turn text around, or is in the home
            folder of somebody who has none.
    """
    if _CONTROL.search(str(path)):
        raise ValueError("a path without control characters is needed")
    try:
        path.expanduser()
    except RuntimeError as error:
        raise ValueError("~ stands for no home folder here; write the whole path") from error
    return path


def check_host(value: str) -> str:
    """Return `host` or `host:port`.

    Args:
        value: A host name, or an address as a browser shows it.

    Raises:
        ValueError: It is none.
    """
    text = value.strip()
    if not text:
        return ""
    parts = urlsplit(text if "://" in text else f"https://{text}")
    if parts.scheme != "https":
        raise ValueError("https is needed")
    if "@" in parts.netloc or not _HOST_NAME.fullmatch(parts.hostname or ""):
        raise ValueError("a host name such as hopsworks.example.org is needed")
    if parts.port == 0:
        raise ValueError("port 0 is none")
    return parts.netloc.removesuffix(":")


def split_host(host: str) -> tuple[str, int | None]:
    """Return host and port of what `check_host` has returned; None where it names no port."""
    name, colon, port = host.rpartition(":")
    return (name, int(port)) if colon and port.isdecimal() else (host, None)


def check_project_folder(value: str) -> str:
    """Return the path of a folder in a project.

    Raises:
        ValueError: There can be no such folder.
    """
    names = [name for name in value.split("/") if name]
    if not names or not all(_FOLDER_NAME.fullmatch(name) for name in names):
        raise ValueError("a path of folders such as Resources/earmark is needed")
    return value
