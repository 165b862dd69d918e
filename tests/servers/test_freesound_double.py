"""The double keeps to what was measured of the real server, over real HTTP."""

import base64
import hashlib
import json
import re
import time
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from tests.servers.faults import Drop
from tests.servers.freesound import (
    CATEGORIES,
    Client,
    FreesoundServer,
    Sound,
    clean_tags,
    redirect_allowed,
)

GOLDEN = Path(__file__).parents[3] / "shared" / "data" / "freesound_tags_golden.json"
CALLBACK = "http://localhost:8501/callback"
GOOD = {
    "tags": "rain roof night",
    "description": "Rain.",
    "license": "Attribution",
    "bst_category": "ss-n",
}
Call = Callable[..., requests.Response]
Headers = dict[str, str]
NOT_PROVIDED = {"detail": "Authentication credentials were not provided."}
TOO_MANY_TAGS = "There can be maximum 30 tags, please select the most relevant ones!"
BAD_LICENSE = (
    "Invalid License, must be either 'Attribution', 'Attribution NonCommercial' or "
    "'Creative Commons 0'."
)
BAD_CATEGORY = "Invalid BST category, should be a valid Broad Sound Taxonomy subcategory code."
BAD_GEOTAG = (
    "Geotag should have the format 'float,float,integer' (for latitude, longitude and zoom "
    "respectively)."
)
BAD_FORMAT = "Uploaded file format not supported or not an audio file."
LONG_FILE_NAME = "Ensure this filename has at most 100 characters (it has 101)."


@pytest.fixture
def server(freesound_server: FreesoundServer) -> FreesoundServer:
    return freesound_server


@pytest.fixture
def client(server: FreesoundServer) -> Client:
    return server.state.add_client(redirect_uri=CALLBACK)


@pytest.fixture
def get(server: FreesoundServer, client: Client) -> Call:
    """A reading call with the app's key."""

    def call(path: str, headers: Headers | None = None, **query: Any) -> requests.Response:
        headers = {"Authorization": f"Token {client.client_secret}"} if headers is None else headers
        return requests.get(
            f"{server.url}/apiv2/{path}",
            params=query,
            headers=headers,
            allow_redirects=False,
            timeout=10,
        )

    return call


@pytest.fixture
def alice(server: FreesoundServer, client: Client) -> Headers:
    return bearer(server.state.grant("alice", client).access)


@pytest.fixture
def upload(server: FreesoundServer, alice: Headers) -> Call:
    def call(
        content: bytes = b"12345",
        filename: str = "a.mp3",
        *,
        headers: Headers = alice,
        **fields: str,
    ) -> requests.Response:
        return requests.post(
            f"{server.url}/apiv2/sounds/upload/",
            files={"audiofile": (filename, content)},
            data=fields,
            headers=headers,
            timeout=10,
        )

    return call


def bearer(token: str) -> Headers:
    return {"Authorization": f"Bearer {token}"}


def post(server: FreesoundServer, path: str, headers: Headers, **kwargs: Any) -> requests.Response:
    return requests.post(f"{server.url}/apiv2/{path}", headers=headers, timeout=10, **kwargs)


# ---- tags


def test_tags_are_cleaned_as_on_the_site() -> None:
    if not GOLDEN.is_file():
        pytest.skip("the golden pairs are not on this machine")
    pairs = json.loads(GOLDEN.read_text("utf-8"))
    assert [clean_tags(pair["sent"]) for pair in pairs] == [
        sorted(pair["stored"]) for pair in pairs
    ]


def test_tags_split_at_underscores_and_keep_their_case() -> None:
    assert clean_tags("field_recording THE the Lo--Fi café") == [
        "Lo-Fi",
        "THE",
        "caf",
        "field",
        "recording",
    ]


# ---- addresses and credentials


def test_a_missing_final_slash_is_redirected_with_a_page(get: Call) -> None:
    answer = get("search", query="x")
    assert (answer.status_code, answer.headers["Location"]) == (301, "/apiv2/search/?query=x")
    assert "html" in answer.headers["Content-Type"]


def test_unknown_addresses_are_html_pages(get: Call) -> None:
    assert get("nothing/").status_code == 404
    assert get("nothing/").text.startswith("<!doctype html>")
    assert (get("/").status_code, get("/").json()) == (400, {"detail": "Invalid url"})


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (None, NOT_PROVIDED["detail"]),
        ("Token wrong", "Invalid token"),
        ("Token", "Invalid token header. No credentials provided."),
        ("Token a b", "Invalid token header. Token string should not contain spaces."),
    ],
)
def test_401_without_a_usable_key(get: Call, header: str | None, words: str) -> None:
    answer = get("search/", headers={"Authorization": header} if header else {})
    assert (answer.status_code, answer.json()) == (401, {"detail": words})
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="api"'


def test_401_tells_an_invalid_from_an_expired_token_in_the_header_only(
    server: FreesoundServer, get: Call, alice: Headers
) -> None:
    server.advance(86401)
    for headers, why in ((alice, "has expired."), (bearer("x" * 30), "is invalid.")):
        answer = get("me/", headers=headers)
        assert answer.json() == NOT_PROVIDED
        assert answer.headers["WWW-Authenticate"] == (
            f'Bearer realm="api",error="invalid_token",error_description="The access token {why}"'
        )


def test_the_key_does_not_open_what_needs_a_person(get: Call, alice: Headers) -> None:
    assert (get("me/").status_code, get("me/").json()) == (401, NOT_PROVIDED)
    assert get("me/", headers=alice).json()["username"] == "alice"
    assert get("search/", headers=alice).status_code == 200


def test_the_key_may_stand_in_the_query_but_an_invalid_bearer_is_not_rescued(
    get: Call, client: Client
) -> None:
    assert get("search/", headers={}, token=client.client_secret).status_code == 200
    assert get("search/", headers=bearer("nonsense"), token=client.client_secret).status_code == 401


def test_https_can_be_enforced_for_oauth_calls(
    server: FreesoundServer, get: Call, alice: Headers
) -> None:
    server.https_enforced = True
    refused = get("me/", headers=alice)
    assert (refused.status_code, refused.json()) == (
        403,
        {"detail": "This resource requires a secure connection (https)"},
    )
    assert get("me/", headers={}).status_code == 401
    assert get("search/").status_code == 200
    assert get("oauth2/authorize/").headers["Content-Type"] == "text/html"


def test_formats_that_are_not_there(get: Call, client: Client) -> None:
    headers = {"Authorization": f"Token {client.client_secret}", "Accept": "image/png"}
    assert get("search/", headers=headers).status_code == 406
    assert get("search/", format="nonsense").status_code == 404


# ---- search


@pytest.fixture
def sounds(server: FreesoundServer) -> None:
    now = server.now()
    add = server.state.add_sound
    add(
        "alice",
        name="Rain on roof",
        tags=["rain", "Field-Recording"],
        duration=3.0,
        created=now - 5 * 86400,
        category_code="ss-n",
    )
    add(
        "bob",
        name="Dog",
        tags=["dog"],
        description="barks in the rain",
        duration=20.0,
        created=now - 40 * 86400,
        license="Attribution",
    )
    add("bob", name="Cat", tags=["cat"], duration=8.0, created=now - 1, type="ogg")
    add("alice", name="Rain, waiting", tags=["rain"], public=False)


def names(answer: requests.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [sound["name"] for sound in answer.json()["results"]]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"query": "rain"}, ["Rain on roof", "Dog"]),
        ({"query": "rain barks"}, ["Dog"]),
        ({"query": "rain -barks"}, ["Rain on roof"]),
        ({"query": '"on roof"'}, ["Rain on roof"]),
        ({"filter": "tag:field-recording"}, ["Rain on roof"]),
        ({"filter": "duration:[0 TO 10]"}, ["Rain on roof", "Cat"]),
        ({"filter": "created:[NOW-30DAY TO NOW]", "sort": "created_asc"}, ["Rain on roof", "Cat"]),
        (
            {"filter": "created:[2020-01-01T00:00:00Z TO *]", "sort": "created_desc"},
            ["Cat", "Rain on roof", "Dog"],
        ),
        ({"filter": 'license:"Attribution" username:bob'}, ["Dog"]),
        ({"filter": "type:(ogg OR aiff)"}, ["Cat"]),
        ({"filter": '-tag:dog -category:"Soundscapes"'}, ["Cat"]),
        ({"filter": "tag:cat OR tag:dog"}, ["Dog", "Cat"]),
        ({"filter": "id:1001"}, ["Rain on roof"]),
        ({"sort": "nonsense"}, ["Rain on roof", "Dog", "Cat"]),
    ],
)
def test_search_finds_public_sounds(
    get: Call, sounds: None, query: dict[str, Any], expected: list[str]
) -> None:
    assert names(get("search/", **query)) == expected
    assert names(get("search/text/", **query)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "tags:x",
        "duration:[1 TO",
        "duration:abc",
        "created:[2026-01-01 TO *]",
        "loose",
        "(tag:x",
        "tag:x)",
    ],
)
def test_a_bad_filter_is_a_400_with_the_servers_words(get: Call, sounds: None, text: str) -> None:
    answer = get("search/", filter=text)
    assert answer.status_code == 400
    assert re.fullmatch(
        r"Search server error: .+ \(please check that .+\)", answer.json()["detail"]
    )


def test_a_blank_filter_is_refused(get: Call) -> None:
    assert (get("search/", filter="").status_code, get("search/", filter="").json()) == (
        400,
        {"detail": "Invalid filter."},
    )


def test_pages_are_capped_and_linked_with_the_sites_own_host(
    server: FreesoundServer, get: Call, client: Client
) -> None:
    for number in range(160):
        server.state.add_sound("bob", name=f"s{number}")
    first = get("search/", page_size=500, sort="created_desc", fields="id").json()
    assert list(first) == ["count", "previous", "next", "results"]
    assert (len(first["results"]), first["previous"]) == (150, None)
    assert first["next"].startswith(
        "https://freesound.org/apiv2/search/?&query=&weights=&sort=created_desc&page=2"
    )
    assert client.client_secret not in first["next"]
    second = get("search/" + first["next"].partition("/apiv2/search/")[2]).json()
    assert (len(second["results"]), second["next"]) == (10, None)
    assert not {sound["id"] for sound in first["results"]} & {
        sound["id"] for sound in second["results"]
    }
    assert (get("search/", page=99).status_code, get("search/", page=99).json()) == (
        404,
        {"detail": "Not found"},
    )
    assert get("search/", page_size=0).status_code == 404
    assert get("search/", page="x").status_code == 200
    assert get("search/", query="nothinglikethis", page=7).json()["results"] == []


def test_fields_and_nulls(server: FreesoundServer, get: Call, sounds: None) -> None:
    server.null_sound_ids = {1002}
    results = get("search/", fields="id,nonsense").json()["results"]
    assert results == [{"id": 1001}, None, {"id": 1003}]
    assert get("search/", fields="id, name").json()["results"][0] == {"id": 1001}
    assert get("search/", fields="nonsense").json()["results"][0] == {}
    assert get("search/", fields="id,score,bpm").json()["results"][0] == {
        "id": 1001,
        "bpm": None,
        "score": 1.0,
    }


# ---- sounds, previews, me


def test_a_sound_has_all_keys_in_order(get: Call, sounds: None) -> None:
    answer = get("sounds/1001/").json()
    keys = (
        "id url name tags description category subcategory category_code "
        "category_is_user_provided geotag is_geotagged created license gen_ai_preference type "
        "channels filesize bitrate bitdepth duration samplerate username pack pack_name download "
        "bookmark previews images num_downloads avg_rating num_ratings rate comments num_comments "
        "comment similar_sounds is_explicit is_remix was_remixed md5"
    )
    assert list(answer) == keys.split()
    assert (answer["category"], answer["subcategory"]) == ("Soundscapes", "Nature")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", answer["created"])
    assert list(answer["images"]) == [
        *(
            "waveform_m",
            "waveform_l",
            "spectral_m",
            "spectral_l",
            "waveform_bw_m",
            "waveform_bw_l",
            "spectral_bw_m",
            "spectral_bw_l",
        )
    ]
    assert (get("sounds/7/").status_code, get("sounds/7/").json()) == (
        404,
        {"detail": "No Sound matches the given query."},
    )


def test_an_unmoderated_sound_answers_without_its_previews(
    server: FreesoundServer, get: Call, sounds: None
) -> None:
    waiting = get("sounds/1004/").json()
    assert waiting["duration"] == 0.0
    assert requests.get(waiting["previews"]["preview-hq-mp3"], timeout=10).status_code == 404
    server.state.process(1004)
    assert requests.get(waiting["previews"]["preview-hq-mp3"], timeout=10).status_code == 200
    server.unmoderated_status = 404
    assert get("sounds/1004/").status_code == 404
    server.state.moderate(1004)
    assert get("sounds/1004/").json()["duration"] == 1.0


def test_previews_and_images_are_real_media(
    server: FreesoundServer, get: Call, examples: Path
) -> None:
    import io

    import soundfile

    server.state.add_sound("bob", audio=(examples / "rooster.ogg").read_bytes(), type="ogg")
    sound = get("sounds/1001/").json()
    for name, address in sound["previews"].items():
        answer = requests.get(address, timeout=10)
        assert answer.headers["Content-Type"] == (
            "audio/ogg" if name.endswith("ogg") else "audio/mpeg"
        )
        assert soundfile.info(io.BytesIO(answer.content)).duration == pytest.approx(
            sound["duration"], abs=0.1
        )
    assert requests.get(sound["images"]["waveform_m"], timeout=10).content.startswith(b"\x89PNG")
    assert requests.get(sound["images"]["spectral_l"], timeout=10).content.startswith(b"\xff\xd8")


def test_previews_can_be_elsewhere_missing_cut_or_of_the_wrong_type(
    server: FreesoundServer, get: Call, sounds: None
) -> None:
    address = get("sounds/1001/").json()["previews"]["preview-lq-ogg"]
    server.fail("/data/previews/", status=404)
    assert requests.get(address, timeout=10).status_code == 404
    server.fail("/data/previews/", content_type="text/html")
    wrong = requests.get(address, timeout=10)
    assert (wrong.headers["Content-Type"], wrong.content[:4]) == ("text/html", b"OggS")
    server.fail("/data/previews/", truncate=100)
    with pytest.raises((requests.exceptions.ChunkedEncodingError, requests.ConnectionError)):
        requests.get(address, timeout=10)
    assert requests.get(address, timeout=10).content[:4] == b"OggS"
    server.media_host = "https://cdn.example.org"
    assert (
        get("sounds/1001/")
        .json()["previews"]["preview-lq-ogg"]
        .startswith("https://cdn.example.org/data/previews/1/1001_")
    )


def test_previews_can_be_slow(server: FreesoundServer, get: Call, sounds: None) -> None:
    address = get("sounds/1001/").json()["previews"]["preview-lq-mp3"]
    server.fail("/data/previews/", drip=0.02)
    started = time.monotonic()
    assert len(requests.get(address, timeout=10).content) > 5 * 1024
    assert time.monotonic() - started >= 0.1


def test_downloads_are_for_people(server: FreesoundServer, get: Call, alice: Headers) -> None:
    server.state.add_sound("bob", audio=b"RIFF", name="Big Dog!", duration=1.0)
    answer = get("sounds/1001/download/", headers=alice)
    assert answer.content == b"RIFF"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="1001__bob__big-dog.wav"'
    assert get("sounds/1001/download/").status_code == 401


# ---- uploads


def test_an_upload_waits_for_processing_then_for_a_moderator(
    server: FreesoundServer, get: Call, alice: Headers, upload: Call, examples: Path
) -> None:
    answer = upload(
        (examples / "sneeze.ogg").read_bytes(),
        "my sneeze #1.ogg",
        pack="Noses",
        geotag="41.4, 2.2, 14",
        **GOOD,
    )
    number = answer.json()["id"]
    assert (answer.status_code, answer.json()) == (
        201,
        {
            "detail": "Audio file successfully uploaded and described "
            "(now pending processing and moderation).",
            "id": number,
        },
    )
    stored = server.state.sounds[number]
    assert (stored.name, stored.tags, stored.geotag) == (
        "my sneeze #1.ogg",
        ["night", "rain", "roof"],
        "41.4 2.2",
    )
    [waiting] = get("sounds/pending_uploads/", headers=alice).json()["pending_processing"]
    assert list(waiting) == [
        "id",
        "name",
        "tags",
        "description",
        "created",
        "license",
        "processing_state",
    ]
    assert waiting["processing_state"] == "Pending"
    server.state.process(number)
    lists = get("sounds/pending_uploads/", headers=alice).json()
    assert (
        [entry["id"] for entry in lists["pending_moderation"]],
        lists["pending_processing"],
    ) == ([number], [])
    server.state.moderate(number)
    assert get("sounds/pending_uploads/", headers=alice).json()["pending_moderation"] == []
    assert names(get("search/", query="roof")) == ["my sneeze #1.ogg"]
    server.state.reject(number)
    assert get(f"sounds/{number}/").status_code == 404


def test_names_keep_unicode_and_lose_their_folders(server: FreesoundServer, upload: Call) -> None:
    number = upload(b"x", "C:\\Täubchen/été 雨.wav", **GOOD).json()["id"]
    assert server.state.sounds[number].name == "été 雨.wav"


def test_bytes_arrive_as_they_were_sent(server: FreesoundServer, upload: Call) -> None:
    content = bytes(range(256)) * 40 + b"\r\n--boundary\r\n\n\r"
    number = upload(content, **GOOD).json()["id"]
    assert server.state.sounds[number].audio == content


def test_what_cannot_be_decoded_fails_in_processing_only(
    server: FreesoundServer, get: Call, alice: Headers, upload: Call
) -> None:
    number = upload(**GOOD).json()["id"]
    server.state.process(number)
    assert (
        get("sounds/pending_uploads/", headers=alice).json()["pending_processing"][0][
            "processing_state"
        ]
        == "Failed"
    )


def test_whitelisted_people_are_in_no_list(
    server: FreesoundServer, get: Call, alice: Headers, upload: Call
) -> None:
    server.state.users["alice"].whitelisted = True
    number = upload(**GOOD).json()["id"]
    assert get("sounds/pending_uploads/", headers=alice).json() == {
        "pending_description": [],
        "pending_processing": [],
        "pending_moderation": [],
    }
    assert get(f"sounds/{number}/").json()["duration"] == 0.0


@pytest.mark.parametrize(
    ("change", "problems"),
    [
        ({"tags": "one two"}, {"tags": ["You should add at least 3 tags..."]}),
        ({"tags": " ".join(f"t{n}" for n in range(31))}, {"tags": [TOO_MANY_TAGS]}),
        (
            {"tags": "x" * 513, "license": "zzz"},
            {
                "tags": ["Ensure this field has no more than 512 characters."],
                "license": ['"zzz" is not a valid choice.'],
            },
        ),
        # the number of tags is only checked in a second round
        ({"license": "zzz", "tags": "one"}, {"license": ['"zzz" is not a valid choice.']}),
        ({"license": ""}, {"license": [BAD_LICENSE]}),
        ({"bst_category": "ss"}, {"bst_category": ['"ss" is not a valid choice.']}),
        ({"bst_category": ""}, {"bst_category": [BAD_CATEGORY]}),
        ({"description": ""}, {"description": ["This field is required."]}),
        ({"description": "  "}, {"description": ["This field may not be blank."]}),
        ({"name": " "}, {"name": ["This field may not be blank."]}),
        ({"geotag": "1,2,14.0"}, {"geotag": [BAD_GEOTAG]}),
        ({"geotag": "91,2,14"}, {"geotag": ["Latitude must be in the range [-90,90]."]}),
        ({"geotag": "1,181,14"}, {"geotag": ["Longitude must be in the range [-180,180]."]}),
        ({"geotag": "1,2,10"}, {"geotag": ["Zoom must be at least 11."]}),
        ({"content": b""}, {"audiofile": ["The submitted file is empty."]}),
        ({"filename": "a.txt"}, {"audiofile": [BAD_FORMAT]}),
        ({"filename": "a" * 97 + ".wav"}, {"audiofile": [LONG_FILE_NAME]}),
    ],
)
def test_a_refused_upload_says_why_by_field_and_stores_nothing(
    server: FreesoundServer, upload: Call, change: dict[str, Any], problems: dict[str, list[str]]
) -> None:
    change = dict(change)
    answer = upload(
        change.pop("content", b"12345"), change.pop("filename", "a.mp3"), **{**GOOD, **change}
    )
    assert (answer.status_code, answer.json()) == (400, {"detail": problems})
    assert server.state.sounds == {}
    assert server.state.users["alice"].pending_files == {}


def test_a_file_is_required_and_must_be_multipart(server: FreesoundServer, alice: Headers) -> None:
    nothing = post(server, "sounds/upload/", alice, files={"other": ("a.wav", b"1")})
    assert nothing.json() == {"detail": {"audiofile": ["No file was submitted."]}}
    as_json = post(server, "sounds/upload/", alice, json=GOOD)
    assert (as_json.status_code, as_json.json()) == (
        415,
        {"detail": 'Unsupported media type "application/json" in request.'},
    )
    answer = requests.get(f"{server.url}/apiv2/sounds/upload/", headers=alice, timeout=10)
    assert (answer.status_code, answer.json()) == (405, {"detail": 'Method "GET" not allowed.'})


def test_the_same_bytes_are_a_duplicate_whoever_sends_them(
    server: FreesoundServer, client: Client, upload: Call
) -> None:
    assert upload(b"same", **GOOD).status_code == 201
    bob = bearer(server.state.grant("bob", client).access)
    again = upload(b"same", "other.wav", headers=bob, **GOOD)
    words = "Sound could not be created because the uploaded file is already part of freesound."
    assert (again.status_code, again.json()) == (400, {"detail": words})
    assert server.state.users["bob"].pending_files == {}


@pytest.mark.parametrize("change", [{"tags": f"one two three {'x' * 101}"}, {"pack": "p" * 256}])
def test_an_overlong_tag_or_pack_leaves_a_half_made_sound(
    server: FreesoundServer, upload: Call, change: dict[str, Any]
) -> None:
    first = upload(**{**GOOD, **change})
    assert (first.status_code, first.json()) == (500, {"detail": "Unexpected error"})
    assert "already part of freesound" in upload(**GOOD).json()["detail"]
    assert [sound.half_made for sound in server.state.sounds.values()] == [True]


def test_a_file_alone_waits_for_its_description_and_is_overwritten_by_name(
    server: FreesoundServer, get: Call, alice: Headers, upload: Call
) -> None:
    assert upload(b"one", "a.wav").json() == {
        "filename": "a.wav",
        "detail": "Audio file successfully uploaded (3 Bytes, now pending description).",
    }
    upload(b"second", "a.wav", bst_category="ss-n")  # that field alone is no description
    assert get("sounds/pending_uploads/", headers=alice).json()["pending_description"] == ["a.wav"]
    assert server.state.users["alice"].pending_files == {"a.wav": b"second"}


def test_describing_is_broken_unless_switched_to_the_docs(
    server: FreesoundServer, alice: Headers, upload: Call
) -> None:
    upload(b"one", "a.wav")
    fields = {**GOOD, "upload_filename": "a.wav"}
    broken = post(server, "sounds/describe/", alice, data=fields)
    assert (broken.status_code, "<html>" in broken.text) == (500, True)
    wrong = post(server, "sounds/describe/", alice, json={**fields, "upload_filename": "b.wav"})
    message = "Upload filename (b.wav) must match with a filename from 'Pending Uploads' resource."
    assert wrong.json() == {"detail": {"upload_filename": [message]}}
    assert post(server, "sounds/describe/", alice, json={**fields, "tags": ["a"]}).json() == {
        "detail": {"tags": ["Not a valid string."]}
    }
    server.describe_mode = "docs"
    assert post(server, "sounds/describe/", alice, json=fields).status_code == 201
    assert [sound.tags for sound in server.state.sounds.values()] == [["night", "rain", "roof"]]


def test_editing_breaks_tags_unless_switched_to_the_docs(
    server: FreesoundServer, alice: Headers
) -> None:
    sound = server.state.add_sound("alice")
    address = f"sounds/{sound.id}/edit/"
    answer = post(server, address, alice, data={"tags": "alpha beta gamma", "name": "New"})
    assert (answer.status_code, answer.json()) == (
        200,
        {"detail": f"Description of sound {sound.id} successfully edited."},
    )
    assert (sound.tags, sound.name) == ([" ", *"abeghlmpt"], "New")
    server.edit_tags_mode = "docs"
    post(server, address, alice, data={"tags": "alpha beta gamma"})
    assert sound.tags == ["alpha", "beta", "gamma"]
    malformed = post(server, address, alice | {"Content-Type": "application/json"}, data="{")
    assert malformed.json()["detail"].startswith("JSON parse error - ")


def test_only_own_public_sounds_can_be_edited_and_only_with_the_write_scope(
    server: FreesoundServer, client: Client, alice: Headers
) -> None:
    others, waiting = server.state.add_sound("bob"), server.state.add_sound("alice", public=False)
    refused = post(server, f"sounds/{others.id}/edit/", alice)
    assert (refused.status_code, "WWW-Authenticate" in refused.headers) == (401, False)
    assert "not owned by the OAuth2 logged in user" in refused.json()["detail"]
    assert post(server, f"sounds/{waiting.id}/edit/", alice).json() == {"detail": "Not found"}
    reader = bearer(server.state.grant("alice", client, "read").access)
    refused = post(server, "sounds/upload/", reader)
    assert (refused.status_code, refused.json(), "WWW-Authenticate" in refused.headers) == (
        401,
        {"detail": "Not authorized"},
        False,
    )


# ---- limits and faults


def test_reading_and_writing_share_one_counter(
    server: FreesoundServer, get: Call, upload: Call
) -> None:
    for _ in range(35):
        assert get("search/").status_code == 200
    refused = upload(**GOOD)
    words = "Request was throttled because of exceeding a request limit rate ({})"
    assert (refused.status_code, refused.json()) == (429, {"detail": words.format("30/minute")})
    assert "Retry-After" not in refused.headers
    for _ in range(25):
        assert get("search/").status_code == 200
    assert get("search/").json() == {"detail": words.format("60/minute")}
    server.advance(61)
    assert upload(**GOOD).status_code == 201


def test_the_day_has_its_own_limit_and_both_can_be_forced(
    server: FreesoundServer, client: Client, get: Call
) -> None:
    client.get_limits = (60, 3)
    for _ in range(3):
        get("search/")
        server.advance(100)
    assert get("search/").json()["detail"].endswith("(3/day)")
    server.advance(86400)
    assert get("search/").status_code == 200
    server.force_429 = "minute"
    assert get("search/").json()["detail"].endswith("(60/minute)")
    server.force_429, client.suspended = None, True
    assert get("search/").json()["detail"].endswith("has been suspended")


def test_the_next_requests_can_fail_with_any_body(server: FreesoundServer, get: Call) -> None:
    server.fail("search", times=2, status=500)
    assert [get("search/").status_code for _ in range(3)] == [500, 500, 200]
    server.fail("search", status=413)
    assert "nginx" not in get("sounds/1/").text
    assert "413 Request Entity Too Large" in get("search/").text
    server.fail("search", times=None, status=200, body="{broken")
    assert get("search/").text == get("search/").text == "{broken"
    server.heal()
    server.fail("search", delay=0.3)
    started = time.monotonic()
    assert get("search/").status_code == 200
    assert time.monotonic() - started >= 0.3


def test_an_answer_can_be_lost_before_or_after_the_work(
    server: FreesoundServer, upload: Call
) -> None:
    outcomes: tuple[tuple[Drop, int], ...] = (("before", 0), ("after", 1))
    for drop, stored in outcomes:
        server.fail("upload", drop=drop)
        with pytest.raises(requests.ConnectionError):
            upload(**GOOD)
        assert len(server.state.sounds) == stored
    assert "already part of freesound" in upload(**GOOD).json()["detail"]
    server.fail("upload", status=502, processed=True)
    assert upload(b"other", **GOOD).status_code == 502
    assert len(server.state.sounds) == 2


def test_the_log_has_no_secrets(
    server: FreesoundServer, client: Client, get: Call, alice: Headers, upload: Call
) -> None:
    upload(**GOOD)
    get("search/", headers={}, token=client.client_secret)
    log = repr(server.requests)
    assert client.client_secret not in log
    assert alice["Authorization"].split()[1] not in log
    assert (server.requests[0].method, server.requests[0].path, server.requests[0].status) == (
        "POST",
        "/apiv2/sounds/upload/",
        201,
    )
    assert server.requests[0].headers["Authorization"] == "Bearer ***"
    assert server.requests[0].fields == [
        "audiofile",
        "bst_category",
        "description",
        "license",
        "tags",
    ]


# ---- signing in


class Form(HTMLParser):
    """The fields of the one form on a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.fields: dict[str, str] = {}
        self.action = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.action = attributes["action"]
        if tag == "input" and attributes.get("type") == "hidden":
            self.fields[attributes["name"]] = attributes["value"]


class Browser:
    def __init__(self, server: FreesoundServer, client: Client) -> None:
        self.server, self.client, self.session = server, client, requests.Session()

    def authorize(self, page: str = "authorize", **query: str | None) -> requests.Response:
        fields = {"client_id": self.client.client_id, "response_type": "code", **query}
        return self.get(
            f"/apiv2/oauth2/{page}/", params={k: v for k, v in fields.items() if v is not None}
        )

    def get(self, path: str, **more: Any) -> requests.Response:
        address = path if path.startswith("http") else self.server.url + path
        return self.session.get(address, allow_redirects=False, timeout=10, **more)

    def submit(self, page: requests.Response, **more: str) -> requests.Response:
        form = Form(page.text)
        return self.session.post(
            self.server.url + form.action,
            data=form.fields | more,
            allow_redirects=False,
            timeout=10,
        )

    def log_in(
        self, redirected: requests.Response, username: str = "alice", password: str = "alice"
    ) -> requests.Response:
        return self.submit(
            self.get(redirected.headers["Location"]), username=username, password=password
        )

    def code(self, **query: Any) -> str:
        """All the way to a code, whatever pages come between."""
        answer = self.authorize(**query)
        if "/login/" in answer.headers.get("Location", ""):
            answer = self.get(self.log_in(answer).headers["Location"])
        if answer.status_code == 200:
            answer = self.submit(answer, allow="Authorize!")
        return landed(answer)["code"]

    def exchange(self, **form: str | None) -> requests.Response:
        form = {
            "client_id": self.client.client_id,
            "client_secret": self.client.client_secret,
            **form,
        }
        return post(
            self.server,
            "oauth2/access_token/",
            {},
            data={k: v for k, v in form.items() if v is not None},
        )


@pytest.fixture
def browser(server: FreesoundServer, client: Client) -> Browser:
    return Browser(server, client)


def landed(answer: requests.Response) -> dict[str, str]:
    assert answer.status_code == 302, answer.text
    return {
        name: values[0]
        for name, values in parse_qs(urlsplit(answer.headers["Location"]).query).items()
    }


def test_signing_in_from_the_first_page_to_the_token(
    server: FreesoundServer, get: Call, browser: Browser
) -> None:
    to_login = browser.authorize(state="a b&c=ü")
    assert to_login.headers["Location"].startswith(
        "/apiv2/login/?next=%2Fapiv2%2Foauth2%2Fauthorize%2F"
    )
    again = browser.log_in(to_login, password="wrong")
    assert (again.status_code, "correct username" in again.text) == (200, True)
    consent = browser.get(browser.log_in(to_login).headers["Location"])
    expected = (
        "csrfmiddlewaretoken redirect_uri scope nonce client_id state response_type "
        "code_challenge code_challenge_method claims"
    )
    assert list(Form(consent.text).fields) == expected.split()
    allowed = browser.submit(consent, allow="Authorize!")
    assert allowed.headers["Location"].startswith(CALLBACK + "?code=")
    assert landed(allowed)["state"] == "a b&c=ü"
    answer = browser.exchange(grant_type="authorization_code", code=landed(allowed)["code"])
    token = answer.json()
    assert answer.headers["Cache-Control"] == "no-store"
    assert (token["expires_in"], token["token_type"], token["scope"]) == (
        86400,
        "Bearer",
        "read write",
    )
    assert (len(token["access_token"]), len(token["refresh_token"])) == (30, 30)
    assert get("me/", headers=bearer(token["access_token"])).json()["username"] == "alice"
    assert browser.exchange(
        grant_type="authorization_code", code=landed(allowed)["code"]
    ).json() == {"error": "invalid_grant"}


def test_denying_comes_back_as_an_error(browser: Browser) -> None:
    consent = browser.get(browser.log_in(browser.authorize(state="s")).headers["Location"])
    assert landed(browser.submit(consent)) == {"error": "access_denied", "state": "s"}


def test_a_form_without_its_csrf_token_is_refused(browser: Browser) -> None:
    consent = browser.get(browser.log_in(browser.authorize()).headers["Location"])
    assert (
        browser.submit(consent, allow="Authorize!", csrfmiddlewaretoken="other").status_code == 403
    )


def test_a_live_token_makes_the_page_unnecessary_and_logging_out_asks_again(
    server: FreesoundServer, client: Client, browser: Browser
) -> None:
    browser.code()
    server.state.grant("alice", client)
    assert "code" in landed(browser.authorize())
    assert browser.authorize(approval_prompt="force").status_code == 200
    server.state.expire_tokens()
    assert browser.authorize().status_code == 200
    server.state.grant("alice", client, "read")
    assert "code" in landed(browser.authorize(scope="read"))
    assert browser.authorize().status_code == 200
    out = browser.authorize(page="logout_and_authorize", state="s")
    assert parse_qs(urlsplit(out.headers["Location"]).query)["next"][0].startswith(
        f"{server.url}/apiv2/oauth2/authorize/?"
    )
    assert "/login/" in browser.authorize().headers["Location"]


@pytest.mark.parametrize(
    ("query", "error"),
    [
        (
            {"response_type": None},
            {"error": "invalid_request", "error_description": "Missing response_type parameter."},
        ),
        ({"response_type": "token"}, {"error": "unauthorized_client"}),
        ({"scope": "admin"}, {"error": "invalid_scope"}),
        ({"scope": ""}, {"error": "invalid_scope"}),
    ],
)
def test_authorize_errors_come_back_to_the_callback(
    browser: Browser, query: dict[str, Any], error: dict[str, str]
) -> None:
    browser.code()
    assert landed(browser.authorize(state="s", **query)) == error | {"state": "s"}


@pytest.mark.parametrize("query", [{"client_id": "nobody"}, {"redirect_uri": CALLBACK + "/"}])
def test_an_unknown_app_or_address_is_not_redirected(
    browser: Browser, query: dict[str, Any]
) -> None:
    browser.code()
    answer = browser.authorize(**query)
    assert (answer.status_code, "Oops!" in answer.text) == (400, True)


@pytest.mark.parametrize(
    ("asked", "registered", "allowed"),
    [
        ("http://a.org/x", "http://a.org/x", True),
        ("http://a.org/x?more=1", "http://a.org/x", True),
        ("http://a.org/x/", "http://a.org/x", False),
        ("https://a.org/x", "http://a.org/x", False),
        ("http://127.0.0.1:9999/x", "http://127.0.0.1/x", True),
        ("http://[::1]:9999/x", "http://[::1]/x", True),
        ("http://127.0.0.1:9999/x", "http://127.0.0.1:80/x", False),
        ("http://localhost:9999/x", "http://localhost/x", False),
    ],
)
def test_redirect_addresses(asked: str, registered: str, allowed: bool) -> None:
    assert redirect_allowed(asked, registered) is allowed


def test_codes_live_ten_minutes(server: FreesoundServer, browser: Browser) -> None:
    code = browser.code()
    server.advance(601)
    assert browser.exchange(grant_type="authorization_code", code=code).json() == {
        "error": "invalid_grant"
    }


def test_refreshing_replaces_both_tokens_at_once(
    server: FreesoundServer, client: Client, get: Call, browser: Browser
) -> None:
    old, other = server.state.grant("alice", client), server.state.grant("alice", client)
    new = browser.exchange(grant_type="refresh_token", refresh_token=old.refresh).json()
    assert get("me/", headers=bearer(old.access)).status_code == 401
    again = browser.exchange(grant_type="refresh_token", refresh_token=old.refresh)
    assert (again.status_code, again.json()) == (400, {"error": "invalid_grant"})
    assert get("me/", headers=bearer(new["access_token"])).status_code == 200
    assert get("me/", headers=bearer(other.access)).status_code == 200
    server.advance(2 * 86400)
    assert (
        browser.exchange(grant_type="refresh_token", refresh_token=new["refresh_token"]).status_code
        == 200
    )


def test_pkce(browser: Browser) -> None:
    verifier = "v" * 50
    challenge = (
        base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    )
    code = browser.code(code_challenge=challenge, code_challenge_method="S256")
    ask = {"grant_type": "authorization_code", "code": code}
    assert browser.exchange(**ask).json() == {
        "error": "invalid_request",
        "error_description": "Code verifier required.",
    }
    assert browser.exchange(**ask, code_verifier="wrong").json() == {"error": "invalid_grant"}
    mismatch = {"error": "invalid_request", "error_description": "Mismatching redirect URI."}
    assert (
        browser.exchange(**ask, code_verifier=verifier, redirect_uri="http://x/").json() == mismatch
    )
    assert browser.exchange(**ask, code_verifier=verifier, redirect_uri=CALLBACK).status_code == 200


@pytest.mark.parametrize(
    ("form", "status", "body"),
    [
        (
            {"grant_type": "refresh_token", "refresh_token": "x", "client_secret": "wrong"},
            401,
            {"error": "invalid_client"},
        ),
        (
            {"grant_type": "refresh_token", "refresh_token": "x", "client_id": "nobody"},
            401,
            {"error": "invalid_client"},
        ),
        ({"grant_type": "refresh_token", "refresh_token": "x"}, 400, {"error": "invalid_grant"}),
        (
            {"grant_type": "authorization_code"},
            400,
            {"error": "invalid_request", "error_description": "Missing code parameter."},
        ),
        ({}, 400, {"error": "unsupported_grant_type"}),
        ({"grant_type": "magic"}, 400, {"error": "unsupported_grant_type"}),
        ({"grant_type": "password"}, 400, {"error": "unauthorized_client"}),
    ],
)
def test_token_errors(browser: Browser, form: dict[str, str], status: int, body: object) -> None:
    answer = browser.exchange(**form)
    assert (answer.status_code, answer.json()) == (status, body)
    assert answer.headers.get("WWW-Authenticate") == (
        'Bearer error="invalid_client"' if status == 401 else None
    )


def test_the_token_endpoint_wants_a_form_in_a_post(
    server: FreesoundServer, client: Client, browser: Browser
) -> None:
    path = "oauth2/access_token/"
    assert requests.get(f"{server.url}/apiv2/{path}", timeout=10).status_code == 405
    assert post(server, path, {}, json={"grant_type": "refresh_token"}).json() == {
        "error": "unsupported_grant_type"
    }
    assert (
        post(server, path + "?x=1", {}, data={}).json()["error_description"]
        == "URL query parameters are not allowed"
    )
    token = server.state.grant("alice", client)
    form = {"grant_type": "refresh_token", "refresh_token": token.refresh}
    with_basic = requests.post(
        f"{server.url}/apiv2/{path}",
        data=form,
        auth=(client.client_id, client.client_secret),
        timeout=10,
    )
    assert with_basic.status_code == 200
    public = browser.exchange(
        grant_type="refresh_token",
        refresh_token=with_basic.json()["refresh_token"],
        client_secret=None,
    )
    assert public.status_code == 200
    assert post(server, "oauth2/access_token", {}, data={}).status_code == 400  # no redirect here


def test_an_app_without_callback_gets_its_code_on_a_page(server: FreesoundServer) -> None:
    client = server.state.add_client("No <callback>")
    browser = Browser(server, client)
    consent = browser.get(browser.log_in(browser.authorize()).headers["Location"])
    page = browser.get(browser.submit(consent, allow="Authorize!").headers["Location"])
    assert (
        "Permission granted to application No &lt;callback&gt;!. Your authorization code:"
        in page.text
    )
    shown = re.search("<div>(.*)</div>", page.text)
    assert shown
    assert browser.exchange(grant_type="authorization_code", code=shown[1]).status_code == 200
    assert (
        "Access has been denied." in browser.get("/home/app_permissions/permission_granted/").text
    )


def test_people_who_cannot_or_must_not_go_on(server: FreesoundServer, browser: Browser) -> None:
    server.state.users["bob"].active = False
    to_login = browser.authorize()
    assert browser.log_in(to_login, "bob", "bob").status_code == 200
    server.state.users["alice"].tos_accepted = False
    assert (
        browser.get(browser.log_in(to_login).headers["Location"]).headers["Location"]
        == "/home/tosacceptance/"
    )


def test_login_leads_nowhere_else(browser: Browser) -> None:
    page = browser.get("/apiv2/login/?next=https://evil.example/")
    assert browser.submit(page, username="alice", password="alice").headers["Location"] == "/"


def test_a_revoked_app_is_out(server: FreesoundServer, get: Call, alice: Headers) -> None:
    server.state.revoke("alice")
    assert 'error="invalid_token"' in get("me/", headers=alice).headers["WWW-Authenticate"]


def test_sounds_start_unprocessed_and_all_categories_are_second_level() -> None:
    assert all("-" in code for code in CATEGORIES)
    assert len(CATEGORIES) == 4 + 6 + 4 + 9 + 5
    assert not Sound(1, "alice", "x", [], 0.0).public
