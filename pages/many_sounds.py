"""Many files at once: tags for all of them, corrected in a table, taken away as Freesound's bulk description."""

import hashlib
import math
from dataclasses import dataclass, replace
from typing import Any

import streamlit as st

from app import listening, session
from app.listening import TooManyClips
from app.routes import try_url
from app.text import clock, plain, plural
from core.freesound import bulk
from core.freesound.bulk import BulkRow
from core.freesound.form import EXTENSIONS, LICENSES
from core.freesound.taxonomy import CATEGORIES, category, predict_category
from core.model.audio import AudioError
from core.tags import clean

MOST_FILES = 200
FILES_NAMED = 4


@dataclass(frozen=True)
class Line:
    """One file: what is known of it (`row`, with the model's tags), its picture, or the `problem` that it has."""

    row: BulkRow
    picture: str = ""
    facts: str = ""
    problem: str = ""


def main() -> None:
    st.title("Many sounds", anchor=False)
    st.caption(
        "Drop a folder's worth of files, correct their tags in the table, and take the result to Freesound: upload the audio on its "
        "website, then this one file describes it all."
    )
    files = _files()
    if not files:
        return
    lines = _listen_to_all(files[:MOST_FILES])
    if len(files) > MOST_FILES:
        st.warning(f"Only the first {MOST_FILES} of {len(files)} files were listened to.", icon=":material/warning:")
    _problems(lines)
    good = [line for line in lines if not line.problem]
    if good:
        rows = _table(good, _for_all())
        _take_away(rows)


def _files():
    allowed = listening.limits()
    return st.file_uploader(
        "Sounds",
        type=sorted(EXTENSIONS),
        accept_multiple_files=True,
        max_upload_size=math.ceil(allowed.megabytes),
        key="many",
        help=f"Up to {MOST_FILES} files of up to {clock(allowed.seconds)} and {allowed.megabytes:g} MB each",
    )


def _listen_to_all(files) -> list[Line]:
    """A line for each file that was listened to. They are remembered, so that an interrupted round goes on where it stopped."""
    heard: dict[str, Line] = st.session_state.setdefault("many_heard", {})
    keys = {file.file_id: hashlib.sha256(file.name.encode() + file.getvalue()).hexdigest() for file in files}
    missing = [file for file in files if keys[file.file_id] not in heard]
    if missing:
        with st.container():
            bar = st.progress(0.0, text="Listening ...")
            for done, file in enumerate(missing):
                bar.progress(done / len(missing), text=f"Listening to {plain(file.name)} ({done + 1} of {len(missing)})")
                try:
                    heard[keys[file.file_id]] = _listen(file.name, file.getvalue())
                except TooManyClips as error:
                    session.show_error(error)
                    st.caption(f"{plural(len(missing) - done, 'file')} left; the table has the others.")
                    break
            bar.empty()
    wanted = [key for key in keys.values() if key in heard]
    st.session_state.many_heard = {key: heard[key] for key in wanted}
    return [heard[key] for key in wanted]


def _listen(name: str, data: bytes) -> Line:
    """Raises `TooManyClips`, which says nothing of the file: it may be listened to later."""
    empty = BulkRow(name, (), "", "", "")
    try:
        found = listening.listen(name, data)
    except AudioError as error:
        return Line(empty, problem=str(error))
    tags = tuple(one.tag for one in found.suggestions if one.above_threshold)
    guesses = predict_category(tags, {one.tag: one.probability for one in found.suggestions})
    row = replace(empty, tags=tags, bst_category=guesses[0].code if guesses else "")
    return Line(row, try_url(found.picture), found.facts_in_words)


def _problems(lines: list[Line]) -> None:
    bad = [line for line in lines if line.problem]
    if bad:
        with st.expander(f"{plural(len(bad), 'file')} could not be listened to", icon=":material/error:", expanded=True):
            st.markdown("\n".join(f"- {plain(line.problem)}" for line in bad))


def _for_all() -> dict[str, Any]:
    """What is the same for all files, unless the table says otherwise."""
    with st.container(border=True):
        st.markdown("**For all of them**, where the table says nothing else")
        left, middle, right = st.columns(3)
        license = left.selectbox("Licence", list(LICENSES), index=None, format_func=lambda name: LICENSES[name].title, key="many-license")
        pack = middle.text_input("Pack", key="many-pack")
        text = right.text_input("Description", key="many-description")
    return {"license": license or "", "pack_name": pack, "description": text}


def _table(lines: list[Line], for_all: dict[str, Any]) -> list[BulkRow]:
    """The table; returns its rows, completed by what counts for all."""
    choices = {category(code).label: code for code in CATEGORIES}
    labels = {code: label for label, code in choices.items()}
    vocabulary = sorted({tag for line in lines for tag in line.row.tags} | set(session.tagger()[0].vocabulary))
    key = f"many-table-{hashlib.sha256(repr(lines).encode()).hexdigest()[:16]}"
    if st.session_state.get("many_shown", ("", []))[0] != key:
        before: dict[Line, dict[str, Any]] = st.session_state.get("many_edited", {})
        st.session_state.many_shown = key, [before.get(line) or _as_shown(line, labels) for line in lines]
    edited = st.data_editor(
        st.session_state.many_shown[1],
        key=key,
        hide_index=True,
        disabled=["Picture", "File", "Sound"],
        column_config={
            "Picture": st.column_config.ImageColumn(width="small"),
            "Tags": st.column_config.MultiselectColumn(options=vocabulary, accept_new_options=True, width="large"),
            "Category": st.column_config.SelectboxColumn(options=list(choices), width="medium"),
            "Licence": st.column_config.SelectboxColumn(options=list(LICENSES)),
            "Description": st.column_config.TextColumn(width="medium"),
            "Explicit": st.column_config.CheckboxColumn(help="Not for children"),
        },
    )
    st.session_state.many_edited = dict(zip(lines, edited, strict=True))  # what was typed stays when a file is added or removed
    return [_row(line, values, for_all, choices) for line, values in zip(lines, edited, strict=True)]


def _as_shown(line: Line, labels: dict[str, str]) -> dict[str, Any]:
    """A row of the table that nobody has touched."""
    return {
        "Picture": line.picture,
        "File": line.row.audio_filename,
        "Tags": list(line.row.tags),
        "Category": labels.get(line.row.bst_category),
        "Name": "",
        "Description": "",
        "Licence": None,
        "Place": "",
        "Explicit": False,
        "Sound": line.facts,
    }


def _row(line: Line, values: dict[str, Any], for_all: dict[str, Any], choices: dict[str, str]) -> BulkRow:
    return BulkRow(
        audio_filename=line.row.audio_filename,
        tags=clean(str(tag) for tag in values["Tags"] or []).tags,
        description=values["Description"] or for_all["description"],
        license=values["Licence"] or for_all["license"],
        bst_category=choices.get(values["Category"] or "", ""),
        name=values["Name"] or "",
        geotag=values["Place"] or "",
        pack_name=for_all["pack_name"],
        is_explicit=bool(values["Explicit"]),
    )


def _take_away(rows: list[BulkRow]) -> None:
    """What Freesound would refuse, and the two files when nothing is left of that."""
    found = problems_by_sentence(rows)
    if found:
        st.caption("Before Freesound would take it:")
        st.markdown("\n".join(f"- {plain(sentence)} ({plain(_whose(names, len(rows)))})" for sentence, names in found.items()))
    for place, column in bulk.formula_cells(rows):
        st.caption(f":material/warning: {plain(rows[place].audio_filename)}: a spreadsheet may take its {plain(column)} for a formula.")
    with st.container(horizontal=True):
        st.download_button(
            "Bulk description (CSV)", b"" if found else bulk.to_csv(rows), "freesound-bulk.csv", "text/csv", icon=":material/download:",
            disabled=bool(found), type="primary",
        )  # fmt: skip
        st.download_button(
            "The same as JSON", "" if found else bulk.to_json(rows), "freesound-bulk.json", "application/json", icon=":material/download:",
            disabled=bool(found),
        )  # fmt: skip


def problems_by_sentence(rows: list[BulkRow]) -> dict[str, list[str]]:
    """What Freesound would refuse, and the files that it would refuse it of."""
    found: dict[str, list[str]] = {}
    for row, problems in zip(rows, bulk.check_rows(rows), strict=True):
        for problem in problems:
            found.setdefault(problem.sentence, []).append(row.audio_filename)
    return found


def _whose(names: list[str], count: int) -> str:
    """`all files`, or their names as far as there is room."""
    if len(names) == count > 1:
        return "all files"
    names = [name if names.count(name) == 1 else f"{name}, {names.count(name)} times" for name in dict.fromkeys(names)]
    more = f" and {len(names) - FILES_NAMED} more" if len(names) > FILES_NAMED else ""
    return ", ".join(names[:FILES_NAMED]) + more


main()
