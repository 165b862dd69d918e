"""People, an app and sounds for trying Earmark in a browser, and the settings of an app on them."""

from pathlib import Path

from tests.servers.freesound import UPLOAD_LICENSES, Client, FreesoundServer, clean_tags
from tests.servers.freesound.state import DAY_S
from tests.servers.hopsworks import HopsworksServer

CALLBACK = "http://localhost:8501/auth/freesound/callback"
"""Where Freesound sends people back to, of an app that `make run` started."""
EXAMPLES = Path(__file__).parents[2] / "examples" / "sounds"
PEOPLE = ("alice", "bob")
MAX_SOUNDS = 12


def add_demo_data(server: FreesoundServer, redirect_uri: str = CALLBACK) -> Client:
    """Add two people, their public sounds and an app.

    Args:
        server: The double of Freesound.
        redirect_uri: The app's callback.

    Returns:
        The app's credential.
    """
    for name in PEOPLE:
        server.state.add_user(name)
    for number, path in enumerate(sorted(EXAMPLES.glob("*.ogg"))[:MAX_SOUNDS]):
        title = path.stem.replace("-", " ")
        server.state.add_sound(
            PEOPLE[number % len(PEOPLE)],
            audio=path.read_bytes(),
            name=path.name,
            type="ogg",
            filename=path.name,
            tags=sorted({*clean_tags(title), path.stem, "example"}),
            description=f"An example sound: {title}.",
            license=UPLOAD_LICENSES[number % len(UPLOAD_LICENSES)],
            category_code="fx-other",
            created=server.now() - number * DAY_S,
        )
    return server.state.add_client("Earmark (demo)", redirect_uri, owner=PEOPLE[0])


def freesound_settings(server: FreesoundServer, client: Client) -> dict[str, str]:
    """Return the settings of an app that works on the double of Freesound."""
    return {
        "FREESOUND_API_KEY": client.client_secret,
        "EARMARK_FREESOUND_CLIENT_ID": client.client_id,
        "EARMARK_FREESOUND_API": f"{server.url}/apiv2",
        "EARMARK_PREVIEW_HOSTS": "127.0.0.1",
    }


def hopsworks_settings(server: HopsworksServer) -> dict[str, str]:
    """Return the settings of an app whose workspace is shared through the double of Hopsworks."""
    return {
        "EARMARK_HOPSWORKS_HOST": server.host,
        "EARMARK_HOPSWORKS_PORT": str(server.port),
        "EARMARK_HOPSWORKS_PROJECT": server.project,
        "EARMARK_HOPSWORKS_API_KEY": server.key,
        "EARMARK_HOPSWORKS_CERTIFICATE": str(server.certificate),
    }
