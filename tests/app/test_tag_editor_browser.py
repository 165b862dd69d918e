"""The tag editor in a browser: what Enter takes, presses that are not lost, unsaved chips."""

import pytest
from playwright.sync_api import expect

from tests.helpers.app_browser import TIMEOUT_MS
from tests.helpers.component_page import serve_page

pytestmark = pytest.mark.browser
SCRIPT = """
import streamlit as st
from app.components.tag_editor import tag_editor, unsaved_editors
from core.events.types import Suggestion

VOCABULARY = (("dog", 7, ("canine",)), ("door", 2, ()), ("rain", 40, ()), ("bird", 3, ()))
page = st.radio("Page", ["one", "two"])
for name in ("first", "second") if page == "one" else ("third",):
    with st.container(key=name):
        edit = tag_editor(f"tags-{name}", ["wind", "a-tag-of-some-length"], VOCABULARY,
                          (Suggestion(tag="rain", probability=0.4, above_threshold=False),
                           Suggestion(tag="bird", probability=0.3, above_threshold=False)),
                          title=name.title(), version="1", rejected={"bird"})
        st.text("stored: " + " ".join(edit.tags))
        if st.button("Save", key=f"save-{name}"):
            st.text("saved: " + " ".join(edit.tags))
st.text(f"unsaved: {len(unsaved_editors())}")
"""


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    running = serve_page(tmp_path_factory.mktemp("editor"), SCRIPT)
    yield running.url
    running.stop()


@pytest.fixture
def page(chromium, address):
    context = chromium.new_context(viewport={"width": 420, "height": 800})
    page = context.new_page()
    page.set_default_timeout(TIMEOUT_MS)
    page.problems = []
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.vocabularies = []
    page.on("request", lambda sent: "/vocabulary/" in sent.url and page.vocabularies.append(sent))
    page.goto(address)
    expect(page.get_by_role("combobox", name="Tags of First")).to_be_visible()
    yield page
    assert page.problems == []
    context.close()


def entry(page, name="First"):
    return page.get_by_role("combobox", name=f"Tags of {name}")


def options(page):
    return page.locator(".st-key-first .option")


def chips(page, name="first"):
    return page.locator(f".st-key-{name} .chip b")


BEFORE = ["wind", "a-tag-of-some-length"]


def test_enter_takes_the_highlighted_option_and_a_new_tag_is_offered_apart(page):
    entry(page).press_sequentially("do")
    expect(options(page).locator(".name")).to_have_text(["dog", "door", "Create “do”"])
    expect(page.locator(".st-key-first [aria-selected=true] .name")).to_have_text("dog")
    entry(page).press("Enter")
    expect(chips(page)).to_have_text([*BEFORE, "dog"])
    entry(page).press_sequentially("do")
    expect(options(page).locator(".name")).to_have_text(["door", "Create “do”"])
    entry(page).press("ArrowUp")
    entry(page).press("Enter")
    expect(chips(page)).to_have_text([*BEFORE, "dog", "do"])


def test_tags_are_found_by_other_names_and_near_spelling_with_their_counts(page):
    entry(page).press_sequentially("cani")
    expect(options(page).first).to_have_text("dogcanine7")
    entry(page).fill("rian")
    expect(options(page).locator(".name")).to_have_text(["rain", "Create “rian”"])
    expect(page.locator(".st-key-first [aria-selected=true] .name")).to_have_text("Create “rian”")


def test_rejected_tags_are_not_offered_but_can_be_typed(page):
    expect(page.locator(".st-key-first .guess")).to_have_text(["rain 40%"])
    entry(page).press_sequentially("bird")
    expect(options(page).locator(".name")).to_have_text(["Create “bird”"])
    entry(page).press("Enter")
    expect(chips(page)).to_have_text([*BEFORE, "bird"])


@pytest.mark.parametrize("held_ms", [0, 90, 300])
def test_a_press_on_a_button_is_not_lost_while_a_tag_is_typed(page, held_ms):
    entry(page).press_sequentially("a long tag that needs a row")
    save = page.locator(".st-key-save-first button")
    before = save.bounding_box()
    page.mouse.move(before["x"] + before["width"] / 2, before["y"] + 5)
    page.mouse.down()
    page.wait_for_timeout(held_ms)  # a person's finger, not something to be awaited
    assert save.bounding_box() == before
    page.mouse.up()
    expect(page.get_by_text("saved: wind")).to_contain_text("a-long-tag-that-needs-a-row")
    expect(chips(page)).to_have_text([*BEFORE, "a long tag that needs a row"])
    expect(entry(page)).to_have_value("")


def test_unsaved_chips_are_kept_over_pages_and_counted(page):
    entry(page).press_sequentially("rain")
    entry(page).press("Enter")
    expect(page.get_by_text("unsaved: 1")).to_be_visible()
    page.get_by_text("two", exact=True).click()
    expect(chips(page, "third")).to_have_text(BEFORE)
    expect(page.get_by_text("unsaved: 1")).to_be_visible()
    page.get_by_text("one", exact=True).click()
    expect(chips(page)).to_have_text([*BEFORE, "rain"])
    page.get_by_role("button", name="Remove rain from First").click()
    expect(page.get_by_text("unsaved: 0")).to_be_visible()


def test_names_differ_and_the_vocabulary_is_fetched_once(page):
    expect(page.get_by_role("button", name="Remove wind from First")).to_have_count(1)
    expect(page.get_by_role("button", name="Remove wind from Second")).to_have_count(1)
    expect(page.get_by_role("button", name="Add rain 40% to Second")).to_have_count(1)
    entry(page).press_sequentially("ra")
    expect(options(page).first).to_contain_text("rain")
    assert len(page.vocabularies) == 1
