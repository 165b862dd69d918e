"""Registration of a component with Streamlit."""

from collections.abc import Callable
from pathlib import Path
from string import Template
from typing import Protocol

import streamlit as st

from app.components.assets import asset_url
from app.components.values import show_unreadable

_LOADER = Template("""\
const address = new URL("$url", window.location.origin).href
export default async component => (await import(address)).default(component)
""")
"""What Streamlit sends for each instance. A browser loads a module of one address once."""


class Renderer(Protocol):
    """Draws a component."""

    def __call__(self, *, key: str, data: object, **callbacks: Callable[[], None]) -> None:
        """Draw it with these data; `key` is its own in the session."""


def register(folder: Path) -> Renderer:
    """Register the component whose browser side is the module of its folder's name.

    To be called once per component, at import. `player/player.js` exports a default function; its
    html and css lie beside it, and `shared/mount.js` puts them into the page.

    Data go to the browser as a tuple of one: in a mapping itself, Streamlit would look for data
    frames, and load pandas and pyarrow for that, 80 MB.
    """
    url = asset_url(f"{folder.name}/{folder.name}.js")
    component: Callable[..., object] = st.components.v2.component(
        f"earmark_{folder.name}", js=_LOADER.substitute(url=url)
    )

    def draw(*, key: str, data: object, **callbacks: Callable[[], None]) -> None:
        component(key=key, data=data, **callbacks)
        show_unreadable(key)

    return draw
