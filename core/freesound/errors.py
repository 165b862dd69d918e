"""The errors of talking to freesound.org.

FreesoundError
    NoKey                 no credential is set
    Unreachable           no connection, no answer in time
    ServerTrouble         5xx, or an answer that is not what the API documents
    Throttled             too many requests in the last minute
    DailyThrottled        too many requests in the last day, or a suspended credential
    DailyLimitReached     our own request budget for the day is used up
    RequestRefused        what was sent is not acceptable
    NotAllowed            the key, the scope or the ownership does not allow it
    SoundNotFound         there is no such sound (any more)
    BadPreview            a preview that cannot be used
    UploadUncertain       sent, but without a clear answer
    SignInError
        SignInExpired     the access token has run out
        SignInRefused     the code or refresh token is not good
        BadCredential     Freesound does not know this client id and secret
        ForeignCallback   a callback that this browser did not ask for
        NotSignedIn       nobody is signed in at this browser
"""

from collections.abc import Mapping

from core.errors import EarmarkError


class FreesoundError(EarmarkError):
    """Freesound, or the way to it, did not do what was asked."""


class NoKey(FreesoundError):
    """No credential is set."""


class Unreachable(FreesoundError):
    """No connection, or no answer in time. Nothing is known of what the server did."""


class ServerTrouble(FreesoundError):
    """An answer with 5xx, or one that is not what the API documents."""


class Throttled(FreesoundError):
    """Too many requests in the last minute."""


class DailyThrottled(FreesoundError):
    """Too many requests in the last day, or a suspended credential: do not try again now."""


class DailyLimitReached(FreesoundError):
    """Our own request budget for the day is used up; nothing was sent."""


class RequestRefused(FreesoundError):
    """Freesound does not accept what was sent (400, 409, 413, 415).

    Attributes:
        fields: The server's messages by form field.
    """

    def __init__(self, message: str, fields: Mapping[str, list[str]] | None = None) -> None:
        super().__init__(message)
        self.fields = dict(fields or {})


class NotAllowed(FreesoundError):
    """The key, the scope or the ownership does not allow it; a refresh would not help."""


class SoundNotFound(FreesoundError):
    """There is no such sound or page (any more)."""


class BadPreview(FreesoundError):
    """A preview that cannot be used: on another host, too large, cut off, or not audio."""


class UploadUncertain(FreesoundError):
    """The bytes were sent and no clear answer came: look for the sound before sending again."""


class SignInError(FreesoundError):
    """Signing in, or acting as somebody who signed in, did not work."""


class SignInExpired(SignInError):
    """The access token is invalid or has run out: refresh it once, then sign in again."""


class SignInRefused(SignInError):
    """The code or the refresh token is not (or no longer) good: the person signs in again."""


class BadCredential(SignInError):
    """Freesound does not know this client id and secret: a matter for the server's operator."""


class ForeignCallback(SignInError):
    """A callback that this browser did not ask for, or too long ago, or that was used already."""


class NotSignedIn(SignInError):
    """Nobody is signed in at this browser."""
