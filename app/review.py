"""One sound on the monitor: heard, seen, corrected, undone. Each editor remembers the state that its person was shown."""

from collections.abc import Callable

import streamlit as st

from app import session
from app.player import Heard, player
from app.routes import media_url
from app.tag_editor import edited, tag_editor
from app.text import ago, clock, plain
from core.freesound.terms import license_name, own_page, wish_in_words
from core.id2prediction import Event, SoundState, overruled, review, undo
from core.people import shown_name
from core.tags import clean
from core.withdrawing import LONGEST_REASON, is_uploader, withdraw
from core.workspace import WorkspaceError

MOST_TAGS_SHOWN = 30
LOOK_EVERY_S = 2
FAINTEST_GUESS = 0.05  # fainter ones are noise; the player lists them all the same


def sound_card(sound_id: str, vocabulary: list[str]) -> None:
    """The card of one sound."""
    with st.container(border=True, key=f"sound-{sound_id.replace(':', '-')}"):
        _card(sound_id, vocabulary)


@st.fragment
def _card(sound_id: str, vocabulary: list[str]) -> None:
    state = session.workspace().sound(sound_id)
    if state is None or state.withdrawn:
        st.caption("This sound has been withdrawn.")
        return
    listen, correct = st.columns([3, 2], gap="medium")
    with listen:
        _player(state)
        _uploader(state)
    with correct:
        _editor(state, vocabulary)


def _player(state: SoundState) -> None:
    if session.workspace().media_path(state.media.audio) is None:
        st.markdown(f"**{plain(state.sound.title)}**")
        st.caption("The sound itself is not kept in this workspace: its events were imported without it.")
        return
    player(
        key=f"player-{state.sound_id}",
        audio_url=media_url(state.media.audio),
        picture_url=media_url(state.media.spectrogram),
        title=state.sound.title,
        facts=_facts(state),
        seconds=state.sound.seconds,
        suggestions=state.suggestions,
        heard=_heard(state),
    )


def _facts(state: SoundState) -> str:
    sound = state.sound
    channels = {0: "", 1: "mono", 2: "stereo"}.get(sound.channels, f"{sound.channels} channels")
    parts = [sound.author and f"by {sound.author}", clock(sound.seconds), sound.container, channels]
    parts += [license_name(sound.license), sound.category, ago(state.arrived)]
    return " · ".join(part for part in parts if part)


def _uploader(state: SoundState) -> None:
    """What the uploader says of the sound: tags, a wish, and where to find it. All of it is text from outside."""
    sound, wish = state.sound, wish_in_words(state.sound.gen_ai_preference)
    page = own_page(sound.url, session.settings().freesound_api)
    if not (sound.tags or wish or page):
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"uploader-{state.sound_id.replace(':', '-')}"):
        if sound.tags:
            st.caption(f":material/sell: The uploader's tags: {_with_ours_in_bold(sound.tags, state)}")
        if wish:
            st.caption(f":material/smart_toy: For training generative models: {plain(wish)}")
        if page:
            st.link_button("On Freesound", page, type="tertiary", icon=":material/open_in_new:")


def _with_ours_in_bold(tags: tuple[str, ...], state: SoundState) -> str:
    """The uploader's tags as Markdown, those that the model suggests too in bold."""
    ours = set(clean(one.tag for one in state.suggestions if one.above_threshold).tags)
    shown = [f"**{plain(tag)}**" if ours & set(clean([tag]).tags) else plain(tag) for tag in tags[:MOST_TAGS_SHOWN]]
    more = f" and {len(tags) - MOST_TAGS_SHOWN} more" if len(tags) > MOST_TAGS_SHOWN else ""
    return ", ".join(shown) + more


def _heard(state: SoundState) -> Heard | None:
    """When the suggested tags were heard, if the sidecar of that prediction is there."""
    if state.model is None:
        return None
    arrays = session.workspace().sidecar(state.sound_id, state.model)
    if arrays is None or not {"times", "activations"} <= arrays.keys():
        return None
    columns = {tag: column for column, tag in enumerate(session.vocabulary(state.model))}
    if arrays["activations"].shape[1] != len(columns) or not {one.tag for one in state.suggestions} <= columns.keys():
        return None
    heard = [columns[one.tag] for one in state.suggestions]
    return Heard(arrays["times"].astype(float), arrays["activations"][:, heard].astype(float))


def _editor(now: SoundState, vocabulary: list[str]) -> None:
    """Chips and buttons. The person edits the state that they were shown, until they save it or have nothing unsaved."""
    may_not = session.viewer().may_not_edit
    shown = _shown(now)
    guesses = [one for one in now.suggestions if one.tag not in shown.tags and one.probability >= FAINTEST_GUESS]
    edit = tag_editor(_editor_key(shown), shown.tags, vocabulary, guesses, version=shown.last.event_id, disabled=bool(may_not))
    if shown.last.event_id != now.last.event_id:
        st.caption(
            f":material/group: {plain(shown_name(now.last.actor))} has changed this sound since; your changes will be laid over theirs."
        )
    if not may_not:
        _buttons(now, changed=edit.changed)
        _name_question(now.sound_id)
    _status(now)


def _buttons(now: SoundState, *, changed: bool) -> None:
    sound_id = now.sound_id
    with st.container(horizontal=True, gap="small"):
        # Never disabled: a press may come together with the text that is still being typed.
        st.button(
            "Save",
            key=f"save-{sound_id}",
            type="primary" if changed else "secondary",
            on_click=_save,
            args=(sound_id,),
            icon=":material/check:",
        )
        st.button(
            "All correct" if not changed else "Save, rest is correct",
            key=f"accept-{sound_id}",
            on_click=_save,
            args=(sound_id, True),
            icon=":material/done_all:",
            help="Say of each of these tags that it is right",
        )
        last = now.last_review if now.last_review and now.last_review.kind == "reviewed" else None
        st.button(
            "Undo",
            key=f"undo-{sound_id}",
            type="tertiary",
            icon=":material/undo:",
            disabled=last is None,
            on_click=_undo,
            args=(sound_id, last.event_id if last else ""),
            help=f"Take back the review by {plain(shown_name(last.actor))}" if last else "Nothing to take back",
        )


def _status(now: SoundState) -> None:
    note = st.session_state.get(_note_key(now.sound_id))
    if note:
        st.container(key=f"note-{now.sound_id}").markdown(note)
    last = now.last_review
    if now.last_review and session.workspace().waiting([now.last.event_id]):
        _waiting(now.last.event_id)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        if last:
            st.caption(f":material/verified: Reviewed by {plain(shown_name(last.actor))}, {ago(last.time)}")
        elif now.tags:
            st.caption(":material/auto_awesome: Suggested, not reviewed" if now.model else ":material/file_open: Imported, not reviewed")
        else:
            st.caption(":material/auto_awesome: The model is not sure of any tag")
        with st.popover("History", type="tertiary"):
            for event in reversed(session.workspace().events(now.sound_id)):
                st.markdown(f"**{ago(event.time)}**, {_in_words(event)}")
            if _may_withdraw(now.sound_id):
                _withdrawal(now.sound_id)


@st.fragment(run_every=LOOK_EVERY_S)
def _waiting(event_id: str) -> None:
    """Where a save is on its way to the shared home: first only here, then there."""
    if session.workspace().waiting([event_id]):
        st.caption(":material/cloud_upload: Waiting: kept on this server, not yet in the shared home")
    else:
        st.caption(":material/cloud_done: Saved in the shared home")


def _in_words(event: Event) -> str:
    """An event as half a sentence of Markdown."""
    payload, actor = event.payload, plain(shown_name(event.actor))
    if event.kind == "predicted":
        tags = ", ".join(f"{plain(one.tag)} {one.probability:.0%}" for one in payload.top)
        return f"{plain(str(payload.model))} heard {tags}"
    if event.kind in ("reviewed", "published"):
        return f"{actor} {plain(_decisions_in_words(payload.decisions))}"
    if event.kind == "imported":
        return f"imported from {plain(payload.file or 'a file')}: {plain(', '.join(payload.tags))}"
    return {"undone": f"{actor} took a change back", "withdrawn": f"withdrawn: {plain(getattr(payload, 'reason', ''))}"}.get(
        event.kind, event.kind
    )


def _decisions_in_words(decisions: dict[str, str]) -> str:
    """`removed dog; added howl, night`."""
    phrases = []
    for verdict in ("kept", "removed", "added"):
        tags = [tag for tag, one in decisions.items() if one == verdict]
        if tags:
            phrases.append(f"{verdict} {', '.join(tags)}")
    return "; ".join(phrases) or "said that it has none of the suggested tags"


# What a person was shown, and what they do with it


def _shown(now: SoundState) -> SoundState:
    """The state that this session's editor of the sound rests on: today's, unless there are unsaved changes to an older one."""
    key = f"shown-{now.sound_id}"
    before: SoundState | None = st.session_state.get(key)
    if before is not None and set(_tags_in_editor(before)) != set(before.tags):
        return before
    st.session_state[key] = now
    return now


def _editor_key(shown: SoundState) -> str:
    return f"tags-{shown.sound_id}"


def _tags_in_editor(shown: SoundState) -> tuple[str, ...]:
    return edited(_editor_key(shown), shown.tags, shown.last.event_id)


def _note_key(sound_id: str) -> str:
    return f"said-{sound_id}"


def _save(sound_id: str, accept: bool = False) -> None:
    """Write what the person decided as a reviewed event and say what was stored."""
    shown: SoundState | None = st.session_state.get(f"shown-{sound_id}")
    viewer = session.viewer()
    if shown is None or _refused(sound_id, viewer) or _asked_for_name(sound_id, viewer, _save, accept):
        return
    event = review(shown, _tags_in_editor(shown), viewer.actor, accept=accept)
    if event is None:
        st.session_state[_note_key(sound_id)] = "Nothing was changed, so nothing was saved."
        return
    if not _append(sound_id, event):
        return
    del st.session_state[f"shown-{sound_id}"]
    contradicted = overruled(event, session.workspace().events(sound_id))
    word = ":green[Saved:]" if session.workspace().sharing() is None else ":green[Noted:]"
    note = f"{word} {plain(_decisions_in_words(event.payload.decisions))}"
    for one in contradicted:
        note += (
            f"  \n:orange[{plain(shown_name(one.event.actor))} had {one.verdict} {plain(one.tag)} meanwhile; yours, the later one, counts.]"
        )
    st.session_state[_note_key(sound_id)] = note


def _may_withdraw(sound_id: str) -> bool:
    """Maintainers may, and whoever published the sound from here."""
    viewer = session.viewer()
    return not viewer.may_not_run or is_uploader(viewer.person, session.workspace(), sound_id)


def _withdrawal(sound_id: str) -> None:
    st.divider()
    st.caption("Withdrawing takes the sound out of Earmark for good. On Freesound nothing changes.")
    st.text_input("Reason", key=f"reason-{sound_id}", max_chars=LONGEST_REASON)
    st.button("Withdraw", key=f"withdraw-{sound_id}", icon=":material/delete_forever:", on_click=_withdraw, args=(sound_id,))


def _withdraw(sound_id: str) -> None:
    viewer, reason = session.viewer(), st.session_state.get(f"reason-{sound_id}", "").strip()
    if not _may_withdraw(sound_id) or _asked_for_name(sound_id, viewer, _withdraw):
        return
    try:
        withdraw(session.workspace(), sound_id, reason or "no reason given", viewer.actor)
    except WorkspaceError as error:
        st.session_state[_note_key(sound_id)] = f":red[Not withdrawn.] {plain(str(error))}"


def _refused(sound_id: str, viewer: session.Viewer) -> bool:
    """Whether the viewer may not edit, or there is nothing to edit any more; the card says why."""
    state = session.workspace().sound(sound_id)
    why = viewer.may_not_edit or ("This sound has been withdrawn." if state and state.withdrawn else "")
    if why:
        st.session_state[_note_key(sound_id)] = f":red[Not saved.] {plain(why)}"
    return bool(why)


def _asked_for_name(sound_id: str, viewer: session.Viewer, then: Callable, *arguments) -> bool:
    """Whether the viewer has no name yet: the card asks for it, and goes on from there."""
    if not viewer.actor:
        st.session_state[f"unnamed-{sound_id}"] = (then, arguments)
    return not viewer.actor


def _name_question(sound_id: str) -> None:
    if f"unnamed-{sound_id}" not in st.session_state:
        return
    with st.form(f"name-{sound_id}"):
        st.text_input("Under which name shall corrections be kept here? (Asked once.)", key=f"own-name-{sound_id}", max_chars=60)
        st.form_submit_button("Keep it and go on", type="primary", on_click=_named, args=(sound_id,))


def _named(sound_id: str) -> None:
    if session.keep_name(st.session_state.get(f"own-name-{sound_id}", "")):
        then, arguments = st.session_state.pop(f"unnamed-{sound_id}")
        then(sound_id, *arguments)


def _undo(sound_id: str, event_id: str) -> None:
    state, viewer = session.workspace().sound(sound_id), session.viewer()
    if state is None or _refused(sound_id, viewer) or _asked_for_name(sound_id, viewer, _undo, event_id):
        return
    if _append(sound_id, undo(state, event_id, viewer.actor)):
        st.session_state.pop(f"shown-{sound_id}", None)
        st.session_state[_note_key(sound_id)] = "Taken back."


def _append(sound_id: str, event: Event) -> bool:
    """Whether the event could be written; if not, the page says why and the chips stay as they are."""
    try:
        session.workspace().append([event])
    except WorkspaceError as error:
        st.session_state[_note_key(sound_id)] = f":red[Not saved.] {plain(str(error))}"
        return False
    return True
