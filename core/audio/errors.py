"""Errors of reading and cutting sound files. Each text names the sound and says what to do."""

from core.errors import EarmarkError


class AudioError(EarmarkError):
    """A file that cannot be analysed."""


class EmptyAudio(AudioError):
    """The file has no bytes."""


class NotAudio(AudioError):
    """The bytes are not sound."""


class UnsupportedAudio(AudioError):
    """Sound in a format that is not supported."""


class TruncatedAudio(AudioError):
    """The file ends before the sound that its header announces."""


class NoSamples(AudioError):
    """A valid file of no duration."""


class BadSamples(AudioError):
    """Samples that are not numbers, or not sound."""


class TooLong(AudioError):
    """Longer than the limit."""


class TooLarge(AudioError):
    """More bytes than the limit."""


class TooManySamples(AudioError):
    """More samples, in all channels together, than are decoded."""


class AbsurdHeader(AudioError):
    """A header that no real recording has."""


class BadSelection(AudioError):
    """Times between which there is no sound, or too little of it."""


class DecodedOtherwise(Exception):
    """A quick decoder found another sound than the file states: the other decoder has to read it.

    It never leaves this package.
    """
