"""The double breaks an upload off after any step and reads a bulk file, as the real server does."""

import pytest
import requests

from tests.servers.freesound import BadBulkFile, FreesoundServer, check_bulk_file
from tests.servers.freesound.site import UploadStep

FORM = {
    "name": "Rain on a roof",
    "tags": "rain roof night",
    "description": "Rain.",
    "license": "Attribution",
    "bst_category": "ss-n",
    "pack": "Weather",
    "geotag": "52.5,13.4,14",
}
HEADER = "audio_filename,name,tags,geotag,description,license,pack_name,is_explicit,bst_category"
GOOD_ROW = 'a.wav,A good name,rain roof night,"52.5, 13.4, 14",Rain.,attribution,,0,ss-n'


class Alice:
    """A person with a token."""

    def __init__(self, server: FreesoundServer) -> None:
        server.state.add_user("alice")
        token = server.state.grant("alice", server.state.add_client())
        self._api = f"{server.url}/apiv2/sounds"
        self._headers = {"Authorization": f"Bearer {token.access}", "Accept": "application/json"}

    def upload(self) -> requests.Response:
        """Send one and the same file."""
        files = {"audiofile": ("a.wav", b"rain")}
        address = f"{self._api}/upload/"
        return requests.post(address, FORM, files=files, headers=self._headers, timeout=10)

    def pending(self) -> dict[str, object]:
        """Return the one sound that is pending."""
        answer = requests.get(f"{self._api}/pending_uploads/", headers=self._headers, timeout=10)
        (entry,) = answer.json()["pending_processing"]
        return dict(entry)


@pytest.fixture
def alice(freesound_server: FreesoundServer) -> Alice:
    return Alice(freesound_server)


@pytest.mark.parametrize(
    ("step", "written"),
    [
        ("row", set()),
        ("pack", {"pack"}),
        ("geotag", {"pack", "geotag"}),
        ("description", {"pack", "geotag", "description"}),
        ("tags", {"pack", "geotag", "description", "tags"}),
        ("ticket", {"pack", "geotag", "description", "tags"}),
    ],
)
def test_an_upload_that_breaks_off_leaves_what_was_written_before(
    freesound_server: FreesoundServer, alice: Alice, step: UploadStep, written: set[str]
) -> None:
    freesound_server.auto_process = True
    freesound_server.stop_upload_after = step
    answer = alice.upload()
    assert (answer.status_code, answer.json()) == (500, {"detail": "Unexpected error"})
    (sound,) = freesound_server.state.sounds.values()
    parts = {"pack", "geotag", "description", "tags"}
    assert {name for name in parts if getattr(sound, name)} == written
    assert (sound.name, sound.processing_state) == ("Rain on a roof", "PE")
    assert sound.half_made == (step != "ticket")
    entry = alice.pending()
    assert (bool(entry["description"]), bool(entry["tags"])) == (
        "description" in written,
        "tags" in written,
    )


def test_only_the_next_upload_breaks_off_and_the_bytes_are_a_duplicate_until_the_row_is_removed(
    freesound_server: FreesoundServer, alice: Alice
) -> None:
    freesound_server.stop_upload_after = "row"
    assert alice.upload().status_code == 500
    assert alice.upload().status_code == 400
    (number,) = freesound_server.state.sounds
    freesound_server.state.reject(number)
    assert alice.upload().status_code == 201


def bulk(*rows: str) -> bytes:
    return "\r\n".join((HEADER, *rows, "")).encode()


def test_a_bulk_file_is_read_row_by_row() -> None:
    bad = 'b.wav,Bad,rain_roof,"0, 13.4, 20",RAIN ON A ROOF,cc0,four,2,fx'
    good, problems, short = check_bulk_file(bulk(GOOD_ROW, bad, "c.wav"), {"a.wav", "b.wav"})
    assert (good, set(short)) == ({}, {"columns"})
    assert set(problems) == set(HEADER.split(",")) - {"audio_filename"}


@pytest.mark.parametrize(
    ("change", "column"),
    [
        (("a.wav", "c.wav"), "audio_filename"),
        (("a.wav", "a.doc"), "audio_filename"),
        (("a.wav", "a🌧.wav"), "audio_filename"),
        (("A good name", "Good"), "name"),
        (("52.5, 13.4, 14", "52.5, 13.4"), "geotag"),
        (("52.5, 13.4, 14", "52.5, 13.4, 10"), "geotag"),
        (("52.5, 13.4, 14", "52.5, 0, 14"), "geotag"),
        (("Rain.", ""), "description"),
    ],
)
def test_each_cell_has_its_rule(change: tuple[str, str], column: str) -> None:
    (problems,) = check_bulk_file(bulk(GOOD_ROW.replace(*change)), {"a.wav", "a.doc", "a🌧.wav"})
    assert list(problems) == [column]


def test_a_file_is_described_once() -> None:
    assert [list(row) for row in check_bulk_file(bulk(GOOD_ROW, GOOD_ROW), {"a.wav"})] == [
        [],
        ["audio_filename"],
    ]


@pytest.mark.parametrize("data", [b"", b"name,tags\r\n", bulk()])
def test_a_file_without_the_header_or_rows_is_refused(data: bytes) -> None:
    with pytest.raises(BadBulkFile):
        check_bulk_file(data, set())
