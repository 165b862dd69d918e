"""Taking turns to register one and the same bundle, so that two first starts register it once.

A machine puts a file of its own into a folder that is named for the bundle. The first
one there registers, the others wait for it. The file of a machine that died counts for a minute, to
that machine itself not at all.
"""

import logging
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

from core.model.bundle import Bundle
from core.storage.hopsworks.client import Project
from core.storage.hopsworks.clock import server_clock
from core.storage.hopsworks.errors import HopsworksError, NotFound
from core.storage.hopsworks.shared_folder import SharedFolder

logger = logging.getLogger(__name__)

MAX_TURN = timedelta(minutes=1)
"""A registration takes some seconds. Where it takes longer, two versions do no harm."""
MACHINE_NOTE = "machine"
POLL_INTERVAL_S = 1.0


@contextmanager
def turn_to_register(shared: SharedFolder, project: Project, bundle: Bundle) -> Iterator[None]:
    """Wait for the machines that began to register the same bundle earlier.

    Args:
        shared: The shared folder.
        project: The connection.
        bundle: The bundle; when the turn has come, another machine may have registered it.

    Raises:
        HopsworksError: The shared folder cannot be read or written.
    """
    folder, machine = f"registering/{bundle.name}/{bundle.fingerprint}", _machine(shared)
    name = f"{machine}_{uuid.uuid4().hex}"
    path = shared.path(f"{folder}/{name}")
    project.create_file(path, b"registering\n")
    try:
        while _someone_is_before(shared, project, folder, name):
            logger.info("wait for registration model=%s", bundle.name)
            time.sleep(POLL_INTERVAL_S)
        yield
    finally:
        with suppress(HopsworksError):  # it counts for a minute only
            project.remove(path)


def _machine(shared: SharedFolder) -> str:
    """Return what this machine's folder calls itself, chosen when it is first needed."""
    machine = shared.state.read_note(MACHINE_NOTE)
    if not machine:
        machine = uuid.uuid4().hex[:16]
        with shared.database.writing() as connection:
            shared.state.write_note(connection, MACHINE_NOTE, machine)
    return machine


def _someone_is_before(shared: SharedFolder, project: Project, folder: str, name: str) -> bool:
    """Return True while a machine that came earlier has its turn."""
    names = shared.list_names(project, folder)  # in the order in which they came
    before = names[: names.index(name)] if name in names else []
    machine = name.partition("_")[0]
    others = [each for each in before if not each.startswith(machine)]
    return any(_is_alive(shared, project, f"{folder}/{each}") for each in others)


def _is_alive(shared: SharedFolder, project: Project, relative: str) -> bool:
    """Return True for a file that was put there lately."""
    try:
        stored = project.stored_at(shared.path(relative))
    except NotFound:
        return False
    return stored is not None and server_clock.now() - stored < MAX_TURN
