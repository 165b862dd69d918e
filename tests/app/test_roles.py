"""Roles: pages hide what somebody may not do, and handlers refuse it all the same."""

import logging

import pytest

from app import browser, services
from core.people import user_id
from core.storage.local import open_local_workspace
from tests.helpers.app_pages import BROWSER, button_names, first_sound, shown, sounds

EDITING = {"save", "confirm", "undo"}


def last_event(folder, sound):
    return open_local_workspace(folder).sounds.get(sound.sound_id).last_event


def confirm(app, sound):
    return app.button(key=f"confirm-{sound.sound_id}").click().run()


def name_fields(app) -> list[str]:
    return [field.key for field in app.text_input if field.key.startswith("asked-name")]


def continue_as(app, sound, name):
    app.text_input(key=f"asked-name-{sound.sound_id}").set_value(name)
    next(button for button in app.button if button.label == "Continue").click().run()


def test_on_this_machine_anybody_corrects_under_a_name_asked_for_once(
    app, own_workspace, monkeypatch
):
    monkeypatch.delenv("EARMARK_CURATOR")
    first, second = sounds(own_workspace, 2)
    app.run()
    assert name_fields(app) == []
    confirm(app, first)
    assert last_event(own_workspace, first) == first.last_event
    continue_as(app, first, "Ada Lovelace")
    assert last_event(own_workspace, first).actor == "Ada Lovelace"
    confirm(app, second)
    assert last_event(own_workspace, second).actor == "Ada Lovelace"


def test_an_empty_name_is_asked_for_again_and_nothing_is_lost(app, own_workspace, monkeypatch):
    monkeypatch.delenv("EARMARK_CURATOR")
    first = first_sound(own_workspace)
    app.run()
    confirm(app, first)
    continue_as(app, first, "  ()  ")
    assert last_event(own_workspace, first) == first.last_event
    assert name_fields(app)


def test_the_name_can_be_changed_at_the_top(app, own_workspace, monkeypatch):
    monkeypatch.delenv("EARMARK_CURATOR")
    (own_workspace / "name.txt").write_text("Ada")
    sound = first_sound(own_workspace)
    app.run()
    app.text_input(key="new-local-name").set_value("Grace")
    next(button for button in app.button if button.label == "Save").click().run()
    confirm(app, sound)
    assert last_event(own_workspace, sound).actor == "Grace"


def test_a_visitor_reads_only_and_is_shown_how_to_do_more(public, own_workspace):
    sound = first_sound(own_workspace)
    public.run()
    assert "Sign in with Freesound to correct tags" in shown(public)
    assert not button_names(public) & {*EDITING, "withdraw"}
    assert first_sound(own_workspace).last_event == sound.last_event


def test_without_sign_in_the_app_is_read_only_on_such_an_address_and_says_why(public, monkeypatch):
    monkeypatch.delenv("FREESOUND_API_KEY")
    public.run()
    assert "Signing in with Freesound is not set up on this server" in shown(public)
    assert not button_names(public) & EDITING


def test_a_curator_corrects_and_is_recorded_by_name_and_id(public, own_workspace, sign_in):
    carol, sound = sign_in("carol"), first_sound(own_workspace)
    public.run()
    confirm(public, sound)
    last = first_sound(own_workspace).last_event
    assert (last.kind, user_id(last.actor)) == ("reviewed", carol.user_id)
    assert "Reviewed by carol" in shown(public)
    assert "freesound user" not in shown(public)


def test_who_is_signed_in_without_a_role_reads_the_id_to_ask_for_one_with(public, sign_in):
    bob = sign_in("bob")
    public.run()
    assert f"your Freesound user id, {bob.user_id}" in shown(public)
    assert not button_names(public) & EDITING


def test_the_name_does_not_make_a_curator(public, sign_in, freesound_server):
    """Names change hands at Freesound; ids do not."""
    freesound_server.state.users["carol"].id = 999
    assert sign_in("carol").user_id == 999
    public.run()
    assert not button_names(public) & EDITING


def test_handlers_refuse_what_pages_hide(public, own_workspace, sign_in, caplog):
    """The page was drawn for a curator; by the time of the press she is signed out."""
    sign_in("carol")
    sound = first_sound(own_workspace)
    public.run()
    services.sign_ins().sign_out(BROWSER)
    confirm(public, sound)
    assert first_sound(own_workspace).last_event == sound.last_event
    refusals = [record.message for record in caplog.records if "refusal" in record.message]
    assert refusals == [f"refusal action=confirm sound={sound.sound_id} actor=visitor"]


def test_signing_out_takes_the_role_with_it_and_is_one_line_in_the_log(public, sign_in, caplog):
    caplog.set_level(logging.INFO)
    carol = sign_in("carol")
    public.run()
    public.button(key="sign-out").click().run()
    assert services.sign_ins().person(BROWSER) is None
    assert not button_names(public) & EDITING
    lines = [record.message for record in caplog.records if record.message.startswith("sign-")]
    assert lines == [f"sign-in user={carol.user_id}", f"sign-out actor={carol.actor}"]


HERE = {"Host": "localhost:8501", "Origin": "http://localhost:8501"}


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "earmark.example.org", "Origin": "http://earmark.example.org"},
        {"Host": "rebound.example:8501", "Origin": "http://rebound.example:8501"},
        {"Host": "localhost:8501"},
        HERE | {"Origin": "http://localhost:3000"},
        HERE | {"Origin": "https://evil.example"},
        HERE | {"Origin": "null"},
        HERE | {"X-Forwarded-For": "203.0.113.7"},
        HERE | {"X-Forwarded-Proto": "https"},
        HERE | {"X-Forwarded-Anything": "1"},
        HERE | {"Forwarded": "for=203.0.113.7"},
        HERE | {"Via": "1.1 proxy"},
        HERE | {"X-Real-Ip": "203.0.113.7"},
    ],
    ids=str,
)
def test_a_request_through_a_proxy_or_from_a_foreign_page_is_not_from_this_machine(
    app, browser_sends, headers
):
    app.run()
    assert button_names(app) & EDITING
    browser_sends["headers"] = headers
    app.run()
    assert not button_names(app) & EDITING


def test_a_role_that_was_given_meanwhile_holds_after_a_reload_with_the_browsers_next_id(
    public, sign_in, own_workspace, configure
):
    """Who knew the id while there was nothing to gain with it does not become a curator."""
    bob, sound = sign_in("bob"), first_sound(own_workspace)
    public.run()
    configure(EARMARK_CURATORS=str(bob.user_id))
    public.run()
    assert "redirect" in public.session_state
    assert not button_names(public) & EDITING
    services.sign_ins().renew(BROWSER, BROWSER.upper())
    public.run()
    assert services.sign_ins().person(BROWSER) is None
    assert first_sound(own_workspace).last_event == sound.last_event


def test_a_role_that_was_taken_away_is_gone_at_once(public, sign_in, own_workspace, configure):
    sign_in("carol")
    sound = first_sound(own_workspace)
    public.run()
    configure(EARMARK_CURATORS="1")
    confirm(public, sound)
    assert first_sound(own_workspace).last_event == sound.last_event
    assert not button_names(public) & EDITING


def test_a_server_with_a_public_address_is_not_only_this_machine(app, monkeypatch):
    monkeypatch.setenv("EARMARK_PUBLIC_URL", "https://earmark.example.org")
    app.run()
    assert not button_names(app) & EDITING


def test_a_server_reached_from_elsewhere_is_read_only_whatever_its_configuration_says(app):
    browser.exposed().set()
    app.run()
    assert not button_names(app) & EDITING


def test_after_a_sign_out_another_account_can_be_chosen(public, browser_sends):
    public.run()
    assert "other" not in button_names(public)
    browser_sends["cookies"]["earmark-signed-out"] = "1"
    public.run()
    public.button(key="other-account").click().run()
    assert "redirect" in public.session_state


def test_somebody_signed_in_can_choose_another_account(public, sign_in):
    sign_in("carol")
    public.run()
    public.button(key="other-account").click().run()
    assert "redirect" in public.session_state
