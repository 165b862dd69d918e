"""No cell of a CSV file or of a table that can be downloaded is a formula, whoever wrote it."""

import ast
import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from core.untrusted import FORMULA_STARTS, CsvWriter
from tests.helpers.source_tree import modules

WRITERS = {
    "core/untrusted.py": "the owner",
    "core/publishing/bulk.py": "Freesound's bulk description, which must be exact; its page warns",
    "training/tables.py": "numbers for the model card",
    "training/datasets/public_sets.py": "clips.csv, which the program itself reads again",
}
"""Modules that write CSV, and why."""
TABLES = {
    "app/views/table.py": {"st.dataframe"},
    "app/views/batch_table.py": {"st.data_editor"},
}


def calls(*names: str) -> dict[str, set[str]]:
    """Return in which modules some functions are called."""
    by_module: dict[str, set[str]] = {}
    for module in modules("core", "app", "jobs", "training", "pages"):
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call) and (name := ast.unparse(node.func)) in names:
                by_module.setdefault(module.place, set()).add(name)
    return by_module


def test_csv_is_written_by_its_owner_or_for_programs():
    assert calls("csv.writer", "csv.DictWriter").keys() == WRITERS.keys()


def test_tables_that_can_be_downloaded_are_drawn_by_their_owner():
    assert calls("st.dataframe", "st.data_editor", "st.table") == TABLES


@given(st.lists(st.lists(st.text() | st.integers() | st.none(), min_size=1), max_size=5))
def test_whatever_is_written_no_cell_begins_like_a_formula(rows):
    text = io.StringIO(newline="")
    CsvWriter(text).write_all(rows)
    for row in csv.reader(io.StringIO(text.getvalue(), newline="")):
        for cell in row:
            is_number = cell.removeprefix("-").isdigit()
            assert is_number or not cell.lstrip(" ").startswith(FORMULA_STARTS)


def page_with_a_table(start):
    from app.views.table import table

    table([{f"{start}name": f"{start}cell", "n": -1}])


@pytest.mark.parametrize("start", FORMULA_STARTS)
def test_tables_on_pages_mark_names_and_cells_that_look_like_formulas(start):
    app = AppTest.from_function(page_with_a_table, args=(start,), default_timeout=200).run()
    assert not app.exception
    (shown,) = app.dataframe
    assert list(shown.value.columns) == [f"'{start}name", "n"]
    assert shown.value.iloc[0].tolist() == [f"'{start}cell", -1]
