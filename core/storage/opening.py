"""Opening the workspace that the settings name."""

from core.settings import Settings
from core.storage.local import open_local_workspace
from core.storage.workspace import Workspace


def open_workspace(settings: Settings) -> Workspace:
    """Open the workspace that the settings name.

    Raises:
        StorageError: Its folder cannot be used, or Hopsworks is not completely set up.
        DatabaseError: Its database cannot be used.
    """
    if not settings.hopsworks_host:
        return open_local_workspace(settings.workspace_folder)
    from core.storage.hopsworks.workspace import account_from, open_shared_workspace

    return open_shared_workspace(
        settings.workspace_folder,
        account_from(settings),
        settings.hopsworks_folder,
        settings.hopsworks_prototype_file,
    )
