"""Headers that tell the browser what a page of this server may do, and who may show it."""

import base64
import hashlib
import re
from functools import lru_cache
from pathlib import Path

import streamlit
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.errors import EarmarkError
from core.settings import settings

CONTENT_POLICY = "content-security-policy"
FREESOUND = "https://freesound.org"
"""Its player is shown in a frame where somebody asks for it."""
_INLINE_SCRIPT = re.compile(rb"<script>(.*?)</script>", re.DOTALL)


class SecurityHeaders:
    """Middleware that adds the headers to every answer; an answer's own policy stays."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        host = Headers(scope=scope).get("host", "")

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _headers(host, _frame_ancestors()).items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, send_with_headers)


@lru_cache(maxsize=20)
def _headers(host: str, frame_ancestors: tuple[str, ...]) -> dict[str, str]:
    """Return the headers of an answer.

    Args:
        host: The request's, which was checked; a web socket goes to it.
        frame_ancestors: The sites that may show the app in a frame.
    """
    headers = {
        CONTENT_POLICY: content_policy(host, frame_ancestors),
        "x-content-type-options": "nosniff",
        "referrer-policy": "same-origin",
    }
    return headers if frame_ancestors else headers | {"x-frame-options": "SAMEORIGIN"}


def content_policy(host: str, frame_ancestors: tuple[str, ...] = ()) -> str:
    """Return the Content-Security-Policy of Streamlit's page with our components on it.

    Args:
        host: Where the page's web socket leads.
        frame_ancestors: The sites that may show the page in a frame.
    """
    sources = {
        "default-src": ["'self'"],
        # Streamlit makes small modules as blobs, which load the components; it uses WebAssembly.
        "script-src": ["'self'", "blob:", "'wasm-unsafe-eval'", *_inline_scripts()],
        "style-src": ["'self'", "'unsafe-inline'"],
        "img-src": ["'self'", "data:", "blob:"],
        "media-src": ["'self'", "data:", "blob:"],
        "font-src": ["'self'", "data:"],
        # Not every browser takes 'self' for web sockets.
        "connect-src": ["'self'", f"ws://{host}", f"wss://{host}", "data:", "blob:"],
        "worker-src": ["'self'", "blob:"],
        "frame-src": ["'self'", FREESOUND],
        "object-src": ["'none'"],
        "base-uri": ["'self'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'self'", *frame_ancestors],
    }
    return "; ".join(f"{name} {' '.join(values)}" for name, values in sources.items())


@lru_cache(maxsize=1)
def _inline_scripts() -> tuple[str, ...]:
    """Return the hashes of the scripts that Streamlit's page itself contains."""
    page = (Path(streamlit.__file__).parent / "static" / "index.html").read_bytes()
    scripts = _INLINE_SCRIPT.findall(page)
    digests = [base64.b64encode(hashlib.sha256(script).digest()).decode() for script in scripts]
    return tuple(f"'sha256-{digest}'" for digest in digests)


def _frame_ancestors() -> tuple[str, ...]:
    try:
        return settings().frame_ancestors
    except EarmarkError:
        return ()
