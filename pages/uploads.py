"""The sounds that somebody published from here, and where they stand at Freesound."""

import streamlit as st

from app import auth, services
from app.views.upload_list import other_uploads, upload_list
from app.views.upload_status import look_up, refresh
from core.freesound.types import PendingUploads
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


def uploads_of(person: Person) -> None:
    st.button("Refresh", key="refresh", icon=":material/refresh:", on_click=refresh)
    states = look_up(person)
    uploads = services.publisher().uploads_of(person)
    if not uploads and states.pending == PendingUploads():
        text = "No uploads yet. Sounds that you publish on “Try your sound” are listed here."
        st.info(text, icon=":material/cloud_upload:")
    upload_list(uploads, states)
    other_uploads(states.pending, uploads)


main()
