"""The log: one line per event on stderr, without secrets."""

import logging
import re
import sys
import time
from collections.abc import Iterable
from typing import TextIO

from pydantic import SecretStr

FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"
PACKAGES = ("core", "app", "pages", "jobs", "training", "benchmarks")
"""Packages whose events are logged from the set level on; of all others, from warnings on."""
MIN_SECRET_LENGTH = 6
"""Shorter texts are not blanked out: they occur in ordinary words."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def configure(level: str = "INFO", secrets: Iterable[SecretStr] = ()) -> None:
    """Write the log to stderr. Calling it again changes the level and adds secrets.

    Args:
        level: DEBUG, INFO, WARNING or ERROR, for this project's own events.
        secrets: Texts that are blanked out wherever they come up.
    """
    root = logging.getLogger()
    handler = next((known for known in root.handlers if isinstance(known, StderrHandler)), None)
    if handler is None:
        handler = StderrHandler()
        root.addHandler(handler)
    handler.formatter.secrets.update(secret.get_secret_value() for secret in secrets)
    for package in PACKAGES:
        logging.getLogger(package).setLevel(level)


class LineFormatter(logging.Formatter):
    """Formats an event as one line; the lines of a traceback follow, indented.

    Attributes:
        secrets: Texts that are blanked out.
    """

    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def __init__(self) -> None:
        super().__init__(FORMAT)
        self.secrets: set[str] = set()

    def format(self, record: logging.LogRecord) -> str:
        """Return the event's line and its traceback, if it has one."""
        record.message = record.getMessage()
        record.asctime = self.formatTime(record, self.datefmt)
        lines = [_escape(self.formatMessage(record))]
        if record.exc_info:
            trace = self.formatException(record.exc_info)
            lines += ["    " + _escape(line) for line in trace.splitlines()]
        return self._without_secrets("\n".join(lines))

    def _without_secrets(self, text: str) -> str:
        for secret in self.secrets:
            if len(secret) >= MIN_SECRET_LENGTH:
                text = text.replace(secret, "***")
        return text


class StderrHandler(logging.StreamHandler[TextIO]):
    """Writes to the stderr of the moment: a progress bar may stand in for it for a while."""

    formatter: LineFormatter

    def __init__(self) -> None:
        logging.Handler.__init__(self)
        self.setFormatter(LineFormatter())

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        """Return the current stderr."""
        return sys.stderr


def _escape(text: str) -> str:
    """Return a text in which nothing breaks a line or steers a terminal."""
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text)
