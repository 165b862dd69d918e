"""Errors of curation."""

from core.errors import EarmarkError


class CurationError(EarmarkError):
    """Base class of this package's errors."""


class InvalidFilter(CurationError):
    """A choice of sounds that cannot be read."""


class TooManySounds(CurationError):
    """More sounds than one act may change."""


class InvalidBulkAction(CurationError):
    """A change of many sounds that would do nothing, or that names no tag."""


class UnknownEvent(CurationError):
    """An event that a sound's history does not hold."""


class InvalidView(CurationError):
    """A saved view whose name cannot be used, or more views than one person may keep."""
