"""Errors on a page: shown to the person, and logged once."""

import functools
import logging
from collections.abc import Callable
from typing import ParamSpec

import streamlit as st

from app import state
from app.text import plain
from core.errors import EarmarkError

logger = logging.getLogger(__name__)

Parameters = ParamSpec("Parameters")


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


def shows_errors(draw: Callable[Parameters, None]) -> Callable[Parameters, None]:
    """Let a fragment or a dialog show an error of ours where it is drawn, and end there.

    Streamlit runs them outside of the page: an error that they raise never comes to the page's own
    handling, and would be shown as a crash.
    """

    @functools.wraps(draw)
    def draw_or_show(*args: Parameters.args, **kwargs: Parameters.kwargs) -> None:
        try:
            draw(*args, **kwargs)
        except EarmarkError as error:
            show_error(error)
            st.stop()

    return draw_or_show
