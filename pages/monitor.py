"""Sounds with their suggested tags, to be corrected: as a list, or one after another."""

import streamlit as st

from app import services
from app.views import filters, sound_list
from app.views.desk import review_mode
from app.views.fetch import can_fetch, fetch_section
from app.views.tools import tools_menu
from app.views.view import current_view


def main() -> None:
    view = current_view()
    with st.container(key="monitor-head", horizontal=True, vertical_alignment="center"):
        st.title("Monitor", anchor=False, width="content")
        services.workspace()  # where it cannot be opened, the page ends here and says why
        filters.mode_switch(view)
        sound_list.summary()
        if can_fetch():
            fetch_section()
    with st.container(key="filters", horizontal=True, vertical_alignment="center", gap="xsmall"):
        filters.filter_bar(view)
        tools_menu(view)
    if view.problem:
        st.warning(view.problem, icon=":material/link_off:")
    if view.mode == "review":
        review_mode(view)
    else:
        sound_list.sound_list(view)


main()
