"""Media below `/sounds` and `/clips`, also where the server works below a base path."""

import os
import re
import threading

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient
from streamlit import config

from app import services
from app.components.assets import asset_url
from app.routes import ROUTES, login_url, media_url, temporary_media_url
from app.temporary_media import TemporaryMedia
from app.twins import Twins, TwinsBusy
from app.vocabulary import vocabulary_url
from core.audio.decode import decode
from core.audio.types import AudioLimits
from core.storage.local import open_local_workspace
from tests.helpers.app_pages import first_sound
from tests.helpers.waiting import wait_until


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
    assert client.get(asset_url("player/player.js")).status_code == 200
    assert client.get(vocabulary_url(["rain"])).json() == [["rain", 0, []]]
    assert asset_url("a.js").startswith(f"{base_path}/assets/")
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
        "0" * 64 + ".m4a",
        "..%2findex.m4a",
        ".m4a",
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


def test_a_preview_has_a_twin_for_browsers_without_ogg(client, own_workspace):
    media = first_sound(own_workspace).media
    url = media_url(media.audio).replace(".ogg", ".m4a")
    answer = client.get(url)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "audio/mp4")
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    preview = open_local_workspace(own_workspace).media.path(media.audio).read_bytes()
    twin, original = decode(answer.content), decode(preview)
    assert twin.facts.seconds == pytest.approx(original.facts.seconds, abs=0.1)
    part = client.get(url, headers={"Range": "bytes=4-7"})
    assert (part.status_code, part.content) == (206, b"ftyp")
    assert client.get(url).content == answer.content


def test_a_picture_has_no_twin(client, own_workspace):
    picture = first_sound(own_workspace).media.spectrogram
    assert client.get(media_url(picture).replace(".webp", ".m4a")).status_code == 404


def test_a_tried_clip_has_a_twin_too_which_is_private(client, examples):
    store = services.temporary_media()
    name = store.put((examples / "siren.ogg").read_bytes(), "ogg")
    answer = client.get(temporary_media_url(name).replace(".ogg", ".m4a"))
    assert answer.headers["cache-control"].startswith("private")
    assert decode(answer.content).facts.seconds > 1


def test_a_preview_that_cannot_be_decoded_has_no_twin(client):
    name = services.temporary_media().put(b"OggS, but not really", "ogg")
    assert client.get(temporary_media_url(name).replace(".ogg", ".m4a")).status_code == 404


def test_the_twin_goes_with_its_preview(own_workspace, client):
    media = open_local_workspace(own_workspace).media
    name = first_sound(own_workspace).media.audio
    twin = media.path(name).with_suffix(".m4a")
    client.get(media_url(name).replace(".ogg", ".m4a"))
    assert twin.exists()
    assert media.delete([name]) == 1
    assert not twin.exists()


def test_twins_are_made_once_and_only_so_many_wait(tmp_path, examples):
    preview = tmp_path / "sound.ogg"
    os.mkfifo(preview)  # reading it takes until somebody writes
    twins, made = Twins(AudioLimits(), max_waiting=2), []
    threads = [
        threading.Thread(target=lambda: made.append(twins.twin(preview)), daemon=True)
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    with preview.open("wb") as pipe:  # opened once the first reads
        wait_until(lambda: twins.waiting == 2)
        with pytest.raises(TwinsBusy):
            twins.twin(preview)
        pipe.write((examples / "siren.ogg").read_bytes())
    for thread in threads:
        thread.join(60)
    assert made == [preview.with_suffix(".m4a")] * 2


def test_components_are_served_for_ever_under_the_version_of_all_their_files(client):
    url = asset_url("player/player.js")
    answer = client.get(url)
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    for imported in re.findall(r'from "(\..+?)"', answer.text):
        assert client.get(f"{url.rpartition('/')[0]}/{imported}").status_code == 200, imported


@pytest.mark.parametrize(
    "path", ["player/player.py", "player/__init__.py", "../main.py", "%2e%2e/main.py", "", "player"]
)
def test_no_other_file_is_served_as_part_of_a_component(client, path):
    assert client.get(asset_url(path)).status_code == 404


def test_another_version_of_the_components_is_not_there(client):
    assert client.get("/assets/0000000000000000/player/player.js").status_code == 404


def test_a_vocabulary_is_served_once_for_all_editors(client):
    entries = (("rain", 12, ("shower",)), ("dog", 3, ()))
    url = vocabulary_url(entries)
    assert vocabulary_url(list(entries)) == url != vocabulary_url(("rain", "dog"))
    answer = client.get(url)
    assert answer.json() == [["rain", 12, ["shower"]], ["dog", 3, []]]
    assert "immutable" in answer.headers["cache-control"]
    assert client.get("/vocabulary/0000.json").status_code == 404
