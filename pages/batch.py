"""Many files at once: tags corrected in a table, exported as Freesound's bulk description."""

import streamlit as st

from app.views.batch_export import export_section
from app.views.batch_input import MAX_FILES, analyse_files, show_problems, upload_files
from app.views.batch_table import default_fields, edit_table


def main() -> None:
    st.title("Batch", anchor=False)
    st.caption(
        "Upload up to 200 sounds, correct their tags in the table, and download one file that "
        "describes them all. Upload the audio and that file on Freesound's website."
    )
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
        export_section(edit_table(good, default_fields()))


main()
