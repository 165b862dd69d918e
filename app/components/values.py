"""What the components' browser sides send: one door, behind which every value has its type."""

import logging
from collections.abc import Callable, Mapping
from typing import TypeVar

import streamlit as st

from app.state import Entry

logger = logging.getLogger(__name__)

T = TypeVar("T")

UNREADABLE = "earmark-unreadable"
"""In a component's values where the browser has sent no JSON (`app/component_messages.py`)."""
SENTENCE = (
    "The browser sent something that cannot be read, so it was left out. "
    "If a change is missing, reload the page and make it again."
)
_unreadable = Entry[frozenset[str]]("unreadable-values", frozenset())
"""Keys of components that have sent such a thing, until their page says so."""


def sent_value(key: str, name: str, parse: Callable[[object], T]) -> T | None:
    """Return a value that a component's browser side has sent; None if it has sent none.

    What cannot be read counts as not sent; the page says so where the component is drawn.

    Args:
        key: Of the component in the session.
        name: Of the value.
        parse: Checks a value from outside; it raises `ValueError` for what is none.
    """
    values = st.session_state.get(key)
    if values is None:
        return None
    try:
        if not isinstance(values, Mapping) or UNREADABLE in values:
            raise ValueError("no JSON object")
        value = values.get(name)
        return None if value is None else parse(value)
    except ValueError as error:
        logger.warning("refusal action=component-value name=%s error=%s", name, type(error))
        _unreadable.set(_unreadable.get() | {key})
        return None


def show_unreadable(key: str) -> None:
    """Say so if a component has sent something that cannot be read."""
    if key in _unreadable.get():
        _unreadable.set(_unreadable.get() - {key})
        st.warning(SENTENCE, icon=":material/warning:")
