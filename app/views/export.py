"""Export of the sounds that the filters choose."""

import streamlit as st

from app import services
from app.text import plural
from app.views.errors import shows_errors
from app.views.view import View
from core.curation.export import FILE_NAMES, ExportFormat, export_chunks
from core.errors import EarmarkError

FORMAT_NAMES: dict[ExportFormat, str] = {
    "csv": "CSV",
    "jsonl": "JSON lines",
    "id2prediction": "id2prediction.json",
}
MIME_TYPES: dict[ExportFormat, str] = {
    "csv": "text/csv",
    "jsonl": "application/jsonl",
    "id2prediction": "application/json",
}


@st.dialog("Export", icon=":material/download:")
@shows_errors
def export_dialog(view: View) -> None:
    """Draw the choice of a format, and the download."""
    count = services.workspace().sounds.count(view.query)
    st.markdown(f"The filters match **{plural(count.number, 'sound')}**.")
    form = st.radio(
        "Format", list(FORMAT_NAMES), format_func=FORMAT_NAMES.__getitem__, horizontal=True
    )
    verified = st.checkbox("Only reviewed sounds")
    if verified and view.query.show not in ("all", "reviewed"):
        st.info("These filters exclude reviewed sounds. Set the state to Reviewed or All.")
        return
    st.download_button(
        "Download",
        data=lambda: _content(view, form, verified),
        file_name=FILE_NAMES[form],
        mime=MIME_TYPES[form],
        type="primary",
        icon=":material/download:",
        on_click="ignore",
    )


def _content(view: View, form: ExportFormat, verified: bool) -> bytes:
    """Return the file. It is made when the button is pressed, not when it is drawn."""
    sounds = services.workspace().sounds
    try:
        chunks = export_chunks(sounds, view.query, form, order=view.order, verified=verified)
        return b"".join(chunks)
    except EarmarkError as error:
        return f"{error}\n".encode()
