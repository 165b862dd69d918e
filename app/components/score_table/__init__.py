"""A table of scores that can be searched and sorted, and whose rows open."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import streamlit as st

from app.components.register import register
from app.components.values import sent_value

_COMPONENT = register(Path(__file__).parent)
Value = str | float | int | None
MAX_SHORT_ROWS = 12
"""Of a table that does not scroll."""


@dataclass(frozen=True)
class Scored:
    """A score with its 95 % interval, which may be unknown."""

    value: float | None
    interval: Sequence[float] | None = None


Cell = Value | Scored


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes:
        label: Its head.
        kind: Text, a whole number, a score from 0 to 1, or a share in percent.
        help: What it means, for those who point at the head.
    """

    label: str
    kind: Literal["text", "count", "score", "percent"] = "score"
    help: str = ""


def score_table(
    *,
    key: str,
    name: str,
    columns: Sequence[Column],
    rows: Sequence[Sequence[Cell]],
    on_open: Callable[[str], None] | None = None,
    searchable: bool = True,
) -> None:
    """Draw a table.

    Args:
        key: Of the component in the session.
        name: For screen readers.
        columns: Heads; the first column is the rows' names.
        rows: Cells, in the order that the table begins with.
        on_open: Called with the name of a row that the person presses; None for rows that do not
            open.
        searchable: Draw a field that finds rows by name.
    """
    data = {
        "name": name,
        "columns": [[column.label, column.kind, column.help] for column in columns],
        "rows": [[_cell(cell) for cell in row] for row in rows],
        "opens": on_open is not None,
        "searchable": searchable,
    }
    names = {str(row[0]) for row in rows}

    def opened() -> None:
        pressed = sent_value(key, "open", parse_name)
        if on_open is not None and pressed is not None and pressed in names:
            on_open(pressed)

    with st.container(key=_place(key, len(rows), searchable)):
        _COMPONENT(key=key, data=(data,), on_open_change=opened)


def parse_name(value: object) -> str:
    """Return the name of the row that was pressed.

    Raises:
        ValueError: The value is none.
    """
    if not isinstance(value, str):
        raise ValueError("the row that was pressed has no name")
    return value


def _place(key: str, rows: int, searchable: bool) -> str:
    """Return the key of the table's container, which says how high it will be (app.css)."""
    if searchable:
        return f"table-tall-{key}" if rows > MAX_SHORT_ROWS else f"table-{key}"
    return f"table-rows-{rows}-{key}"


def _cell(cell: Cell) -> object:
    """Return a value, or [value, low, high]."""
    if not isinstance(cell, Scored):
        return cell
    return [cell.value, *(cell.interval or (None, None))]
