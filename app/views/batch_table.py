"""The table in which a batch is corrected."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import streamlit as st
from streamlit.elements.lib.column_types import ColumnConfig

from app import services, state
from app.clips import BatchClip
from app.routes import temporary_media_url
from core.publishing.bulk import BulkRow
from core.publishing.category import CATEGORIES, category
from core.publishing.form import LICENSES
from core.tags import clean
from core.untrusted import csv_cell


@dataclass(frozen=True)
class Defaults:
    """Values for every file of which the table says nothing else."""

    license: str
    pack: str
    description: str


def default_fields() -> Defaults:
    """Draw the fields that hold for all files."""
    with st.container(border=True):
        st.markdown("**Defaults for all files**")
        columns = st.columns(3)
        license_name = columns[0].selectbox(
            "License",
            list(LICENSES),
            index=None,
            format_func=_license_title,
            key=state.batch_license.key,
        )
        pack = columns[1].text_input("Pack", key=state.batch_pack.key)
        text = columns[2].text_input("Description", key=state.batch_description.key)
    return Defaults(license_name or "", pack, text)


def edit_table(clips: Sequence[BatchClip], defaults: Defaults) -> list[BulkRow]:
    """Draw the table; returns its rows, completed by the defaults."""
    labels = {code: category(code).label for code in CATEGORIES}
    key = f"batch-table-{hashlib.sha256(repr(clips).encode()).hexdigest()[:16]}"
    edited = st.data_editor(
        _initial_rows(key, clips, labels),
        key=key,
        hide_index=True,
        disabled=["Picture", "File", "Sound", "Note"],
        column_config=_columns(clips, list(labels.values())),
    )
    # What was typed stays when a file is added or removed.
    state.batch_edits.set(dict(zip(clips, edited, strict=True)))
    codes = {label: code for code, label in labels.items()}
    return [_row(clip, row, defaults, codes) for clip, row in zip(clips, edited, strict=True)]


def _columns(clips: Sequence[BatchClip], categories: list[str]) -> dict[str, ColumnConfig | None]:
    """Return how the columns are shown; None hides one."""
    vocabulary = services.predictor().predictor.vocabulary
    tags = sorted({tag for clip in clips for tag in clip.row.tags} | set(vocabulary))
    return {
        "Picture": st.column_config.ImageColumn(width="small"),
        "Tags": st.column_config.MultiselectColumn(
            options=tags, accept_new_options=True, width="large"
        ),
        "Category": st.column_config.SelectboxColumn(options=categories, width="medium"),
        "License": st.column_config.SelectboxColumn(
            options=list(LICENSES), format_func=_license_title
        ),
        "Description": st.column_config.TextColumn(width="medium"),
        "Explicit": st.column_config.CheckboxColumn(help="Not suitable for children"),
        "Note": st.column_config.TextColumn(width="medium") if _have_notes(clips) else None,
    }


def _have_notes(clips: Sequence[BatchClip]) -> bool:
    return any(clip.note for clip in clips)


def _license_title(name: object) -> str:
    return LICENSES[str(name)].title


def _initial_rows(
    key: str, clips: Sequence[BatchClip], labels: Mapping[str, str]
) -> list[dict[str, object]]:
    """Return the rows that the table starts with: they must not change while it is shown."""
    table = state.batch_table.get()
    if table is None or table[0] != key:
        edits = state.batch_edits.get()
        table = key, [edits.get(clip) or _untouched_row(clip, labels) for clip in clips]
        state.batch_table.set(table)
    return table[1]


def _untouched_row(clip: BatchClip, labels: Mapping[str, str]) -> dict[str, object]:
    return {
        "Picture": temporary_media_url(clip.spectrogram),
        "File": csv_cell(clip.row.audio_filename),  # the table can be downloaded as CSV
        "Tags": list(clip.row.tags),
        "Category": labels.get(clip.row.bst_category),
        "Name": "",
        "Description": "",
        "License": None,
        "Place": "",
        "Explicit": False,
        "Sound": clip.facts,
        "Note": clip.note,
    }


def _row(
    clip: BatchClip,
    values: Mapping[str, object],
    defaults: Defaults,
    codes: Mapping[str, str],
) -> BulkRow:
    """Return a row of the table as it will be written."""

    def text(column: str) -> str:
        return str(values[column] or "")

    tags = cast("Sequence[object]", values["Tags"] or ())
    return BulkRow(
        audio_filename=clip.row.audio_filename,
        tags=clean(str(tag) for tag in tags).tags,
        description=text("Description") or defaults.description,
        license=text("License") or defaults.license,
        bst_category=codes.get(text("Category"), ""),
        name=text("Name"),
        geotag=text("Place"),
        pack_name=defaults.pack,
        is_explicit=bool(values["Explicit"]),
    )
