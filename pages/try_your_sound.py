"""Upload or record a clip, see the suggested tags, and publish it."""

import streamlit as st

from app import services, state
from app.clips import TriedClip
from app.drafts import Draft
from app.predictor import ActivePredictor
from app.views.clip_analysis import TooManyClips, analyse_clip
from app.views.clip_input import ClipFile, begun_draft, choose_clip
from app.views.clip_result import clip_result
from app.views.draft import save_draft
from app.views.errors import show_error
from app.views.publish_form import ClipToPublish, form_values, publish_section, restore_form
from core.audio.errors import AudioError
from core.work import WorkStopped


def main() -> None:
    st.title("Try your sound", anchor=False)
    st.caption(
        "Clips are deleted from this server within a day. Nothing is published until you press "
        "Publish."
    )
    draft = begun_draft()
    file = choose_clip(draft)
    if file is None:
        return
    active = services.predictor()
    try:
        clip = analyse_clip(file.name, file.data, active)
    except (AudioError, WorkStopped, TooManyClips) as error:
        show_error(error)
        return
    tags_and_publishing(file, clip, draft, active)


def tags_and_publishing(
    file: ClipFile, clip: TriedClip, draft: Draft | None, active: ActivePredictor
) -> None:
    form = draft.form if draft and draft.data == file.data else {}
    edit, part = clip_result(clip, file.name, form, active)
    if not file.publishable:
        return
    to_publish = ClipToPublish(clip, file.file_name, file.data, part)
    restore_form(clip.key, form)
    publish_section(to_publish, edit)
    published = state.last_upload(clip.key).get()
    if published is None or published.state != "published":
        values = {"tags": list(edit.tags), "part": part, "file_name": file.file_name}
        save_draft(file.name, file.data, form_values(clip.key) | values)


main()
