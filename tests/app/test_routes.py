"""Media below `/sounds` and `/clips`, also where the server works below a base path."""

import os

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient
from streamlit import config

from app import services
from app.routes import ROUTES, login_url, media_url, temporary_media_url
from app.temporary_media import TemporaryMedia
from tests.helpers.app_pages import first_sound


@pytest.fixture
def client(own_workspace):
    import streamlit as st

    st.cache_resource.clear()
    return TestClient(Starlette(routes=ROUTES))


@pytest.fixture
def base_path():
    config.set_option("server.baseUrlPath", "/earmark/")
    yield "/earmark"
    config.set_option("server.baseUrlPath", "")


def test_media_are_served_for_ever_and_in_parts(client, own_workspace):
    media = first_sound(own_workspace).media
    picture = client.get(media_url(media.spectrogram))
    assert (picture.status_code, picture.headers["content-type"]) == (200, "image/webp")
    assert "immutable" in picture.headers["cache-control"]
    assert picture.headers["x-content-type-options"] == "nosniff"
    part = client.get(media_url(media.audio), headers={"Range": "bytes=0-3"})
    assert (part.status_code, part.content) == (206, b"OggS")


def test_everything_lies_below_the_base_path(client, own_workspace, base_path):
    url = media_url(first_sound(own_workspace).media.audio)
    assert url.startswith(f"{base_path}/sounds/")
    assert client.get(url).content.startswith(b"OggS")
    name = services.temporary_media().put(b"OggS...", "ogg")
    assert client.get(temporary_media_url(name)).content == b"OggS..."
    assert login_url("/try") == f"{base_path}/auth/freesound/login?to=/try"
    refusal = client.get(login_url("/try"))
    assert "Cookies are needed" in refusal.text
    assert f'href="{base_path}/try"' in refusal.text


@pytest.mark.parametrize(
    "name",
    [
        "x",
        "0" * 64 + ".ogg",
        "..%2findex.sqlite",
        "%2e%2e/index.sqlite",
        "index.sqlite",
        "%00.ogg",
    ],
)
def test_nothing_else_of_the_workspace_is_served(client, name):
    assert client.get(f"/sounds/{name}").status_code == 404
    assert client.get(f"/clips/{name}").status_code == 404
    assert client.get(f"/a/sounds/{name}").status_code == 404


def test_a_tried_clip_is_served_privately(client):
    name = services.temporary_media().put(b"OggS...", "ogg")
    answer = client.get(temporary_media_url(name))
    assert answer.content == b"OggS..."
    assert answer.headers["cache-control"].startswith("private")


def test_tried_clips_are_deleted_when_they_are_old_or_too_many():
    store = TemporaryMedia(max_age_s=100, max_bytes=30)
    old = store.put(b"x" * 10, "ogg")
    os.utime(store.path(old), (0, 0))
    first, second = store.put(b"y" * 10, "ogg"), store.put(b"z" * 10, "ogg")
    assert store.path(old) is None
    os.utime(store.path(first), (store.path(second).stat().st_mtime - 1,) * 2)
    third = store.put(b"w" * 15, "ogg")
    assert store.path(first) is None
    assert store.path(second) is not None
    assert store.path(third) is not None


def test_names_of_tried_clips_cannot_be_guessed():
    store = TemporaryMedia()
    assert len({store.put(b"", "ogg") for _ in range(20)}) == 20
    assert store.path("../../etc/passwd") is None
