"""Publishing the sounds of a batch one after the other: start, progress, and each one's outcome."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from app import auth, services
from app.analysis_queue import Requester
from app.clips import BatchClip
from app.text import bullets, plain, plural
from app.views.clip_analysis import analyse_in_background, current_requester
from app.views.errors import show_error, shows_errors
from core.errors import EarmarkError
from core.freesound.vocabulary import SITE
from core.people import Person
from core.publishing import bulk
from core.publishing.bulk import BulkRow
from core.publishing.form import machine_note, with_note
from core.publishing.publish_queue import PublishQueue, QueueRow, RowState, SoundToPublish
from core.publishing.upload import Progress, WithToken
from core.publishing.upload_log import Upload

logger = logging.getLogger(__name__)

POLL_INTERVAL_S = 1.0
MARKS: Mapping[RowState, str] = {
    "waiting": ":gray[:material/schedule:]",
    "sending": ":orange[:material/upload:]",
    "published": ":green[:material/cloud_done:]",
    "uncertain": ":orange[:material/help:]",
    "incomplete": ":orange[:material/warning:]",
    "not published": ":red[:material/error:]",
}
HEIGHT = 320
SOME = 6
"""More rows scroll."""


def queue_section() -> None:
    """Draw the viewer's queue, if there is one."""
    person = auth.viewer().person if services.can_publish() else None
    if person is None:
        return
    try:
        queue = services.publish_queues().of(person)
        is_running = services.queue_sending().is_running(person)
    except EarmarkError as error:
        show_error(error)
        st.button("Discard", key="queue-close", on_click=_close)
        return
    if queue is None:
        return
    with st.container(border=True, key="publish-queue"):
        (_watch if is_running else _outcome)()


def publish_section(
    clips: Sequence[BatchClip], rows: Sequence[BulkRow], files: Mapping[str, UploadedFile]
) -> None:
    """Draw the button that publishes all rows in which nothing is wrong.

    Args:
        clips: The analysed files.
        rows: Their descriptions, as the table shows them.
        files: By the clips' keys.
    """
    if not services.can_publish():
        return
    person = auth.viewer().person
    if person is None:
        st.caption(
            "Sign in with Freesound to publish from here. Signing in loads the page anew: add the "
            "files again afterwards."
        )
        return
    if services.publish_queues().of(person) is not None:
        st.caption("The sounds above are published first; then you can publish more.")
        return
    sounds, left_out = _publishable(clips, rows)
    text = f"{plural(left_out, 'sound')} with problems, or there twice, left out. "
    text = text if left_out else ""
    what = f" {plural(len(sounds), 'sound')}" if sounds else ""
    pressed = st.button(
        f"Publish{what} as {plain(person.name)}",
        key="publish-batch",
        type="primary" if sounds else "secondary",
        icon=":material/publish:",
        disabled=not sounds,
    )
    st.caption(f"{text}Freesound moderates sounds before they become public.")
    if pressed and _start(person, sounds, files):
        st.rerun()


def _publishable(
    clips: Sequence[BatchClip], rows: Sequence[BulkRow]
) -> tuple[list[tuple[BatchClip, BulkRow]], int]:
    """Return the rows in which nothing is wrong, each sound once, and how many others there are."""
    sounds: dict[str, tuple[BatchClip, BulkRow]] = {}
    for clip, row, problems in zip(clips, rows, bulk.check_rows(rows), strict=True):
        if not problems:
            sounds.setdefault(clip.sound_id, (clip, row))
    return list(sounds.values()), len(rows) - len(sounds)


def _start(
    person: Person,
    sounds: Sequence[tuple[BatchClip, BulkRow]],
    files: Mapping[str, UploadedFile],
) -> bool:
    """Keep the sounds and begin to publish them; False where that cannot be done."""
    with st.spinner("Keeping the files ..."):
        entries = [
            SoundToPublish(_described(clip, row), files[clip.key].getvalue(), clip.model)
            for clip, row in sounds
            if clip.key in files and clip.model is not None
        ]
        try:
            queue = services.publish_queues().begin(person, entries)
        except EarmarkError as error:
            show_error(error)
            return False
    return _run(person, queue)


def _described(clip: BatchClip, row: BulkRow) -> BulkRow:
    """Return a row whose description says which tags a model had suggested."""
    kept = [suggestion.tag for suggestion in clip.suggestions if suggestion.tag in row.tags]
    return replace(row, description=with_note(row.description, machine_note(kept, clip.model)))


def _run(person: Person, queue: PublishQueue) -> bool:
    requester, with_token = current_requester(), auth.with_token(person)

    def publish_with(report: Progress) -> Callable[[QueueRow, bytes], Upload]:
        return partial(_publish, person, with_token, requester, report)

    return services.queue_sending().start(person, queue, publish_with)


def _publish(
    person: Person,
    with_token: WithToken,
    requester: Requester,
    report: Progress,
    row: QueueRow,
    data: bytes,
) -> Upload:
    """Analyse a sound and publish it: in the queue's thread.

    Where another model has become active since the tags were shown, its suggestions are left out:
    the person has not seen them, so their absence from the tags would be no verdict.
    """
    analysis = analyse_in_background(row.row.audio_filename, data, requester, report)
    if analysis.model != row.model:
        analysis = replace(analysis, suggestions=())
    form = row.row.to_form(len(data))
    return services.publisher().publish(person, with_token, form, data, analysis, report)


@st.fragment(run_every=POLL_INTERVAL_S)
@shows_errors
def _watch() -> None:
    """Draw how far a running queue is; the whole page again when it has ended."""
    person = auth.viewer().person
    sending = services.queue_sending()
    queue = services.publish_queues().of(person) if person else None
    if person is None or queue is None or not sending.is_running(person):
        st.rerun(scope="app")
    done, total = len(queue.rows) - len(queue.unfinished), len(queue.rows)
    stage, share = sending.progress(person)
    now = next((row.row.audio_filename for row in queue.in_state("sending")), "")
    text = f"{done} of {plural(total, 'sound')} done. {plain(stage)} {plain(now)} ..."
    st.progress(min(1.0, (done + share) / total), text=text)
    if sending.is_stopping(person):
        st.caption("Stopping after this sound ...")
    else:
        st.button("Stop", key="queue-stop", icon=":material/stop:", on_click=_stop)
    _row_list(queue, is_running=True)


def _outcome() -> None:
    """Draw what a queue has done that does not run, and what can be done about it."""
    person = auth.viewer().person
    queue = services.publish_queues().of(person) if person else None
    if person is None or queue is None:
        return
    left, failed = queue.unfinished, queue.in_state("not published")
    published = len(queue.in_state("published"))
    text = f"{published} of {plural(len(queue.rows), 'sound')} published."
    if left and queue.state == "stopped":
        st.warning(f"Stopped. {text} {plain(queue.reason)}", icon=":material/pause_circle:")
    elif left and queue.state == "running":
        text = f"Interrupted. {text} Nothing is sent twice when it goes on."
        st.warning(text, icon=":material/pause_circle:")
    elif left or failed or published < len(queue.rows):
        st.warning(text, icon=":material/warning:")
    else:
        st.success(text, icon=":material/check_circle:")
    _row_list(queue, is_running=False)
    with st.container(horizontal=True):
        if left:
            st.button("Continue", key="queue-continue", type="primary", on_click=_continue)
        elif failed:
            label = f"Try {plural(len(failed), 'sound')} again"
            st.button(label, key="queue-again", type="primary", on_click=_try_again)
        label = f"Discard {plural(len(left), 'sound')}" if left else "Close"
        st.button(label, key="queue-close", on_click=_close)


def _row_list(queue: PublishQueue, *, is_running: bool) -> None:
    """Draw the outcome of each sound, in order."""
    with st.container(height=HEIGHT if len(queue.rows) > SOME else "content", border=False):
        st.markdown(bullets([_row_text(row, is_running=is_running) for row in queue.rows]))


def _row_text(row: QueueRow, *, is_running: bool) -> str:
    name = plain(row.row.name.strip() or row.row.audio_filename)
    message = plain(row.message) or row.state
    if row.state == "sending" and not is_running:
        message = "interrupted while it was sent"
    link = f" [Sound {row.sound_id}]({SITE}/s/{row.sound_id}/)" if row.sound_id else ""
    return f"{MARKS[row.state]} **{name}**: {message}{link}"


def _stop() -> None:
    if person := auth.viewer().person:
        services.queue_sending().stop(person)


def _continue() -> None:
    """Go on with the sounds that wait, for whoever is signed in now: it is their own queue."""
    person = auth.viewer().person
    queue = services.publish_queues().of(person) if person else None
    if person is None or queue is None:
        logger.warning("refusal action=continue-queue")
        return
    _run(person, queue)


def _try_again() -> None:
    person = auth.viewer().person
    queue = services.publish_queues().of(person) if person else None
    if person is None or queue is None:
        logger.warning("refusal action=try-queue-again")
        return
    services.publish_queues().try_again(queue)
    _continue()


def _close() -> None:
    """Forget the queue; not while it runs."""
    person = auth.viewer().person
    if person is None or services.queue_sending().is_running(person):
        logger.warning("refusal action=close-queue")
        return
    services.publish_queues().close(person)
