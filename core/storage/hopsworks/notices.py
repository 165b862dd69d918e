"""Which notifications a team's machines have sent."""

import hashlib
import json
import logging
import os

from core.storage.errors import StorageError
from core.storage.hopsworks.errors import PartialUpload
from core.storage.hopsworks.shared_folder import SharedFolder
from core.storage.notices import LocalNotices

logger = logging.getLogger(__name__)


class SharedNotices:
    """Claims of one machine among others: a file that only the first can create.

    While the shared folder cannot be reached, each machine decides for itself: better told twice
    than not at all.
    """

    def __init__(self, local: LocalNotices, shared: SharedFolder) -> None:
        self._local, self._shared = local, shared

    def claim(self, occasion: str, key: str) -> bool:
        """Return True, once, to whoever may tell of an occurrence.

        Raises:
            DatabaseError: The claim could not be written on this machine.
        """
        if not self._local.claim(occasion, key):
            return False
        claim = {"occasion": occasion, "key": key, "by": os.urandom(8).hex()}
        try:
            path = self._shared.path(_path(occasion, key))
            self._shared.project().create_file(path, json.dumps(claim).encode())
        except PartialUpload:  # another machine's claim is there
            return False
        except StorageError as error:
            logger.warning("notice not shared occasion=%s reason=%s", occasion, error)
        return True

    def release(self, occasion: str, key: str) -> None:
        """Give a claim back: nobody could be told.

        Raises:
            DatabaseError: It could not be written on this machine.
        """
        self._local.release(occasion, key)
        try:
            self._shared.project().remove(self._shared.path(_path(occasion, key)))
        except StorageError as error:
            logger.warning("notice not released occasion=%s reason=%s", occasion, error)


def _path(occasion: str, key: str) -> str:
    """Return the claim's file; its name shows nothing of the key."""
    return f"notices/{occasion}_{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"
