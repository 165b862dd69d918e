"""The site that every endpoint looks at: its state, its address and the tests' switches."""

import time
from datetime import UTC, datetime
from typing import Literal

from tests.servers.freesound.state import State

UploadStep = Literal["row", "pack", "geotag", "description", "tags", "ticket"]
"""What the site writes of an upload, in this order; processing comes after it."""
SITE = "https://freesound.org"
"""Stands in `next`, `url`, `download`, ... whatever host was asked, as on the site."""


def utc(timestamp: float) -> str:
    """Return a moment as the API writes it."""
    return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Site:
    """State, address and switches; a switch changes how the site behaves from then on."""

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self.offset_s = 0.0
        self.state = State(self.now)
        self.https_enforced = False
        self.describe_mode: Literal["broken", "docs"] = "broken"
        self.edit_tags_mode: Literal["broken", "docs"] = "broken"
        self.unmoderated_status: Literal[200, 404] = 200
        self.null_sound_ids: set[int] = set()  # these come back as null from a search
        self.force_429: Literal["minute", "day"] | None = None
        self.media_host = ""  # host in preview and image addresses; blank: this server's own
        self.auto_process = False  # described sounds are processed at once
        self.stop_upload_after: UploadStep | None = None  # the next upload breaks off after it

    @property
    def url(self) -> str:
        """Return the address of the server."""
        return f"http://127.0.0.1:{self.port}"

    def now(self) -> float:
        """Return the site's time in seconds."""
        return time.time() + self.offset_s

    def advance(self, seconds: float) -> None:
        """Let time pass for codes, tokens, limits and dates, without waiting."""
        self.offset_s += seconds
