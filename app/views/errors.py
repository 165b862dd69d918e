"""Errors on a page: shown to the person, and logged once."""

import logging

import streamlit as st

from app import state
from app.text import plain
from core.errors import EarmarkError

logger = logging.getLogger(__name__)


def show_error(error: EarmarkError | str) -> None:
    """Show an error of ours, or its sentence, as text."""
    log_error(error)
    st.error(plain(str(error)), icon=":material/error:")


def log_error(error: EarmarkError | str) -> None:
    """Log an error that a page shows.

    Pages are drawn again and again, so a session logs each sentence once per page.
    """
    event = state.page_path.get(), str(error)
    logged = state.logged_errors.get()
    if event not in logged:
        logger.warning("page error page=%s message=%s", *event)
        state.logged_errors.set(logged | {event})
