"""Our own components: each is a .html, a .css and a .js file of one name beside this one."""

from pathlib import Path

import streamlit as st
from streamlit.components.v2.types import ComponentRenderer

_HERE = Path(__file__).resolve().parent


def register(name: str) -> ComponentRenderer:
    """Register the component `name` with Streamlit. To be called once, at import."""
    html, css, js = ((_HERE / f"{name}.{kind}").read_text("utf-8") for kind in ("html", "css", "js"))
    return st.components.v2.component(f"earmark_{name}", html=html, css=css, js=js)
