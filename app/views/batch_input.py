"""The files of a batch, analysed one after another."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from app import browser, services, state, upload_limits
from app.clips import BatchClip
from app.predictor import ActivePredictor
from app.text import bullets, clock, plain, plural
from app.views.clip_analysis import Show, TooManyClips, analyse_clip, audio_limits, clip_key
from app.views.errors import log_error, show_error
from core.audio.errors import AudioError
from core.publishing.bulk import BulkRow
from core.publishing.category import predict_category
from core.publishing.form import EXTENSIONS
from core.work import WorkStopped

MAX_FILES = 200
MAX_UPLOADS = 2 * MAX_FILES
"""Those that are not analysed are uploaded all the same."""


def upload_files() -> Sequence[UploadedFile]:
    """Draw the uploader; returns its files."""
    limits = audio_limits()
    uploads = upload_limits.allow_uploads(limits.megabytes, MAX_UPLOADS)
    size = f"{clock(limits.seconds)} and {limits.megabytes:g} MB each"
    return st.file_uploader(
        "Sounds",
        type=sorted(EXTENSIONS),
        accept_multiple_files=True,
        max_upload_size=math.ceil(limits.megabytes),
        disabled=not browser.keeps_cookies(),
        key=state.batch_files.key,
        help=f"Up to {MAX_FILES} files of up to {size}, {uploads.megabytes} MB in all",
    )


def analyse_files(files: Sequence[UploadedFile]) -> list[BatchClip]:
    """Return each file that was analysed, in order.

    They are remembered, so that an interrupted round goes on where it stopped.
    """
    keys = _keys(files)
    missing = [file for file in files if keys[file.file_id] not in state.batch_clips.get()]
    if missing:
        _analyse_missing(missing, keys)
    clips = state.batch_clips.get()
    analysed = [key for key in keys.values() if key in clips]
    state.batch_clips.set({key: clips[key] for key in analysed})
    return [clips[key] for key in analysed]


def files_by_key(files: Sequence[UploadedFile]) -> Mapping[str, UploadedFile]:
    """Return the files by the keys of their clips."""
    keys = state.batch_keys.get()
    return {keys[file.file_id]: file for file in files if file.file_id in keys}


def _keys(files: Sequence[UploadedFile]) -> Mapping[str, str]:
    """Return the clips' keys by file id; each file is read once."""
    before = state.batch_keys.get()
    keys = {
        file.file_id: before.get(file.file_id) or clip_key(file.name, file.getvalue())
        for file in files
    }
    state.batch_keys.set(keys)
    return keys


def _analyse_missing(missing: Sequence[UploadedFile], keys: Mapping[str, str]) -> None:
    """Analyse files and remember them, with a progress bar meanwhile."""
    active = services.predictor()
    with st.container():
        bar = st.progress(0.0, text="Analysing ...")
        for done, file in enumerate(missing):
            label = f"Analysing {plain(file.name)} ({done + 1} of {len(missing)})"
            show = partial(bar.progress, done / len(missing))
            try:
                clip = _analyse(file.name, file.getvalue(), active, label, show)
            except TooManyClips as error:
                show_error(error)
                left = plural(len(missing) - done, "file")
                st.caption(f"{left} not analysed.")
                break
            state.batch_clips.set({**state.batch_clips.get(), keys[file.file_id]: clip})
        bar.empty()


def show_problems(clips: Sequence[BatchClip]) -> None:
    """Draw why some files could not be analysed."""
    problems = [clip.problem for clip in clips if clip.problem]
    if not problems:
        return
    label = f"{plural(len(problems), 'file')} could not be analysed"
    with st.expander(label, icon=":material/error:", expanded=True):
        st.markdown(bullets([plain(problem) for problem in problems]))


def _analyse(name: str, data: bytes, active: ActivePredictor, label: str, show: Show) -> BatchClip:
    """Analyse a file.

    Args:
        name: What to call it.
        data: Its bytes.
        active: The model.
        label: What to show while it is analysed.
        show: Shows the label, or how long the queue is.

    Raises:
        TooManyClips: That says nothing of the file: it may be analysed later.
    """
    row = BulkRow(name, (), "", "", "")
    try:
        clip = analyse_clip(name, data, active, label, show)
    except (AudioError, WorkStopped) as error:
        log_error(error)
        return BatchClip(row, problem=str(error))
    tags = tuple(tag.tag for tag in clip.suggestions if tag.above_threshold)
    guesses = predict_category(tags, {tag.tag: tag.probability for tag in clip.suggestions})
    row = replace(row, tags=tags, bst_category=guesses[0].code if guesses else "")
    return BatchClip(
        row,
        clip.key,
        clip.analysis.sound_id,
        clip.audio,
        clip.spectrogram,
        clip.facts,
        clip.analysis.sound.seconds,
        clip.suggestions,
        clip.model,
        clip.note,
    )
