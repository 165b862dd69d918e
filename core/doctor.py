"""What is configured, what is missing, and what works without it."""

import importlib.metadata
import os
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from core.errors import EarmarkError
from core.settings import ROOT, Settings, is_loopback, read_settings, unknown_settings

Health = Literal["good", "absent", "broken"]
_MARKS: Mapping[Health, tuple[str, str]] = {
    "good": ("ok", "green"),
    "absent": ("--", "yellow"),
    "broken": ("!!", "red"),
}
FOR_TRAINING = ("h5py", "librosa", "onnx", "scikit-learn", "torch")
"""Packages that the app and the other jobs do without."""
MIN_PYTHON, MAX_PYTHON = (3, 11), (3, 13)
MODAL_CREDENTIALS = (
    ("token_id", "token_secret"),
    ("oauth_refresh_token", "oauth_client_id", "oauth_client_secret"),
)
"""What Modal's client signs in with: all of one of these."""


@dataclass(frozen=True)
class Finding:
    """One line of the report. `absent` is something optional that is not set up."""

    health: Health
    subject: str
    text: str

    @property
    def mark(self) -> str:
        """Return the line's first word."""
        return _MARKS[self.health][0]

    @property
    def style(self) -> str:
        """Return the mark's colour."""
        return _MARKS[self.health][1]


def examine() -> list[Finding]:
    """Look at everything that Earmark rests on.

    It never raises, shows no secret and leaves nothing changed: what it writes to see whether it
    may, it deletes.
    """
    findings = [_python(), _packages(), _attempt("Model", _model)]
    try:
        settings = read_settings()
        findings += _misspelt()
    except EarmarkError as error:
        return [*findings, Finding("broken", "Settings", str(error))]
    return [
        *findings,
        _attempt("Sounds", lambda: _sounds(settings)),
        _attempt("Workspace", lambda: _workspace(settings)),
        *_damaged_models(settings),
        _freesound(settings),
        _attempt("Hopsworks", lambda: _hopsworks(settings)),
        _attempt("Modal", _modal),
    ]


def _attempt(subject: str, check: Callable[[], Finding]) -> Finding:
    try:
        return check()
    except EarmarkError as error:
        return Finding("broken", subject, str(error))
    except OSError as error:
        return Finding("broken", subject, f"{error.filename} cannot be read: {error.strerror}.")


def _python() -> Finding:
    supported = MIN_PYTHON <= sys.version_info[:2] <= MAX_PYTHON
    health: Health = "good" if supported else "broken"
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding(health, "Python", f"{version} (3.11 to 3.13 are supported)")


def _packages() -> Finding:
    pins = [(name, pin, installed) for name, pin, installed in _pins() if installed != pin]
    if pins and all(name in FOR_TRAINING and not installed for name, _, installed in pins):
        names = ", ".join(name for name, _, _ in pins)
        text = f"no {names}: no model can be trained here. Everything else works."
        return Finding("absent", "Packages", text)
    wrong = [f"{name} {installed or 'missing'} instead of {pin}" for name, pin, installed in pins]
    if wrong:
        text = f"{', '.join(wrong)}; `make run` installs what requirements.txt says."
        return Finding("broken", "Packages", text)
    return Finding("good", "Packages", "as pinned in requirements.txt")


def _pins() -> Iterator[tuple[str, str, str | None]]:
    """Yield (package, pinned version, installed version)."""
    for line in (ROOT / "requirements.txt").read_text("utf-8").splitlines():
        name, separator, pin = line.partition("==")
        if not separator or line.startswith("#"):
            continue
        try:
            installed: str | None = importlib.metadata.version(name.strip()).split("+")[0]
        except importlib.metadata.PackageNotFoundError:
            installed = None
        yield name.strip(), pin.strip(), installed


def _model() -> Finding:
    from core.storage.active_model import load_default_bundle

    default = load_default_bundle()
    default.network()
    score = default.metrics["overall"].get("pr_auc_macro") or 0
    facts = f"{default.name} ({default.architecture}), {len(default.vocabulary)} tags"
    return Finding("good", "Model", f"{facts}, PR-AUC {score:.3f} macro on its test recordings")


def _misspelt() -> list[Finding]:
    return [
        Finding("broken", "Settings", f"{name} is no setting of Earmark; is it misspelt?")
        for name in unknown_settings()
    ]


def _sounds(settings: Settings) -> Finding:
    from core.pipeline.sources import FolderSource

    files = FolderSource(settings.sounds_folder).files()
    where = _short(settings.sounds_folder)
    if not settings.sounds:
        where = f"example sounds; EARMARK_SOUNDS names another folder: {where}"
    return Finding("good" if files else "absent", "Sounds", f"{len(files)} audio files ({where})")


def _workspace(settings: Settings) -> Finding:
    from core.storage.active_model import active_version
    from core.storage.errors import StorageError
    from core.storage.folder import has_workspace
    from core.storage.opening import open_workspace

    folder = settings.workspace_folder
    if problem := _write_problem(folder):
        text = f"{_short(folder)} cannot be written ({problem}); nothing could be saved."
        return Finding("broken", "Workspace", text)
    if not has_workspace(folder):
        text = f"none yet in {_short(folder)}; `make run` makes it."
        return Finding("absent", "Workspace", text)
    workspace = open_workspace(settings)
    counts = workspace.sounds.counts()
    text = f"{counts.sounds} sounds, {counts.reviewed} reviewed in {_short(folder)}"
    try:
        model = active_version(workspace)
    except StorageError:
        model = None  # Hopsworks is not reachable, which its own finding tells
    return Finding("good", "Workspace", f"{text}, active model: {model}" if model else text)


def _damaged_models(settings: Settings) -> list[Finding]:
    from core.storage.models import damaged_versions

    try:
        sentences = damaged_versions(settings.workspace_folder)
    except (EarmarkError, OSError):
        return []  # the finding about the workspace tells it
    return [Finding("broken", "Models", sentence) for sentence in sentences]


def _write_problem(folder: Path) -> str:
    """Return why nothing can be written into a folder, or what will hold it; empty if it can."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    try:
        with tempfile.NamedTemporaryFile(dir=existing, prefix=".doctor-") as file:
            file.write(b"\n")
            file.flush()
    except OSError as error:
        return str(error.strerror or error)
    return ""


def _short(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def _freesound(settings: Settings) -> Finding:
    """Say what the credential is good for. Freesound is not asked: that would cost a request."""
    from core.freesound.previews import API

    if not settings.can_sign_in and _needs_sign_in(settings):
        return Finding("broken", "Freesound", _nobody_can_sign_in(settings))
    if not (settings.freesound_api_key or settings.freesound_jobs_key):
        text = (
            "no FREESOUND_API_KEY. Without it sounds come from the folder; everything else works."
        )
        return Finding("absent", "Freesound", text)
    key = "a key is set" if settings.freesound_api_key else "only the jobs' own key is set"
    if settings.freesound_api_key and settings.freesound_jobs_key:
        key += ", and one of the jobs' own"
    sign_in = "no EARMARK_FREESOUND_CLIENT_ID: nobody can sign in"
    if settings.can_sign_in:
        sign_in = "the client id too: people can sign in"
    api = "" if settings.freesound_api == API else f" (API: {settings.freesound_api})"
    text = f"{key}: new sounds can be read; {sign_in}{api}. The key was not tried."
    return Finding("good", "Freesound", text)


def _needs_sign_in(settings: Settings) -> bool:
    """Return True where people must sign in to correct anything: the app is not one person's."""
    public = urlsplit(settings.public_url or "http://localhost").hostname or ""
    return bool(settings.hopsworks_host) or not is_loopback(public)


def _nobody_can_sign_in(settings: Settings) -> str:
    missing = []
    if not settings.freesound_api_key:
        missing.append("FREESOUND_API_KEY")
    if not settings.freesound_client_id:
        missing.append("EARMARK_FREESOUND_CLIENT_ID")
    return (
        f"{' and '.join(missing)} not set, but the app is shared: "
        "nobody can sign in, so nobody can correct tags or publish."
    )


def _hopsworks(settings: Settings) -> Finding:
    """Say whether the project opens, and what its key may do. It takes as long as Hopsworks."""
    if not settings.hopsworks_host:
        text = "not set up. Without it tags, media and models are kept in the local workspace."
        return Finding("absent", "Hopsworks", text)
    from core.storage.hopsworks.probe import missing_rights
    from core.storage.hopsworks.workspace import account_from, check_connection

    project = f"{settings.hopsworks_project} at {settings.hopsworks_host}"
    where = f"{project}, folder {settings.hopsworks_folder}"
    status = check_connection(settings)
    if problems := missing_rights(account_from(settings), settings.hopsworks_folder):
        return Finding("broken", "Hopsworks", f"{where}: {' '.join(problems)}")
    waiting = f", {status.waiting} saves wait here to be sent" if status.waiting else ""
    if status.problem:
        return Finding("absent", "Hopsworks", f"{where}: works{waiting}, but {status.problem}")
    if status.warning:
        return Finding("absent", "Hopsworks", f"{where}: works{waiting}, but {status.warning}")
    return Finding("good", "Hopsworks", f"{where}: the key may read, write and delete{waiting}")


def _modal() -> Finding:
    """Say whether there is a token for Modal. It is not tried."""
    without = "Without it jobs run on this machine: python -m jobs tag."
    profile, entries = _modal_profile()
    values = {**entries, **_modal_environment()}
    for names in MODAL_CREDENTIALS:
        present = [name for name in names if values.get(name)]
        if len(present) == len(names):
            text = f"a token is set ({profile}); it was not tried."
            return Finding("good", "Modal", text)
        if present:
            missing = ", ".join(name for name in names if name not in present)
            text = f"half a token is set ({profile}): {missing} is missing. {without}"
            return Finding("broken", "Modal", text)
    return Finding("absent", "Modal", f"no token (`modal token new` makes one). {without}")


def _modal_environment() -> dict[str, str]:
    names = [name for group in MODAL_CREDENTIALS for name in group]
    variables = {name: os.environ.get(f"MODAL_{name.upper()}", "") for name in names}
    return {name: value for name, value in variables.items() if value}


def _modal_profile() -> tuple[str, Mapping[str, object]]:
    """Return where Modal's client looks for a token, and what that says.

    Raises:
        EarmarkError: Modal's configuration cannot be read.
    """
    path = Path(os.environ.get("MODAL_CONFIG_PATH") or Path("~", ".modal.toml"))
    try:
        profiles = tomllib.loads(path.expanduser().read_text("utf-8"))
    except (FileNotFoundError, RuntimeError):  # the latter where a person has no home
        return "environment", {}
    except (OSError, ValueError) as error:
        raise EarmarkError(f"{path} cannot be read: {error}.") from error
    tables = {name: table for name, table in profiles.items() if isinstance(table, dict)}
    active = next(
        (name for name, table in tables.items() if table.get("active") is True), "default"
    )
    name = os.environ.get("MODAL_PROFILE") or active
    return f"profile {name}", tables.get(name, {})
