"""Many files at once: what comes out is what the table shows, and nothing is analysed twice."""

import json

import numpy as np
import pytest
from streamlit.runtime.memory_media_file_storage import _calculate_file_id

from app import services
from app.limits import HourlyLimit
from app.text import plain
from app.views.batch_publish import _close, _continue
from core.model.predictor import Predictor
from core.publishing import bulk
from core.publishing.bulk import BulkRow
from core.publishing.category import category, predict_category
from core.publishing.form import LICENSES
from core.publishing.publish_queue import SoundToPublish
from core.storage.local import open_local_workspace
from core.tags import clean
from tests.helpers.app_pages import (
    TIMEOUT_S,
    Clip,
    button_keys,
    new_app,
    open_page,
    open_to_the_world,
    shown,
)
from tests.helpers.sound_files import tone, written

CC0 = "Creative Commons 0"
CSV, JSON = "Bulk description (CSV)", "Download JSON"


@pytest.fixture
def files(examples) -> list[Clip]:
    """Two sounds and two files that are none."""
    dog, siren = (
        Clip(name, (examples / name).read_bytes()) for name in ("dog-barking.ogg", "siren.ogg")
    )
    return [dog, Clip("<b>notes</b>.wav", b"no sound at all"), Clip("empty.mp3", b""), siren]


def upload(page, files):
    content = [(file.name, file.data, "audio/x") for file in files]
    page.file_uploader(key="batch-files").set_value(content).run()
    assert not page.exception
    return page


def drop(app, files):
    return upload(open_page(app, "batch.py"), files)


def for_all(page, license=CC0, pack="", description="From the street."):
    """Fill in what holds for all files."""
    page.selectbox(key="batch-license").set_value(license)
    page.text_input(key="batch-pack").set_value(pack)
    page.text_input(key="batch-description").set_value(description)
    return page.run()


def change(page, rows: dict[int, dict]):
    """What the browser says when somebody has edited cells."""
    key, _ = page.session_state["batch-table"]
    page.session_state[key] = {"edited_rows": rows, "added_rows": [], "deleted_rows": []}
    return page.run()


def columns(page) -> dict[str, dict]:
    """How the table's columns are shown."""
    (table,) = page.dataframe
    return json.loads(table.proto.columns)


def suggested(page) -> list[BulkRow]:
    """The model's description of each file that could be analysed."""
    return [clip.row for clip in page.session_state["batch-clips"].values() if not clip.problem]


def names(page) -> list[str]:
    return [row.audio_filename for row in suggested(page)]


def download(page, label: str):
    return next(button for button in page.get("download_button") if button.label == label)


def hands_out(page, label: str, data: bytes, kind: str, name: str) -> bool:
    """Whether the button hands out these bytes: Streamlit's address of a file is a hash of it."""
    return _calculate_file_id(data, kind, name) in download(page, label).proto.url


def hands_out_csv(page, data: bytes) -> bool:
    return hands_out(page, CSV, data, "text/csv", "freesound-bulk.csv")


def hands_out_json(page, data: str) -> bool:
    return hands_out(page, JSON, data.encode(), "application/json", "freesound-bulk.json")


@pytest.fixture
def predictions(monkeypatch) -> list[float]:
    """The lengths of all recordings that are predicted from now on."""
    lengths, really = [], Predictor.predict

    def predict(self, recording, *arguments, **options):
        lengths.append(recording.seconds)
        return really(self, recording, *arguments, **options)

    monkeypatch.setattr(Predictor, "predict", predict)
    return lengths


def test_broken_files_are_named_once_and_the_others_are_in_the_table(app, files):
    page = drop(app, files)
    text = shown(page)
    assert "2 files could not be analysed" in [expander.label for expander in page.expander]
    assert plain("<b>notes</b>.wav") in text
    assert "<b>notes" not in text
    assert plain("empty.mp3 is empty") in text
    assert names(page) == ["dog-barking.ogg", "siren.ogg"]
    assert all(row.tags for row in suggested(page))


def test_a_file_that_was_not_analysed_whole_says_so_in_the_table(app, files):
    page = drop(app, [files[0]])
    assert columns(page)["Note"]["hidden"]
    inverted = written(tone(channels=2) * np.array([1, -1], np.float32))
    upload(page, [files[0], Clip("inverted.wav", inverted)])
    notes = [row["Note"] for row in page.session_state["batch-table"][1]]
    assert notes[0] == ""
    assert "was used alone, because the channels cancel each other out" in notes[1]
    assert not columns(page)["Note"].get("hidden")
    assert columns(page)["Note"]["disabled"]


def test_a_file_that_takes_too_long_is_named_and_the_others_go_on(app, files, monkeypatch):
    monkeypatch.setenv("EARMARK_MAX_WORK_SECONDS", "0.000001")
    page = drop(app, files)
    text = shown(page)
    assert "4 files could not be analysed" in [expander.label for expander in page.expander]
    assert text.count("takes too long") == 4
    assert not page.exception


def test_nothing_can_be_exported_until_nothing_is_wrong(app, files):
    page = drop(app, files)
    assert download(page, CSV).disabled
    assert download(page, JSON).disabled
    assert plain("Please choose one of Freesound's licenses") in shown(page)
    assert plain("all files") in shown(page)
    tags = {"Tags": ["dog", "bark", "loud"], "Category": category("fx-a").label}
    rows = dict.fromkeys(range(2), tags)
    change(for_all(page), rows)
    assert not download(page, CSV).disabled
    change(page, rows | {1: {"Tags": ["siren"]}})
    assert download(page, CSV).disabled
    assert "(siren\\.ogg)" in shown(page)


def test_the_csv_and_the_json_are_what_the_table_shows(app, files):
    page = for_all(drop(app, files), pack="Streets", description="From the street.")
    edits = {
        0: {
            "Tags": ["dog", "Bärking", "my garden"],
            "Category": category("fx-a").label,
            "Name": "Rex, barking",
            "Explicit": True,
        },
        1: {
            "Tags": ["siren", "city", "alarm"],
            "License": "Attribution",
            "Place": "52.5 N, 13.4 E",
            "Description": '"Loud"\nand long',
        },
    }
    change(page, edits)
    siren = suggested(page)[1]
    rows = [
        BulkRow(
            audio_filename="dog-barking.ogg",
            tags=("dog", "Barking", "my-garden"),
            description="From the street.",
            license=CC0,
            bst_category="fx-a",
            name="Rex, barking",
            pack_name="Streets",
            is_explicit=True,
        ),
        BulkRow(
            audio_filename="siren.ogg",
            tags=("siren", "city", "alarm"),
            description='"Loud"\nand long',
            license="Attribution",
            bst_category=siren.bst_category,
            geotag="52.5 N, 13.4 E",
            pack_name="Streets",
        ),
    ]
    assert [bulk.check_row(row) for row in rows] == [[], []]
    assert hands_out_csv(page, bulk.to_csv(rows))
    assert hands_out_json(page, bulk.to_json(rows))
    assert not hands_out_csv(page, bulk.to_csv(rows[:1]))
    back = bulk.from_csv(bulk.to_csv(rows))
    assert [bulk.check_row(row) for row in back] == [[], []]
    assert [row.geotag for row in back] == ["", "52.5, 13.4, 14"]
    exported = json.loads(bulk.to_json(rows))
    assert [entry["tags"] for entry in exported] == [list(clean(row.tags).tags) for row in rows]


def test_licenses_have_the_names_of_the_publish_form(app, files):
    page = drop(app, files)
    titles = [license.title for license in LICENSES.values()]
    assert page.selectbox(key="batch-license").options == titles


def test_the_category_is_the_models_until_somebody_chooses(app, files):
    page = drop(app, files)
    dog, _ = suggested(page)
    assert dog.bst_category == predict_category(dog.tags)[0].code


def test_two_files_of_one_name_are_a_problem(app, files):
    page = for_all(drop(app, [files[0], Clip(files[0].name, files[3].data)]))
    assert "Another row describes a file of the same name" in shown(page)
    assert download(page, CSV).disabled


def test_a_name_that_a_spreadsheet_would_run_is_warned_of_and_shown_as_text(app, files):
    page = drop(app, [Clip("=cmd **x**.ogg", files[0].data)])
    assert plain("=cmd **x**.ogg") + ": a spreadsheet may read" in shown(page)
    assert "**x**" not in shown(page)


def test_nothing_is_analysed_twice_and_more_files_only_add_to_it(app, files, predictions):
    page = drop(app, files[:3])
    for_all(page)
    change(page, {0: {"Tags": ["dog"]}})
    assert len(predictions) == 1
    upload(page, files)
    assert len(predictions) == 2
    assert names(page) == ["dog-barking.ogg", "siren.ogg"]


def test_what_was_typed_stays_when_a_file_is_added(app, files):
    page = drop(app, files[:1])
    change(page, {0: {"Name": "Rex"}})
    upload(page, [files[0], files[3]])
    _, rows = page.session_state["batch-table"]
    assert [row["Name"] for row in rows] == ["Rex", ""]


def test_a_visitor_gets_a_table_of_what_the_hour_allows_and_the_rest_when_it_is_over(
    connected, files, monkeypatch
):
    monkeypatch.setenv("EARMARK_VISITOR_UPLOADS_AN_HOUR", "1")
    hour = {"now": 0.0}
    limit = HourlyLimit(lambda: hour["now"])
    monkeypatch.setattr(services, "hourly_limit", lambda: limit)
    page = drop(open_to_the_world(connected, monkeypatch), [])
    upload(page, (files[0], files[3], files[1]))
    assert len(page.error) == 1
    assert page.error[0].value.startswith("Visitors can try 1 clip an hour")
    assert "2 files not analysed" in shown(page)
    assert names(page) == ["dog-barking.ogg"]
    hour["now"] = 3600.0
    page.run()
    assert names(page) == ["dog-barking.ogg", "siren.ogg"]


# Publishing from here


def described(page):
    """The form filled in, so that Freesound would take both sounds."""
    row = {"Tags": ["dog", "bark", "loud"], "Category": category("fx-a").label}
    return change(for_all(page), dict.fromkeys(range(2), row))


def press(page, key):
    page.button(key=key).click().run()
    assert not page.exception
    return page


def out_of_requests(server):
    body = '{"detail": "Request was throttled because of exceeding a request limit rate (500/day)"}'
    server.fail("pending_uploads", None, status=429, body=body, content_type="application/json")


def published(page, person):
    """The page when the queue's thread has ended."""
    services.queue_sending().wait(person, TIMEOUT_S)
    page.run()
    assert not page.exception
    return page


def test_somebody_who_is_not_signed_in_is_told_how_to_publish(connected, files):
    page = described(drop(connected, files))
    assert "Sign in with Freesound to publish from here" in shown(page)
    assert "publish-batch" not in button_keys(page)


def test_all_sounds_are_published_one_by_one_with_what_the_table_shows(
    connected, sign_in, files, freesound_server, own_workspace
):
    alice = sign_in("alice")
    page = described(drop(connected, files))
    assert page.button(key="publish-batch").label == "Publish 2 sounds as alice"
    page = published(press(page, "publish-batch"), alice)
    assert "2 of 2 sounds published" in shown(page)
    dog, siren = freesound_server.state.sounds.values()
    assert (dog.audio, siren.audio) == (files[0].data, files[3].data)
    assert dog.description.startswith("From the street.")
    assert "Machine-assisted tags" in dog.description
    assert set(dog.tags) == {"dog", "bark", "loud"}
    assert f"/s/{dog.id}/" in shown(page)
    workspace = open_local_workspace(own_workspace)
    state = workspace.sounds.get(f"freesound:{siren.id}")
    assert set(state.tags) == set(siren.tags)
    assert "publish-batch" not in button_keys(page)
    page = press(page, "queue-close")
    assert "2 of 2 sounds published" not in shown(page)
    assert "publish-batch" in button_keys(page)


def test_rows_with_problems_and_sounds_that_are_there_twice_are_left_out(
    connected, sign_in, files, freesound_server
):
    alice = sign_in("alice")
    twin = Clip("dog again.ogg", files[0].data)
    page = described(drop(connected, [files[0], files[3], twin]))
    row = {"Tags": ["dog", "bark", "loud"], "Category": category("fx-a").label}
    change(page, {0: row, 1: {"Tags": ["siren"]}, 2: row})
    assert page.button(key="publish-batch").label == "Publish 1 sound as alice"
    assert "2 sounds with problems, or there twice, left out" in shown(page)
    published(press(page, "publish-batch"), alice)
    assert len(freesound_server.state.sounds) == 1


def test_a_queue_that_stopped_is_there_after_a_reload_and_goes_on(
    connected, sign_in, files, freesound_server
):
    alice = sign_in("alice")
    page = described(drop(connected, files))
    out_of_requests(freesound_server)
    page = published(press(page, "publish-batch"), alice)
    assert "Stopped" in shown(page)
    assert "queue-continue" in button_keys(page)
    freesound_server.heal()
    again = open_page(new_app(), "batch.py")
    assert "0 of 2 sounds published" in shown(again)
    published(press(again, "queue-continue"), alice)
    assert "2 of 2 sounds published" in shown(again)
    assert len(freesound_server.state.sounds) == 2


def test_a_queue_of_a_process_that_is_gone_is_offered_to_go_on(
    connected, sign_in, files, freesound_server
):
    """As a restart leaves it: marked as running, and nothing runs."""
    alice, dog = sign_in("alice"), files[0]
    tags = ("dog", "bark", "loud")
    row = BulkRow(dog.name, tags, "From the street.", CC0, "fx-a", name="Rex, barking")
    model = services.predictor().model
    services.publish_queues().begin(alice, [SoundToPublish(row, dog.data, model)])
    page = open_page(connected, "batch.py")
    assert "Interrupted" in shown(page)
    published(press(page, "queue-continue"), alice)
    assert "1 of 1 sound published" in shown(page)
    assert [sound.name for sound in freesound_server.state.sounds.values()] == ["Rex, barking"]


def test_the_next_person_at_the_browser_neither_sees_nor_runs_the_queue(
    connected, sign_in, files, freesound_server
):
    alice = sign_in("alice")
    page = described(drop(connected, files))
    out_of_requests(freesound_server)
    published(press(page, "publish-batch"), alice)
    sign_in("bob")
    page = open_page(new_app(), "batch.py")
    assert "sounds published" not in shown(page)
    _continue()
    _close()
    assert services.publish_queues().of(alice) is not None
    assert not freesound_server.state.sounds
