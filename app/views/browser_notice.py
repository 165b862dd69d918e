"""Notices above a page about what the browser does with cookies."""

import streamlit as st

from app import auth, browser
from app.routes import page_url

NO_COOKIES = (
    "This browser keeps no cookies for Earmark here, as in the page of another site. "
    "Uploads and signing in need them."
)
SIGNED_IN = "You have signed in in another tab or window. Reload this one to go on as yourself."


def browser_notice(path: str) -> None:
    """Draw them, where there is something to say.

    Args:
        path: Of the page, such as `/try`.
    """
    if not browser.keeps_cookies():
        with st.container(key="no-cookies", horizontal=True, vertical_alignment="center"):
            st.warning(NO_COOKIES, icon=":material/cookie_off:")
            st.link_button(
                "Open in a tab of its own", page_url(path), icon=":material/open_in_new:"
            )
    elif auth.signed_in_elsewhere():
        st.info(SIGNED_IN, icon=":material/refresh:")
