"""The list of a person's uploads."""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime

import streamlit as st

from app import auth, services
from app.text import ago, bullets, plain
from app.views.upload_status import processing_text, standing
from core.freesound.types import PendingUploads
from core.freesound.vocabulary import SITE
from core.pipeline.withdrawals import withdraw
from core.publishing.upload import UploadStates
from core.publishing.upload_log import Upload

logger = logging.getLogger(__name__)

MARKS = {
    "published": ":green[:material/check_circle:]",
    "refused": ":red[:material/error:]",
    "not there": ":red[:material/error:]",
}
PENDING_MARK = ":orange[:material/hourglass_top:]"


def upload_list(uploads: Sequence[Upload], states: UploadStates) -> None:
    """Draw a card for each upload from here, newest first."""
    for upload in uploads:
        with st.container(border=True, key=f"upload-{upload.upload_id}"):
            _card(upload, states)


def other_uploads(pending: PendingUploads, uploads: Sequence[Upload]) -> None:
    """Draw what is on its way at Freesound and was not published from here."""
    published = {upload.sound_id for upload in uploads}
    entries = (*pending.pending_processing, *pending.pending_moderation)
    others = [entry for entry in entries if entry.id not in published]
    files = pending.pending_description
    if not others and not files:
        return
    st.header("Also pending on Freesound", anchor=False)
    lines = []
    for entry in others:
        text = processing_text(entry.processing_state) or "waiting for moderation"
        lines.append(f"{plain(entry.name)}: {plain(text)}")
    lines += [f"{plain(name)}: uploaded, but not described yet" for name in files]
    st.markdown(bullets(lines))
    if files:
        url, icon = f"{SITE}/home/describe/", ":material/open_in_new:"
        st.link_button("Describe them on Freesound", url, icon=icon)


def withdraw_own(upload_id: str) -> None:
    """Withdraw a sound that the viewer published; nobody else's is in their list."""
    viewer = auth.viewer()
    uploads = services.publisher().uploads_of(viewer.person) if viewer.person else []
    own = [upload for upload in uploads if upload.upload_id == upload_id]
    if not own:
        logger.warning("refusal action=withdraw upload=%s actor=%s", upload_id, viewer.actor)
    for upload in own:
        if upload.sound_id:
            sound_id, reason = f"freesound:{upload.sound_id}", "withdrawn by its uploader"
            withdraw(services.workspace(), sound_id, reason, viewer.actor)


def _card(upload: Upload, states: UploadStates) -> None:
    mark = MARKS.get(upload.state, PENDING_MARK)
    st.markdown(f"{mark} **{plain(upload.title)}**")
    began = ago(datetime.fromtimestamp(upload.began, UTC))
    st.caption(f"{plain(upload.file_name)} · {began}")
    if upload.state != "published":
        st.markdown(plain(upload.message))
        return
    st.markdown(plain(standing(upload, states)))
    with st.container(horizontal=True):
        label, icon = f"Sound {upload.sound_id} on Freesound", ":material/open_in_new:"
        st.link_button(label, upload.url, icon=icon)
        _withdrawal(upload)


def _withdrawal(upload: Upload) -> None:
    sound = services.workspace().sounds.get(f"freesound:{upload.sound_id}")
    if sound is None or sound.withdrawn:
        st.caption("Withdrawn from Earmark.")
        return
    icon = ":material/delete_forever:"
    with st.popover("Withdraw from Earmark", type="tertiary", icon=icon):
        st.caption("Removes the sound from Earmark permanently. It stays on Freesound.")
        st.button(
            "Withdraw permanently",
            key=f"withdraw-{upload.upload_id}",
            on_click=withdraw_own,
            args=(upload.upload_id,),
        )
