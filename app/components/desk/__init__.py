"""Review mode in the browser: one sound in focus, the next ones loaded, decisions in an outbox."""

from collections.abc import Mapping
from pathlib import Path

from app.components.desk.request import DeskRequest, parse_request
from app.components.register import register
from app.components.values import sent_value

_COMPONENT = register(Path(__file__).parent)


def desk_request(key: str) -> DeskRequest:
    """Return what the browser has sent last; an empty request before that.

    Args:
        key: Of the component in the session.
    """
    return sent_value(key, "request", parse_request) or DeskRequest()


def desk(key: str, data: Mapping[str, object]) -> None:
    """Show the desk.

    Args:
        key: Of the component in the session; with another one it starts anew.
        data: JSON values: `owner` (whose unsaved changes the browser may bring back), `disabled`
            (why nothing can be changed, or empty), `queue` (total, refresh), `sounds`, `gone`
            (ids), `vocabulary` and `examples` (or None), `stored` (typed text: tags), `answers`
            (action id: answer).
    """
    _COMPONENT(key=key, data=(dict(data),), on_request_change=lambda: None)
