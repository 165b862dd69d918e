"""Errors of model bundles. Each text names the folder and says what is wrong with it."""

from core.errors import EarmarkError


class BundleError(EarmarkError):
    """A model bundle that cannot be used or written."""


class IncompleteBundle(BundleError):
    """A file of the bundle is missing."""


class InvalidBundle(BundleError):
    """A file of the bundle is damaged, or does not fit the others."""


class UnwritableBundle(BundleError):
    """The bundle cannot be written, as on a full disk."""
