"""Fetching from the double on the monitor, and what is shown of an uploader's words."""

import threading

import pytest

from app.fetching import SOMEBODY, fetcher
from app.text import plain
from core.workspace import Query
from core.workspace.local import LocalWorkspace
from tests.app.test_pages import first_sound, open_page, shown

HOSTILE = "<img src=x onerror=alert(1)> **bold** [x](javascript:alert(1)) :red[red] $x$"


@pytest.fixture
def credential(freesound_server, monkeypatch):
    """The app's credential at the double, set as a person would set it."""
    client = freesound_server.state.add_client("earmark", owner="alice")
    monkeypatch.setenv("FREESOUND_API_KEY", client.client_secret)
    monkeypatch.setenv("EARMARK_FREESOUND_API", f"{freesound_server.url}/apiv2")
    monkeypatch.setenv("EARMARK_PREVIEW_HOSTS", "127.0.0.1")
    return client


@pytest.fixture
def upload(freesound_server, examples):
    ogg = (examples / "dog-barking.ogg").read_bytes()
    return lambda **more: freesound_server.state.add_sound("alice", **{"audio": ogg, "duration": 3.0} | more).id


def press(app):
    """Press the button, wait for the fetch to end, and look again as the page does by itself."""
    app.run()
    app.button(key="fetch").click().run()
    fetcher().wait()
    return app.run()


def said(app) -> str:
    return "\n".join([shown(app), *(one.value for kind in ("success", "warning") for one in app.get(kind))])


def test_without_a_key_there_is_no_button(app):
    app.run()
    assert "fetch" not in [button.key for button in app.button]


def test_an_empty_monitor_says_how_sounds_come_from_freesound(app, monkeypatch, tmp_path):
    monkeypatch.setenv("EARMARK_WORKSPACE", str(tmp_path / "empty"))
    app.run()
    assert "With FREESOUND_API_KEY set" in shown(app)


def test_the_newest_sounds_are_fetched_at_the_press_of_a_button_under_the_viewers_name(app, own_workspace, credential, upload):
    made = [upload(name=f"dog {number}") for number in range(6)]
    before = LocalWorkspace(own_workspace).counts().sounds
    app.run()
    press(app)
    assert not app.exception
    assert "5 new sounds from Freesound" in said(app)
    assert "last run just now from Freesound: 5 tagged" in said(app)
    workspace = LocalWorkspace(own_workspace)
    assert workspace.counts().sounds == before + 5
    assert workspace.runs()[0].actor == "Ada"
    assert f"save-freesound:{made[-1]}" in [button.key for button in app.button]


def test_somebody_on_this_machine_may_fetch_before_they_are_asked_for_a_name(app, own_workspace, credential, upload, monkeypatch):
    monkeypatch.delenv("EARMARK_CURATOR")
    upload()
    press(app)
    assert "1 new sound from Freesound" in said(app)
    assert LocalWorkspace(own_workspace).runs()[0].actor == SOMEBODY


def test_what_was_skipped_is_told_with_its_reason_as_text(app, freesound_server, credential, upload):
    number = upload(name=HOSTILE)
    freesound_server.fail(f"/{number}_", times=None, status=404)
    press(app)
    assert "None of the new sounds on Freesound could be used" in said(app)
    assert "could not be used" in app.expander[0].label
    assert f"The preview of sound {number} is gone" in shown(app)
    assert plain(HOSTILE) in said(app)
    assert HOSTILE not in said(app)


@pytest.mark.parametrize(
    ("trouble", "sentence"),
    [
        ("a wrong key", "Freesound does not know this server's key"),
        ("no requests left", "asks for fewer requests ("),
    ],
)
def test_what_goes_wrong_is_one_sentence_on_the_page(app, monkeypatch, credential, upload, trouble, sentence):
    if trouble == "a wrong key":
        monkeypatch.setenv("FREESOUND_API_KEY", "wrong")
    else:
        credential.get_limits = (60, 0)
    upload()
    press(app)
    assert not app.exception
    assert plain(sentence) in app.error[0].value
    assert app.button(key="fetch")


def test_that_nothing_is_new_is_said(app, credential, upload):
    upload()
    press(app)
    press(app)
    assert "Nothing new on Freesound" in said(app)
    assert "1 known" in said(app)


def test_a_second_press_starts_nothing_and_is_told_whose_fetch_runs(app, freesound_server, credential, upload, own_workspace):
    upload()
    entered, go_on = threading.Event(), threading.Event()
    honest = freesound_server.search

    def held(request, caller):
        entered.set()
        assert go_on.wait(30)
        return honest(request, caller)

    freesound_server.search = held
    app.run()
    from streamlit.testing.v1 import AppTest

    other = AppTest.from_file(app._script_path, default_timeout=60).run()
    app.button(key="fetch").click().run()
    assert entered.wait(30)
    assert "Ada is fetching" in app.get("progress")[0].proto.text
    other.button(key="fetch").click().run()
    go_on.set()
    fetcher().wait()
    assert "is fetching already" in shown(other)
    assert len([run for run in LocalWorkspace(own_workspace).runs() if run.source == "Freesound"]) == 1
    assert "1 new sound from Freesound" in said(other.run())


def test_nobody_fetches_who_may_not_change_anything(app, credential):
    from streamlit import config

    app.run()
    config.set_option("server.address", "0.0.0.0")
    app.button(key="fetch").click().run()
    fetcher().wait()
    assert fetcher().now.number == 0
    assert "fetch" not in [button.key for button in app.run().button]


# What the uploader says


def test_the_uploaders_words_stand_beside_the_models_as_text(app, own_workspace, credential, upload, freesound_server):
    number = upload(
        name=HOSTILE, description=HOSTILE, tags=[HOSTILE, "Dog", "my-garden"], license="Attribution", category_code="fx-a",
        gen_ai_preference="no-gen-ai",
    )  # fmt: skip
    press(app)
    assert not app.exception
    text = shown(app)
    assert "The uploader's tags:" in text
    assert "my\\-garden" in text
    assert "no generative AI" in text
    assert plain(HOSTILE) in text
    assert HOSTILE not in text
    assert [one.proto.url for one in app.get("link_button")] == [f"https://freesound.org/people/alice/sounds/{number}/"]
    state = first_sound(own_workspace)
    from app.review import _facts

    assert "by alice" in _facts(state)
    assert "Attribution 4.0 · Sound effects: Animals" in _facts(state)


def test_tags_that_both_gave_are_bold(app, own_workspace, credential, upload):
    upload(tags=["Dog", "my-garden", "x"])
    press(app)
    assert "dog" in first_sound(own_workspace).tags
    assert "**Dog**, my\\-garden" in shown(app)


def test_an_imported_address_elsewhere_is_no_link(app, own_workspace):
    from core.id2prediction import Predicted, Sound, new_event

    workspace = LocalWorkspace(own_workspace)
    model = workspace.page(Query(), 1, 1).sounds[0].model
    evil = Sound(title="x", source="Freesound", url="https://evil.example/", tags=("a",))
    workspace.append([new_event(Predicted(model=model, top=(), sound=evil), "freesound:7", "someone")])
    app.run()
    assert not app.exception
    assert not app.get("link_button")


def test_agreement_with_uploaders_is_on_the_metrics_page(app, own_workspace, credential, upload):
    upload(tags=["dog", "my-garden", "x"])
    press(app)
    state = first_sound(own_workspace)
    page = open_page(app, "metrics.py")
    assert not page.exception
    metrics = {metric.label: metric.value for metric in page.metric}
    assert metrics["Suggested tags that the uploader gave too"] == f"{1 / len(state.tags):.0%}"
    assert metrics["Uploaders' tags, of those the model knows, that it suggested"] == "100%"
    assert set(page.dataframe[-1].value["Tag"]) == set(state.tags)


def test_without_uploaders_tags_the_metrics_page_says_so(app):
    assert "None of the sounds here came with tags of its uploader" in shown(open_page(app, "metrics.py"))
