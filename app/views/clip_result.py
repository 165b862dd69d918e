"""An analysed clip on the try page: player, tags and download."""

import json
from collections.abc import Mapping

import streamlit as st

from app import services, state
from app.clips import Part, TriedClip
from app.components.player import checked_part, levels_over_time, player
from app.components.tag_editor import Edit, tag_editor
from app.predictor import ActivePredictor
from app.routes import temporary_media_url
from app.text import plain, plural
from core.model.bundle import Bundle
from core.tags import MAX_TAGS, MIN_TAGS


def clip_result(
    clip: TriedClip, name: str, draft: Mapping[str, object], active: ActivePredictor
) -> tuple[Edit, Part | None]:
    """Draw the clip with its suggested tags.

    Args:
        clip: The analysed clip.
        name: What to call it.
        draft: What was typed about it before this page was loaded.
        active: The model that analysed it.

    Returns:
        Its tags and the selected part; None for the whole clip.
    """
    with st.container(border=True):
        left_column, right_column = st.columns([3, 2], gap="medium")
        with left_column:
            part = _player(clip, name, draft.get("part"), active.predictor.bundle)
        with right_column:
            return _tags(clip, name, draft.get("tags"), active), part


def _player(clip: TriedClip, name: str, drafted_part: object, bundle: Bundle) -> Part | None:
    seconds = clip.analysis.sound.seconds
    times, levels = levels_over_time(clip.analysis.arrays, bundle.vocabulary, clip.suggestions)
    part = player(
        key=state.clip_player_key(clip.key),
        audio_url=temporary_media_url(clip.audio),
        picture_url=temporary_media_url(clip.spectrogram),
        title=name,
        facts=clip.facts,
        seconds=seconds,
        suggestions=clip.suggestions,
        times=times,
        levels=levels,
        thresholds=services.thresholds_by_tag(bundle),
        selectable=True,
        selection=checked_part(drafted_part, seconds),
    )
    if clip.note:
        st.caption(f":material/info: {plain(clip.note)}")
    if part:
        start, end = part
        st.caption(
            f":material/content_cut: {start:.2f} s to {end:.2f} s will be published. "
            "Tags are suggested for the whole clip."
        )
    return part


def _tags(clip: TriedClip, name: str, drafted_tags: object, active: ActivePredictor) -> Edit:
    """Draw the chips, and the tags as Freesound stores them."""
    confident = [tag.tag for tag in clip.suggestions if tag.above_threshold]
    guesses = [tag for tag in clip.suggestions if not tag.above_threshold]
    begun = None
    if isinstance(drafted_tags, list):
        begun = [tag for tag in drafted_tags if isinstance(tag, str)]
    key = state.clip_editor_key(clip.key)
    edit = tag_editor(key, confident, active.predictor.vocabulary, guesses, begun=begun)
    if not confident:
        st.caption(
            ":material/auto_awesome: No tag is probable enough to suggest; "
            "the best guesses are offered here."
        )
    if edit.tags:
        st.code(" ".join(edit.tags), language=None, wrap_lines=True)
    count = plural(len(edit.tags), "tag")
    st.caption(f"{count} (Freesound requires {MIN_TAGS}-{MAX_TAGS})")
    st.download_button(
        "Download JSON",
        as_json(clip, name, edit.tags),
        file_name="earmark-tags.json",
        mime="application/json",
        icon=":material/download:",
    )
    st.caption(f"Suggested by {plain(str(clip.model))}. {plain(active.notice)}")
    return edit


def as_json(clip: TriedClip, name: str, tags: tuple[str, ...]) -> str:
    """Return tags and suggestions as JSON, for download."""
    content = {
        "file": name,
        "tags": list(tags),
        "suggestions": [tag.model_dump(mode="json") for tag in clip.suggestions],
        "model": str(clip.model),
    }
    return json.dumps(content, indent=1, ensure_ascii=False)
