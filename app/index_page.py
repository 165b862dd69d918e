"""The page that Streamlit answers every address with, with the app's name and styles in it.

Without them a tab is called "Streamlit" at first, grey boxes stand where nothing is yet, and all of
it moves when the first run of the script brings the styles. That run brings them again, because
they have to come after Streamlit's own to win over them.
"""

import hashlib
from pathlib import Path

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.browser import asks_for_a_page

STYLES = Path(__file__).parent / "assets" / "app.css"
TITLE, HEAD_END = b"<title>Streamlit</title>", b"</head>"
UNCONDITIONAL = {b"accept-encoding", b"if-none-match", b"if-modified-since", b"range"}
"""Request headers that are taken away: the answer is to come whole and as plain text."""


class IndexPage:
    """Middleware that completes Streamlit's page."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._head = (
            b'<meta name="description" content="Tags for the sounds of freesound.org">'
            b"<style>" + STYLES.read_bytes() + b"</style>" + HEAD_END
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http" or not asks_for_a_page(Headers(scope=scope)):
            await self.app(scope, receive, send)
            return
        kept = [pair for pair in scope["headers"] if pair[0].lower() not in UNCONDITIONAL]
        known = Headers(scope=scope).get("if-none-match", "")
        await self.app({**scope, "headers": kept}, receive, _Completed(send, self._head, known))


class _Completed:
    """Sends a response on; one in HTML when it is whole, with the head completed."""

    def __init__(self, send: Send, head: bytes, known: str) -> None:
        self._send, self._head, self._known = send, head, known
        self._start: Message | None = None
        self._body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and _is_page(message):
            self._start = message
        elif message["type"] == "http.response.body" and self._start is not None:
            self._body += message.get("body", b"")
            if not message.get("more_body"):
                await self._send_page(self._start)
        else:
            await self._send(message)

    async def _send_page(self, start: Message) -> None:
        """Send the response, completed if it is Streamlit's page."""
        body = self._body
        if TITLE in body:
            body = body.replace(TITLE, b"<title>Earmark</title>", 1)
            body = body.replace(HEAD_END, self._head, 1)
            headers = MutableHeaders(scope=start)
            headers["etag"] = f'"{hashlib.sha256(body).hexdigest()}"'
            headers["content-length"] = str(len(body))
            gone = ["last-modified", "accept-ranges"]
            if headers["etag"] in self._known:
                start["status"], body = 304, b""
                gone.append("content-length")
            for name in gone:
                del headers[name]
        await self._send(start)
        await self._send({"type": "http.response.body", "body": body})


def _is_page(start: Message) -> bool:
    return start["status"] == 200 and Headers(scope=start).get("content-type", "").startswith(
        "text/html"
    )
