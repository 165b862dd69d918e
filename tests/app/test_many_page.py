"""Many files at once: what comes out is what the table shows, and nothing is heard twice."""

import json

import pytest
from streamlit.runtime.memory_media_file_storage import _calculate_file_id

from app import listening
from app.text import plain
from core.freesound import bulk
from core.freesound.bulk import BulkRow
from core.freesound.taxonomy import category, predict_category
from core.model.tagger import Tagger
from core.tags import clean
from tests.app.conftest import PAGES, Clip, open_to_the_world

CC0 = "Creative Commons 0"


@pytest.fixture
def files(examples) -> list[Clip]:
    """Two sounds and two files that are none."""
    sounds = [Clip(path, (examples / path).read_bytes()) for path in ("dog-barking.ogg", "siren.ogg")]
    return [sounds[0], Clip("<b>notes</b>.wav", b"no sound at all"), Clip("empty.mp3", b""), sounds[1]]


def drop(app, files):
    app.run()
    app.switch_page(str(PAGES / "many_sounds.py")).run()
    app.file_uploader(key="many").set_value([(file.name, file.data, "audio/x") for file in files]).run()
    assert not app.exception
    return app


def text(page) -> str:
    return "\n".join(element.value for kind in ("caption", "markdown", "error", "warning") for element in page.get(kind))


def for_all(page, **more):
    """What counts for all of them."""
    page.selectbox(key="many-license").set_value(more.get("license", CC0))
    page.text_input(key="many-pack").set_value(more.get("pack", ""))
    page.text_input(key="many-description").set_value(more.get("description", "From the street."))
    return page.run()


def table(page):
    """The key of the table."""
    (key,) = [key for key in page.session_state._state.filtered_state if key.startswith("many-table-")]
    return key


def change(page, rows: dict[int, dict]):
    """What the browser says when somebody has edited cells."""
    page.session_state[table(page)] = {"edited_rows": rows, "added_rows": [], "deleted_rows": []}
    return page.run()


def suggested(page) -> list[BulkRow]:
    """What the model said of each file that could be heard."""
    return [line.row for line in page.session_state["many_heard"].values() if not line.problem]


def offered(page, label: str):
    """The download button."""
    return next(button for button in page.get("download_button") if button.label == label)


def hands_out(page, label: str, data: bytes, kind: str, name: str) -> bool:
    """Whether the button hands out exactly these bytes: Streamlit's address of a file is a hash of its content."""
    return _calculate_file_id(data, kind, name) in offered(page, label).proto.url


def hands_out_csv(page, data: bytes) -> bool:
    return hands_out(page, "Bulk description (CSV)", data, "text/csv", "freesound-bulk.csv")


def hands_out_json(page, data: str) -> bool:
    return hands_out(page, "The same as JSON", data.encode(), "application/json", "freesound-bulk.json")


def count_listening(monkeypatch) -> list[str]:
    """The names of all clips that the model listens to from now on."""
    names, really = [], Tagger.tag
    monkeypatch.setattr(Tagger, "tag", lambda self, waveform: (names.append(waveform.seconds), really(self, waveform))[1])
    return names


def test_broken_files_are_named_once_and_the_others_are_in_the_table(app, files):
    page = drop(app, files)
    said = text(page)
    assert "2 files could not be listened to" in [one.label for one in page.expander]
    assert plain("<b>notes</b>.wav") in said
    assert "<b>notes" not in said
    assert plain("empty.mp3 is empty") in said
    assert [row.audio_filename for row in suggested(page)] == ["dog-barking.ogg", "siren.ogg"]
    assert all(row.tags for row in suggested(page))


def test_nothing_can_be_taken_away_until_nothing_is_wrong(app, files):
    page = drop(app, files)
    assert offered(page, "Bulk description (CSV)").disabled
    assert offered(page, "The same as JSON").disabled
    assert plain("Please choose one of Freesound's licences") in text(page)
    assert plain("all files") in text(page)
    rows = {number: {"Tags": ["dog", "bark", "loud"], "Category": category("fx-a").label} for number in range(2)}
    change(for_all(page), rows)
    assert not offered(page, "Bulk description (CSV)").disabled
    change(page, rows | {1: {"Tags": ["siren"]}})
    assert offered(page, "Bulk description (CSV)").disabled
    assert "(siren\\.ogg)" in text(page)


def test_the_csv_and_the_json_are_what_the_table_shows(app, files):
    page = for_all(drop(app, files), pack="Streets", description="From the street.")
    edits = {
        0: {"Tags": ["dog", "Bärking", "my garden"], "Category": category("fx-a").label, "Name": "Rex, barking", "Explicit": True},
        1: {"Tags": ["siren", "city", "alarm"], "Licence": "Attribution", "Place": "52.5 N, 13.4 E", "Description": '"Loud"\nand long'},
    }
    change(page, edits)
    siren = suggested(page)[1]
    rows = [
        BulkRow("dog-barking.ogg", ("dog", "Barking", "my-garden"), "From the street.", CC0, "fx-a", "Rex, barking", "", "Streets", True),
        BulkRow(
            "siren.ogg", ("siren", "city", "alarm"), '"Loud"\nand long', "Attribution", siren.bst_category, "", "52.5 N, 13.4 E", "Streets",
        ),
    ]  # fmt: skip
    assert [bulk.check_row(row) for row in rows] == [[], []]
    assert hands_out_csv(page, bulk.to_csv(rows))
    assert hands_out_json(page, bulk.to_json(rows))
    assert not hands_out_csv(page, bulk.to_csv(rows[:1]))
    back = bulk.from_csv(bulk.to_csv(rows))
    assert [bulk.check_row(row) for row in back] == [[], []]
    assert [row.geotag for row in back] == ["", "52.5, 13.4, 14"]
    assert [one["tags"] for one in json.loads(bulk.to_json(rows))] == [list(clean(row.tags).tags) for row in rows]


def test_the_category_is_the_models_until_somebody_chooses(app, files):
    page = drop(app, files)
    dog, _ = suggested(page)
    assert dog.bst_category == predict_category(dog.tags)[0].code


def test_two_files_of_one_name_are_told(app, files):
    page = for_all(drop(app, [files[0], Clip(files[0].name, files[3].data)]))
    assert "Another row describes a file of the same name" in text(page)
    assert offered(page, "Bulk description (CSV)").disabled


def test_a_name_that_a_spreadsheet_would_run_is_warned_of_and_shown_as_text(app, files):
    page = drop(app, [Clip("=cmd **x**.ogg", files[0].data)])
    assert plain("=cmd **x**.ogg") + ": a spreadsheet may take" in text(page)
    assert "**x**" not in text(page)


def test_nothing_is_heard_twice_and_more_files_only_add_to_it(app, files, monkeypatch):
    heard = count_listening(monkeypatch)
    page = drop(app, files[:3])
    for_all(page)
    change(page, {0: {"Tags": ["dog"]}})
    assert len(heard) == 1
    page.file_uploader(key="many").set_value([(file.name, file.data, "audio/x") for file in files]).run()
    assert len(heard) == 2
    assert [row.audio_filename for row in suggested(page)] == ["dog-barking.ogg", "siren.ogg"]


def test_a_visitor_gets_a_table_of_what_the_hour_allows_and_the_rest_when_it_is_over(connected, files, monkeypatch):
    monkeypatch.setenv("EARMARK_VISITOR_UPLOADS_AN_HOUR", "1")
    hour = {"now": 0.0}
    page = drop(open_to_the_world(connected, monkeypatch), [])
    listening.hourly_limit()._clock = lambda: hour["now"]
    page.file_uploader(key="many").set_value([(file.name, file.data, "audio/x") for file in (files[0], files[3], files[1])]).run()
    assert len(page.error) == 1
    assert page.error[0].value.startswith("Visitors can have 1 clip an hour")
    assert "2 files left" in text(page)
    assert [row.audio_filename for row in suggested(page)] == ["dog-barking.ogg"]
    hour["now"] = 3600.0
    page.run()
    assert [row.audio_filename for row in suggested(page)] == ["dog-barking.ogg", "siren.ogg"]
