"""The sounds that somebody published from here, and where they stand at Freesound."""

import time

import streamlit as st

from app import auth, services, state
from app.components.refresh import refresh_when_due
from app.text import plain
from app.upload_watch import Look
from app.views.errors import log_error, shows_errors
from app.views.upload_list import other_uploads, upload_list
from core.people import Person


def main() -> None:
    st.title("Your uploads", anchor=False)
    person = auth.viewer().person
    if not services.can_publish():
        st.info("Publishing is not set up on this server.", icon=":material/cloud_off:")
    elif person is None:
        st.info("Sign in with Freesound to see your uploads.", icon=":material/login:")
    else:
        uploads_of(person)


@st.fragment
@shows_errors
def uploads_of(person: Person) -> None:
    """Draw the uploads; the browser draws them again when it is worth asking Freesound."""
    if auth.viewer().person != person:
        st.rerun(scope="app")
    with st.container(horizontal=True, vertical_alignment="center", key="refresh-bar"):
        st.button("Refresh", key="refresh", icon=":material/refresh:", on_click=_ask)
        checked = st.container(width="stretch")
    with st.spinner("Checking Freesound ..."):
        is_asked_for = state.refresh_asked_for.pop()
        token = auth.with_token(person)
        look = services.upload_watch().look(person, token, is_asked_for=is_asked_for)
    with checked:
        _checked(look)
    if look.problem:
        log_error(look.problem)
        st.error(plain(look.problem), icon=":material/error:")
    if not look.uploads and not look.pending.sounds and not look.pending.pending_description:
        text = "No uploads yet. Sounds that you publish on “Try your sound” are listed here."
        st.info(text, icon=":material/cloud_upload:")
    upload_list(look)
    other_uploads(look)


def _ask() -> None:
    state.refresh_asked_for.set(True)


def _checked(look: Look) -> None:
    """Say how old the answer is."""
    now = time.time()
    age_s = now - look.answered if look.answered else None
    refresh_when_due("uploads-refresh", age_s, look.due - now if look.is_waiting else None)


main()
