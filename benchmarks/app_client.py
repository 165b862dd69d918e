"""A browser's part of the app's protocol: signing in, opening a page, saving, uploading."""

import json
import uuid
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import requests
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.Delta_pb2 import Delta
from streamlit.proto.Element_pb2 import Element
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState
from websockets.sync.client import connect
from websockets.typing import Subprotocol

TIMEOUT_S = 60
SIGN_IN_TIMEOUT_S = 150
"""So many at once wait for the next minute's requests to Freesound."""
EARLY_END = ForwardMsg.ScriptFinishedStatus.FINISHED_EARLY_FOR_RERUN
FRESH = {"Accept": "text/html", "Sec-Fetch-Dest": "document"}
"""Headers by which a browser asks for a page."""


class Person:
    """Somebody at a browser of their own, with its cookies."""

    def __init__(self, url: str) -> None:
        """Open the app's first page."""
        self.url = url
        self.http = requests.Session()
        self.http.headers["Connection"] = "close"  # the server ends idle connections at any moment
        self.get("/")
        self.get("/_stcore/health")  # sets the token that uploads need

    def get(self, path: str, timeout_s: float = TIMEOUT_S) -> requests.Response:
        """Ask for a page."""
        return self.http.get(
            f"{self.url}{path}", headers=FRESH, allow_redirects=False, timeout=timeout_s
        )

    def sign_in(self, name: str) -> None:
        """Sign in; the stand-in for Freesound takes a name for a code."""
        state = parse_qs(urlsplit(self.get("/auth/freesound/login?to=/").headers["location"]).query)
        callback = f"/auth/freesound/callback?code={name}&state={state['state'][0]}"
        answer = self.get(callback, SIGN_IN_TIMEOUT_S)
        if answer.status_code != 303:
            raise RuntimeError(f"{name} could not sign in: {answer.status_code}")

    @property
    def token(self) -> str:
        """Return the token against forged requests."""
        return self.http.cookies.get("_streamlit_xsrf") or ""

    @property
    def cookies(self) -> str:
        """Return the header with all cookies."""
        return "; ".join(f"{cookie.name}={cookie.value}" for cookie in self.http.cookies)


@dataclass(frozen=True)
class Component:
    """One of our components on a page: its id, the fragment that it is drawn in, its data."""

    element_id: str
    fragment: str
    data: Mapping[str, Any]


class Page:
    """An open page."""

    def __init__(self, person: Person, name: str = "", query: str = "") -> None:
        """Open it, and wait until all of it is drawn."""
        self._person, self._name, self._query = person, name, query
        self.components: dict[str, Component] = {}
        self.uploader, self._file = "", ""
        self.problems: list[str] = []
        self.alerts: list[str] = []
        self.session = ""
        origin = urlsplit(person.url)
        connection = connect(
            f"ws://{origin.netloc}/_stcore/stream",
            subprotocols=[Subprotocol("streamlit"), Subprotocol(person.token)],
            additional_headers={"Cookie": person.cookies, "Origin": person.url},
            open_timeout=TIMEOUT_S,
            max_size=None,
        )
        self._open = ExitStack()
        self._connection = self._open.enter_context(connection)
        self.run()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()

    def run(
        self, *widgets: WidgetState, fragment: str = "", until: Callable[[], bool] | None = None
    ) -> None:
        """Send values of widgets, and wait until what they change is drawn.

        Args:
            widgets: What the person has changed.
            fragment: The only part of the page to draw.
            until: Is true once the outcome is there; else the end of the run is awaited.
        """
        message = BackMsg()
        client = message.rerun_script
        client.page_name, client.query_string, client.fragment_id = (
            *(self._name, self._query),
            fragment,
        )
        client.widget_states.widgets.extend(widgets)
        self._connection.send(message.SerializeToString())
        while True:
            answer = self._receive()
            kind = answer.WhichOneof("type")
            if kind == "delta":
                self._note(answer.delta)
            elif kind == "new_session" and not self.session:
                self.session = answer.new_session.initialize.session_id
            is_end = kind == "script_finished" and answer.script_finished != EARLY_END
            if until() if until else is_end:
                return

    def _receive(self) -> ForwardMsg:
        data = self._connection.recv(timeout=TIMEOUT_S)
        assert isinstance(data, bytes)
        message: ForwardMsg = ForwardMsg.FromString(data)
        return message

    def _note(self, delta: Delta) -> None:
        """Remember our components, the uploader, and everything that says that it failed."""
        element: Element = delta.new_element
        kind = element.WhichOneof("type")
        if kind == "bidi_component":
            component = element.bidi_component
            data = json.loads(component.json or "[{}]")
            name = component.component_name.rpartition("earmark_")[2]
            self.components[name] = Component(
                component.id, delta.fragment_id, data[0] if isinstance(data, list) else data
            )
        elif kind == "file_uploader":
            self.uploader = element.file_uploader.id
        elif kind == "exception":
            self.problems.append(f"crash: {element.exception.message}")
        elif kind == "alert":
            self.alerts.append(element.alert.body)
            if element.alert.format == element.alert.ERROR:
                self.problems.append(element.alert.body)

    def send_to(self, name: str, value: Mapping[str, object], until: Callable[[], bool]) -> None:
        """Let the browser side of a component send a value."""
        component = self.components[name]
        widget = WidgetState(id=component.element_id, json_value=json.dumps(value))
        self.run(widget, fragment=component.fragment, until=until)

    def upload(self, name: str, data: bytes, media_type: str) -> None:
        """Upload a file into the page's uploader, and wait until the page is drawn with it."""
        file_id = str(uuid.uuid4())
        path = f"/_stcore/upload_file/{self.session}/{file_id}"
        answer = self._person.http.put(
            f"{self._person.url}{path}",
            files={"file": (name, data, media_type)},
            headers={"X-Xsrftoken": self._person.token, "Origin": self._person.url},
            timeout=TIMEOUT_S,
        )
        if answer.status_code != 204:
            self.problems.append(f"upload: {answer.status_code} {answer.text[:200]}")
            return
        self.components.pop("player", None)
        widget = WidgetState(id=self.uploader)
        info = widget.file_uploader_state_value.uploaded_file_info.add()
        info.name, info.size, info.file_id = name, len(data), file_id
        info.file_urls.file_id, info.file_urls.upload_url = file_id, path
        info.file_urls.delete_url = path
        self.run(widget)
        if self._file:
            self._delete(self._file)
        self._file = path

    def _delete(self, path: str) -> None:
        """Delete the file that another one has replaced, as the uploader does."""
        headers = {"X-Xsrftoken": self._person.token, "Origin": self._person.url}
        self._person.http.delete(f"{self._person.url}{path}", headers=headers, timeout=TIMEOUT_S)
