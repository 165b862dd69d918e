"""What the browser does for a page of cards: focus, names of buttons, announcements, a warning."""

from collections.abc import Mapping
from pathlib import Path

from app.components.register import register

_COMPONENT = register(Path(__file__).parent)


def card_list(titles: Mapping[str, str], *, page_key: str, is_first: bool) -> None:
    """Look after the cards that are on the page; it draws nothing.

    - A new page begins at its first card, which gets the focus.
    - Each button's name says which sound it is about.
    - What a card says after a press is announced to screen readers.
    - The browser warns before a page with unsaved changes is left.

    Args:
        titles: The sound's title by the key of its card's container.
        page_key: Stands for the page; with another one the first card gets the focus.
        is_first: True for the list's beginning, which takes the focus from nothing when it opens.
    """
    data = {"titles": dict(titles), "page": page_key, "first": is_first}
    _COMPONENT(key="card-list", data=(data,))
