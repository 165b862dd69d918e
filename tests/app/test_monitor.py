"""The monitor under AppTest: what the address chooses, the two acts, many at once, history."""

import random
from datetime import UTC, datetime, timedelta

import pytest

from app import services, state
from app.views.history import revert
from app.views.second_opinion import give_opinion
from core.events.fold import confirm, save_changes
from core.events.query import Query
from core.events.types import new_event
from core.storage.local import open_local_workspace
from tests.helpers.app_pages import (
    button_keys,
    choose,
    edit_chips,
    first_sound,
    menus,
    new_app,
    shown,
    sounds,
)
from tests.helpers.statements import selects


def cards(app) -> list[str]:
    """The ids of the sounds on the page, in order."""
    prefix = "confirm-"
    return [key.removeprefix(prefix) for key in button_keys(app) if key.startswith(prefix)]


def press(app, key):
    app.button(key=key).click().run()
    assert not app.exception
    return app


def state_of(folder, sound_id):
    return open_local_workspace(folder).sounds.get(sound_id)


def at(address: dict[str, str]):
    """The app, opened at an address."""
    app = new_app()
    for name, value in address.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception
    return app


# The two acts


def test_saving_changes_judges_only_what_was_changed_and_the_sound_stays_to_be_reviewed(
    app, own_workspace
):
    sound = next(sound for sound in sounds(own_workspace, 10) if len(sound.tags) > 1)
    app.run()
    edit_chips(app, sound, list(sound.tags[1:]))
    press(app, f"save-{sound.sound_id}")
    after = state_of(own_workspace, sound.sound_id)
    assert after.last_event.payload.decisions == {sound.tags[0]: "removed"}
    assert after.review_state == "partly"
    assert "Partly reviewed by Ada" in shown(app)


def test_confirming_after_an_edit_judges_every_tag_that_is_shown(app, own_workspace):
    sound = next(sound for sound in sounds(own_workspace, 10) if len(sound.tags) > 1)
    app.run()
    edit_chips(app, sound, [*sound.tags[1:], "howl"])
    press(app, f"confirm-{sound.sound_id}")
    after = state_of(own_workspace, sound.sound_id)
    kept = dict.fromkeys(sound.tags[1:], "kept")
    assert after.last_event.payload.decisions == {sound.tags[0]: "removed", "howl": "added"} | kept
    assert after.review_state == "reviewed"


@pytest.mark.parametrize(
    ("entry", "expected"),
    [("Mark as not sure", "not sure"), ("Mark as cannot be tagged", "untaggable")],
)
def test_a_sound_can_be_marked_in_its_menu_and_that_can_be_undone(
    app, own_workspace, entry, expected
):
    sound = first_sound(own_workspace)
    choose(app.run(), sound.sound_id, entry)
    assert first_sound(own_workspace).review_state == expected
    assert first_sound(own_workspace).tags == sound.tags
    press(app, f"undo-{sound.sound_id}")
    assert first_sound(own_workspace).review_state == "to review"


# What the address chooses


def test_an_address_with_all_filters_is_read_and_nonsense_in_it_is_named(app, own_workspace):
    sound = first_sound(own_workspace)
    address = {"state": "to-review", "tag": sound.tags[0], "order": "most-uncertain", "q": "dog"}
    page = at(address)
    assert page.selectbox(key="filter-show").value == "to review"
    assert page.selectbox(key="filter-tag").value == sound.tags[0]
    assert page.selectbox(key="filter-order").value == "most uncertain"
    assert page.text_input(key="filter-text").value == "dog"
    page = at({"min": "<b>", "page": "x", "cursor": "../..", "mode": "?"})
    assert "was ignored" in shown(page)
    assert cards(page) == [sound.sound_id for sound in sounds(own_workspace, 10)]


HOSTILE = {
    "state": ("x", "reviewed", "'; DROP TABLE events"),
    "tag": ("<script>", "nope", "x" * 500, ":red[x]", "\x00"),
    "min": ("NaN", "0.333", "-1", "1e9", "1"),
    "max": ("inf", "0", "0.01"),
    "agreement": ("x", "none"),
    "license": ("<b>", "x" * 300, "\u202e"),
    "uploader": ("%00", "<img src=x>"),
    "since": ("0001-01-01", "2026-99-99", "1990-01-01"),
    "until": ("9999-12-31", "x", "2045-01-01"),
    "run": ("0" * 32, "zz"),
    "explicit": ("maybe", "yes"),
    "q": ('"AND OR NOT(*', "a*b NEAR/2", "x" * 5000),
    "order": ("x", "most-disputed"),
    "page": ("-5", "9" * 40, "\u0661"),
    "cursor": ("a" * 1000, "newest.1", "../.."),
    "mode": ("<b>", "review"),
    "show": ("To review", "<b>"),
    "like": ("freesound:1", "<b>"),
}


@pytest.mark.parametrize("seed", range(8))
def test_nothing_in_an_address_breaks_the_page(app, own_workspace, seed):
    generator = random.Random(seed)
    names = generator.sample(sorted(HOSTILE), k=generator.randint(1, len(HOSTILE)))
    page = at({name: generator.choice(HOSTILE[name]) for name in names})
    assert len(page.warning) <= 1
    assert not page.error


def test_the_choices_of_a_filter_say_how_many_sounds_they_give(app, own_workspace):
    sound = first_sound(own_workspace)
    append(own_workspace, confirm(sound, sound.tags, "bob"))
    app.run()
    labels = app.selectbox(key="filter-show").options
    assert "Reviewed (1)" in labels
    assert "To review (15)" in labels


def append(folder, *events) -> None:
    open_local_workspace(folder).events.append(events)


def test_no_sound_is_skipped_however_many_are_reviewed_on_the_way(app, own_workspace):
    everything = {sound.sound_id for sound in sounds(own_workspace, 50)}
    page = at({"state": "to-review"})
    seen: list[str] = []
    while True:
        listed = cards(page)
        seen += listed
        for sound_id in listed[::2]:
            press(page, f"confirm-{sound_id}")
            assert cards(page) == listed  # nothing moves under the person's hands
        button = page.button(key="next-page")
        if button.disabled:
            break
        button.click().run()
    assert sorted(seen) == sorted(everything)


def test_unsaved_chips_are_kept_over_pages_counted_and_saved_together(app, own_workspace):
    first, second = sounds(own_workspace, 2)
    app.run()
    edit_chips(app, first, [*first.tags, "howl"])
    edit_chips(app, second, [*second.tags, "night"])
    app.run()
    press(app, "next-page")
    assert "2 unsaved" in shown(app)
    press(app, "save-all")
    assert state_of(own_workspace, first.sound_id).tags == (*first.tags, "howl")
    assert state_of(own_workspace, second.sound_id).tags == (*second.tags, "night")
    assert "unsaved" not in shown(app)


def test_a_rejected_tag_is_not_offered_again(app, own_workspace):
    sound = next(sound for sound in sounds(own_workspace, 10) if sound.tags)
    app.run()
    edit_chips(app, sound, list(sound.tags[1:]))
    press(app, f"save-{sound.sound_id}")
    (editor,) = [
        element
        for element in app.get("bidi_component")
        if sound.sound_id in str(element.proto)
        and '"guesses"' in str(element.proto).replace("\\", "")
    ]
    text = str(editor.proto).replace("\\", "")
    guesses = text[text.index('"guesses"') :].split("]]")[0]
    assert f'"{sound.tags[0]}"' not in guesses


# Cost


def test_a_page_of_fifty_cards_asks_no_more_questions_than_one_of_two(
    own_workspace, app, monkeypatch
):
    template = first_sound(own_workspace)
    many = [
        new_event(
            template.prediction.payload,
            f"freesound:{number}",
            "job",
            now=datetime.now(UTC) + timedelta(milliseconds=number),
        )
        for number in range(1, 60)
    ]
    append(own_workspace, *many)
    statements = {}
    for size in ("2", "50"):
        monkeypatch.setenv("EARMARK_PAGE_SIZE", size)
        page = fresh_app()
        page.run()  # everything is loaded and cached
        statements[size] = count_statements(page)
        assert len(cards(page)) == int(size)
    assert statements["50"] <= statements["2"]
    assert statements["50"] > 0


def fresh_app():
    import streamlit as st

    from core import settings

    st.cache_resource.clear()
    st.cache_data.clear()
    settings.settings.cache_clear()
    return new_app()


def count_statements(page) -> int:
    """The statements to SQLite of one more drawing of the page."""
    with selects() as statements:
        page.run()
    return len(statements)


# Many at once, history, second opinion


def tool(app, entry):
    menu = next(menu for menu in app.get("menu_button") if menu.key == "tools")
    menu.click(entry).run()
    assert not app.exception
    return app


def test_the_tools_are_a_curators_and_visitors_may_export(public):
    public.run()
    menu = next(menu for menu in public.get("menu_button") if menu.key == "tools")
    assert menu.options == ["Export"]
    assert all(entries == ["History", "Similar sounds"] for entries in menus(public).values())


def test_the_number_of_sounds_is_shown_before_an_edit_of_many(app, own_workspace):
    page = at({"tag": first_sound(own_workspace).tags[0]})
    number = open_local_workspace(own_workspace).sounds.count(
        Query(tag=first_sound(own_workspace).tags[0])
    )
    assert f"The filters match **{number.number} sounds**" in shown(tool(page, "Bulk edit"))


def test_an_edit_of_many_asks_for_a_name_first(app, own_workspace, monkeypatch):
    monkeypatch.delenv("EARMARK_CURATOR")
    app.run()
    tool(app, "Bulk edit")
    assert "The filters match" not in shown(app)
    app.text_input(key=state.asked_name("bulk").key).input("Ada")
    next(button for button in app.button if button.label == "Continue").click().run()
    tool(app, "Bulk edit")
    assert "The filters match **16 sounds**" in shown(app)


def test_your_work_counts_reviews_and_corrections(app, own_workspace):
    sound = first_sound(own_workspace)
    app.run()
    edit_chips(app, sound, [*sound.tags, "howl"])
    press(app, f"save-{sound.sound_id}")
    tool(app, "Your work")
    values = {metric.label: metric.value for metric in app.metric}
    assert values == {"Reviews today": "1", "Total reviews": "1", "Tags corrected": "1"}
    assert "1 correction waiting for the next model version" in shown(app)


def test_the_history_names_who_what_and_the_model_and_leads_back(app, own_workspace):
    sound = next(sound for sound in sounds(own_workspace, 10) if sound.tags)
    append(own_workspace, save_changes(sound, ["howl"], "bob"))
    choose(app.run(), sound.sound_id, "History")
    text = shown(app)
    assert "bob" in text
    assert "added howl" in text
    assert str(sound.model).replace("_", "\\_") in text
    press(app, f"revert-{sound.last_event.event_id}")
    after = state_of(own_workspace, sound.sound_id)
    assert after.tags == sound.tags
    assert after.last_event.actor == "Ada"


def test_a_visitor_can_revert_nothing(public, own_workspace):
    sound = first_sound(own_workspace)
    append(own_workspace, save_changes(sound, ["howl"], "bob"))
    public.run()
    revert(sound.sound_id, sound.last_event.event_id)
    assert first_sound(own_workspace).tags == ("howl",)


def test_a_second_opinion_is_given_without_seeing_the_first(app, own_workspace, monkeypatch):
    monkeypatch.setenv("EARMARK_SECOND_OPINION_SHARE", "1")
    sound = first_sound(own_workspace)
    append(own_workspace, confirm(sound, [*sound.tags, "howl"], "bob"))
    tool(app.run(), "Second opinion")
    assert "howl" not in str([str(each.proto) for each in app.get("bidi_component")][-1])
    press(app, f"blind-confirm-{sound.sound_id}")
    last = first_sound(own_workspace).last_event
    assert last.actor == "Ada"
    assert last.payload.decisions == dict.fromkeys(sound.tags, "kept")
    give_opinion(sound.sound_id)  # a second time there is nothing to give
    assert first_sound(own_workspace).last_event == last


def test_a_view_is_saved_under_a_name_and_opened_again(app, own_workspace):
    page = at({"state": "to-review", "order": "most-uncertain"})
    page.text_input(key="view-name").set_value("Hard ones")
    press(page, "FormSubmitter:save-view-Save view")
    (view,) = services.curation().views.visible_to("Ada")
    assert view.name == "Hard ones"
    other = at({})
    press(other, "open-view-0")
    assert other.query_params == {"state": "to-review", "order": "most-uncertain"}


def test_sounds_like_one_are_found_and_their_tags_copied(app, own_workspace):
    sound = first_sound(own_workspace)
    choose(app.run(), sound.sound_id, "Similar sounds")
    copies = [key for key in button_keys(app) if key.startswith("copy-")]
    assert copies
    other = state_of(own_workspace, copies[0].removeprefix("copy-"))
    press(app, copies[0])
    assert set(first_sound(own_workspace).tags) == {*sound.tags, *other.tags}
