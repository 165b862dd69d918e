"""Choices of sounds that were saved under a name: a person's own, and those that others share."""

from dataclasses import replace

import streamlit as st

from app import auth, services, state
from app.callbacks import callback
from app.text import plain
from app.views.errors import log_error
from app.views.view import View, current_view, go_to
from core.curation.saved_views import MAX_NAME_LENGTH, SavedView
from core.errors import EarmarkError
from core.people import shown_name


def saved_views_menu(view: View) -> None:
    """Draw the saved views, and the form that saves what the filters choose now."""
    viewer = auth.viewer()
    actor = viewer.actor if viewer.edit.allowed else ""
    with st.popover("Views", icon=":material/bookmarks:", key="saved-views"):
        views = services.curation().views.visible_to(actor)
        for number, saved in enumerate(views):
            with st.container(horizontal=True, vertical_alignment="center", key=f"view-{number}"):
                _view(number, saved, is_own=saved.author == actor)
        if not views:
            st.caption("No saved views yet.")
        if actor:
            _form(view)


def _view(number: int, saved: SavedView, *, is_own: bool) -> None:
    label = plain(saved.name)
    if not is_own:
        label += f" (by {plain(shown_name(saved.author))})"
    st.button(label, key=f"open-view-{number}", type="tertiary", on_click=_open, args=(saved,))
    if is_own:
        st.button(
            f"Delete {label}",
            key=f"delete-view-{number}",
            type="tertiary",
            icon=":material/delete:",
            on_click=_delete,
            args=(saved.name,),
        )


def _form(view: View) -> None:
    with st.form("save-view", border=False):
        st.text_input("View name", key=state.view_name.key, max_chars=MAX_NAME_LENGTH)
        st.checkbox("Share with everyone", key=state.view_shared.key)
        st.form_submit_button("Save view", on_click=_save, args=(view,))
    if problem := state.view_problem.pop():
        st.error(plain(problem))


@callback
def _open(saved: SavedView) -> None:
    choice = saved.choice
    view = replace(current_view().beginning(), query=choice.query, order=choice.order)
    go_to(view)


def _save(view: View) -> None:
    viewer = auth.viewer()
    if not viewer.edit.allowed or not viewer.actor:
        return
    try:
        services.curation().views.save(
            state.view_name.get(),
            viewer.actor,
            view.query,
            view.order,
            shared=state.view_shared.get(),
        )
        state.view_name.set("")
    except EarmarkError as error:
        log_error(error)
        state.view_problem.set(str(error))


@callback
def _delete(name: str) -> None:
    viewer = auth.viewer()
    if viewer.edit.allowed and viewer.actor:
        services.curation().views.delete(name, viewer.actor)
