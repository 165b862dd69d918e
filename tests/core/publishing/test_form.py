"""The form: our checks against the server's, and the server's words as sentences."""

import itertools
import unicodedata
from dataclasses import replace

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from core.freesound.client import FreesoundClient
from core.freesound.rate_limit import Budget, Limits
from core.freesound.types import Description
from core.publishing.category import CATEGORIES
from core.publishing.errors import FormError, GeotagError
from core.publishing.form import (
    EXTENSIONS,
    LICENSES,
    MAX_FILE_BYTES,
    UploadForm,
    check,
    machine_note,
    parse_sources,
    with_note,
)
from core.publishing.geotag import Geotag, parse_geotag
from core.publishing.server_messages import explain
from tests.servers.freesound import UPLOAD_LICENSES, FreesoundServer, clean_tags
from tests.servers.freesound.checks import check_description, check_upload

MANY = 10**6
FORM = UploadForm(
    "rain.wav",
    1000,
    ("rain", "roof", "Field Recording"),
    "Rain on a roof.",
    "Attribution",
    "fx-n",
    name="Rain on roof",
    pack="Weather",
    geotag="52.5,13.4,14",
)


class Freesound:
    """The double with Alice signed in; each upload has new bytes, so that none is a duplicate."""

    def __init__(self, server, folder):
        self.server, self._bytes = server, itertools.count()
        server.state.add_user("alice")
        app = server.state.add_client(
            "earmark", owner="alice", get_limits=(MANY, MANY), post_limits=(MANY, MANY)
        )
        limits = Limits(
            reads_a_minute=MANY, reads_a_day=MANY, writes_a_minute=MANY, writes_a_day=MANY
        )
        self.client = FreesoundClient(
            SecretStr(app.client_secret),
            Budget(folder / "budget.sqlite", limits),
            api=f"{server.url}/apiv2/",
        )
        self.token = server.state.grant("alice", app).access

    def upload(self, file_name: str, description: Description):
        """The sound as the server stored it."""
        number = self.client.upload(
            SecretStr(self.token), file_name, b"sound %d" % next(self._bytes), description
        )
        return self.server.state.sounds[number]

    def send(
        self, file_name: str, fields: dict[str, str], data: bytes | None = None
    ) -> requests.Response:
        """The raw answer to a form as it stands, unchecked."""
        content = b"sound %d" % next(self._bytes) if data is None else data
        return requests.post(
            f"{self.server.url}/apiv2/sounds/upload/",
            data=fields,
            files={"audiofile": (file_name, content)},
            headers={"Authorization": f"Bearer {self.token}", "Accept": "application/json"},
            timeout=20,
        )


@pytest.fixture(scope="module")
def freesound(tmp_path_factory):
    with FreesoundServer() as server:
        yield Freesound(server, tmp_path_factory.mktemp("budget"))
        assert server.errors == []


def raw(form: UploadForm) -> dict[str, str]:
    """The fields as they were typed, without any cleaning."""
    place = {"geotag": form.geotag} if form.geotag else {}
    return place | {
        "name": form.name,
        "tags": " ".join(form.tags),
        "description": form.description,
        "license": form.license,
        "bst_category": form.bst_category,
        "pack": form.pack,
    }


def test_a_whole_form_goes_out_as_it_was_shown(freesound):
    assert check(FORM) == []
    sound = freesound.upload(FORM.file_name, FORM.to_description())
    assert (sound.name, sound.tags, sound.description) == (
        "Rain on roof",
        ["field-recording", "rain", "roof"],
        "Rain on a roof.",
    )
    assert (sound.license, sound.category_code, sound.pack, sound.geotag) == (
        "Attribution",
        "fx-n",
        "Weather",
        "52.5 13.4",
    )


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("audiofile", {"file_name": "rain.txt"}),
        ("audiofile", {"file_name": "rain"}),
        ("audiofile", {"file_name": "wav"}),
        ("audiofile", {"file_name": "rain.wav "}),
        ("audiofile", {"file_name": "x" * 97 + ".wav"}),
        ("audiofile", {"size": 0}),
        ("name", {"name": "   "}),
        ("name", {"name": "x" * 513}),
        ("tags", {"tags": ()}),
        ("tags", {"tags": ("rain", "roof")}),
        ("tags", {"tags": ("rain", "roof", "the")}),
        ("tags", {"tags": ("rain", "rain", "rain")}),
        ("tags", {"tags": tuple(f"tag{number}" for number in range(31))}),
        ("tags", {"tags": tuple(str(number) * 30 for number in range(10, 30))}),
        ("description", {"description": ""}),
        ("description", {"description": " \n "}),
        ("license", {"license": ""}),
        ("license", {"license": "attribution"}),
        ("license", {"license": "Sampling+"}),
        ("license", {"license": "https://creativecommons.org/licenses/by/4.0/"}),
        ("bst_category", {"bst_category": ""}),
        ("bst_category", {"bst_category": "fx"}),
        ("bst_category", {"bst_category": "zzz"}),
        ("pack", {"pack": "  "}),
        ("geotag", {"geotag": "Berlin"}),
        ("geotag", {"geotag": "52.5"}),
        ("geotag", {"geotag": "91,13.4,14"}),
        ("geotag", {"geotag": "-91,13.4,14"}),
        ("geotag", {"geotag": "52.5,181,14"}),
        ("geotag", {"geotag": "52.5,13.4,10"}),
        ("geotag", {"geotag": "52.5,13.4,14.0"}),
        ("geotag", {"geotag": "52.5,13.4,14,15"}),
        ("geotag", {"geotag": "nan,inf,x"}),
    ],
)
def test_what_we_refuse_freesound_refuses_too_and_for_the_same_field(freesound, field, change):
    form = replace(FORM, **change)
    assert {problem.field for problem in check(form)} == {field}
    answer = freesound.send(form.file_name, raw(form), b"" if form.size == 0 else None)
    assert answer.status_code == 400
    detail = answer.json()["detail"]
    assert list(detail) == [field]
    sentence = explain(field, detail[field][0])
    assert sentence.endswith(".")
    assert detail[field][0] not in sentence
    with pytest.raises(FormError):
        form.to_description()


@pytest.mark.parametrize(
    ("field", "change"),
    [("tags", {"tags": ("a", "b", "c", "x" * 101)}), ("pack", {"pack": "x" * 256})],
)
def test_what_would_leave_half_a_sound_behind_is_refused_before_it_is_sent(
    freesound, field, change
):
    form = replace(FORM, **change)
    assert [problem.field for problem in check(form)] == [field]
    assert freesound.send(form.file_name, raw(form)).status_code == 500


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("audiofile", {"file_name": "a/b.wav"}),
        ("audiofile", {"file_name": "a\\b.wav"}),
        ("audiofile", {"file_name": 'a"b.wav'}),
        ("audiofile", {"file_name": "a\nb.wav"}),
        ("audiofile", {"file_name": "R&amp;B.wav"}),
        ("audiofile", {"file_name": "zero\u200bwidth.wav"}),
        ("audiofile", {"file_name": ".wav"}),
        ("audiofile", {"size": MAX_FILE_BYTES + 1}),
        ("name", {"name": "bell\x07"}),
        ("name", {"name": "two\nlines"}),
        ("name", {"name": "half \ud83d"}),
        ("name", {"name": "\u200b\u200d"}),
        ("pack", {"pack": "null\x00"}),
        ("description", {"description": "\u200b"}),
        ("description", {"description": "bell\x07"}),
        ("geotag", {"geotag": "52.5,-181,14"}),
        ("geotag", {"geotag": "52.5,13.4,99"}),
    ],
)
def test_what_freesound_would_change_or_take_by_mistake_is_refused_by_us(field, change):
    assert {problem.field for problem in check(replace(FORM, **change))} == {field}


@pytest.mark.parametrize(
    "change",
    [
        {"name": ""},
        {"name": "x" * 512},
        {"name": "雨 / <b>Rain</b> 🌧 =1+1"},
        {"file_name": "Straße 雨 #3 & more.WAV"},
        {"file_name": "x" * 96 + ".aif"},
        {"pack": "x" * 255},
        {"pack": ""},
        {"geotag": ""},
        {"geotag": "-90 -180"},
        {"geotag": "33.86 S; 151.21 E; 19"},
        {"description": "Two\n\nparagraphs\tand a <script>."},
        {"description": "x" * 99_999},
        {"size": MAX_FILE_BYTES},
        {"tags": ("Café", "naïve", "drum'n'bass", "the")},
        {"tags": tuple(f"tag{number}" for number in range(30))},
    ],
)
def test_what_we_accept_is_stored_as_shown(freesound, change):
    form = replace(FORM, **change)
    assert check(form) == []
    description = form.to_description()
    sound = freesound.upload(form.file_name, description)
    assert (sound.name, sound.filename) == (description.name or form.file_name, form.file_name)
    assert sound.tags == sorted(description.tags)
    assert (sound.description, sound.pack or "") == (description.description, description.pack)


def test_every_problem_is_listed_at_once_in_the_forms_order():
    problems = check(UploadForm("rain.doc", 0, (), "", "", "", name=" ", pack=" ", geotag="here"))
    assert [problem.field for problem in problems] == [
        "audiofile",
        "audiofile",
        "name",
        "tags",
        "description",
        "license",
        "bst_category",
        "pack",
        "geotag",
    ]
    assert all(problem.sentence.endswith(".") for problem in problems)


WORDS = st.text(st.characters(categories=("L", "N", "P", "S", "Z", "M")), max_size=40)
ANY = st.text(max_size=30)
FORMS = st.builds(
    UploadForm,
    file_name=st.one_of(
        st.builds(
            "{}.{}".format, st.text("ab雨 .&;#'-%", max_size=12), st.sampled_from(EXTENSIONS)
        ),
        st.builds("{}.{}".format, ANY, st.sampled_from((*EXTENSIONS, "WAV", "txt"))),
    ),
    size=st.just(1000),
    tags=st.lists(
        st.one_of(st.sampled_from("rain Rain the field_recording 雨 a,b c".split()), WORDS),
        min_size=2,
        max_size=34,
    ).map(tuple),
    description=st.one_of(st.just("Rain."), ANY.map("Rain. {}".format), ANY),
    license=st.sampled_from(list(LICENSES)),
    bst_category=st.sampled_from(list(CATEGORIES)),
    name=st.one_of(st.just(""), WORDS, ANY),
    pack=st.one_of(st.just(""), WORDS, ANY),
    geotag=st.one_of(
        st.just(""),
        st.builds(
            "{}, {}".format,
            st.floats(-95, 95).map("{:.3f}".format),
            st.floats(-185, 185).map("{:.3f}".format),
        ),
        st.builds(
            "{} {} {}".format, st.integers(-90, 90), st.integers(-180, 180), st.integers(9, 24)
        ),
        st.text("0123456789.,- SWNE°", max_size=20),
    ),
)


@settings(max_examples=300, deadline=None)
@given(form=FORMS)
def test_freesounds_own_checks_pass_whatever_we_accept(form):
    if check(form):
        return
    description = form.to_description()
    fields = description.form()
    check_upload(fields, {"audiofile": (form.file_name, b"data")})
    check_description(fields)
    assert sorted(clean_tags(fields["tags"])) == sorted(description.tags)
    assert fields == {name: text.strip() for name, text in fields.items()}


@settings(max_examples=10, deadline=None)
@given(form=FORMS)
def test_freesound_never_refuses_or_changes_what_we_accept(freesound, form):
    if check(form):
        return
    description = form.to_description()
    sound = freesound.upload(form.file_name, description)
    assert (sound.name, sound.filename) == (description.name or form.file_name, form.file_name)
    assert (sound.tags, sound.description) == (sorted(description.tags), description.description)
    assert sound.pack == (description.pack or None)
    assert (sound.geotag is None) == (not form.geotag.strip())


@pytest.mark.parametrize(
    ("typed", "place"),
    [
        ("52.5, 13.4", Geotag(52.5, 13.4, 14)),
        ("52.5,13.4,12", Geotag(52.5, 13.4, 12)),
        (" 52.5 13.4 ", Geotag(52.5, 13.4, 14)),
        ("52.5° N, 13.4° E", Geotag(52.5, 13.4, 14)),
        ("33.86 s 70.1w 16", Geotag(-33.86, -70.1, 16)),
        ("−33.86; 151", Geotag(-33.86, 151, 14)),
        ("https://www.openstreetmap.org/#map=17/52.52/13.405", Geotag(52.52, 13.405, 17)),
        (Geotag(-33.86, 151.2, 12).map_address, Geotag(-33.86, 151.2, 12)),
    ],
)
def test_a_place_is_read_as_people_write_it(typed, place):
    assert parse_geotag(typed) == place


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "Berlin",
        "52,5 13,4",
        "https://www.openstreetmap.org/#map=3/52/13",
        "-33.9 S, 151 E",
        "1e2,3",
        "٥٢,13",
        "52.5,,13.4",
        "52.5/13.4",
    ],
)
def test_a_place_that_may_mean_something_else_is_asked_for_again(typed):
    with pytest.raises(GeotagError, match=r"\.$"):
        parse_geotag(typed)


AWAY_FROM_ZERO = st.one_of(st.floats(1e-5, 1), st.floats(-1, -1e-5))


@given(AWAY_FROM_ZERO.map((90.0).__mul__), AWAY_FROM_ZERO.map((180.0).__mul__), st.integers(11, 19))
def test_a_place_written_for_freesound_is_read_again_to_ten_centimetres(latitude, longitude, zoom):
    again = parse_geotag(Geotag(latitude, longitude, zoom).text)
    assert again.latitude == pytest.approx(latitude, abs=1e-6)
    assert again.longitude == pytest.approx(longitude, abs=1e-6)
    assert again.zoom == zoom


@pytest.mark.parametrize(
    ("typed", "ids"),
    [
        ("", ()),
        ("1234", (1234,)),
        ("1234, 5678 1234", (1234, 5678)),
        ("https://freesound.org/s/12/\nhttps://freesound.org/people/ada/sounds/34/", (12, 34)),
    ],
)
def test_sources_are_ids_or_addresses(typed, ids):
    assert parse_sources(typed) == ids
    assert check(replace(FORM, sources=typed)) == []


@pytest.mark.parametrize(
    "typed", ["a tune", "0", "-1", "12.5", "https://example.org/s/12/", "9" * 19, "1 " * 3 + "x"]
)
def test_what_is_no_source_is_said_in_a_sentence(typed):
    (problem,) = check(replace(FORM, sources=typed))
    assert problem.field == "sources"
    assert problem.sentence.endswith(".")


def test_what_the_api_cannot_set_is_not_sent():
    description = replace(FORM, is_explicit=True, sources="1234").to_description()
    assert (description.is_explicit, description.sources) == (True, (1234,))
    assert not {"is_explicit", "sources"} & set(description.form())


def test_the_licenses_are_freesounds_and_each_is_explained():
    assert set(LICENSES) == set(UPLOAD_LICENSES)
    for license in LICENSES.values():
        assert license.meaning.endswith(".")
        assert license.deed.startswith("https://creativecommons.org/")


def test_the_note_says_which_tags_a_machine_had_suggested():
    note = machine_note(["rain", "roof", "water"], "starter v1")
    assert "rain, roof and water" in note
    assert "starter v1" in note
    assert "the tag “rain” was" in machine_note(["rain"], "starter v1")
    assert machine_note([], "starter v1") == ""


def test_the_note_ends_the_description_once():
    note = machine_note(["rain"], "starter v1")
    once = with_note("Rain on a roof.\n", note)
    assert once == f"Rain on a roof.\n\n{note}"
    assert with_note(once, note) == once
    assert with_note("Rain.", "") == "Rain."
    assert check(replace(FORM, description=once)) == []


MESSAGES = [
    ("audiofile", "No file was submitted."),
    ("audiofile", "The submitted file is empty."),
    ("audiofile", "Uploaded file format not supported or not an audio file."),
    ("audiofile", "Ensure this filename has at most 100 characters (it has 101)."),
    ("tags", "You should add at least 3 tags..."),
    ("tags", "There can be maximum 30 tags, please select the most relevant ones!"),
    ("name", "Ensure this field has no more than 512 characters."),
    ("name", "This field may not be blank."),
    ("description", "This field is required."),
    ("license", '"zzz" is not a valid choice.'),
    ("bst_category", '"zzz" is not a valid choice.'),
    (
        "license",
        "Invalid License, must be either 'Attribution', 'Attribution NonCommercial' or "
        "'Creative Commons 0'.",
    ),
    (
        "bst_category",
        "Invalid BST category, should be a valid Broad Sound Taxonomy subcategory code.",
    ),
    (
        "geotag",
        "Geotag should have the format 'float,float,integer' (for latitude, longitude and zoom "
        "respectively).",
    ),
    ("geotag", "Latitude must be in the range [-90,90]."),
    ("geotag", "Longitude must be in the range [-180,180]."),
    ("geotag", "Zoom must be at least 11."),
    ("tags", "Not a valid string."),
    ("tags", "This field may not be null."),
    ("", "JSON parse error - Expecting value: line 1 column 1 (char 0)"),
    ("", 'Method "GET" not allowed.'),
    ("", "Sound could not be created because the uploaded file is already part of freesound."),
    ("", "Unexpected error"),
]


@pytest.mark.parametrize(("field", "message"), MESSAGES)
def test_each_of_the_servers_messages_has_a_sentence_for_a_person(field, message):
    sentence = explain(field, message)
    assert sentence[0].isupper()
    assert sentence.endswith(".")
    assert message.rstrip(".") not in sentence
    assert not any(
        word in sentence for word in ("BST", "field", "null", "float", "valid choice", "{")
    )


def test_a_message_that_nobody_knew_is_passed_on_within_a_sentence():
    assert (
        explain("name", "Name is reserved.")
        == "Freesound does not accept the name: Name is reserved."
    )
    assert (
        explain("gizmo{0}", "No {what}")
        == "Freesound does not accept the field “gizmo{0}”: No {what}."
    )


@given(st.text(max_size=20), st.text(max_size=60))
def test_whatever_the_server_says_a_sentence_comes_of_it(field, message):
    sentence = explain(field, message)
    assert sentence.endswith(".")
    assert not any(unicodedata.category(character) == "Cc" for character in sentence)
