"""Who may do what: pages hide it, and handlers refuse it all the same."""

import pytest
from pydantic import SecretStr

from app import session
from core.freesound.oauth import Tokens
from core.people import Person, user_id
from core.workspace import Query
from core.workspace.local import LocalWorkspace

BROWSER = "b" * 43
ALICE, BOB = Person(101, "alice"), Person(102, "bob")


def first_sound(folder):
    return LocalWorkspace(folder).page(Query(), 1, 1).sounds[0]


def shown(app) -> str:
    return "\n".join(element.value for element in [*app.markdown, *app.caption, *app.info, *app.error])


def keys(app) -> set[str]:
    return {button.key.split("-")[0] for button in app.button if button.key}


@pytest.fixture
def public(app, monkeypatch):
    """The app on an address that others can reach, with Freesound's sign-in set up; alice is a curator."""
    from streamlit import config

    config.set_option("server.address", "0.0.0.0")
    monkeypatch.delenv("EARMARK_CURATOR")
    monkeypatch.setenv("FREESOUND_API_KEY", "k" * 40)
    monkeypatch.setenv("EARMARK_FREESOUND_CLIENT_ID", "client")
    monkeypatch.setenv("EARMARK_CURATORS", str(ALICE.user_id))
    return app


@pytest.fixture
def signed_in(browser_sends):
    """Signs a person in at the browser that AppTest plays; nothing is asked of Freesound."""

    def sign_in(person: Person) -> None:
        session.sign_ins()._keep(BROWSER, person, Tokens(SecretStr("access"), SecretStr("refresh")))
        browser_sends["cookies"]["earmark-browser"] = BROWSER

    return sign_in


def test_on_this_machine_anybody_corrects_under_a_name_asked_for_once(app, own_workspace, monkeypatch):
    monkeypatch.delenv("EARMARK_CURATOR")
    first, second = LocalWorkspace(own_workspace).page(Query(), 1, 2).sounds
    app.run()
    assert not app.text_input
    app.button(key=f"accept-{first.sound_id}").click().run()
    assert first_sound(own_workspace).last == first.last
    app.text_input(key=f"own-name-{first.sound_id}").set_value("Ada Lovelace")
    next(button for button in app.button if button.label == "Keep it and go on").click().run()
    assert LocalWorkspace(own_workspace).sound(first.sound_id).last.actor == "Ada Lovelace"
    app.button(key=f"accept-{second.sound_id}").click().run()
    assert LocalWorkspace(own_workspace).sound(second.sound_id).last.actor == "Ada Lovelace"


def test_an_empty_name_is_asked_for_again_and_nothing_is_lost(app, own_workspace, monkeypatch):
    monkeypatch.delenv("EARMARK_CURATOR")
    first = first_sound(own_workspace)
    app.run()
    app.button(key=f"accept-{first.sound_id}").click().run()
    app.text_input(key=f"own-name-{first.sound_id}").set_value("  ()  ")
    next(button for button in app.button if button.label == "Keep it and go on").click().run()
    assert first_sound(own_workspace).last == first.last
    assert app.text_input(key=f"own-name-{first.sound_id}")


def test_a_visitor_reads_and_listens_only_and_is_told_how_to_do_more(public, own_workspace):
    state = first_sound(own_workspace)
    public.run()
    assert "Sign in with Freesound to correct tags" in shown(public)
    assert not keys(public) & {"save", "accept", "undo", "withdraw"}
    assert first_sound(own_workspace).last == state.last


def test_without_sign_in_the_app_is_read_only_on_such_an_address_and_says_why(public, own_workspace, monkeypatch):
    monkeypatch.delenv("FREESOUND_API_KEY")
    public.run()
    assert "Signing in with Freesound is not set up on this server" in shown(public)
    assert not keys(public) & {"save", "accept", "undo"}


def test_a_curator_corrects_and_is_recorded_by_name_and_id(public, own_workspace, signed_in):
    signed_in(ALICE)
    state = first_sound(own_workspace)
    public.run()
    public.button(key=f"accept-{state.sound_id}").click().run()
    last = first_sound(own_workspace).last
    assert (last.kind, user_id(last.actor)) == ("reviewed", ALICE.user_id)
    assert "Reviewed by alice" in shown(public)
    assert "freesound user" not in shown(public)


def test_who_is_signed_in_without_a_role_is_told_the_id_to_ask_for_one_with(public, signed_in):
    signed_in(BOB)
    public.run()
    assert f"Your Freesound user id, to be added to them, is {BOB.user_id}" in shown(public)
    assert not keys(public) & {"save", "accept", "undo"}


def test_the_name_does_not_make_a_curator(public, signed_in):
    """Names change hands at Freesound; ids do not."""
    signed_in(Person(BOB.user_id, "alice"))
    public.run()
    assert not keys(public) & {"save", "accept", "undo"}


def test_handlers_refuse_what_pages_hide(public, own_workspace, signed_in):
    """The page was drawn for a curator; by the time of the press she is signed out."""
    signed_in(ALICE)
    state = first_sound(own_workspace)
    public.run()
    session.sign_ins().sign_out(BROWSER)
    public.button(key=f"accept-{state.sound_id}").click().run()
    assert first_sound(own_workspace).last == state.last


def test_signing_out_takes_the_role_with_it(public, signed_in):
    signed_in(ALICE)
    public.run()
    public.button(key="sign-out").click().run()
    assert session.sign_ins().person(BROWSER) is None
    assert not keys(public) & {"save", "accept", "undo"}


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "earmark.example.org"},
        {"Host": "rebound.example:8501"},
        {"Host": "localhost:8501", "X-Forwarded-For": "203.0.113.7"},
        {"Host": "localhost", "Forwarded": "for=203.0.113.7"},
        {"Host": "localhost", "X-Real-Ip": "203.0.113.7"},
    ],
)
def test_a_request_through_a_proxy_or_under_a_foreign_name_is_not_from_this_machine(app, browser_sends, own_workspace, headers):
    browser_sends["headers"] = headers
    app.run()
    assert not keys(app) & {"save", "accept", "undo"}


def test_a_server_with_a_public_address_is_not_only_this_machine(app, monkeypatch):
    monkeypatch.setenv("EARMARK_PUBLIC_URL", "https://earmark.example.org")
    app.run()
    assert not keys(app) & {"save", "accept", "undo"}


def test_a_server_reached_from_elsewhere_is_read_only_whatever_its_configuration_says(app):
    from app import browser

    browser.exposed().set()
    app.run()
    assert not keys(app) & {"save", "accept", "undo"}
