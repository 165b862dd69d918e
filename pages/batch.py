"""Many files at once: tags corrected in a table, published one by one or exported."""

import streamlit as st

from app.services import can_publish
from app.views.batch_export import export_section
from app.views.batch_input import (
    MAX_FILES,
    analyse_files,
    files_by_key,
    show_problems,
    upload_files,
)
from app.views.batch_publish import publish_section, queue_section
from app.views.batch_table import batch_player, default_fields, edit_table


def main() -> None:
    st.title("Batch", anchor=False)
    publish = "Publish them from here one by one, or download" if can_publish() else "Download"
    st.caption(
        f"Upload up to {MAX_FILES} sounds and correct their tags in the table. {publish} one file "
        "that describes them all for Freesound's website."
    )
    queue_section()
    files = upload_files()
    if not files:
        return
    clips = analyse_files(files[:MAX_FILES])
    if len(files) > MAX_FILES:
        text = f"Only the first {MAX_FILES} of {len(files)} files were analysed."
        st.warning(text, icon=":material/warning:")
    show_problems(clips)
    good = [clip for clip in clips if not clip.problem]
    if good:
        rows = edit_table(good, default_fields())
        batch_player(good)
        export_section(rows)
        publish_section(good, rows, files_by_key(files))


main()
