"""The box at the top of every page: the viewer, and what they may do."""

import streamlit as st

from app import auth, state
from app.text import plain
from core.people import Person


def sign_in_box() -> None:
    """Draw the box."""
    box = auth.sign_in_box()
    with st.container(key="account", horizontal=True, vertical_alignment="center", gap="small"):
        if box.person:
            _signed_in(box.person)
        elif box.can_sign_in:
            _sign_in()
        may_choose = box.can_sign_in and box.may_choose and not box.person
        if box.restriction:
            with st.popover("Read only", type="tertiary", icon=":material/lock:"):
                st.caption(box.restriction)
                if may_choose:
                    _other_account()
        elif may_choose:
            with st.popover("More", type="tertiary", key="more-accounts"):
                _other_account()
        if box.local_name:
            _name_form(box.local_name)


def _signed_in(person: Person) -> None:
    label = plain(person.name)
    with st.popover(label, type="tertiary", icon=":material/account_circle:", key="signed-in"):
        st.caption(f"Signed in as {label} on Freesound")
        _other_account()
    st.button(
        "Sign out",
        key="sign-out",
        type="tertiary",
        icon=":material/logout:",
        on_click=auth.sign_out,
    )


def _sign_in() -> None:
    st.button(
        "Sign in with Freesound",
        key="sign-in",
        icon=":material/login:",
        on_click=auth.request_sign_in,
    )


def _other_account() -> None:
    st.button(
        "Use another account",
        key="other-account",
        type="tertiary",
        icon=":material/switch_account:",
        help="Logs out of Freesound in this browser, and asks for another name and password.",
        on_click=auth.request_sign_in,
        args=("other",),
    )


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
