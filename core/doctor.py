"""What is configured, what is missing, and what works without it."""

import importlib.metadata
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from core.errors import EarmarkError
from core.freesound.client import API
from core.settings import ROOT, Settings, read_settings, unknown_settings

Health = Literal["good", "absent", "broken"]
_MARKS = {"good": ("ok", "green"), "absent": ("--", "yellow"), "broken": ("!!", "red")}


@dataclass(frozen=True)
class Finding:
    """One line of the report. `absent` is something optional that is not set up."""

    health: Health
    subject: str
    text: str

    @property
    def mark(self) -> str:
        return _MARKS[self.health][0]

    @property
    def style(self) -> str:
        return _MARKS[self.health][1]

    @property
    def broken(self) -> bool:
        return self.health == "broken"


def examine() -> list[Finding]:
    """Look at everything that Earmark rests on. Never raises; nothing is changed and no secret is shown."""
    findings = [_python(), _packages(), *_attempt("Model", _model)]
    try:
        settings = read_settings()
    except EarmarkError as error:
        return [*findings, Finding("broken", "Settings", str(error))]
    findings += _misspelt()
    findings += _attempt("Sounds", lambda: _sounds(settings))
    findings += _attempt("Workspace", lambda: _workspace(settings))
    findings += [_freesound(settings), *_attempt("Hopsworks", lambda: _hopsworks(settings)), _modal()]
    return findings


def _attempt(subject: str, look: Callable[[], Finding]) -> list[Finding]:
    try:
        return [look()]
    except EarmarkError as error:
        return [Finding("broken", subject, str(error))]


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding("good" if sys.version_info >= (3, 11) else "broken", "Python", f"{version} (3.11 or newer is needed)")


def _packages() -> Finding:
    wrong = [f"{name} {found or 'missing'} instead of {pin}" for name, pin, found in _pins() if found != pin]
    if wrong:
        return Finding("broken", "Packages", f"{', '.join(wrong)}; `make run` installs what requirements.txt says.")
    return Finding("good", "Packages", "as pinned in requirements.txt")


def _pins() -> Iterator[tuple[str, str, str | None]]:
    for line in (ROOT / "requirements.txt").read_text("utf-8").splitlines():
        name, separator, pin = line.partition("==")
        if separator and not line.startswith("#"):
            try:
                found: str | None = importlib.metadata.version(name.strip()).split("+")[0]
            except importlib.metadata.PackageNotFoundError:
                found = None
            yield name.strip(), pin.strip(), found


def _model() -> Finding:
    from core.model import bundle

    starter = bundle.load()
    starter.network()
    scores = starter.metrics["overall"]
    return Finding(
        "good", "Model", f"{starter.name} ({starter.architecture}), {len(starter.vocabulary)} tags, "
        f"PR-AUC {scores.get('pr_auc_macro') or 0:.3f} macro on its test recordings",
    )  # fmt: skip


def _misspelt() -> list[Finding]:
    return [Finding("broken", "Settings", f"{name} is no setting of Earmark; is it misspelt?") for name in unknown_settings()]


def _sounds(settings: Settings) -> Finding:
    from core.sources import FolderSource

    files = FolderSource(settings.sounds_folder).files()
    what = "" if settings.sounds else "example sounds; EARMARK_SOUNDS names another folder: "
    return Finding("good" if files else "absent", "Sounds", f"{len(files)} audio files ({what}{_short(settings.sounds_folder)})")


def _workspace(settings: Settings) -> Finding:
    from core.workspace import open_workspace

    folder = settings.workspace_folder
    if not (folder / "index.sqlite").exists():
        return Finding("absent", "Workspace", f"none yet in {_short(folder)}; `make run` makes it.")
    workspace = open_workspace(settings)
    counts, current = workspace.counts(), workspace.rolled_out()
    model = f", model in force: {current.payload.model}" if current else ""
    return Finding("good", "Workspace", f"{counts.sounds} sounds, {counts.reviewed} reviewed in {_short(folder)}{model}")


def _short(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def _freesound(settings: Settings) -> Finding:
    """What the credential is good for. Nothing is asked of Freesound: that would cost a request."""
    if not (settings.freesound_api_key or settings.freesound_jobs_key):
        return Finding("absent", "Freesound", "no FREESOUND_API_KEY. Without it sounds come from the folder; everything else works.")
    who = "a key is set" if settings.freesound_api_key else "only the jobs' own key is set"
    own = ", and one of the jobs' own" if settings.freesound_api_key and settings.freesound_jobs_key else ""
    signing = "the client id too: people can sign in" if settings.can_sign_in else "no EARMARK_FREESOUND_CLIENT_ID: nobody can sign in"
    elsewhere = "" if settings.freesound_api == API else f" (API: {settings.freesound_api})"
    return Finding("good", "Freesound", f"{who}{own}: new sounds can be read; {signing}{elsewhere}. The key was not tried.")


def _hopsworks(settings: Settings) -> Finding:
    """Whether the project opens; it is only looked at. An answer takes as long as Hopsworks does."""
    if not settings.hopsworks_host:
        return Finding("absent", "Hopsworks", "not set up. Without it tags, media and models are kept in the local workspace.")
    from core.workspace.hopsworks import look_at

    home = f"{settings.hopsworks_project} at {settings.hopsworks_host}, folder {settings.hopsworks_folder}"
    look = look_at(settings)
    waiting = f", {look.waiting} saves wait here to be sent" if look.waiting else ""
    if look.warning:
        return Finding("absent", "Hopsworks", f"{home}: works{waiting}, but {look.warning}")
    return Finding("good", "Hopsworks", f"{home}: the key opens it{waiting}")


def _modal() -> Finding:
    return Finding("absent", "Modal", "not set up. Without it jobs run on this machine: python -m jobs.tagging.")
