"""Errors of the workspace and its stores."""

from core.errors import EarmarkError


class StorageError(EarmarkError):
    """The workspace cannot do what was asked."""


class ModelNotFound(StorageError):
    """There is no such version of a model."""
