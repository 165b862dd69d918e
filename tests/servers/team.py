"""Both doubles together: Freesound to fetch from and to sign in with, Hopsworks as the shared home.

`python -m tests.servers.team make run` starts the whole app on them; sign in as alice (password alice), who is curator and maintainer.
"""

import argparse
import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.servers.freesound import CALLBACK, FreesoundServer, demo
from tests.servers.hopsworks import HopsworksServer

EXAMPLES = Path(__file__).parents[2] / "examples" / "sounds"


@contextlib.contextmanager
def team(callback: str = CALLBACK) -> Iterator[tuple[FreesoundServer, HopsworksServer, dict[str, str]]]:
    """The two servers, and the settings of an app that works on them; Freesound sends people back to `callback`."""
    with FreesoundServer() as freesound, HopsworksServer() as hopsworks:
        client = demo(freesound, EXAMPLES, callback)
        alice = str(freesound.state.users["alice"].id)
        yield (
            freesound,
            hopsworks,
            {
                "FREESOUND_API_KEY": client.client_secret,
                "EARMARK_FREESOUND_CLIENT_ID": client.client_id,
                "EARMARK_FREESOUND_API": f"{freesound.url}/apiv2",
                "EARMARK_PREVIEW_HOSTS": "127.0.0.1",
                "EARMARK_CURATORS": alice,
                "EARMARK_MAINTAINERS": alice,
                "EARMARK_HOPSWORKS_HOST": hopsworks.host,
                "EARMARK_HOPSWORKS_PORT": str(hopsworks.port),
                "EARMARK_HOPSWORKS_PROJECT": hopsworks.project,
                "EARMARK_HOPSWORKS_API_KEY": hopsworks.key,
                "EARMARK_HOPSWORKS_CERTIFICATE": str(hopsworks.certificate),
            },
        )


def main() -> None:
    parser = argparse.ArgumentParser(description="Run a command, such as `make run`, on local doubles of Freesound and Hopsworks.")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    given = parser.parse_args()
    with team() as (_, _, settings), contextlib.suppress(KeyboardInterrupt):
        sys.exit(subprocess.run(given.command or ["make", "run"], env=os.environ | settings).returncode)


if __name__ == "__main__":
    main()
