"""The path below which the server works."""

import streamlit as st


def base_path() -> str:
    """Return Streamlit's `server.baseUrlPath`: empty, or such as `/earmark`."""
    path = (st.get_option("server.baseUrlPath") or "").strip("/")
    return f"/{path}" if path else ""
