"""Sends the browser to another address in the same tab.

The component is drawn at the end of a run: by then everything that was typed has reached the
server.
"""

from pathlib import Path

from app.components.register import register

_COMPONENT = register(Path(__file__).parent)


def redirect(path: str, own_tab: str = "") -> None:
    """Send the browser to a path of this server.

    Args:
        path: The path.
        own_tab: What to open in a new tab instead, where another page shows this one in a frame.
    """
    _COMPONENT(key="redirect", data={"to": path, "ownTab": own_tab})
