"""Registration of a component with Streamlit."""

from pathlib import Path

import streamlit as st
from streamlit.components.v2.types import ComponentRenderer


def register(folder: Path) -> ComponentRenderer:
    """Register the component whose html, css and js files lie in a folder of its name.

    To be called once per component, at import; a file that is not there is left out. Data go to
    the browser as a tuple of one: in a mapping itself, Streamlit would look for data frames, and
    load pandas and pyarrow for that, 80 MB.
    """
    return st.components.v2.component(
        f"earmark_{folder.name}",
        html=_read(folder, "html"),
        css=_read(folder, "css"),
        js=_read(folder, "js"),
    )


def _read(folder: Path, kind: str) -> str | None:
    path = folder / f"{folder.name}.{kind}"
    return path.read_text("utf-8") if path.is_file() else None
