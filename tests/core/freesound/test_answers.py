"""Answers that Freesound does not document, over real HTTP: one typed error, or what is left."""

import json
import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from core.events.types import Sound
from core.freesound.client import FreesoundClient
from core.freesound.errors import FreesoundError, ServerTrouble, UploadUncertain
from core.freesound.previews import PreviewReader
from core.freesound.rate_limit import Budget, Limits
from core.freesound.types import Description, FreesoundSound
from core.pipeline.sources import FreesoundItem

PLENTY = Limits(reads_a_minute=10**6, reads_a_day=10**6, writes_a_minute=10**6, writes_a_day=10**6)
SOUND = Description(
    "Rain on a roof", ("rain", "roof", "weather"), "Rain.", "Creative Commons 0", "ss-n"
)
ROW = {"id": 7, "name": "Rain", "tags": ["rain"], "previews": {}, "license": "x"}
NO_OBJECTS = {
    "nested lists": "[" * 100_000 + "]" * 100_000,
    "nested objects": '{"results":' * 100_000,
    "a list": "[]",
    "a number of 5000 digits": "9" * 5000,
    "an object with a number of 5000 digits": '{"results":[],"count":' + "9" * 5000 + "}",
    "no UTF-8": b'{"results":["\xff"]}',
    "UTF-16": '{"results":[]}'.encode("utf-16"),
    "nothing": "",
    "a page": "<html></html>",
}
NO_LISTS = ("null", "7", '"abc"', "{}", "true")
WRONG_VALUES = (
    None,
    7,
    -1,
    1e300,
    2**63,
    True,
    "x",
    [],
    {},
    [None],
    [["a"]],
    {"a": None},
    "\ud800",
)


@pytest.fixture
def server(freesound_server):
    return freesound_server


@pytest.fixture
def freesound(server, tmp_path):
    app = server.state.add_client("earmark", owner="alice")
    budget = Budget(tmp_path / "budget.sqlite", PLENTY, server.now)
    return FreesoundClient(
        SecretStr(app.client_secret),
        budget,
        f"{server.url}/apiv2",
        ("127.0.0.1",),
        sleep=lambda seconds: None,
    )


@pytest.fixture
def alice(server):
    """Her access token."""
    client = server.state.add_client("other", owner="alice")
    return SecretStr(server.state.grant("alice", client).access)


@pytest.mark.parametrize("body", NO_OBJECTS.values(), ids=NO_OBJECTS)
def test_an_answer_that_is_no_object_is_one_sentence(server, freesound, alice, body):
    server.fail("/apiv2/", times=None, status=200, body=body)
    for ask in (
        lambda: list(freesound.search()),
        lambda: freesound.sound(7),
        lambda: freesound.me(alice),
        lambda: freesound.pending_uploads(alice),
    ):
        with pytest.raises(ServerTrouble, match=r"^Freesound.*\.$"):
            ask()
    with pytest.raises(UploadUncertain):
        freesound.upload(alice, "rain.wav", b"RIFF", SOUND)


@pytest.mark.parametrize("results", NO_LISTS)
def test_results_that_are_no_list_are_one_sentence(server, freesound, results):
    server.fail("/search/", times=None, status=200, body=f'{{"results":{results},"next":null}}')
    with pytest.raises(ServerTrouble, match="not what its documentation says"):
        list(freesound.search())


def test_a_list_whose_next_page_is_always_empty_ends(server, freesound):
    empty = json.dumps({"results": [], "next": "https://freesound.org/apiv2/search/?page=2"})
    server.fail("/search/", times=None, status=200, body=empty)
    assert list(freesound.search()) == []
    assert len(server.requests) == 1


@pytest.mark.parametrize("number", [0, -1, 2**63, 10**30, 1.5, True, "7", None])
def test_an_upload_whose_id_cannot_be_kept_is_uncertain(server, freesound, alice, number):
    server.fail("/upload/", status=201, body=json.dumps({"id": number}))
    with pytest.raises(UploadUncertain):
        freesound.upload(alice, "rain.wav", b"RIFF", SOUND)


@pytest.mark.parametrize("field", sorted(FreesoundSound.model_fields.keys() - {"id", "name"}))
def test_a_field_of_a_wrong_type_counts_as_absent_and_costs_no_sound(server, freesound, field):
    rows = [ROW | {"id": number + 1, field: value} for number, value in enumerate(WRONG_VALUES)]
    server.fail("/search/", status=200, body=json.dumps({"results": rows, "next": None}))
    sounds = list(freesound.search())
    assert [sound.id for sound in sounds] == [row["id"] for row in rows]
    for sound in sounds:
        kept = FreesoundItem(sound, freesound).describe(b"")
        assert Sound.model_validate_json(kept.model_dump_json()) == kept


@pytest.mark.parametrize(
    "row", [ROW | {"id": value} for value in (0, -1, 2**63, 1e300, None, "x", [])] + [7, [], "x"]
)
def test_a_row_without_an_id_is_no_sound(server, freesound, row):
    body = json.dumps({"results": [row, ROW], "next": None})
    server.fail("/search/", status=200, body=body)
    assert [sound and sound.id for sound in freesound.search_rows()] == [None, 7]


def test_half_of_a_surrogate_pair_reaches_no_database(server, freesound, alice, tmp_path):
    body = '{"username":"al\\ud800ice","unique_id":5}'
    server.fail("/me/", status=200, body=body)
    name = freesound.me(alice).username
    with sqlite3.connect(tmp_path / "names.sqlite") as database:
        assert database.execute("SELECT ?", [name]).fetchone() == ("al?ice",)
    server.fail("/search/", status=400, body='{"detail":"no \\udc00 \\u001b[2J\\u202e"}')
    with pytest.raises(FreesoundError) as error:
        list(freesound.search())
    assert str(error.value).encode()
    assert str(error.value).isprintable()


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(sorted(FreesoundSound.model_fields)),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.text(max_size=3), inner, max_size=3)
            ),
            max_leaves=5,
        ),
    )
)
def test_whatever_a_row_says_it_is_a_sound_that_can_be_kept(values):
    row = FreesoundSound.model_validate(values | {"id": 7, "name": "Rain"})
    kept = FreesoundItem(row, PreviewReader()).describe(b"")
    assert Sound.model_validate_json(kept.model_dump_json()) == kept
