"""The files of a batch's descriptions, once nothing in them is wrong."""

from collections.abc import Mapping, Sequence

import streamlit as st

from app.text import bullets, plain
from core.publishing import bulk
from core.publishing.bulk import BulkRow

MAX_FILES_NAMED = 4


def export_section(rows: Sequence[BulkRow]) -> None:
    """Draw what Freesound would refuse, and the two downloads."""
    problems = problems_by_sentence(rows)
    if problems:
        st.caption("Freesound would refuse this; correct it first:")
        st.markdown(bullets(_problem_lines(problems, len(rows))))
    for number, column in bulk.formula_cells(rows):
        name = plain(rows[number].audio_filename)
        st.caption(
            f":material/warning: {name}: a spreadsheet may read its {plain(column)} as a formula."
        )
    _downloads(rows, disabled=bool(problems))


def _downloads(rows: Sequence[BulkRow], *, disabled: bool) -> None:
    with st.container(horizontal=True):
        st.download_button(
            "Bulk description (CSV)",
            b"" if disabled else bulk.to_csv(rows),
            "freesound-bulk.csv",
            "text/csv",
            icon=":material/download:",
            disabled=disabled,
        )
        st.download_button(
            "Download JSON",
            "" if disabled else bulk.to_json(rows),
            "freesound-bulk.json",
            "application/json",
            icon=":material/download:",
            disabled=disabled,
        )


def problems_by_sentence(rows: Sequence[BulkRow]) -> dict[str, list[str]]:
    """Return what Freesound would refuse, and in which files."""
    problems: dict[str, list[str]] = {}
    for row, row_problems in zip(rows, bulk.check_rows(rows), strict=True):
        for problem in row_problems:
            problems.setdefault(problem.sentence, []).append(row.audio_filename)
    return problems


def _problem_lines(problems: Mapping[str, list[str]], count: int) -> list[str]:
    return [
        f"{plain(sentence)} ({plain(_files_text(names, count))})"
        for sentence, names in problems.items()
    ]


def _files_text(names: Sequence[str], count: int) -> str:
    """Return `all files`, or their names as far as there is room."""
    if len(names) == count > 1:
        return "all files"
    times = {name: names.count(name) for name in names}
    texts = [name if number == 1 else f"{name}, {number} times" for name, number in times.items()]
    more = f" and {len(texts) - MAX_FILES_NAMED} more" if len(texts) > MAX_FILES_NAMED else ""
    return ", ".join(texts[:MAX_FILES_NAMED]) + more
