"""Errors of the event log."""

from core.errors import EarmarkError


class EventsError(EarmarkError):
    """Base class of this package's errors."""


class InvalidEvent(EventsError):
    """Text that is not a valid event, or a file that holds none."""


class ConflictingEvent(EventsError):
    """Two different events with one id."""
