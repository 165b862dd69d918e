"""Publishing in the background: start, progress and outcome."""

import logging
from dataclasses import replace
from functools import partial
from pathlib import Path

import streamlit as st

from app import auth, services, state
from app.analysis_queue import Requester
from app.clips import OutgoingSound
from app.sending import Sending
from app.text import plain
from app.views.clip_analysis import analyse_in_background, current_requester
from app.views.draft import delete_draft
from app.views.errors import shows_errors
from core.people import Person
from core.publishing.form import UploadForm, check
from core.publishing.lookup import OWN_SOUNDS, edit_page
from core.publishing.upload import WithToken
from core.publishing.upload_log import Upload

logger = logging.getLogger(__name__)

POLL_INTERVAL_S = 0.5
PAGES = Path(__file__).resolve().parents[2] / "pages"


def start(clip_key: str, outgoing: OutgoingSound, form: UploadForm) -> bool:
    """Begin to publish, if the viewer may and the form is right: both are checked again here.

    Args:
        clip_key: Whose publication it is.
        outgoing: The file.
        form: Its description.

    Returns:
        Whether it has begun.
    """
    person, entry = auth.viewer().person, state.sending(clip_key)
    if person is None:
        logger.warning("refusal action=publish")
        return False
    if check(form) or entry.exists:
        return False
    sending = Sending()
    entry.set(sending)
    with_token, requester = auth.with_token(person), current_requester()
    sending.start(partial(_send, person, with_token, requester, outgoing, form))
    return True


def _send(
    person: Person,
    with_token: WithToken,
    requester: Requester,
    outgoing: OutgoingSound,
    form: UploadForm,
    sending: Sending,
) -> Upload:
    """Analyse the file, unless that was done, and publish it: in a thread of its own."""
    analysis = outgoing.analysis
    if analysis is None:
        name, data = outgoing.file_name, outgoing.data
        analysis = analyse_in_background(name, data, requester, sending.report)
        sending.analysis = analysis
    publisher = services.publisher()
    return publisher.publish(person, with_token, form, outgoing.data, analysis, sending.report)


@st.fragment(run_every=POLL_INTERVAL_S)
@shows_errors
def watch(clip_key: str) -> None:
    """Draw how far it is; the whole page again when it has ended."""
    sending = state.sending(clip_key).get()
    if sending is None:
        return
    if sending.running:
        st.progress(sending.share, text=f"{plain(sending.stage)} ...")
        return
    state.sending(clip_key).pop()
    _remember_analysis(clip_key, sending)
    if sending.upload is not None:
        state.last_upload(clip_key).set(sending.upload)
        if sending.upload.state == "published":
            delete_draft()
    state.publish_error(clip_key).set(sending.error)
    st.rerun(scope="app")


def _remember_analysis(clip_key: str, sending: Sending) -> None:
    """Keep the analysis of a part for a second press after a refusal."""
    entry = state.outgoing_part(clip_key)
    cut = entry.get()
    if cut is not None and sending.analysis is not None:
        part, outgoing = cut
        entry.set((part, replace(outgoing, analysis=sending.analysis)))


def outcome(upload: Upload) -> None:
    """Draw the outcome of a publication."""
    message = plain(upload.message)
    if upload.state == "published":
        st.success(message, icon=":material/check_circle:")
        with st.container(horizontal=True):
            label, icon = f"Sound {upload.sound_id} on Freesound", ":material/open_in_new:"
            st.link_button(label, upload.url, icon=icon)
            page = str(PAGES / "monitor.py")
            st.page_link(page, label="Show in Monitor", icon=":material/graphic_eq:")
    elif upload.state == "incomplete" and upload.sound_id is not None:
        st.warning(message, icon=":material/warning:")
        with st.container(horizontal=True):
            icon = ":material/open_in_new:"
            st.link_button("Your sounds on Freesound", OWN_SOUNDS, icon=icon)
            st.link_button(
                f"Edit sound {upload.sound_id}",
                edit_page(upload.username, upload.sound_id),
                icon=icon,
            )
    elif upload.is_open:
        st.warning(message, icon=":material/hourglass_top:")
    else:
        st.error(message, icon=":material/error:")
