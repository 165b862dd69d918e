"""The monitor's further tools, in one menu: each opens a dialog."""

import streamlit as st

from app import auth
from app.views.bulk import bulk_dialog
from app.views.export import export_dialog
from app.views.saved_views import saved_views_menu
from app.views.second_opinion import is_offered, second_opinion_dialog
from app.views.view import View
from app.views.your_work import agreement_dialog, your_work_dialog

BULK, EXPORT, WORK, AGREEMENT = "Bulk edit", "Export", "Your work", "Agreement of curators"
OPINION = "Second opinion"


def tools_menu(view: View) -> None:
    """Draw the saved views and the menu, and open what was chosen in it."""
    saved_views_menu(view)
    may_edit = auth.viewer().edit.allowed
    entries = [BULK, EXPORT, WORK, AGREEMENT] if may_edit else [EXPORT]
    if may_edit and is_offered():
        entries.append(OPINION)
    choice = st.menu_button("Tools", entries, key="tools", icon=":material/build:")
    if choice == BULK:
        bulk_dialog(view)
    elif choice == EXPORT:
        export_dialog(view)
    elif choice == WORK:
        your_work_dialog()
    elif choice == AGREEMENT:
        agreement_dialog()
    elif choice == OPINION:
        second_opinion_dialog()
