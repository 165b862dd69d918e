"""The hopsworks client, made safe. Everything that Earmark asks of a Hopsworks project goes through `Project`, and nothing else does.

What the client (5.2.1) does of its own accord, and what is done about it here:
- It keeps one connection for the whole process, and a login cuts off whoever is using it: `connect` logs in once.
- No call has a time-out: the session that it makes gets an adapter that sets one, for the login too.
- Its environment variables (HOPSWORKS_PORT, HOPSWORKS_HOSTNAME_VERIFICATION ...) overrule arguments: they are hidden from it.
- Certificates go to a folder that all processes of a user share and the first to leave deletes: each process gets its own.
- `exists` says no to every error: it is never asked. An upload that overwrites deletes first: nothing is overwritten.
- Lists stop silently at 1000, short downloads pass for whole: lists are paged, `create` reads back, readers check hashes.
- It configures logging, prints, and draws progress bars: it is told not to.
- Its errors are many, and HTML or a JSON list makes it stumble: `_explained` turns all of them into one sentence each.
"""

import atexit
import functools
import logging
import os
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import requests
import tenacity
from pydantic import SecretStr
from requests.adapters import HTTPAdapter

from core.workspace import WorkspaceError

Result = TypeVar("Result")

TIMEOUT_S = (10.0, 60.0)
"""To connect, and between two pieces of an answer."""
PAGE = 1000
CONNECTIONS = 16
ATTEMPTS = 3
SCOPES = ("PROJECT", "DATASET_VIEW", "DATASET_CREATE", "DATASET_DELETE", "MODELREGISTRY")
WEB_PAGE = "answers, but not as Hopsworks does; check the host, and whether a proxy or sign-in page stands before it"
_KEY_CODES = (320002, 320012, 320013, 320014)
_MISSING_CODES = (110008, 110011, 110018, 360000)
_OCCUPIED_CODES = (110012, 110047)
_FULL, _NO_PARENT, _NO_PROJECT = 110055, 120001, 150004


class HopsworksError(WorkspaceError):
    """Hopsworks did not do what was asked; the text says why in one sentence."""


class Away(HopsworksError):
    """Hopsworks cannot be reached or is ill; the same may work later."""


class TooSlow(Away):
    """No answer in time."""


class Refused(HopsworksError):
    """Nothing will work until a person acts: key, project, certificate, permission or full storage."""


class Missing(HopsworksError):
    """There is no such path or model."""


class Occupied(HopsworksError):
    """There is something under this path already."""


class Torn(HopsworksError):
    """The path holds other bytes than were to be kept there: an attempt that was cut short."""


@dataclass(frozen=True)
class Account:
    """Where a project is and what opens it. `certificate` is a PEM file to trust; without `verify` any certificate is believed."""

    host: str
    project: str
    api_key: SecretStr = field(repr=False)
    port: int = 443
    certificate: Path | None = None
    verify: bool = True

    @property
    def where(self) -> str:
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
    """The project, logged in once per process. Raises `Away` or `Refused`, and `WorkspaceError` if another account is in use."""
    global _connected
    with _lock:
        if _connected is None:
            _connected = Project(account)
        elif _connected.account != account:
            raise WorkspaceError("This program is connected to another Hopsworks project already; use one process for each.")
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

    Every method raises `Away`, `Refused` or another `HopsworksError` with one sentence; reading is tried `ATTEMPTS` times.
    """

    def __init__(self, account: Account) -> None:
        self.account = account
        self._registry: Any = None
        with self._explained():
            self._datasets = _login(account).get_dataset_api()

    # Files

    def names(self, folder: str) -> list[str]:
        """Names of everything in a folder, oldest first. Raises `Missing` if there is no such folder."""
        found: list[str] = []
        while True:
            page = self._patiently(self._datasets.list, folder, offset=len(found), limit=PAGE)
            found += [path.rsplit("/", 1)[-1] for path in page]
            if len(page) < PAGE:
                return found

    def read(self, path: str) -> bytes:
        """The bytes of a file as they came: whether they are all there is for the caller to check. Raises `Missing`."""
        return self._patiently(lambda: self._datasets.read_content(f"/{path}").content)

    def create(self, path: str, data: bytes) -> None:
        """Put a new file there and read it back. Again after a failure does no harm: the same bytes are recognised.

        Raises `Torn` if the path holds other bytes; it is then never going to hold these.
        """
        self._patiently(self._create, path, data)

    def _create(self, path: str, data: bytes) -> None:
        folder, name = path.rsplit("/", 1)
        failure: HopsworksError | None = None
        try:
            self._upload_into(folder, name, data)
        except (Occupied, Away) as error:  # an earlier attempt, or this one, may have come through all the same
            failure = error
        try:
            back = self.read(path)
        except Missing:
            raise failure or Away(self._says("lost a file that it had just taken; it is sent again.")) from None
        if back != data:
            raise Torn(self._says(f"holds an incomplete file {name}."))

    def _upload_into(self, folder: str, name: str, data: bytes) -> None:
        try:
            self._upload(folder, name, data)
        except Missing:
            self.make_folder(folder)
            self._upload(folder, name, data)

    def _upload(self, folder: str, name: str, data: bytes) -> None:
        with tempfile.TemporaryDirectory(prefix="earmark-") as temporary:
            path = Path(temporary) / name
            path.write_bytes(data)
            with self._explained():
                self._datasets.upload(str(path), folder, max_chunk_retries=0)

    def make_folder(self, folder: str) -> None:
        """Make a folder and those above it; it may be there already."""
        above = folder.rpartition("/")[0]
        try:
            self._make_one(folder)
        except Missing:
            if not above:
                raise
            self.make_folder(above)
            self._make_one(folder)

    def _make_one(self, folder: str) -> None:
        with suppress(Occupied):
            self._patiently(self._datasets.mkdir, folder)

    def remove(self, path: str) -> None:
        """Remove a file or folder, which may be gone already."""
        with suppress(Missing):
            self._patiently(self._datasets.remove, path)

    def replace(self, path: str, data: bytes) -> None:
        """Put a file in the place of an older one. For derived files only: for a moment there is none."""
        fresh = f"{path}.{os.urandom(8).hex()}"
        self.create(fresh, data)
        self.remove(path)
        with self._explained():
            self._datasets.move(fresh, path)

    # Models

    def models(self, name: str) -> list[RegisteredModel]:
        """The versions of a model, in no order; empty if there are none."""
        return [_registered(one) for one in self._patiently(self._models().get_models, name)]

    def save_model(self, name: str, version: int, folder: Path, metrics: dict[str, float], description: str) -> None:
        """Upload and register a version that nobody else is saving. On an error it may be there, in part or not at all."""
        registry = self._models()
        with self._explained():
            model = registry.python.create_model(name, version=version, metrics=metrics, description=description)
            model.save(str(folder), keep_original_files=True)

    def download_model(self, name: str, version: int, into: Path) -> None:
        """The files of a version into a new folder; whether they are whole is for the caller to check. Raises `Missing`."""
        with self._explained():
            model = self._models().get_model(name, version)
            if model is None:
                raise Missing(self._says(f"has no version {version} of the model {name}."))
            model.download(local_path=str(into))

    def delete_model(self, name: str, version: int) -> None:
        """Take a version out of the registry, if it is there, with all its files."""
        model = self._patiently(self._models().get_model, name, version)
        if model is not None:
            self._patiently(model.delete)
        self.remove(f"Models/{name}/{version}")

    def _models(self) -> Any:
        if self._registry is None:
            self.names("Models")  # the client asks with exists(), and takes an ill server for a missing registry
            with self._explained():
                from hopsworks import get_current_project

                self._registry = get_current_project().get_model_registry()
        return self._registry

    # Errors

    def _patiently(self, call: Callable[..., Result], *arguments: Any, **more: Any) -> Result:
        """The result of a call that may be repeated, tried again where that may help."""
        for attempt in tenacity.Retrying(
            retry=tenacity.retry_if_exception(lambda error: isinstance(error, Away) and not isinstance(error, TooSlow)),
            stop=tenacity.stop_after_attempt(ATTEMPTS), wait=tenacity.wait_random(0, 0.2), reraise=True,
        ):  # fmt: skip
            with attempt, self._explained():
                return call(*arguments, **more)
        raise AssertionError("tenacity raises the last error")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Every error of the client as one of ours."""
        try:
            yield
        except WorkspaceError:
            raise
        except Exception as error:
            raise self._explain(error) from error

    def _explain(self, error: Exception) -> Exception:
        from hopsworks_common.client.exceptions import DatasetException, ModelRegistryException, ProjectException, RestAPIError

        if isinstance(error, ProjectException) and isinstance(error.__cause__, Exception):
            error = error.__cause__
        if isinstance(error, RestAPIError):
            return self._explain_answer(error.response.status_code, getattr(error, "error_code", None))
        if isinstance(error, requests.exceptions.SSLError):
            return Refused(self._says("shows a certificate that is not trusted; name its PEM file in EARMARK_HOPSWORKS_CERTIFICATE."))
        if isinstance(error, ValueError | AttributeError | KeyError | TypeError):
            return Away(self._says(f"{WEB_PAGE}."))
        if isinstance(error, requests.exceptions.Timeout):
            return TooSlow(self._says("does not answer in time."))
        if isinstance(error, requests.exceptions.ConnectionError):
            return Away(self._says("cannot be reached."))
        if isinstance(error, requests.exceptions.RequestException):
            return Away(self._says("broke off in the middle of an answer."))
        if isinstance(error, DatasetException):
            return self._explain_upload(str(error))
        if isinstance(error, ModelRegistryException | AssertionError):
            return HopsworksError(self._says("has no place for this model version; try again."))
        if isinstance(error, OSError):
            return WorkspaceError(f"A file for Hopsworks cannot be written on this machine ({error.strerror}).")
        return HopsworksError(self._says(f"could not be used ({type(error).__name__})."))

    def _explain_answer(self, status: int, code: int | None) -> HopsworksError:
        """What an error answer means (reference: Hopsworks' table of error codes)."""
        if code in _KEY_CODES or status == 401:
            return Refused(self._says("does not accept the API key; check EARMARK_HOPSWORKS_API_KEY and whether the key has expired."))
        if code == _NO_PROJECT:
            return Refused(self._says(f"has no project {self.account.project}, or none that this key may open."))
        if code == _FULL:
            return self._full()
        if status == 403:
            return Refused(self._says(f"forbids this to the API key; it needs the scopes {', '.join(SCOPES)}."))
        if code in _MISSING_CODES or code == _NO_PARENT:
            return Missing(self._says("has no such file, folder or model."))
        if code in _OCCUPIED_CODES:
            return Occupied(self._says("has something under this name already."))
        if status == 413:  # by a proxy, in HTML; it would say so for ever
            return HopsworksError(self._says("does not take a file of this size."))
        if status >= 500 or status == 429:
            return Away(self._says(f"is out of order just now (HTTP {status})."))
        if code is None:
            return Away(self._says(f"{WEB_PAGE} (HTTP {status})."))
        return HopsworksError(self._says(f"did not do what was asked (HTTP {status}, error {code})."))

    def _explain_upload(self, text: str) -> HopsworksError:
        if "already exists" in text:
            return Occupied(self._says("has something under this name already."))
        if "storage is full" in text:
            return self._full()
        return Refused(self._says("does not allow this key to upload files; ask an administrator."))

    def _full(self) -> Refused:
        return Refused(self._says("has no space left; what is waiting stays on this machine until there is some."))

    def _says(self, what: str) -> str:
        return f"Hopsworks at {self.account.where} {what}"


def _registered(model: Any) -> RegisteredModel:
    metrics = {name: float(value) for name, value in (model.training_metrics or {}).items()}
    return RegisteredModel(model.name, int(model.version), metrics, model.description or "")


class _Adapter(HTTPAdapter):
    """Sets a time-out where the caller set none."""

    def send(self, request, stream=False, timeout=None, **more):  # type: ignore[override]
        return super().send(request, stream=stream, timeout=timeout or TIMEOUT_S, **more)


def _session() -> requests.Session:
    session = requests.Session()
    session.mount("https://", _Adapter(pool_connections=1, pool_maxsize=CONNECTIONS))
    return session


def _login(account: Account) -> Any:
    """Log in, with nothing but the account deciding how. Returns the client's project."""
    if account.certificate and not account.certificate.is_file():
        raise Refused(f"There is no certificate file {account.certificate}; correct EARMARK_HOPSWORKS_CERTIFICATE.")
    hopsworks = _client()
    certificates = tempfile.TemporaryDirectory(prefix="earmark-certificates-")
    atexit.register(certificates.cleanup)
    with _hidden_variables():
        return hopsworks.login(
            host=account.host, port=account.port, project=account.project, api_key_value=account.api_key.get_secret_value(),
            hostname_verification=account.verify, trust_store_path=str(account.certificate) if account.certificate else None,
            cert_folder=certificates.name, engine="python",
        )  # fmt: skip


@contextmanager
def _hidden_variables() -> Iterator[None]:
    """The environment without the client's own variables."""
    ours = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("HOPSWORKS_") or name == "REST_ENDPOINT"}
    try:
        yield
    finally:
        os.environ.update(ours)


@functools.cache
def _client() -> Any:
    """The client's module: silent, logging left as it was, and with our sessions."""
    root, show = logging.getLogger(), warnings.formatwarning
    handlers, level = root.handlers[:], root.level
    import hopsworks
    from hopsworks_common.client import external
    from hopsworks_common.core import dataset_api
    from hsml import util
    from hsml.engine import model_engine

    root.handlers[:] = handlers
    root.setLevel(level)
    warnings.formatwarning = show
    warnings.simplefilter("ignore", util.ProvenanceWarning)
    for name in ("hopsworks", "hopsworks_common", "hsml", "hsfs"):
        logging.getLogger(name).setLevel(logging.WARNING)
    external.requests = SimpleNamespace(session=_session)
    for module in (dataset_api, model_engine):
        module.tqdm = functools.partial(module.tqdm, disable=True)
    for module in (hopsworks, model_engine):
        module.print = lambda *arguments, **more: None  # its own name for it hides the built-in one
    return hopsworks
