"""The box at the top of every page: the viewer, and what they may do."""

import streamlit as st

from app import auth, state
from app.text import plain


def sign_in_box() -> None:
    """Draw the box."""
    box = auth.sign_in_box()
    with st.container(key="account", horizontal=True, vertical_alignment="center", gap="small"):
        if box.person:
            st.markdown(f":material/account_circle: **{plain(box.person.name)}** on Freesound")
            st.button(
                "Sign out",
                key="sign-out",
                type="tertiary",
                icon=":material/logout:",
                on_click=auth.sign_out,
            )
        elif box.can_sign_in:
            st.button(
                "Sign in with Freesound",
                key="sign-in",
                icon=":material/login:",
                on_click=auth.request_sign_in,
            )
        if box.restriction:
            with st.popover("Read only", type="tertiary", icon=":material/lock:"):
                st.caption(box.restriction)
        elif box.local_name:
            _name_form(box.local_name)


def _name_form(name: str) -> None:
    label = f"Corrections by {plain(name)}"
    with (
        st.popover(label, type="tertiary", icon=":material/edit:"),
        st.form("local-name", border=False),
    ):
        st.text_input("Record corrections under", key=state.new_local_name.key, max_chars=60)
        st.form_submit_button("Save", on_click=_rename)


def _rename() -> None:
    auth.save_local_name(state.new_local_name.get())
