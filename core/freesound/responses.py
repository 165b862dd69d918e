"""Freesound's answers: the object of a good one, an error with a sentence for any other."""

import json
import logging
from typing import Any

import requests

from core.freesound.errors import (
    DailyThrottled,
    FreesoundError,
    NotAllowed,
    RequestRefused,
    ServerTrouble,
    SignInExpired,
    SoundNotFound,
    Throttled,
)
from core.untrusted import clean_text

logger = logging.getLogger(__name__)

_ADVICE = "whoever runs Earmark here must look at FREESOUND_API_KEY"
_CREDENTIAL_PROBLEMS = {
    "Invalid token": f"Freesound does not know this server's key; {_ADVICE}.",
    "Suspended token or token pending for approval": (
        f"Freesound has suspended this server's key, or not approved it yet; {_ADVICE}."
    ),
    "User inactive or deleted": (
        f"The account that this server's key belongs to is not active at Freesound; {_ADVICE}."
    ),
    "Authentication credentials were not provided.": (
        "Freesound did not recognise the sign-in; please sign out and in again."
    ),
    "Not authorized": (
        "The sign-in with Freesound does not allow writing; please sign out and in again."
    ),
}
"""Sentences for the server's words about credentials."""


def body_or_error(response: requests.Response, endpoint: str) -> dict[str, Any]:
    """Return the JSON object of a good answer.

    Args:
        response: The answer, read whole.
        endpoint: What was asked, for the log.

    Raises:
        FreesoundError: The kind that fits any other answer.
    """
    body = _parse(response.content)
    if response.status_code in (200, 201) and isinstance(body, dict):
        return body
    error = _error(response, body.get("detail") if isinstance(body, dict) else None)
    logger.warning(
        "freesound refusal endpoint=%s status=%d error=%s",
        endpoint,
        response.status_code,
        type(error).__name__,
    )
    raise error


def _parse(content: bytes) -> object:
    """Return an answer's JSON, which is in UTF-8; None where it is none.

    Half of a surrogate pair, which JSON can carry, becomes a question mark: nothing could keep it.
    """
    try:
        body: object = json.loads(content.decode("utf-8-sig"))
        if b"\\u" in content:
            text = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
            body = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return body


def _error(response: requests.Response, detail: object) -> FreesoundError:
    status = response.status_code
    if status >= 500 or status in (200, 201) or 300 <= status < 400:
        return ServerTrouble(f"Freesound has trouble (status {status}){_quoted(detail)}.")
    if status == 401 and 'error="invalid_token"' in response.headers.get("WWW-Authenticate", ""):
        return SignInExpired("The sign-in with Freesound has run out.")
    if status in (401, 403):
        refusal = f"Freesound does not allow that{_quoted(detail)}."
        return NotAllowed(_CREDENTIAL_PROBLEMS.get(str(detail), refusal))
    if status == 404:
        return SoundNotFound(f"Freesound does not have that{_quoted(detail)}.")
    if status == 429:
        return _throttled(str(detail))
    if status == 413:
        return RequestRefused("The file is larger than Freesound takes.")
    return RequestRefused(f"Freesound refuses this{_quoted(detail)}.", _messages(detail))


def _throttled(detail: str) -> FreesoundError:
    """Return the error for a 429.

    The server names the rate in brackets, or says that the credential is suspended.
    """
    rate = clean_text(detail.rpartition("(")[2].rstrip(").")) if "(" in detail else ""
    request = f"Freesound asks for fewer requests ({rate})"
    if rate.endswith("/minute"):
        return Throttled(f"{request}; please try again in a minute.")
    if rate:
        return DailyThrottled(f"{request}; there is room again tomorrow.")
    return DailyThrottled(f"Freesound has suspended this server's key; {_ADVICE}.")


def _messages(detail: object) -> dict[str, list[str]]:
    """Return the server's messages by form field."""
    if not isinstance(detail, dict):
        return {}
    lists = {name: texts if isinstance(texts, list) else [texts] for name, texts in detail.items()}
    return {name: [clean_text(str(text)) for text in texts] for name, texts in lists.items()}


def _quoted(detail: object) -> str:
    """Return the server's own words as the end of a sentence."""
    if isinstance(detail, dict):
        fields = _messages(detail).items()
        detail = "; ".join(f"{name}: {' '.join(messages)}" for name, messages in fields)
    return f": {clean_text(str(detail)).strip().rstrip('.')}" if detail else ""
