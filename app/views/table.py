"""A table with numbers and texts, which the person may sort, search and download."""

from collections.abc import Mapping, Sequence
from typing import Literal

import streamlit as st
from streamlit.elements.lib.column_types import ColumnConfig

from core.untrusted import csv_cell

SIGNED = st.column_config.NumberColumn(format="%+.3f")
"""A difference. As text it would look like a formula."""

UNKNOWN = "–"
"""What is written where a number is not known."""


def table(
    rows: Sequence[Mapping[str, object]],
    *,
    columns: Mapping[str, ColumnConfig | None] | None = None,
    height: int | Literal["auto"] = "auto",
    width: Literal["stretch", "content"] = "stretch",
    key: str | None = None,
) -> None:
    """Draw a table. It can be downloaded as CSV, so no cell of it is a formula.

    Args:
        rows: Cells by the columns' names.
        columns: How columns are shown.
        height: Of the table, in pixels.
        width: All that there is, or what the cells need.
        key: Of the table in the session.
    """
    shown = [{csv_cell(name): csv_cell(cell) for name, cell in row.items()} for row in rows]
    st.dataframe(
        shown,
        hide_index=True,
        height=height,
        width=width,
        key=key,
        column_config=columns,
        placeholder=UNKNOWN,
    )
