"""Messages of browsers whose values are no JSON: Streamlit would end the run with a crash."""

import json

from google.protobuf.message import DecodeError
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit.proto.BackMsg_pb2 import BackMsg

from app.components.values import UNREADABLE
from core.untrusted import load_json

JSON_FIELDS = ("json_value", "json_trigger_value")
"""Of a widget's value in Streamlit's protocol."""


class ComponentMessages:
    """Middleware that marks values of components that cannot be read; see `sent_value`."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or serve a web socket."""
        if scope["type"] != "websocket":
            await self.app(scope, receive, send)
            return

        async def receive_readable() -> Message:
            message = await receive()
            data = message.get("bytes")
            return {**message, "bytes": with_readable_values(data)} if data else message

        await self.app(scope, receive_readable, send)


def with_readable_values(data: bytes) -> bytes:
    """Return a browser's message in which every value of a component is JSON that can be kept.

    Args:
        data: The message as it came; what is none is left to Streamlit, which ignores it.
    """
    message = BackMsg()
    try:
        message.ParseFromString(data)
    except DecodeError:
        return data
    widgets = message.rerun_script.widget_states.widgets
    fields = [(widget, widget.WhichOneof("value")) for widget in widgets]
    values = [(widget, field) for widget, field in fields if field in JSON_FIELDS]
    unreadable = [each for each in values if not _is_json(getattr(*each))]
    for widget, field in unreadable:
        setattr(widget, field, json.dumps({UNREADABLE: True}))
    return message.SerializeToString() if unreadable else data


def _is_json(text: str) -> bool:
    try:
        load_json(text)
    except ValueError:
        return False
    return True
