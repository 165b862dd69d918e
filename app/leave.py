"""Go to another address in the same tab, once everything that was typed has reached the server."""

import streamlit as st

_COMPONENT = st.components.v2.component("earmark_leave", js="export default ({ data }) => window.location.assign(data.to)")


def leave_for(path: str) -> None:
    """Send the browser to that path of this server."""
    _COMPONENT(key="leave", data={"to": path})
