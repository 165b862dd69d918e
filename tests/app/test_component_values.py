"""Values that a browser sends for components are read, or left out with one sentence."""

import json
import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState

from app import state
from app.component_messages import with_readable_values
from app.components.desk.request import parse_request
from app.components.player import parse_selection
from app.components.score_table import parse_name
from app.components.tag_editor import parse_edit
from app.components.values import SENTENCE, UNREADABLE
from benchmarks.app_client import Page, Person
from tests.helpers.app_pages import first_sound
from tests.helpers.app_server import Server


@pytest.fixture(scope="module")
def served(tagged, tmp_path_factory):
    """A server on the example sounds."""
    folder = tmp_path_factory.mktemp("served") / "workspace"
    shutil.copytree(tagged, folder)
    server = Server(folder, EARMARK_CURATOR="Ada")
    yield server
    server.stop()


PARSERS = (parse_edit, parse_name, parse_request, parse_selection)
SIMPLE = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
FIELDS = st.sampled_from(
    ["version", "tags", "audio", "start", "part", "at", "have", "typed", "actions", "id", "name"]
)
VALUES = st.recursive(
    SIMPLE,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(FIELDS, inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize("parse", PARSERS, ids=lambda parse: parse.__name__)
@settings(max_examples=150, deadline=None)
@given(value=VALUES)
def test_whatever_is_sent_is_read_or_refused(parse, value):
    try:
        parsed = parse(value)
    except ValueError:
        return
    assert parsed == parse(value)


def message(*values: str) -> bytes:
    """A browser's message with these values of components, and a text."""
    message = BackMsg()
    for number, value in enumerate(values):
        message.rerun_script.widget_states.widgets.add(id=f"component-{number}", json_value=value)
    message.rerun_script.widget_states.widgets.add(id="text", string_value="{")
    return message.SerializeToString()


def values_in(data: bytes) -> list[str]:
    message = BackMsg.FromString(data)
    widgets = message.rerun_script.widget_states.widgets
    assert widgets[-1].string_value == "{"
    return [widget.json_value for widget in widgets[:-1]]


DEEP = "[" * 5000 + "]" * 5000


@pytest.mark.parametrize("text", ["", "{", "nul", DEEP, '{"a": NaN}', '"\\ud800"'])
def test_a_value_that_is_no_json_is_marked_and_the_others_stay(text):
    good = '{"edit": {"tags": ["rain"]}}'
    first, second = values_in(with_readable_values(message(text, good)))
    assert json.loads(first) == {UNREADABLE: True}
    assert second == good


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_messages_that_are_none_and_good_ones_stay_as_they_are(data):
    assert with_readable_values(message("{}")) == message("{}")
    changed = with_readable_values(data)
    assert changed == data or UNREADABLE.encode() in changed


@pytest.mark.parametrize(
    "values", [{"edit": [1]}, {"edit": {"version": 1, "tags": "rain"}}, {UNREADABLE: True}, 5, "x"]
)
def test_a_page_says_in_one_sentence_what_it_could_not_read(app, own_workspace, values):
    sound = first_sound(own_workspace)
    app.session_state[state.tag_editor_key(sound.sound_id)] = values
    app.run()
    assert not app.exception
    assert [warning.value for warning in app.warning] == [SENTENCE]
    app.run()
    assert not app.exception


@pytest.mark.parametrize("text", ["{", DEEP, '{"request": {"at": 5}}'])
def test_a_browser_that_sends_no_json_gets_one_sentence_and_goes_on(served, text):
    with Page(Person(served.url), query="mode=review") as page:
        desk = page.components["desk"]
        page.alerts.clear()
        widget = WidgetState(id=desk.element_id, json_value=text)
        page.run(widget, fragment=desk.fragment)
        assert page.alerts == [SENTENCE]
        page.alerts.clear()
        widget.json_value = '{"request": {"at": ""}}'
        page.run(widget, fragment=desk.fragment)
        assert (page.alerts, page.problems) == ([], [])
