"""Errors of talking to Hopsworks."""

from core.storage.errors import StorageError


class HopsworksError(StorageError):
    """Hopsworks did not do what was asked; the text says why in one sentence."""


class Unavailable(HopsworksError):
    """Hopsworks cannot be reached or is out of order; the same may work later."""


class RequestTimeout(Unavailable):
    """There was no answer in time."""


class PermanentError(HopsworksError):
    """Nothing will work until a person acts: key, project, certificate, permission, storage."""


class NotFound(HopsworksError):
    """There is no such path or model."""


class AlreadyExists(HopsworksError):
    """There is something under this path already."""


class PartialUpload(HopsworksError):
    """The path holds other bytes than it should: an upload that was cut short."""


class Unreadable(HopsworksError):
    """One file or folder cannot be read, while others can."""
