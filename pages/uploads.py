"""What became of the sounds that somebody published from here."""

import time
from datetime import UTC, datetime

import streamlit as st

from app import session
from app.text import ago, plain
from core.errors import EarmarkError
from core.freesound.client import FreesoundSound, PendingUploads
from core.freesound.publications import SITE, Publication
from core.freesound.publishing import WithToken
from core.people import Person
from core.withdrawing import GONE, withdraw

MARKS = {
    "published": ":green[:material/check_circle:]",
    "refused": ":red[:material/error:]",
    "not there": ":red[:material/error:]",
}
# Sounds of trusted uploaders are in no list while they are processed, and may not be shown either. That takes a minute.
GONE_AFTER_S = 3600
PROCESSING = {
    "Pending": "waiting to be processed",
    "Queued": "waiting to be processed",
    "Processing": "being processed",
    "Processed": "processed",
    "Failed": "Freesound could not process it: is it a whole audio file?",
}


def main() -> None:
    st.title("Your uploads", anchor=False)
    who = session.viewer()
    if not session.can_publish_here():
        st.info("Publishing is not set up on this server.", icon=":material/cloud_off:")
        return
    if who.person is None:
        st.info("Sign in with Freesound to see what became of your sounds.", icon=":material/login:")
        return
    everything(who.person, session.with_token(who.person))


def everything(person: Person, with_token: WithToken) -> None:
    """Publications from here, and what else of the person's is on its way at Freesound."""
    st.button("Look again", key="look-again", icon=":material/refresh:", on_click=_forget_look)
    pending, others = _looked_up(person, with_token)
    publications = session.publisher().of(person)
    if not publications and pending == PendingUploads():
        st.info("Nothing yet. What you publish on “Try your sound” is listed here.", icon=":material/cloud_upload:")
    for publication in publications:
        with st.container(border=True, key=f"upload-{publication.intent}"):
            one(publication, pending, others, person)
    elsewhere(pending, {publication.sound for publication in publications})


def _looked_up(person: Person, with_token: WithToken) -> tuple[PendingUploads, dict[int, FreesoundSound | None]]:
    """What Freesound says, asked once and then only at the press of the button: requests are counted."""
    kept = st.session_state.get("uploads_looked_up")
    if kept is None or kept[0] != person.user_id:
        try:
            with st.spinner("Asking Freesound ..."):
                session.publisher().settle(person, with_token)
                found = session.publisher().states(person, with_token)
            _withdraw_gone(found[1], person)
        except EarmarkError as error:
            session.show_error(error)
            return PendingUploads(), {}
        kept = st.session_state.uploads_looked_up = (person.user_id, found)
    return kept[1]


def _forget_look() -> None:
    st.session_state.pop("uploads_looked_up", None)


def _withdraw_gone(others: dict[int, FreesoundSound | None], person: Person) -> None:
    """Sounds that were rejected or deleted at Freesound leave Earmark, too."""
    for publication in session.publisher().of(person):
        if _is_gone(publication, others):
            withdraw(session.workspace(), f"freesound:{publication.sound}", GONE, person.actor)


def _is_gone(publication: Publication, others: dict[int, FreesoundSound | None]) -> bool:
    """Whether Freesound does not have the sound any more, rather than not show it yet."""
    return publication.sound in others and others[publication.sound] is None and time.time() - publication.changed > GONE_AFTER_S


def one(publication: Publication, pending: PendingUploads, others: dict[int, FreesoundSound | None], person: Person) -> None:
    """One publication: what it is called, where it stands, and what can be done."""
    st.markdown(f"{MARKS.get(publication.state, ':orange[:material/hourglass_top:]')} **{plain(publication.title)}**")
    st.caption(f"{plain(publication.file_name)} · {ago(datetime.fromtimestamp(publication.began, UTC))}")
    if publication.state != "published":
        st.markdown(plain(publication.message))
        return
    st.markdown(plain(standing(publication, pending, others)))
    with st.container(horizontal=True):
        st.link_button(f"Sound {publication.sound} on Freesound", publication.url, icon=":material/open_in_new:")
        state = session.workspace().sound(f"freesound:{publication.sound}")
        if state is None or state.withdrawn:
            st.caption("Withdrawn from Earmark.")
        else:
            with st.popover("Withdraw from Earmark", type="tertiary", icon=":material/delete_forever:"):
                st.caption("It leaves Earmark for good. On Freesound nothing changes.")
                st.button("Withdraw for good", key=f"withdraw-{publication.intent}", on_click=_withdraw, args=(publication.intent,))


def standing(publication: Publication, pending: PendingUploads, others: dict[int, FreesoundSound | None]) -> str:
    """Where a published sound stands at Freesound, as a sentence."""
    for entry in pending.pending_processing:
        if entry.id == publication.sound:
            return f"On Freesound: {PROCESSING.get(entry.processing_state, entry.processing_state)}."
    if any(entry.id == publication.sound for entry in pending.pending_moderation):
        return "On Freesound: waiting for people to moderate it, which can take days."
    if publication.sound not in others:
        return "On Freesound."
    sound = others[publication.sound]
    if _is_gone(publication, others):
        return "Freesound does not have it any more: it was not accepted, or deleted."
    return "Public on Freesound." if sound and sound.duration > 0 else "On Freesound: being processed."


def _withdraw(intent: str) -> None:
    """Only the person's own: the list of theirs is read anew."""
    who = session.viewer()
    own = session.publisher().of(who.person) if who.person else []
    for publication in own:
        if publication.intent == intent and publication.sound:
            withdraw(session.workspace(), f"freesound:{publication.sound}", "withdrawn by its uploader", who.actor)


def elsewhere(pending: PendingUploads, ours: set[int | None]) -> None:
    """What is on its way at Freesound and did not come from here; files that still need their description."""
    others = [one for one in (*pending.pending_processing, *pending.pending_moderation) if one.id not in ours]
    if not others and not pending.pending_description:
        return
    st.subheader("Also on its way at Freesound", anchor=False)
    for entry in others:
        state = PROCESSING.get(entry.processing_state, entry.processing_state) or "waiting for moderation"
        st.markdown(f"- {plain(entry.name)}: {plain(state)}")
    for name in pending.pending_description:
        st.markdown(f"- {plain(name)}: uploaded, but not described yet")
    if pending.pending_description:
        st.link_button("Describe them on Freesound", f"{SITE}/home/describe/", icon=":material/open_in_new:")


main()
