"""Everything that a session remembers, `st.session_state` with types.

An `Entry` stands for one key; it may be a widget's. Functions make the entries of a sound or clip.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

import streamlit as st

from app.clips import BatchClip, OutgoingSound, Part, TriedClip
from app.drafts import Draft
from app.limits import Refusal
from app.sending import Sending
from core.curation.bulk import BulkPlan, BulkResult
from core.events.fold import SoundState
from core.freesound.oauth import Account
from core.publishing.upload_log import Upload

T = TypeVar("T")


@dataclass(frozen=True)
class Entry(Generic[T]):
    """A key of the session state.

    Attributes:
        key: Its name, which a widget may carry too.
        default: The value where nothing was set.
    """

    key: str
    default: T

    def get(self) -> T:
        """Return the value, or the default."""
        return cast(T, st.session_state.get(self.key, self.default))

    def set(self, value: T) -> None:
        """Change the value. A widget's value can only be changed before it is drawn."""
        st.session_state[self.key] = value

    def pop(self) -> T:
        """Return the value and forget it."""
        return cast(T, st.session_state.pop(self.key, self.default))

    @property
    def exists(self) -> bool:
        """Return True if a value was set, or a widget of that key is on the page."""
        return self.key in st.session_state


@dataclass(frozen=True)
class ListedPage:
    """The page of sounds that the person sees; it stays as it is while they work on it.

    Attributes:
        key: Stands for the filters, the order and the place in the list.
        sound_ids: The sounds on it.
        total: How many match in all, as `core.events.query.Page` says; so are the next three.
        total_is_exact: False where there are at least `total`.
        next: Cursor of the page after it.
        previous: Cursor of the page before it.
        title: What the sounds are, where the filters did not choose them.
    """

    key: str
    sound_ids: tuple[str, ...]
    total: int
    total_is_exact: bool
    next: str | None
    previous: str | None
    title: str = ""


def clear() -> None:
    """Forget everything."""
    st.session_state.clear()


def end_superseded_run() -> None:
    """Let Streamlit end this run of the script where the page was left or is drawn again.

    It does so, by an exception of its own, at any look at the session.
    """
    st.session_state.get(page_path.key)


# Session

page_path = Entry[str]("page-path", "")
session_owner = Entry[int | None]("session-owner", None)
session_ended = Entry[bool]("session-ended", False)
sign_in_requested = Entry[Account | None]("sign-in-requested", None)
logged_errors = Entry[frozenset[tuple[str, str]]]("logged-errors", frozenset())
new_local_name = Entry[str]("new-local-name", "")

# Monitor

sounds_seen = Entry[int | None]("sounds-seen", None)
listed_page = Entry[ListedPage | None]("listed-page", None)


def filter_field(name: str) -> Entry[object]:
    """Return the field of a filter; the page's address decides what is in it."""
    return Entry(f"filter-{name}", None)


bulk_plan = Entry[BulkPlan | None]("bulk-plan", None)
bulk_done = Entry[tuple[int, int]]("bulk-done", (0, 0))
bulk_result = Entry[BulkResult | None]("bulk-result", None)
bulk_undone = Entry[BulkResult | None]("bulk-undone", None)
bulk_problem = Entry[str]("bulk-problem", "")


def bulk_field(name: str) -> Entry[object]:
    """Return a field of the form that edits many sounds."""
    return Entry(f"bulk-{name}", None)


view_name = Entry[str]("view-name", "")
view_shared = Entry[bool]("view-shared", False)
view_problem = Entry[str]("view-problem", "")


def shown_state(sound_id: str) -> Entry[SoundState | None]:
    """Return the state that the person was shown and edits."""
    return Entry(f"shown-{sound_id}", None)


def tag_editor_key(sound_id: str) -> str:
    """Return the key of a sound's tag editor."""
    return f"tags-{sound_id}"


def sound_note(sound_id: str) -> Entry[str]:
    """Return the note below the buttons, as Markdown."""
    return Entry(f"note-{sound_id}", "")


def card_menu(sound_id: str) -> Entry[str | None]:
    """Return the entry of a card's menu that was chosen."""
    return Entry(f"more-{sound_id}", None)


def postponed_action(sound_id: str) -> Entry[Callable[[], None] | None]:
    """Return what the person pressed before they had a name."""
    return Entry(f"postponed-{sound_id}", None)


def asked_name(sound_id: str) -> Entry[str]:
    """Return the field that asks for a name."""
    return Entry(f"asked-name-{sound_id}", "")


def withdrawal_reason(sound_id: str) -> Entry[str]:
    """Return the field for the reason of a withdrawal."""
    return Entry(f"reason-{sound_id}", "")


# Review mode


@dataclass(frozen=True)
class DeskQueue:
    """The sounds of a view when review mode was opened: it does not move as they are reviewed.

    Attributes:
        key: Of the view.
        refresh: How often the person has asked for a new queue.
        sound_ids: In order.
        blind: Those of them that are shown without decisions, for a second opinion.
        began: When the person began, in seconds since 1970.
        done: Sounds that they have reviewed since then and that are not in the queue any more.
    """

    key: str
    refresh: int
    sound_ids: tuple[str, ...]
    blind: frozenset[str] = frozenset()
    began: int = 0
    done: int = 0


desk_queue = Entry[DeskQueue | None]("desk-queue", None)
desk_answers = Entry[Mapping[str, dict[str, object]]]("desk-answers", {})

# Fetch

fetch_seen = Entry[int | None]("fetch-seen", None)
fetch_watched = Entry[bool]("fetch-watched", False)
fetch_note = Entry[str]("fetch-note", "")

# Model metrics

metrics_view = Entry[str]("metrics-view", "")
metrics_version = Entry[str]("metrics-version", "")
metrics_compared = Entry[str | None]("metrics-compared", None)
metrics_precision = Entry[str]("metrics-precision", "")
metrics_played = Entry[str]("metrics-played", "")
threshold_precision = Entry[float]("threshold-precision", 0.9)
threshold_note = Entry[str]("threshold-note", "")

# Jobs

job_note = Entry[str]("job-note", "")
jobs_seen_running = Entry[frozenset[str]]("jobs-seen-running", frozenset())
job_seen = Entry[int]("job-seen", 0)
job_kind_filter = Entry[str | None]("job-kind", None)
job_state_filter = Entry[str | None]("job-state", None)
jobs_page = Entry[int]("jobs-page", 0)

# Deploy

version_choice = Entry[str]("version-choice", "")
deploy_reason = Entry[str]("deploy-reason", "")
deploy_note = Entry[str]("deploy-note", "")

# Try your sound

upload = Entry[object]("upload", None)
recording = Entry[object]("recording", None)
example = Entry[str | None]("example", None)
last_input = Entry[str]("last-input", "")
tried_clips = Entry[Mapping[str, TriedClip]]("tried-clips", {})
refused_clips = Entry[Mapping[str, Refusal]]("refused-clips", {})
begun_draft = Entry[Draft | None]("begun-draft", None)
saved_draft = Entry[tuple[str, Draft] | None]("saved-draft", None)


def clip_editor_key(clip_key: str) -> str:
    """Return the key of a clip's tag editor."""
    return f"try-tags-{clip_key}"


def clip_player_key(clip_key: str) -> str:
    """Return the key of a clip's player."""
    return f"try-{clip_key}"


# Publish


def publish_field(clip_key: str, field: str) -> Entry[str | None]:
    """Return a field of a clip's form."""
    return Entry(f"publish-{field}-{clip_key}", None)


def publish_explicit(clip_key: str) -> Entry[bool]:
    """Return the form's mark of explicit content."""
    return Entry(f"publish-explicit-{clip_key}", False)


def publish_typed(clip_key: str) -> Entry[Mapping[str, object]]:
    """Return what was typed: Streamlit forgets fields that are not on the page."""
    return Entry(f"publish-typed-{clip_key}", {})


def outgoing_part(clip_key: str) -> Entry[tuple[Part, OutgoingSound] | None]:
    """Return the part that was cut last."""
    return Entry(f"publish-part-{clip_key}", None)


def sending(clip_key: str) -> Entry[Sending | None]:
    """Return the publication under way."""
    return Entry(f"sending-{clip_key}", None)


def last_upload(clip_key: str) -> Entry[Upload | None]:
    """Return the outcome of the last publication."""
    return Entry(f"last-upload-{clip_key}", None)


def publish_error(clip_key: str) -> Entry[str]:
    """Return why the last publication was not sent."""
    return Entry(f"publish-error-{clip_key}", "")


# Batch

batch_files = Entry[object]("batch-files", None)
batch_keys = Entry[Mapping[str, str]]("batch-keys", {})
batch_clips = Entry[Mapping[str, BatchClip]]("batch-clips", {})
batch_table = Entry[tuple[str, list[dict[str, object]]] | None]("batch-table", None)
batch_edits = Entry[Mapping[BatchClip, dict[str, object]]]("batch-edits", {})
batch_license = Entry[str | None]("batch-license", None)
batch_pack = Entry[str]("batch-pack", "")
batch_played = Entry[str]("batch-played", "")
batch_play_now = Entry[bool]("batch-play-now", False)
batch_description = Entry[str]("batch-description", "")

# Your uploads

refresh_asked_for = Entry[bool]("refresh-asked-for", False)
