"""The table in which a batch is corrected."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import streamlit as st
from streamlit.elements.lib.column_types import ButtonColumnResult, ColumnConfig

from app import services, state
from app.clips import BatchClip
from app.components.player import player
from app.components.values import sent_value
from app.routes import temporary_media_url
from app.text import plain
from core.publishing.bulk import BulkRow
from core.publishing.category import CATEGORIES, category
from core.publishing.form import LICENSES
from core.tags import clean
from core.untrusted import csv_cell

PLAY_KEY = "batch-play"
ROW_HEIGHT, HEAD_HEIGHT, MAX_HEIGHT = 40, 42, 480
"""In pixels. Longer tables scroll, so that the player below stays in sight."""


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
        height=min(MAX_HEIGHT, HEAD_HEIGHT + ROW_HEIGHT * len(clips)),
        row_height=ROW_HEIGHT,
        hide_index=True,
        disabled=["Play", "Picture", "File", "Note"],
        column_config=_columns(clips, list(labels.values())),
    )
    # What was typed stays when a file is added or removed.
    state.batch_edits.set(dict(zip(clips, edited, strict=True)))
    codes = {label: code for code, label in labels.items()}
    return [_row(clip, row, defaults, codes) for clip, row in zip(clips, edited, strict=True)]


def _columns(
    clips: Sequence[BatchClip], categories: list[str]
) -> dict[str, ColumnConfig | ButtonColumnResult | None]:
    """Return how the columns are shown; None hides one."""
    vocabulary = services.predictor().predictor.vocabulary
    tags = sorted({tag for clip in clips for tag in clip.row.tags} | set(vocabulary))
    column = st.column_config
    return {
        "Play": column.ButtonColumn(
            "Play", width=64, type="tertiary", key=PLAY_KEY, on_click=_play, args=(clips,)
        ),
        "Picture": column.ImageColumn(width=72),
        "File": column.TextColumn(width=110),
        "Tags": column.MultiselectColumn(options=tags, accept_new_options=True, width=210),
        "Category": column.SelectboxColumn(options=categories, width=120),
        "Name": column.TextColumn(width=100),
        "Description": column.TextColumn(width=110),
        "License": column.SelectboxColumn(
            options=list(LICENSES), format_func=_license_title, width=90
        ),
        "Place": column.TextColumn(width=80),
        "Explicit": column.CheckboxColumn(help="Not suitable for children", width=64),
        "Note": column.TextColumn(width=90) if _have_notes(clips) else None,
    }


def _play(clips: Sequence[BatchClip]) -> None:
    """Note which sound is to be played; the row's number comes from the browser."""
    number = sent_value(PLAY_KEY, "row", _row_number)
    if number is not None and 0 <= number < len(clips):
        state.batch_played.set(clips[number].key)
        state.batch_play_now.set(True)


def _row_number(value: object) -> int:
    """Return the number of a row.

    Raises:
        ValueError: The value is none.
    """
    if not isinstance(value, int):
        raise ValueError("a row's number is needed")
    return value


def batch_player(clips: Sequence[BatchClip]) -> None:
    """Draw the player of the row that was chosen last."""
    clip = next((clip for clip in clips if clip.key == state.batch_played.get()), None)
    if clip is None:
        return
    if services.temporary_media().path(clip.audio) is None:
        name = plain(clip.row.audio_filename)
        st.caption(f"The preview of {name} is not kept any longer. Add the file again to play it.")
        return
    player(
        key="batch-player",
        audio_url=temporary_media_url(clip.audio),
        picture_url=temporary_media_url(clip.spectrogram),
        title=clip.row.audio_filename,
        facts=clip.facts,
        seconds=clip.seconds,
        suggestions=(),
        compact=True,
        plays=state.batch_play_now.pop(),
    )


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
        "Play": ":material/play_arrow:",
        "Picture": temporary_media_url(clip.spectrogram),
        "File": csv_cell(clip.row.audio_filename),  # the table can be downloaded as CSV
        "Tags": list(clip.row.tags),
        "Category": labels.get(clip.row.bst_category),
        "Name": "",
        "Description": "",
        "License": None,
        "Place": "",
        "Explicit": False,
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
