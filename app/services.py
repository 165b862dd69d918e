"""Objects that all sessions of the server share, each made once."""

import os
from collections.abc import Mapping
from datetime import datetime

import streamlit as st

from app.analysis_queue import AnalysisQueue
from app.drafts import DraftStore
from app.fetcher import Fetcher
from app.job_runner import JobRunner
from app.limits import HourlyLimit
from app.predictor import ActivePredictor, load_active_predictor
from app.queue_sending import QueueSending
from app.temporary_media import TemporaryMedia
from app.upload_watch import UploadWatch
from core import settings as settings_module
from core.curation.opening import Curation, open_curation
from core.errors import EarmarkError
from core.events.fold import SoundState
from core.events.types import ModelRef, ThresholdsSetEvent
from core.freesound.client import FreesoundClient, client_from
from core.freesound.errors import NotSignedIn
from core.freesound.oauth import OAuthClient
from core.freesound.sign_ins import SignIns
from core.model import bundle as bundles
from core.model.bundle import Bundle
from core.pipeline.job_lock import JobLock
from core.publishing.publish_queue import PublishQueues
from core.publishing.standings import Standings
from core.publishing.upload import Publisher
from core.settings import Settings
from core.storage.opening import open_workspace
from core.storage.tag_thresholds import changes_of, thresholds_after
from core.storage.workspace import Workspace

THRESHOLDS_S = 2.0
"""How old the changes of thresholds may be that a page shows; its cards all ask for them."""


@st.cache_resource(show_spinner=False)
def settings() -> Settings:
    """Return the settings.

    Raises:
        SettingsError: A setting cannot be used.
    """
    return settings_module.settings()


def workspace() -> Workspace:
    """Return the workspace, which is kept up to date while pages ask for it.

    Raises:
        StorageError: It cannot be opened.
    """
    opened = _workspace()
    opened.sync.note_use()
    return opened


@st.cache_resource(show_spinner=False)
def _workspace() -> Workspace:
    return open_workspace(settings())


@st.cache_resource(show_spinner=False)
def curation() -> Curation:
    """Return the workspace's reviews, saved views and index of similar sounds."""
    return open_curation(workspace())


def predictor() -> ActivePredictor:
    """Return the active model, or another one while it cannot be fetched.

    Raises:
        BundleError: The model cannot be loaded.
    """
    return load_active_predictor(workspace(), allow_fallback=True)


def vocabulary(model: ModelRef) -> tuple[str, ...]:
    """Return the tags of a model version, by index; empty if it cannot be had."""
    try:
        return _vocabulary(model)
    except EarmarkError:
        return ()


@st.cache_resource(
    show_spinner=False, max_entries=20, hash_funcs={ModelRef: ModelRef.model_dump_json}
)
def _vocabulary(model: ModelRef) -> tuple[str, ...]:
    return bundles.load(workspace().models.fetch(model)).vocabulary


def thresholds_by_tag(bundle: Bundle) -> Mapping[str, float]:
    """Return from which probability a bundle suggests each tag."""
    return dict(zip(bundle.vocabulary, bundle.calibration.threshold.tolist(), strict=True))


def thresholds(model: ModelRef, at: datetime | None = None) -> Mapping[str, float]:
    """Return from which probability a model version suggests each tag; empty if it is not known.

    Args:
        model: The version.
        at: The time of a prediction, whose thresholds are asked for; by default today's.
    """
    try:
        own = _thresholds(model)
        changes = [each for each in _threshold_changes(model) if at is None or each.time < at]
        changed = thresholds_after(changes)
        return {**own, **{tag: changed[tag] for tag in changed if tag in own}} if changed else own
    except EarmarkError:
        return {}


def thresholds_of(sound: SoundState) -> Mapping[str, float]:
    """Return the thresholds that a sound's latest prediction was made with."""
    if sound.prediction is None:
        return {}
    return thresholds(sound.prediction.payload.model, sound.prediction.time)


@st.cache_resource(
    show_spinner=False, max_entries=20, hash_funcs={ModelRef: ModelRef.model_dump_json}
)
def _thresholds(model: ModelRef) -> Mapping[str, float]:
    return thresholds_by_tag(bundles.load(workspace().models.fetch(model)))


@st.cache_resource(
    show_spinner=False,
    ttl=THRESHOLDS_S,
    max_entries=20,
    hash_funcs={ModelRef: ModelRef.model_dump_json},
)
def _threshold_changes(model: ModelRef) -> tuple[ThresholdsSetEvent, ...]:
    return tuple(changes_of(workspace(), model))


@st.cache_resource(show_spinner=False)
def freesound() -> FreesoundClient | None:
    """Return the Freesound client, if there is a key."""
    return client_from(settings()) if settings().freesound_api_key else None


@st.cache_resource(show_spinner=False)
def sign_ins() -> SignIns | None:
    """Return the store of sign-ins, if signing in is set up."""
    client = freesound()
    if client is None or not settings().can_sign_in:
        return None
    client_id, api = settings().freesound_client_id, settings().freesound_api
    oauth = OAuthClient(client_id, client.api_key, api)
    path, roles_of = settings().workspace_folder / "people.sqlite", settings().roles_of
    return SignIns(path, oauth, client, roles_of=roles_of)


def can_publish() -> bool:
    """Return True if signing in and publishing are set up.

    False also where the settings cannot be read; the page shows why.
    """
    try:
        return sign_ins() is not None
    except EarmarkError:
        return False


@st.cache_resource(show_spinner=False)
def publisher() -> Publisher:
    """Return the publisher.

    Raises:
        NotSignedIn: Publishing is not set up.
    """
    client = freesound()
    if client is None:
        raise NotSignedIn("Publishing is not set up on this server.")
    return Publisher(settings().workspace_folder / "publications", client, workspace())


@st.cache_resource(show_spinner=False)
def upload_watch() -> UploadWatch:
    """Return what looks up people's uploads at Freesound.

    Raises:
        NotSignedIn: Publishing is not set up.
    """
    publish, client = publisher(), freesound()
    if client is None:
        raise NotSignedIn("Publishing is not set up on this server.")
    standings = Standings(settings().workspace_folder / "publications", client, workspace())
    return UploadWatch(publish, standings, client, workspace())


@st.cache_resource(show_spinner=False)
def publish_queues() -> PublishQueues:
    """Return the sounds that people publish one after the other."""
    return PublishQueues(settings().workspace_folder / "publications" / "queues")


@st.cache_resource(show_spinner=False)
def queue_sending() -> QueueSending:
    """Return what runs people's publish queues."""
    return QueueSending(publish_queues())


@st.cache_resource(show_spinner=False)
def drafts() -> DraftStore:
    """Return the drafts of the try page."""
    return DraftStore(settings().workspace_folder / "drafts")


@st.cache_resource(show_spinner=False)
def temporary_media() -> TemporaryMedia:
    """Return the media of clips that are not in the workspace."""
    return TemporaryMedia()


@st.cache_resource(show_spinner=False)
def analysis_queue() -> AnalysisQueue:
    """Return the queue of clips to analyse."""
    return AnalysisQueue(settings().max_analyses or os.cpu_count() or 1)


@st.cache_resource(show_spinner=False)
def hourly_limit() -> HourlyLimit:
    """Return the count of visitors' clips."""
    return HourlyLimit()


@st.cache_resource(show_spinner=False)
def fetcher() -> Fetcher:
    """Return the fetcher of new sounds; what it tags is kept, so it takes no other model."""
    return Fetcher(
        settings(),
        workspace(),
        lambda: load_active_predictor(workspace()),
        analysis_queue(),
        JobLock(settings().workspace_folder),
    )


@st.cache_resource(show_spinner=False)
def job_runner() -> JobRunner:
    """Return what runs jobs for maintainers."""
    return JobRunner(settings(), workspace(), fetcher())
