"""The list of a person's uploads."""

import logging
from datetime import UTC, datetime

import streamlit as st

from app import auth, services
from app.text import ago, bullets, plain
from app.upload_watch import Look
from app.views.upload_status import (
    MANAGE_PAGE,
    OF_UPLOAD,
    STATE_MARKS,
    WAITING,
    processing_text,
    stage_text,
    standing_line,
)
from core.freesound.vocabulary import SITE
from core.pipeline.withdrawals import withdraw
from core.publishing.lookup import OWN_SOUNDS, edit_page
from core.publishing.upload_log import Upload

logger = logging.getLogger(__name__)


def upload_list(look: Look) -> None:
    """Draw a card for each upload from here, newest first."""
    for upload in look.uploads:
        with st.container(border=True, key=f"upload-{upload.upload_id}"):
            _card(upload, look)


def other_uploads(look: Look) -> None:
    """Draw what is on its way at Freesound and was not published from here."""
    own = {upload.sound_id for upload in look.uploads}
    others = [entry for entry in look.pending.sounds if entry.id not in own]
    files = look.pending.pending_description
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
        _link("Describe them on Freesound", f"{SITE}/home/describe/")


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


def _card(upload: Upload, look: Look) -> None:
    is_published = upload.state == "published"
    standing = look.standings.get(upload.sound_id or 0) if is_published else None
    stage = stage_text(standing) if is_published else OF_UPLOAD
    mark = stage.mark if is_published else STATE_MARKS.get(upload.state, WAITING)
    st.markdown(f"{mark} **{plain(upload.title)}**")
    began = ago(datetime.fromtimestamp(upload.began, UTC))
    st.caption(f"{plain(upload.file_name)} · {began}")
    text = standing_line(upload, standing, look.pending) if is_published else plain(upload.message)
    st.markdown(text)
    with st.container(horizontal=True):
        if upload.sound_id and stage.is_linked:
            _link(f"Sound {upload.sound_id} on Freesound", upload.url)
        if stage.needs_person:
            _link("Your sounds on Freesound", MANAGE_PAGE)
        if upload.state == "incomplete" and upload.sound_id:
            _link("Your sounds on Freesound", OWN_SOUNDS)
            _link("Complete it on Freesound", edit_page(upload.username, upload.sound_id))
        if is_published:
            _withdrawal(upload)


def _link(label: str, url: str) -> None:
    st.link_button(label, url, icon=":material/open_in_new:")


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
