"""The address of the monitor: which sounds, in which order, how shown, where in the list."""

from dataclasses import dataclass, replace
from typing import Literal

import streamlit as st

from core.curation.query_params import query_from_params, query_to_params
from core.events.query import Order, Query
from core.events.types import is_sound_id

Mode = Literal["list", "review"]
MODES: tuple[Mode, ...] = ("list", "review")
MAX_PAGE = 10**6


@dataclass(frozen=True)
class View:
    """A choice of sounds and how they are shown, as the address says.

    Attributes:
        query: Which sounds.
        order: Which come first.
        mode: As a list, or one after another.
        cursor: Where in the list, as `core.events.query.Page` says.
        number: The page's number, for people.
        like: Id of a sound: it and those like it are shown, whatever the filters; else empty.
        problem: A sentence where a part of the address could not be used, else empty.
    """

    query: Query
    order: Order
    mode: Mode
    cursor: str
    number: int
    problem: str
    like: str = ""

    @property
    def key(self) -> str:
        """Return a text that stands for this page of sounds."""
        params = sorted(query_to_params(self.query, self.order).items())
        return repr((params, self.cursor, self.like))

    def beginning(self) -> "View":
        """Return the first page of the sounds that the filters choose."""
        return replace(self, cursor="", number=1, like="")


def current_view() -> View:
    """Read the address. Anybody can write anything in it."""
    params = st.query_params.to_dict()
    if "show" in params:  # as addresses were before there were more filters
        params.setdefault("state", params["show"].lower())
    parsed = query_from_params(params)
    number = params.get("page", "")
    return View(
        query=parsed.query,
        order=parsed.order,
        mode="review" if params.get("mode") == "review" else "list",
        cursor=params.get("cursor", "")[:500],
        number=min(int(number), MAX_PAGE) if number.isascii() and number.isdecimal() else 1,
        problem=parsed.problem,
        like=_sound_id(params.get("like", "")),
    )


def _sound_id(text: str) -> str:
    """Return the id of a sound; an empty text where it is none."""
    return text if is_sound_id(text) else ""


def address(view: View) -> dict[str, str]:
    """Return the parameters of a view's address; what is as by default is left out."""
    params = query_to_params(view.query, view.order)
    if view.mode == "review":
        params["mode"] = view.mode
    if view.like:
        params["like"] = view.like
    if view.cursor:
        params |= {"cursor": view.cursor, "page": str(view.number)}
    return params


def go_to(view: View) -> None:
    """Make the page's address that of a view; the browser's Back leads here again."""
    st.query_params.from_dict(address(view))


def change_query(**changes: object) -> None:
    """Go to the first page of the sounds that other filters choose."""
    view = current_view()
    query = replace(view.query, **changes)  # type: ignore[arg-type]
    go_to(replace(view.beginning(), query=query))


def set_mode(mode: Mode) -> None:
    """Switch between list and review; the filters stay."""
    go_to(replace(current_view(), mode=mode))
