"""A workspace in one folder of this machine.

index.sqlite     events and what is derived from them, runs, known files
media/           sounds to play and spectrograms, named by their content
sidecars/        activations and embedding by model version and sound
models/          versions of bundles
"""

import os
from dataclasses import dataclass
from pathlib import Path

from core.events.sounds import SoundIndex
from core.events.store import EventStore
from core.sqlite import Database
from core.storage.errors import StorageError
from core.storage.file_ids import FileIds
from core.storage.folder import DATABASE_NAME
from core.storage.media import LocalMedia
from core.storage.models import LocalModels
from core.storage.notices import LocalNotices
from core.storage.purges import Purges
from core.storage.runs import LocalRuns
from core.storage.sidecars import LocalSidecars
from core.storage.sync import NoSync
from core.storage.workspace import Workspace

OTHER_FOLDER = "EARMARK_WORKSPACE names another folder."


@dataclass(frozen=True)
class LocalStores:
    """The stores of one folder, before they are put together to a workspace."""

    folder: Path
    database: Database
    events: EventStore
    sounds: SoundIndex
    media: LocalMedia
    sidecars: LocalSidecars
    models: LocalModels
    runs: LocalRuns
    notices: LocalNotices
    file_ids: FileIds
    purges: Purges


def open_local_workspace(folder: Path) -> Workspace:
    """Open the workspace in `folder`, which is created where there is none.

    Raises:
        StorageError: The folder cannot be written.
        DatabaseError: Its database cannot be used.
    """
    return local_workspace(open_stores(folder))


def local_workspace(stores: LocalStores) -> Workspace:
    """Put the stores of one folder together to a workspace that is not shared."""
    return Workspace(
        folder=stores.folder,
        events=stores.events,
        sounds=stores.sounds,
        media=stores.media,
        sidecars=stores.sidecars,
        models=stores.models,
        runs=stores.runs,
        notices=stores.notices,
        file_ids=stores.file_ids,
        purges=stores.purges,
        purge_scope="local",
        sync=NoSync(),
    )


def open_stores(folder: Path) -> LocalStores:
    """Open the stores in `folder`, which is created where there is none.

    Raises:
        StorageError: The folder cannot be written.
        DatabaseError: Its database cannot be used.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = f"The workspace {folder} cannot be created: {error.strerror}. {OTHER_FOLDER}"
        raise StorageError(reason) from error
    if not os.access(folder, os.W_OK):
        raise StorageError(f"The workspace {folder} cannot be written. {OTHER_FOLDER}")
    database = Database(folder / DATABASE_NAME)
    return LocalStores(
        folder=folder,
        database=database,
        events=EventStore(database),
        sounds=SoundIndex(database),
        media=LocalMedia(folder),
        sidecars=LocalSidecars(folder),
        models=LocalModels(folder),
        runs=LocalRuns(database),
        notices=LocalNotices(database),
        file_ids=FileIds(database),
        purges=Purges(database),
    )
