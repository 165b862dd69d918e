"""A session of the app without a browser: its connection, and what it uploads."""

from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPConnection, HTTPResponse
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import connect
from websockets.typing import Subprotocol

BOUNDARY = "boundary-of-the-parts"
TIMEOUT_S = 60


class AppSession:
    """An open page; `id` is the session's, and `is_open` is false once it is closed."""

    def __init__(self, url: str, page: str) -> None:
        self.address = urlsplit(url)
        self.token = self._token()
        self._connection = connect(
            f"ws://{self.address.netloc}{self.address.path}/_stcore/stream",
            subprotocols=[Subprotocol("streamlit"), Subprotocol(self.token)],
            additional_headers={"Cookie": f"_streamlit_xsrf={self.token}"},
            max_size=None,
        )
        self._socket = self._connection.__enter__()
        self.is_open = True
        self.id = ""
        self.show(page)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the page."""
        if self.is_open:
            self.is_open = False
            self._connection.__exit__(None, None, None)

    def show(self, page: str) -> None:
        """Open a page, and wait until all of it is drawn."""
        message = BackMsg()
        message.rerun_script.page_name = page
        self._socket.send(message.SerializeToString())
        for answer in self._messages():
            if answer.WhichOneof("type") == "new_session":
                self.id = answer.new_session.initialize.session_id
            if answer.WhichOneof("type") == "script_finished":
                return

    def _messages(self) -> Iterator[ForwardMsg]:
        while True:
            data = self._socket.recv(timeout=TIMEOUT_S)
            assert isinstance(data, bytes)
            yield ForwardMsg.FromString(data)

    def _token(self) -> str:
        """Return the token that uploads have to carry."""
        connection = HTTPConnection(self.address.netloc, timeout=TIMEOUT_S)
        connection.request("GET", f"{self.address.path}/_stcore/health")
        response = connection.getresponse()
        cookie = response.headers["set-cookie"]
        connection.close()
        return cookie.split("_streamlit_xsrf=")[1].split(";")[0]

    def begin(
        self, file: str, length: int | None, session: str | None = None, method: str = "PUT"
    ) -> HTTPConnection:
        """Send the head of a request that uploads a file.

        Args:
            file: Its id.
            length: What to claim of the body's length; None: nothing, it comes in chunks.
            session: Whose upload to call it, if it is not this session's.
            method: Of the request.
        """
        connection = HTTPConnection(self.address.netloc, timeout=TIMEOUT_S)
        path = f"{self.address.path}/_stcore/upload_file/{session or self.id}/{file}"
        connection.putrequest(method, path)
        connection.putheader("X-Xsrftoken", self.token)
        connection.putheader("Cookie", f"_streamlit_xsrf={self.token}")
        connection.putheader("Content-Type", f"multipart/form-data; boundary={BOUNDARY}")
        if length is None:
            connection.putheader("Transfer-Encoding", "chunked")
        else:
            connection.putheader("Content-Length", str(length))
        connection.endheaders()
        return connection

    def upload(self, file: str, size: int, session: str | None = None) -> tuple[int, str]:
        """Upload a file of so many bytes; returns the status and the text of the answer."""
        body = multipart(size)
        connection = self.begin(file, len(body), session)
        send(connection, body)
        return answer(connection)

    def delete(self, file: str) -> int:
        """Delete an uploaded file, as the uploader's button does."""
        connection = self.begin(file, 0, method="DELETE")
        return answer(connection)[0]


def multipart(size: int) -> bytes:
    """Return the body of a request that uploads so many bytes."""
    disposition = 'Content-Disposition: form-data; name="a.wav"; filename="a.wav"'
    head = f"--{BOUNDARY}\r\n{disposition}\r\nContent-Type: audio/wav\r\n\r\n"
    return head.encode() + bytes(size) + f"\r\n--{BOUNDARY}--\r\n".encode()


def chunk(data: bytes) -> bytes:
    """Return data as a piece of a body that comes in chunks."""
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def send(connection: HTTPConnection, data: bytes) -> None:
    """Send a part of a body; the server may have answered and gone."""
    with suppress(BrokenPipeError, ConnectionResetError):
        connection.send(data)


def answer(connection: HTTPConnection) -> tuple[int, str]:
    """Return the status and the text of the answer; 0 where the connection was reset."""
    try:
        response: HTTPResponse = connection.getresponse()
        return response.status, response.read().decode()
    except (ConnectionError, OSError):
        return 0, ""
    finally:
        connection.close()
