"""The errors of publishing.

PublishingError
    FormError               a form that Freesound would refuse
        GeotagError         a place that cannot be understood
        UnknownCategory     no second-level code of the taxonomy
    BulkError               a bulk description that cannot be written or read
    AlreadyBeingPublished   the same sound is on its way already
    UploadLogError          the record of an upload cannot be read or written
"""

from core.errors import EarmarkError


class PublishingError(EarmarkError):
    """A sound cannot be described or published."""


class FormError(PublishingError):
    """A form that Freesound would refuse."""


class GeotagError(FormError):
    """A place that cannot be understood."""


class UnknownCategory(FormError):
    """A text that is no second-level code of the taxonomy."""


class BulkError(PublishingError):
    """A bulk description that cannot be written or read."""


class AlreadyBeingPublished(PublishingError):
    """The same sound is on its way already."""


class UploadLogError(PublishingError):
    """The record of an upload cannot be read or written."""
