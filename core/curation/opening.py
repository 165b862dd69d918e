"""What curation keeps beside a workspace's own stores, opened together."""

from dataclasses import dataclass

from core.curation.reviews import ReviewLog
from core.curation.saved_views import SavedViews
from core.curation.similar import SimilarSounds
from core.sqlite import Database
from core.storage.folder import DATABASE_NAME
from core.storage.workspace import Workspace


@dataclass(frozen=True)
class Curation:
    """The stores of curation in one workspace; they may be called from any thread.

    Attributes:
        reviews: Who reviewed what and when.
        views: Choices of sounds by name.
        similar: Sounds that are alike.
    """

    reviews: ReviewLog
    views: SavedViews
    similar: SimilarSounds


def open_curation(workspace: Workspace) -> Curation:
    """Open the stores of curation in a workspace; a first time, its reviews are read once.

    Raises:
        DatabaseError: The workspace's database cannot be used.
    """
    database = Database(workspace.folder / DATABASE_NAME, create=False)
    return Curation(
        reviews=ReviewLog(database),
        views=SavedViews(database),
        similar=SimilarSounds(workspace.folder, database, workspace.sounds),
    )
