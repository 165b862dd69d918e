"""What the site accepts: licenses, file formats, its sound taxonomy, and how it cleans tags."""

import re

LICENSES = {
    "Creative Commons 0": "http://creativecommons.org/publicdomain/zero/1.0/",
    "Attribution": "https://creativecommons.org/licenses/by/4.0/",
    "Attribution NonCommercial": "https://creativecommons.org/licenses/by-nc/4.0/",
    "Sampling+": "http://creativecommons.org/licenses/sampling+/1.0/",
}
UPLOAD_LICENSES = tuple(list(LICENSES)[:3])
EXTENSIONS = ("wav", "aiff", "aif", "ogg", "flac", "mp3", "m4a", "wv")
TAXONOMY = {
    "m": (
        "Music",
        {
            "sp": "Solo percussion",
            "si": "Solo instrument",
            "m": "Multiple instruments",
            "other": "Other",
        },
    ),
    "is": (
        "Instrument samples",
        {
            "p": "Percussion",
            "s": "String",
            "w": "Wind",
            "k": "Piano / Keyboard instruments",
            "e": "Synths / Electronic",
            "other": "Other",
        },
    ),
    "sp": (
        "Speech",
        {
            "s": "Solo speech",
            "c": "Conversation / Crowd",
            "p": "Processed / Synthetic",
            "other": "Other",
        },
    ),
    "fx": (
        "Sound effects",
        {
            "o": "Objects / House appliances",
            "v": "Vehicles",
            "m": "Other mechanisms, engines, machines",
            "h": "Human sounds and actions",
            "a": "Animals",
            "n": "Natural elements and explosions",
            "ex": "Experimental",
            "el": "Electronic / Design",
            "other": "Other",
        },
    ),
    "ss": (
        "Soundscapes",
        {
            "n": "Nature",
            "i": "Indoors",
            "u": "Urban",
            "s": "Synthetic / Artificial",
            "other": "Other",
        },
    ),
}
CATEGORIES = {
    f"{top}-{code}": (top_name, name)
    for top, (top_name, names) in TAXONOMY.items()
    for code, name in names.items()
}
STOP_WORDS = frozenset(
    "the of to and an in is it you that he was for on are with as i his they be at".split()
)


def clean_tags(sent: str) -> list[str]:
    """Return the tags that a string becomes on the site.

    Args:
        sent: Tags separated by white space, as a client sends them.

    Returns:
        The tags, sorted; case is kept, stop words and doubles are dropped.
    """
    words = re.sub("[^a-zA-Z0-9-]", " ", sent).split()
    tags = {re.sub("-+", "-", word).strip("-") for word in words}
    return sorted(tag for tag in tags if tag and tag not in STOP_WORDS)
