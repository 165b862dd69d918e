"""The hopsworks client, made safe.

Everything that Earmark asks of a Hopsworks project goes through `Project`, and nothing else does.

What the client (5.2.1) does of its own accord, and what is done about it here:
- It keeps one connection for the whole process, and a login cuts off whoever is using it: `connect`
  logs in once.
- No call has a time-out: the session that it makes gets an adapter that sets one, for the login
  too.
- Its environment variables (HOPSWORKS_PORT, HOPSWORKS_HOSTNAME_VERIFICATION ...) override
  arguments: they are hidden from it.
- Certificates go to a folder that all processes of a user share and the first to leave deletes:
  each process gets its own.
- `exists` says no to every error: it is never asked. An upload that overwrites deletes first:
  nothing is overwritten.
- Lists stop silently at 1000, short downloads pass for whole: lists are paged, `create_file` reads
  back, readers check hashes.
- It configures logging, prints, and draws progress bars: all of that is switched off.
- Its errors are many, and HTML or a JSON list makes it stumble: `_translating_errors` turns each of
  them into one sentence.
"""

import atexit
import functools
import logging
import os
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import requests
import tenacity
from pydantic import SecretStr
from requests.adapters import HTTPAdapter

from core.storage.errors import StorageError
from core.storage.hopsworks.clock import server_clock
from core.storage.hopsworks.errors import (
    AlreadyExists,
    HopsworksError,
    NotFound,
    PartialUpload,
    PermanentError,
    RequestTimeout,
    Unavailable,
)

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

TIMEOUT_S = (10.0, 60.0)
"""To connect, and between two pieces of an answer."""
PAGE_SIZE = 10_000
"""Names that are asked for at once; a server may have a limit of its own, a whole thousand."""
SERVER_LIMIT_STEP = 1000
MAX_FILE_BYTES = 512 << 20
"""A larger file is none of Earmark's; it would fill the memory."""
READ_BYTES = 1 << 20
MAX_CONNECTIONS = 16
MAX_ATTEMPTS = 3
MAX_RETRY_WAIT_S = 0.2
SCOPES = ("PROJECT", "DATASET_VIEW", "DATASET_CREATE", "DATASET_DELETE", "MODELREGISTRY")
NOT_HOPSWORKS = (
    "answers, but not as Hopsworks does; check the host, and whether a proxy or sign-in page "
    "stands before it"
)
# Error codes of Hopsworks' published table.
KEY_CODES = (320002, 320012, 320013, 320014)
NOT_FOUND_CODES = (110008, 110011, 110018, 360000, 120001)
EXISTS_CODES = (110012, 110047)
WRONG_KIND_CODES: Mapping[int | None, str] = {
    110038: "has a folder there, not a file.",
    110039: "has a file there, not a folder.",
}
NO_SPACE_CODE, NO_PROJECT_CODE = 110055, 150004


@dataclass(frozen=True)
class Account:
    """A project's address, and what opens it.

    Attributes:
        host: Host name of Hopsworks.
        project: Name of the project.
        api_key: A key with `SCOPES`.
        port: HTTPS port.
        certificate: A PEM file to trust.
        verify: Check the certificate of Hopsworks.
    """

    host: str
    project: str
    api_key: SecretStr = field(repr=False)
    port: int = 443
    certificate: Path | None = None
    verify: bool = True

    @property
    def address(self) -> str:
        """Return host and port as people write them."""
        return self.host if self.port == 443 else f"{self.host}:{self.port}"


@dataclass(frozen=True)
class RegisteredModel:
    """A version in the model registry."""

    name: str
    version: int
    metrics: dict[str, float]
    description: str


_lock = threading.RLock()
_connected: "Project | None" = None


def connect(account: Account) -> "Project":
    """Return the project, logged in once per process.

    Raises:
        Unavailable: Hopsworks cannot be reached.
        PermanentError: It does not let us in.
        StorageError: Another account is in use.
    """
    global _connected
    with _lock:
        if _connected is None:
            _connected = Project(account)
            logger.info("connect address=%s project=%s", account.address, account.project)
        elif _connected.account != account:
            raise StorageError(
                "This program is connected to another Hopsworks project already; use one process "
                "for each."
            )
        return _connected


def disconnect() -> None:
    """Log out, so that another account can be used. No other thread may be using the project."""
    global _connected
    with _lock:
        if _connected is not None:
            import hopsworks

            hopsworks.logout()
            _connected = None


class Project:
    """One Hopsworks project: files under paths relative to it, and models. Safe for threads.

    Every method raises `Unavailable`, `PermanentError` or another `HopsworksError` with one
    sentence; what only reads is tried `MAX_ATTEMPTS` times.
    """

    def __init__(self, account: Account) -> None:
        """Log in.

        Raises:
            HopsworksError: The project cannot be opened.
        """
        self.account = account
        self._registry: Any = None
        with self._translating_errors():
            self._datasets = _login(account).get_dataset_api()

    # Files

    def list_names(self, folder: str) -> list[str]:
        """Return the names of everything in a folder, oldest first.

        Raises:
            NotFound: There is no such folder.
        """
        return self.list_names_from(folder, 0)

    def list_names_from(self, folder: str, offset: int) -> list[str]:
        """Return the names in a folder but for the oldest `offset`, oldest first.

        Raises:
            NotFound: There is no such folder.
        """
        names: list[str] = []
        while True:
            page = self._retrying(
                self._datasets.list, folder, offset=offset + len(names), limit=PAGE_SIZE
            )
            names += [path.rsplit("/", 1)[-1] for path in page]
            if len(page) < PAGE_SIZE and (not page or len(page) % SERVER_LIMIT_STEP):
                return names

    def read_file(self, path: str, max_bytes: int = MAX_FILE_BYTES) -> bytes:
        """Return the bytes of a file as they came; the caller checks whether they are complete.

        Raises:
            NotFound: There is no such file.
            HopsworksError: It is larger than `max_bytes`.
        """
        return self._retrying(self._read_once, path, max_bytes)

    def _read_once(self, path: str, max_bytes: int) -> bytes:
        """Read a file; no more of it than `max_bytes` comes into memory."""
        with self._datasets.read_content(f"/{path}") as response:
            data = bytearray()
            length = response.headers.get("Content-Length", "")
            if not length.isdecimal() or int(length) <= max_bytes:
                for piece in response.iter_content(READ_BYTES):
                    data += piece
                    if len(data) > max_bytes:
                        break
                else:
                    return bytes(data)
        raise HopsworksError(self._sentence(f"has a file of more than {max_bytes >> 20} MB there."))

    def stored_at(self, path: str) -> datetime | None:
        """Return when a file was stored, by the server's clock; None if the server does not say.

        Raises:
            NotFound: There is no such file.
        """
        facts = self._retrying(self._datasets.get, path)
        try:
            stored = datetime.fromisoformat(str(facts["attributes"]["modificationTime"]))
        except (ValueError, LookupError, TypeError):
            return None
        return stored if stored.tzinfo else stored.replace(tzinfo=UTC)

    def create_file(self, path: str, data: bytes) -> None:
        """Put a new file there and read it back.

        A repetition after a failure does no harm: the same bytes are recognised.

        Raises:
            PartialUpload: The path holds other bytes; it is then never going to hold these.
        """
        self._retrying(self._create_once, path, data)

    def _create_once(self, path: str, data: bytes) -> None:
        """Upload and read back; an earlier attempt, or a failed one, may have come through."""
        folder, name = path.rsplit("/", 1)
        failure: HopsworksError | None = None
        try:
            self._upload_creating_folder(folder, name, data)
        except (AlreadyExists, Unavailable) as error:
            failure = error
        try:
            stored = self.read_file(path)
        except NotFound:
            lost = self._sentence("lost a file that it had just taken; it is sent again.")
            raise failure or Unavailable(lost) from None
        if stored != data:
            raise PartialUpload(self._sentence(f"holds an incomplete file {name}."))

    def _upload_creating_folder(self, folder: str, name: str, data: bytes) -> None:
        """Upload a file; its folder is created if it is missing."""
        try:
            self._upload(folder, name, data)
        except NotFound:
            self.make_folder(folder)
            self._upload(folder, name, data)

    def _upload(self, folder: str, name: str, data: bytes) -> None:
        """Upload a file into an existing folder."""
        with (
            self._translating_errors(),
            tempfile.TemporaryDirectory(prefix="earmark-", ignore_cleanup_errors=True) as temporary,
        ):
            path = Path(temporary) / name
            path.write_bytes(data)
            self._datasets.upload(str(path), folder, max_chunk_retries=0)

    def make_folder(self, folder: str) -> None:
        """Make a folder and those above it; it may be there already."""
        above = folder.rpartition("/")[0]
        try:
            self._make_single_folder(folder)
        except NotFound:
            if not above:
                raise
            self.make_folder(above)
            self._make_single_folder(folder)

    def _make_single_folder(self, folder: str) -> None:
        """Make a folder in one that exists."""
        with suppress(AlreadyExists):
            self._retrying(self._datasets.mkdir, folder)

    def remove(self, path: str) -> None:
        """Remove a file or folder, which may be gone already."""
        with suppress(NotFound):
            self._retrying(self._datasets.remove, path)

    def replace_file(self, path: str, data: bytes) -> None:
        """Put a file in the place of an older one.

        For derived files only: for a moment there is none.
        """
        new = f"{path}.{os.urandom(8).hex()}"
        self.create_file(new, data)
        self.remove(path)
        with self._translating_errors():
            self._datasets.move(new, path)

    # Models

    def list_models(self, name: str) -> list[RegisteredModel]:
        """Return the versions of a model, in no order; empty if there are none."""
        models = self._retrying(self._model_registry().get_models, name)
        return [_registered_model(model) for model in models]

    def save_model(self, model: RegisteredModel, folder: Path) -> None:
        """Upload the files in `folder` and register them as a version that nobody else is saving.

        After an error it may be there, in part, or not at all.
        """
        registry = self._model_registry()
        with self._translating_errors():
            new = registry.python.create_model(
                model.name,
                version=model.version,
                metrics=dict(model.metrics),
                description=model.description,
            )
            new.save(str(folder), keep_original_files=True)

    def download_model(self, name: str, version: int, into: Path) -> None:
        """Download the files of a version into a new folder; the caller checks them.

        Raises:
            NotFound: There is no such version.
        """
        with self._translating_errors():
            model = self._model_registry().get_model(name, version)
            if model is None:
                raise NotFound(self._sentence(f"has no version {version} of the model {name}."))
            model.download(local_path=str(into))

    def delete_model(self, name: str, version: int) -> None:
        """Take a version out of the registry, if it is there, with all its files."""
        model = self._retrying(self._model_registry().get_model, name, version)
        if model is not None:
            self._retrying(model.delete)
        self.remove(f"Models/{name}/{version}")

    def _model_registry(self) -> Any:
        """Return the client's registry."""
        if self._registry is None:
            # The client asks with exists(), and takes an ailing server for a missing registry.
            self.list_names("Models")
            with self._translating_errors():
                from hopsworks import get_current_project

                self._registry = get_current_project().get_model_registry()
        return self._registry

    # Errors

    def _retrying(self, call: Callable[..., Result], *arguments: Any, **options: Any) -> Result:
        """Return the result of a call that may be repeated, tried again where that may help."""
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(_may_pass),
            stop=tenacity.stop_after_attempt(MAX_ATTEMPTS),
            wait=tenacity.wait_random(0, MAX_RETRY_WAIT_S),
            reraise=True,
        )
        for attempt in retrying:
            with attempt, self._translating_errors():
                return call(*arguments, **options)
        raise AssertionError("tenacity raises the last error")

    @contextmanager
    def _translating_errors(self) -> Iterator[None]:
        """Raise every error of the client as one of ours."""
        try:
            yield
        except StorageError:
            raise
        except Exception as error:
            raise self._translate(error) from error

    def _translate(self, error: Exception) -> StorageError:
        """Return our error for one of the client's."""
        from hopsworks_common.client.exceptions import (
            DatasetException,
            ModelRegistryException,
            ProjectException,
            RestAPIError,
        )

        if isinstance(error, ProjectException) and isinstance(error.__cause__, Exception):
            error = error.__cause__
        if isinstance(error, RestAPIError):
            code = getattr(error, "error_code", None)
            return self._translate_answer(error.response.status_code, code)
        if isinstance(error, requests.exceptions.SSLError):
            setting = "name its PEM file in EARMARK_HOPSWORKS_CERTIFICATE"
            return self._permanent(f"shows a certificate that is not trusted; {setting}.")
        if isinstance(error, ValueError | AttributeError | KeyError | TypeError):
            return Unavailable(self._sentence(f"{NOT_HOPSWORKS}."))
        if isinstance(error, requests.exceptions.RequestException):
            return self._translate_broken_request(error)
        if isinstance(error, DatasetException):
            return self._translate_upload(str(error))
        if isinstance(error, ModelRegistryException | AssertionError):
            return HopsworksError(self._sentence("has no place for this model version; try again."))
        if isinstance(error, OSError):
            reason = f"A file for Hopsworks cannot be written on this machine ({error.strerror})."
            return StorageError(reason)
        return HopsworksError(self._sentence(f"could not be used ({type(error).__name__})."))

    def _translate_broken_request(
        self, error: requests.exceptions.RequestException
    ) -> HopsworksError:
        """Return our error for a request without a complete answer."""
        if isinstance(error, requests.exceptions.Timeout):
            return RequestTimeout(self._sentence("does not answer in time."))
        if isinstance(error, requests.exceptions.ConnectionError):
            return Unavailable(self._sentence("cannot be reached."))
        return Unavailable(self._sentence("broke off in the middle of an answer."))

    def _translate_answer(self, status: int, code: int | None) -> HopsworksError:
        """Return our error for an error answer, by Hopsworks' table of error codes."""
        if code in KEY_CODES or status == 401:
            return self._permanent(
                "does not accept the API key; check EARMARK_HOPSWORKS_API_KEY and whether the key "
                "has expired."
            )
        if code == NO_PROJECT_CODE:
            project = self.account.project
            return self._permanent(f"has no project {project}, or none that this key may open.")
        if code == NO_SPACE_CODE:
            return self._no_space()
        if status == 403:
            scopes = ", ".join(SCOPES)
            return self._permanent(f"forbids this to the API key; it needs the scopes {scopes}.")
        if code in NOT_FOUND_CODES:
            return NotFound(self._sentence("has no such file, folder or model."))
        if code in WRONG_KIND_CODES:
            return HopsworksError(self._sentence(WRONG_KIND_CODES[code]))
        if code in EXISTS_CODES:
            return AlreadyExists(self._sentence("has something under this name already."))
        return self._translate_status(status, code)

    def _translate_status(self, status: int, code: int | None) -> HopsworksError:
        """Return our error for an answer whose error code says nothing to us."""
        if status == 413:  # by a proxy, in HTML; a repetition would get the same answer
            return HopsworksError(self._sentence("does not take a file of this size."))
        if status == 429:
            logger.warning("throttled by=%s", self.account.address)
            return Unavailable(self._sentence("asks for fewer requests (HTTP 429)."))
        if status >= 500:
            return Unavailable(self._sentence(f"is out of order just now (HTTP {status})."))
        if code is None:
            return Unavailable(self._sentence(f"{NOT_HOPSWORKS} (HTTP {status})."))
        return HopsworksError(
            self._sentence(f"did not do what was asked (HTTP {status}, error {code}).")
        )

    def _translate_upload(self, text: str) -> HopsworksError:
        """Return our error for a failed upload, which the client describes in words only."""
        if "already exists" in text:
            return AlreadyExists(self._sentence("has something under this name already."))
        if "storage is full" in text:
            return self._no_space()
        return self._permanent("does not allow this key to upload files; ask an administrator.")

    def _no_space(self) -> PermanentError:
        """Return the error for a full storage."""
        return self._permanent(
            "has no space left; what is waiting stays on this machine until there is some."
        )

    def _permanent(self, what: str) -> PermanentError:
        """Return an error that only a person can mend."""
        return PermanentError(self._sentence(what))

    def _sentence(self, what: str) -> str:
        """Return a sentence whose subject is this Hopsworks."""
        return f"Hopsworks at {self.account.address} {what}"


def _may_pass(error: BaseException) -> bool:
    """Return True for an error that is worth another attempt at once."""
    return isinstance(error, Unavailable) and not isinstance(error, RequestTimeout)


def _registered_model(model: Any) -> RegisteredModel:
    """Return the client's model as ours."""
    metrics = {name: float(value) for name, value in (model.training_metrics or {}).items()}
    return RegisteredModel(model.name, int(model.version), metrics, model.description or "")


class _Adapter(HTTPAdapter):
    """Sets a time-out where the caller set none, and notes the server's time."""

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Any = None,
    ) -> requests.Response:
        """Send a request."""
        response = super().send(request, stream, timeout or TIMEOUT_S, verify, cert, proxies)
        server_clock.note(response.headers.get("Date"))
        return response


def _session() -> requests.Session:
    """Return a session whose calls all have a time-out."""
    session = requests.Session()
    session.mount("https://", _Adapter(pool_connections=1, pool_maxsize=MAX_CONNECTIONS))
    return session


def _login(account: Account) -> Any:
    """Log in, with nothing but the account deciding how; returns the client's project."""
    certificate = account.certificate
    if certificate and not certificate.is_file():
        raise PermanentError(
            f"There is no certificate file {certificate}; correct EARMARK_HOPSWORKS_CERTIFICATE."
        )
    hopsworks = load_client()
    certificates = tempfile.TemporaryDirectory(prefix="earmark-certificates-")
    atexit.register(certificates.cleanup)
    with _hidden_environment():
        return hopsworks.login(
            host=account.host,
            port=account.port,
            project=account.project,
            api_key_value=account.api_key.get_secret_value(),
            hostname_verification=account.verify,
            trust_store_path=str(certificate) if certificate else None,
            cert_folder=certificates.name,
            engine="python",
        )


@contextmanager
def _hidden_environment() -> Iterator[None]:
    """Remove the client's own variables from the environment for a while."""
    hidden = {
        name: os.environ.pop(name)
        for name in list(os.environ)
        if name.startswith("HOPSWORKS_") or name == "REST_ENDPOINT"
    }
    try:
        yield
    finally:
        os.environ.update(hidden)


@functools.cache
def load_client() -> Any:
    """Return the client's module: silent, logging left as it was, and with our sessions."""
    root, formatwarning = logging.getLogger(), warnings.formatwarning
    handlers, level = root.handlers[:], root.level
    import hopsworks
    from hopsworks_common.client import external
    from hopsworks_common.core import dataset_api
    from hsml import util
    from hsml.engine import model_engine

    root.handlers[:] = handlers
    root.setLevel(level)
    warnings.formatwarning = formatwarning
    warnings.simplefilter("ignore", util.ProvenanceWarning)
    for name in ("hopsworks", "hopsworks_common", "hsml", "hsfs"):
        logging.getLogger(name).setLevel(logging.WARNING)
    external.requests = SimpleNamespace(session=_session)
    for module in (dataset_api, model_engine):
        module.tqdm = functools.partial(module.tqdm, disable=True)
    for module in (hopsworks, model_engine):
        module.print = _print_nothing  # a module's own name hides the built-in function
    return hopsworks


def _print_nothing(*_arguments: object, **_options: object) -> None:
    """Do nothing, in the place of `print`."""
