"""What is said of a sound: facts, the uploader's text, and how far people are with it."""

import streamlit as st

from app import services
from app.text import ago, clock, plain, plural
from core.events.fold import SoundState
from core.events.types import Sound
from core.freesound.vocabulary import license_name, own_page, preference_in_words
from core.people import shown_name
from core.tags import clean

MAX_TAGS_SHOWN = 30
CHANNELS = {0: "", 1: "mono", 2: "stereo"}
REVIEW_STATES = {
    "reviewed": (":material/verified:", "Reviewed"),
    "partly": (":material/rule:", "Partly reviewed"),
    "not sure": (":material/help:", "Marked as not sure"),
    "untaggable": (":material/block:", "Marked as cannot be tagged"),
}


def facts_text(state_of_sound: SoundState, *, short: bool = False) -> str:
    """Return author, length, format, license, category and age in one line; `short`: no format."""
    sound = state_of_sound.sound
    channels = CHANNELS.get(sound.channels, f"{sound.channels} channels")
    parts = [
        sound.author and f"by {sound.author}",
        clock(sound.seconds),
        *(() if short else (sound.container, channels)),
        license_name(sound.license),
        sound.category,
        ago(state_of_sound.arrived),
    ]
    return " · ".join(part for part in parts if part)


def uploader_line(sound: SoundState) -> None:
    """Draw what Freesound says of the sound. All of it is text from outside."""
    tags, wish = sound.sound.tags, preference_in_words(sound.sound.gen_ai_preference)
    page = own_page(sound.sound.url, services.settings().freesound_api)
    details = _details(sound.sound)
    if not (tags or wish or page or details or sound.sound.is_explicit):
        return
    key = f"uploader-{sound.sound_id.replace(':', '-')}"
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key=key):
        if sound.sound.is_explicit:
            st.badge("Explicit", icon=":material/explicit:", color="orange")
        if details:
            st.caption(details, width="content")
        if tags:
            st.caption(f":material/sell: Uploader's tags: {_uploader_tags(sound)}", width="content")
        if wish:
            st.caption(
                f":material/smart_toy: Generative AI training: {plain(wish)}", width="content"
            )
        if page:
            # Not a caption: those are faded, and a link in one has too little contrast.
            st.markdown(f":small[[On Freesound :material/open_in_new:]({page})]", width="content")


def _details(sound: Sound) -> str:
    """Return pack, place and rating as Markdown."""
    parts = []
    if sound.pack:
        parts.append(f":material/inventory_2: Pack: {plain(sound.pack)}")
    if sound.geotag:
        parts.append(f":material/location_on: {plain(sound.geotag)}")
    if sound.num_ratings:
        ratings = plural(sound.num_ratings, "rating")
        parts.append(f":material/star: {sound.avg_rating:.1f} of 5 ({ratings})")
    return " · ".join(parts)


def _uploader_tags(sound: SoundState) -> str:
    """Return the uploader's tags as Markdown, those that the model suggests too in bold."""
    confident = [tag.tag for tag in sound.suggestions if tag.above_threshold]
    suggested = set(clean(confident).tags)
    tags = sound.sound.tags
    texts = [
        f"**{plain(tag)}**" if suggested & set(clean([tag]).tags) else plain(tag)
        for tag in tags[:MAX_TAGS_SHOWN]
    ]
    more = f" and {len(tags) - MAX_TAGS_SHOWN} more" if len(tags) > MAX_TAGS_SHOWN else ""
    return ", ".join(texts) + more


def review_status(sound: SoundState) -> str:
    """Return how far people are with a sound, as Markdown."""
    last = sound.last_review
    if last and sound.review_state in REVIEW_STATES:
        icon, text = REVIEW_STATES[sound.review_state]
        return f"{icon} {text} by {plain(shown_name(last.actor))}, {ago(last.time)}"
    if sound.tags and sound.model is None:
        return ":material/file_open: Imported, not reviewed"
    if sound.tags:
        return ":material/auto_awesome: Suggested, not reviewed"
    return ":material/auto_awesome: No suggested tags"
