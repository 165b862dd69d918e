"""The workspace of a team: this machine's stores, synced with a folder of a Hopsworks project."""

from pathlib import Path

from core.settings import Settings
from core.storage.errors import StorageError
from core.storage.folder import has_workspace
from core.storage.hopsworks.client import Account, connect
from core.storage.hopsworks.ephemeral import ephemeral_warning
from core.storage.hopsworks.events import SharedEvents
from core.storage.hopsworks.media import SharedFiles, SharedMedia, SharedSidecars
from core.storage.hopsworks.models import SharedModels
from core.storage.hopsworks.notices import SharedNotices
from core.storage.hopsworks.runs import SharedRuns
from core.storage.hopsworks.shared_folder import SharedFolder
from core.storage.hopsworks.sync import HopsworksSync
from core.storage.local import open_stores
from core.storage.sync import SyncStatus
from core.storage.workspace import Workspace


def open_shared_workspace(
    folder: Path,
    account: Account,
    shared_folder: str = "Resources/earmark",
    prototype_file: str = "",
) -> Workspace:
    """Open a shared workspace. Hopsworks is not asked yet.

    Args:
        folder: This machine's part of it.
        account: The Hopsworks project.
        shared_folder: The folder in the project.
        prototype_file: Path in the project of an id2prediction.json that is imported at the first
            run of a job.

    Raises:
        StorageError: The folder cannot be written, or holds another workspace.
        DatabaseError: Its database cannot be used.
    """
    stores = open_stores(folder)
    shared = SharedFolder(
        *(stores.database, folder, account, shared_folder),
        has_events=lambda: next(stores.events.all(), None) is not None,
    )
    files = SharedFiles(shared)
    sync = HopsworksSync(shared, stores, files, prototype_file)
    return Workspace(
        folder=folder,
        events=SharedEvents(stores.events, shared, sync),
        sounds=stores.sounds,
        media=SharedMedia(stores.media, files),
        sidecars=SharedSidecars(stores.sidecars, files),
        models=SharedModels(shared),
        runs=SharedRuns(stores.runs, shared, files),
        notices=SharedNotices(stores.notices, shared),
        file_ids=stores.file_ids,
        purges=stores.purges,
        purge_scope="shared",
        sync=sync,
    )


def account_from(settings: Settings) -> Account:
    """Return the account that the settings name.

    Raises:
        StorageError: A setting is missing.
    """
    if not settings.hopsworks_project or settings.hopsworks_api_key is None:
        raise StorageError(
            "EARMARK_HOPSWORKS_HOST is set, but EARMARK_HOPSWORKS_PROJECT or "
            "EARMARK_HOPSWORKS_API_KEY is not."
        )
    return Account(
        host=settings.hopsworks_host,
        project=settings.hopsworks_project,
        api_key=settings.hopsworks_api_key,
        port=settings.hopsworks_port,
        certificate=settings.hopsworks_certificate,
        verify=settings.hopsworks_verify,
    )


def check_connection(settings: Settings) -> SyncStatus:
    """Open the project and look at it without changing anything there or here.

    Raises:
        StorageError: The project cannot be opened; the error says why.
    """
    account = account_from(settings)
    connect(account).list_names(settings.hopsworks_folder.split("/")[0])
    folder = settings.workspace_folder
    if has_workspace(folder):
        status = open_shared_workspace(folder, account, settings.hopsworks_folder).sync.status()
        if status is not None:
            return status
    return SyncStatus(0, warning=ephemeral_warning(folder))
