"""Errors in parts of a page that Streamlit draws by themselves: fragments and dialogs."""

import ast

from streamlit.testing.v1 import AppTest

from tests.helpers.source_tree import modules


def decorators(function: ast.FunctionDef) -> list[str]:
    return [ast.unparse(each).partition("(")[0] for each in function.decorator_list]


def test_every_fragment_and_dialog_shows_errors_of_ours_as_sentences():
    functions = [
        (module.place, decorators(node))
        for module in modules("app", "pages")
        for node in ast.walk(module.tree)
        if isinstance(node, ast.FunctionDef)
    ]
    drawn = [each for each in functions if {"st.fragment", "st.dialog"} & {*each[1]}]
    assert len(drawn) > 10
    assert [place for place, names in drawn if names[-1] != "shows_errors"] == []


def page_with_a_broken_fragment():
    import streamlit as st

    from app.views.errors import shows_errors
    from core.errors import EarmarkError

    @st.fragment
    @shows_errors
    def part():
        st.write("drawn")
        raise EarmarkError("The disk is full [here](https://example.org).")

    part()
    st.write("never drawn")


def test_an_error_in_a_fragment_is_a_sentence_and_ends_the_page():
    app = AppTest.from_function(page_with_a_broken_fragment, default_timeout=200).run()
    assert not app.exception
    (error,) = app.error
    assert "The disk is full" in error.value
    assert "](https" not in error.value
    assert [text.value for text in app.markdown] == ["drawn"]
