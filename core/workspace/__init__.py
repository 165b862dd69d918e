"""Where events, media and models are kept. One interface; the local home is the default."""

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from core.errors import EarmarkError
from core.id2prediction import Event, ModelRef, SoundState

if TYPE_CHECKING:
    import numpy as np

    from core.model.bundle import Bundle
    from core.settings import Settings


class WorkspaceError(EarmarkError):
    """The workspace cannot do what was asked."""


class NoSuchModel(WorkspaceError):
    """The workspace keeps no such version of a model."""


BEST_BY = "pr_auc_macro"
Show = Literal["all", "to review", "reviewed"]


@dataclass(frozen=True)
class Query:
    """Which sounds to show: reviewed or not, and only those that carry `tag` today."""

    show: Show = "all"
    tag: str | None = None


@dataclass(frozen=True)
class Page:
    """One page of sounds, newest first, and how many there are in `total`."""

    sounds: tuple[SoundState, ...]
    total: int


@dataclass(frozen=True)
class Counts:
    """Sounds in view, and how many of them a person has reviewed."""

    sounds: int
    reviewed: int


@dataclass(frozen=True)
class Run:
    """One run of the tagging job. `state` is running, finished, interrupted or failed; `skipped` pairs a name with a reason;
    `note` says why it ended before its time."""

    run_id: str
    started: str
    source: str
    model: ModelRef
    actor: str
    state: str = "running"
    finished: str = ""
    seconds: float = 0.0
    tagged: int = 0
    known: int = 0
    skipped: tuple[tuple[str, str], ...] = field(default=())
    note: str = ""


@dataclass(frozen=True)
class Sharing:
    """How a workspace stands with its shared home.

    `waiting` saves are kept on this machine alone; all others are *saved*. `last_contact`: when the shared home was last read
    completely, UTC, empty if never. `problem`: one sentence on why it is not up to date; `warning`: what should be set up differently.
    """

    waiting: int
    last_contact: str = ""
    problem: str = ""
    warning: str = ""


class Workspace(Protocol):
    """What the app and the jobs ask of a workspace; every method may be called from any thread."""

    posted: threading.Event
    """Set whenever something was put into the outbox of a shared workspace."""

    def append(self, events: Iterable[Event], *, once_per_model: bool = False) -> int:
        """Add events that are not there yet, all or none, and return how many were new.

        With `once_per_model`, a sound that a model version has predicted already gets no second prediction by it.
        """

    def events(self, sound_id: str) -> list[Event]:
        """A sound's whole history, oldest first; empty if it is unknown."""

    def log(self) -> Iterator[Event]:
        """Every event, in the order in which they were added."""

    def sound(self, sound_id: str) -> SoundState | None:
        """A sound today, or None if it is unknown."""

    def page(self, query: Query, number: int, size: int) -> Page:
        """Page `number` (from 1) of the sounds in view, newest arrival first."""

    def states(self) -> Iterator[SoundState]:
        """Every sound today."""

    def counts(self) -> Counts:
        """How many sounds are in view."""

    def peoples_tags(self) -> list[str]:
        """Tags that people have added anywhere, sorted."""

    def tags_in_use(self) -> list[tuple[str, int]]:
        """Today's tags over all sounds in view with how many sounds carry each, most frequent first."""

    def verdicts(self) -> dict[str, dict[str, int]]:
        """Per tag, how many decisions that count today kept, removed and added it."""

    def known(self, sound_ids: Sequence[str], model: ModelRef | None = None) -> set[str]:
        """Which of these sounds need no tagging: withdrawn, or predicted already (by `model`, where given)."""

    def remember_file(self, path: str, size: int, modified_ns: int, sound_id: str) -> None:
        """Keep a file's sound id, so that an unchanged file need not be read again."""

    def file_id(self, path: str, size: int, modified_ns: int) -> str | None:
        """The remembered sound id of an unchanged file."""

    def put_media(self, data: bytes, suffix: str) -> str:
        """Keep bytes under the name of their content, which is returned."""

    def media_path(self, name: str) -> Path | None:
        """The file of that name, or None."""

    def purge(self, sound_id: str) -> int:
        """Delete a withdrawn sound's media and sidecars; returns how many files went. What another sound shows stays."""

    def put_sidecar(self, sound_id: str, model: ModelRef, arrays: "Mapping[str, np.ndarray]") -> None:
        """Keep a tagging's arrays (half precision) beside the media."""

    def sidecar(self, sound_id: str, model: ModelRef) -> "dict[str, np.ndarray] | None":
        """Those arrays, or None."""

    def push(self, bundle: "Bundle") -> ModelRef:
        """Keep a bundle as the next version of its name; one that is there already keeps its version."""

    def pull(self, model: ModelRef) -> Path:
        """The folder of a kept bundle. Raises `WorkspaceError` if there is none."""

    def copy_of(self, model: ModelRef) -> Path | None:
        """The folder of a bundle that `pull` would give without asking anybody, or None."""

    def find_model(self, name: str, version: int | Literal["best", "latest"], metric: str = BEST_BY) -> ModelRef:
        """A kept version of a model: that one, the newest, or the one with the highest `metric` of its overall scores.

        Raises `NoSuchModel` if there is none.
        """

    def rolled_out(self) -> Event | None:
        """The latest rolled_out event: which model is in force, since when and why."""

    def rollouts(self) -> list[Event]:
        """Every rolled_out event, newest first."""

    def record_run(self, run: Run) -> None:
        """Keep or update the record of a run."""

    def runs(self, most: int = 10) -> list[Run]:
        """The latest runs, newest first."""

    def sharing(self) -> Sharing | None:
        """How this workspace stands with its shared home; None where it is its own home, and everything kept is saved."""

    def waiting(self, event_ids: Iterable[str]) -> set[str]:
        """Which of these events are not in the shared home yet."""

    def flush(self) -> int:
        """Send what waits to the shared home; returns how much was sent. Raises `WorkspaceError`, and what is left goes on waiting."""

    def mirror(self) -> int:
        """Take over what is new in the shared home; returns how many events were. Raises `WorkspaceError`."""

    def settle(self) -> None:
        """Return when everything that was kept so far is in the shared home. Raises `WorkspaceError` if it cannot get there."""

    def upkeep(self, keep_runs: int) -> None:
        """What a scheduled job does after its work: media of all but the last `keep_runs` runs go, unless somebody decided about the sound;
        the log is gathered in segments; derived files are published. Raises `WorkspaceError`."""


def open_workspace(settings: "Settings") -> Workspace:
    """The workspace that the settings name. Raises `WorkspaceError`."""
    if settings.hopsworks_host:
        return _hopsworks(settings)
    from core.workspace.local import LocalWorkspace

    return LocalWorkspace(settings.workspace_folder)


def _hopsworks(settings: "Settings") -> Workspace:
    from core.workspace.hopsworks import HopsworksWorkspace, account_of

    return HopsworksWorkspace(settings.workspace_folder, account_of(settings), settings.hopsworks_folder, settings.hopsworks_seed)
