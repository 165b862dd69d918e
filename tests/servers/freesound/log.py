"""The log of requests that tests read, without secrets."""

from dataclasses import dataclass

from tests.servers.freesound.messages import Request

HIDDEN = "***"
SECRET_FIELDS = frozenset(
    "token access_token refresh_token code client_secret code_verifier password "
    "csrfmiddlewaretoken".split()
)


@dataclass
class Logged:
    """One request as it came in; `fields` are the names of what its form carried."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    fields: list[str]
    status: int | None = None  # None: no answer was sent


def logged(request: Request) -> Logged:
    """Return the log's entry of a request."""
    fields, files = request.form
    return Logged(
        method=request.method,
        path=request.path,
        query={
            name: HIDDEN if name in SECRET_FIELDS else value
            for name, value in request.query.items()
        },
        headers={name: _shown(name, value) for name, value in request.headers.items()},
        fields=sorted([*fields, *files]),
    )


def _shown(name: str, value: str) -> str:
    """Return a header's value as it may be logged."""
    if name.lower() == "authorization":
        return f"{value.split()[0]} {HIDDEN}" if value.split() else ""
    if name.lower() == "referer":
        return value.split("?")[0]
    return HIDDEN if name.lower() in ("cookie", "set-cookie") else value
