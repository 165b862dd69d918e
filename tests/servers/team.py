"""Both doubles together: Freesound to fetch from and to sign in with, Hopsworks to share with."""

import contextlib
from collections.abc import Iterator

from tests.servers.demo import (
    CALLBACK,
    EXAMPLES,
    PEOPLE,
    add_demo_data,
    freesound_settings,
    hopsworks_settings,
)
from tests.servers.freesound import FreesoundServer
from tests.servers.hopsworks import HopsworksServer


@contextlib.contextmanager
def team(
    callback: str = CALLBACK,
) -> Iterator[tuple[FreesoundServer, HopsworksServer, dict[str, str]]]:
    """Run both servers.

    Args:
        callback: Where Freesound sends people back to.

    Yields:
        The servers, and the settings of an app that works on them, in which alice is curator and
        maintainer.
    """
    with FreesoundServer() as freesound, HopsworksServer() as hopsworks:
        client = add_demo_data(freesound, callback)
        owner = str(freesound.state.users[PEOPLE[0]].id)
        settings = freesound_settings(freesound, client) | hopsworks_settings(hopsworks)
        settings |= {"EARMARK_CURATORS": owner, "EARMARK_MAINTAINERS": owner}
        settings["EARMARK_SOUNDS"] = str(EXAMPLES)
        yield freesound, hopsworks, settings
