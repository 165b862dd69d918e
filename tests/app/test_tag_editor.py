"""What a browser says the chips are is checked; unsaved chips are kept for the session."""

import pytest
from streamlit.testing.v1 import AppTest

PAGE = """
import streamlit as st
from app.components.tag_editor import forget_edits, tag_editor, unsaved_editors

if st.session_state.get("shown", True):
    edit = tag_editor("chips", ["wind"], ["rain"], version=st.session_state.get("version", "1"))
    st.text(" ".join(edit.tags))
if st.session_state.get("forget"):
    forget_edits("chips")
st.code(len(unsaved_editors()))
"""


@pytest.fixture
def page():
    return AppTest.from_string(PAGE, default_timeout=60)


def send(page: AppTest, edit: object) -> AppTest:
    page.session_state["chips"] = {"edit": edit}
    return page.run()


def test_an_edit_is_taken(page):
    send(page, {"version": "1", "tags": ["wind", "Field Recording"]})
    assert (page.text[0].value, page.code[0].value) == ("wind field-recording", "1")


@pytest.mark.parametrize(
    "edit",
    [
        None,
        7,
        "wind rain",
        [],
        {},
        {"version": "1"},
        {"version": "0", "tags": ["rain"]},
        {"version": "1", "tags": "rain"},
        {"version": "1", "tags": [1, 2]},
        {"version": "1", "tags": [["rain"]]},
        {"version": "1", "tags": ["\ud800"]},
        {"version": "1", "tags": ["rain"] * 1001},
        {"version": ["1"], "tags": ["rain"]},
    ],
)
def test_anything_else_is_no_edit(page, edit):
    send(page, edit)
    assert not page.exception
    assert (page.text[0].value, page.code[0].value) == ("wind", "0")


def test_unsaved_chips_outlive_the_editor_until_they_are_saved_or_given_up(page):
    send(page, {"version": "1", "tags": ["rain"]})
    page.session_state["shown"] = False
    page.session_state["chips"] = {}
    assert page.run().code[0].value == "1"
    page.session_state["shown"] = True
    assert page.run().text[0].value == "rain"
    page.session_state["version"] = "2"
    page.run()
    assert (page.text[0].value, page.code[0].value) == ("wind", "0")


def test_chips_that_were_given_up_are_forgotten(page):
    send(page, {"version": "1", "tags": ["rain"]})
    page.session_state["shown"] = False
    page.session_state["chips"] = {}
    page.session_state["forget"] = True
    assert page.run().code[0].value == "0"
