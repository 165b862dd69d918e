"""Sounds on the double of Freesound."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.servers.freesound import FreesoundServer

START = datetime(2026, 1, 1, tzinfo=UTC)
IDS = range(2001, 2011)


def add_a_sound_a_day(server: FreesoundServer, examples: Path) -> list[int]:
    """Add a sound of alice's for each of `IDS`, one a day from `START` on; returns their ids.

    Args:
        server: The double.
        examples: Folder of Ogg files to take the audio from.
    """
    paths = sorted(examples.glob("*.ogg"))
    for number, (sound_id, path) in enumerate(zip(IDS, paths, strict=False)):
        server.state.add_sound(
            "alice",
            id=sound_id,
            audio=path.read_bytes(),
            created=(START + timedelta(days=number)).timestamp(),
            duration=3.0,
            name=f"s{number}",
        )
    return list(IDS)
