"""The components' files for the browser, served once under an address that holds their version.

All files of a version lie in one folder of the address space, so that modules can import each
other by relative paths: `import { mount } from "../shared/mount.js"`.
"""

import hashlib
from functools import lru_cache
from pathlib import Path

from app.base_path import base_path

FOLDER = Path(__file__).parent
MEDIA_TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
}
VERSION_LENGTH = 16


def asset_url(path: str) -> str:
    """Return the address of a file, such as `player/player.js`."""
    return f"{base_path()}/assets/{assets_version()}/{path}"


def asset(version: str, path: str) -> tuple[bytes, str] | None:
    """Return a file's content and media type; None for another version, or no such file."""
    content = _files().get(path) if version == assets_version() else None
    return None if content is None else (content, MEDIA_TYPES[Path(path).suffix])


@lru_cache(maxsize=1)
def assets_version() -> str:
    """Return a hash of all files."""
    digest = hashlib.sha256()
    for path, content in _files().items():
        digest.update(f"{path} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:VERSION_LENGTH]


@lru_cache(maxsize=1)
def _files() -> dict[str, bytes]:
    """Read the files: by their paths below this folder, with slashes."""
    paths = sorted(path for path in FOLDER.rglob("*") if path.suffix in MEDIA_TYPES)
    return {path.relative_to(FOLDER).as_posix(): path.read_bytes() for path in paths}
