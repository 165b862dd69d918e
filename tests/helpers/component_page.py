"""A small page of its own for components, served with the app's routes."""

from pathlib import Path

from tests.helpers.app_server import Server

SERVER = """
import streamlit as st
from app.routes import ROUTES

app = st.App({page!r}, routes=ROUTES)
"""


def serve_page(folder: Path, script: str, **environment: str) -> Server:
    """Serve a script as a page; the workspace is `folder`."""
    page, server = folder / "page.py", folder / "streamlit_app.py"
    page.write_text(script, "utf-8")
    server.write_text(SERVER.format(page=str(page)), "utf-8")
    return Server(folder, script=server, **environment)
