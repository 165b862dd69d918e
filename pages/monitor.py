"""The newest sounds with their suggested tags, to be corrected."""

import streamlit as st

from app.views import sound_list
from app.views.fetch import can_fetch, fetch_section
from app.views.review_card import review_card


def main() -> None:
    st.title("Monitor", anchor=False)
    sound_list.summary()
    if can_fetch():
        fetch_section()
    query = sound_list.filters()
    page = sound_list.current_page(query)
    if not page.total:
        sound_list.empty_list(query)
        return
    vocabulary = sound_list.known_tags()
    for sound in page.sounds:
        review_card(sound.sound_id, vocabulary)
    sound_list.page_buttons(page.total)


main()
