"""The text tags inside an audio file: title, artist, license and the like."""

import soundfile

from core.audio.libsndfile import BytesFile

MAX_TEXT_LENGTH = 500


def embedded_metadata(data: bytes) -> dict[str, str]:
    """Return the text tags of a file by name, as far as libsndfile reads them.

    Args:
        data: The file's bytes.

    Returns:
        Texts of up to `MAX_TEXT_LENGTH` characters; empty ones are left out.
    """
    try:
        with soundfile.SoundFile(BytesFile(data)) as file:
            texts = {key: value.strip() for key, value in file.copy_metadata().items()}
    except (soundfile.LibsndfileError, UnicodeDecodeError):
        return {}
    return {key: text[:MAX_TEXT_LENGTH] for key, text in texts.items() if text}
