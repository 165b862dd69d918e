"""A local double of freesound.org's APIv2, real HTTP on loopback, true to what was measured of it.

In tests: `with FreesoundServer() as server:`. By itself: `python -m tests.servers freesound`.
Built on the standard library, so that a connection can be dropped, cut short or slowed down.
"""

from tests.servers.freesound.bulk import BadBulkFile, check_bulk_file
from tests.servers.freesound.log import Logged
from tests.servers.freesound.oauth import redirect_allowed
from tests.servers.freesound.rules import CATEGORIES, LICENSES, UPLOAD_LICENSES, clean_tags
from tests.servers.freesound.server import FreesoundServer
from tests.servers.freesound.state import Client, Sound, State, Token, User

__all__ = [
    "CATEGORIES",
    "LICENSES",
    "UPLOAD_LICENSES",
    "BadBulkFile",
    "Client",
    "FreesoundServer",
    "Logged",
    "Sound",
    "State",
    "Token",
    "User",
    "check_bulk_file",
    "clean_tags",
    "redirect_allowed",
]
