import os

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from app import tries
from app.routes import ROUTES, media_url, try_url
from app.tries import TryStore
from core.workspace import Query
from core.workspace.local import LocalWorkspace


@pytest.fixture
def client(own_workspace):
    import streamlit as st

    st.cache_resource.clear()
    return TestClient(Starlette(routes=ROUTES))


def test_media_are_served_for_ever_and_in_parts(client, own_workspace):
    media = LocalWorkspace(own_workspace).page(Query(), 1, 1).sounds[0].media
    picture = client.get(media_url(media.spectrogram))
    assert (picture.status_code, picture.headers["content-type"]) == (200, "image/webp")
    assert "immutable" in picture.headers["cache-control"]
    assert picture.headers["x-content-type-options"] == "nosniff"
    part = client.get(media_url(media.audio), headers={"Range": "bytes=0-3"})
    assert (part.status_code, part.content) == (206, b"OggS")


@pytest.mark.parametrize("name", ["x", "0" * 64 + ".ogg", "..%2findex.sqlite", "%2e%2e/index.sqlite", "index.sqlite", "%00.ogg"])
def test_nothing_else_of_the_workspace_is_served(client, name):
    assert client.get(f"/sounds/{name}").status_code == 404
    assert client.get(f"/tries/{name}").status_code == 404


def test_a_tried_clip_is_served_privately(client):
    name = tries.store().put(b"OggS...", "ogg")
    answer = client.get(try_url(name))
    assert answer.content == b"OggS..."
    assert answer.headers["cache-control"].startswith("private")


def test_tried_clips_are_forgotten_when_they_are_old_or_too_many():
    store = TryStore(kept_for_s=100, most_bytes=30)
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
    store = TryStore()
    assert len({store.put(b"", "ogg") for _ in range(20)}) == 20
    assert store.path("../../etc/passwd") is None
