"""Each page under AppTest: its contents, and what its buttons write."""

import logging
from io import BytesIO

import pytest
import soundfile

from core.events.fold import confirm, save_changes
from core.events.types import Imported, new_event
from core.model import bundle as bundles
from core.storage.local import open_local_workspace
from tests.helpers.app_pages import (
    TEXT_KINDS,
    button_keys,
    edit_chips,
    first_sound,
    open_page,
    shown,
    sounds,
)


def save_keys(app) -> list[str]:
    return [key for key in button_keys(app) if key.startswith("save-")]


def append(folder, event) -> None:
    open_local_workspace(folder).events.append([event])


def test_the_monitor_shows_the_sounds_newest_first_and_pages_through_them(app, own_workspace):
    app.run()
    assert not app.exception
    assert app.title[0].value == "Monitor"
    newest = sounds(own_workspace)
    assert f"{len(newest)} sounds" in shown(app)
    assert save_keys(app) == [f"save-{sound.sound_id}" for sound in newest[:10]]
    app.button(key="next-page").click().run()
    assert save_keys(app) == [f"save-{sound.sound_id}" for sound in newest[10:20]]
    app.button(key="previous-page").click().run()
    assert save_keys(app) == [f"save-{sound.sound_id}" for sound in newest[:10]]


def test_an_edit_is_saved_as_a_review_and_shown_as_it_was_stored(app, own_workspace):
    sound = first_sound(own_workspace)
    app.run()
    edit_chips(app, sound, [*sound.tags, "Field Recording"])
    app.run()
    assert "Will be stored as" in shown(app)
    app.button(key=f"save-{sound.sound_id}").click().run()
    assert "added field\\-recording" in shown(app)
    after = first_sound(own_workspace)
    assert after.tags == (*sound.tags, "field-recording")
    assert after.last_event.actor == "Ada"
    assert after.last_event.base == sound.last_event.event_id


def test_saving_without_a_change_writes_nothing(app, own_workspace):
    sound = first_sound(own_workspace)
    app.run()
    app.button(key=f"save-{sound.sound_id}").click().run()
    assert "Nothing was changed" in shown(app)
    assert first_sound(own_workspace).last_event == sound.last_event


def test_confirming_is_a_decision_about_each_tag(app, own_workspace):
    sound = first_sound(own_workspace)
    app.run()
    app.button(key=f"confirm-{sound.sound_id}").click().run()
    decisions = first_sound(own_workspace).last_event.payload.decisions
    assert decisions == dict.fromkeys(sound.tags, "kept")


def test_a_saved_review_can_be_undone(app, own_workspace):
    sound = first_sound(own_workspace)
    app.run()
    assert app.button(key=f"undo-{sound.sound_id}").disabled
    edit_chips(app, sound, [])
    app.run()
    app.button(key=f"save-{sound.sound_id}").click().run()
    assert first_sound(own_workspace).tags == ()
    app.button(key=f"undo-{sound.sound_id}").click().run()
    assert first_sound(own_workspace).tags == sound.tags
    assert not first_sound(own_workspace).reviewed
    assert "Review undone." in shown(app)


def test_saving_and_undoing_are_one_line_each_in_the_log(app, own_workspace, caplog):
    caplog.set_level(logging.INFO)
    sound = first_sound(own_workspace)
    app.run()
    app.button(key=f"confirm-{sound.sound_id}").click().run()
    review_event = first_sound(own_workspace).last_event
    app.button(key=f"undo-{sound.sound_id}").click().run()
    app.run()
    lines = [record.message for record in caplog.records if record.name.startswith("app")]
    undone = first_sound(own_workspace).last_event
    assert lines == [
        f"confirm sound={sound.sound_id} event={review_event.event_id} actor=Ada",
        f"undo sound={sound.sound_id} event={undone.event_id} actor=Ada",
    ]


def test_what_is_typed_at_one_sound_never_shows_at_another(app, own_workspace):
    first, second = sounds(own_workspace, 2)
    app.run()
    edit_chips(app, first, [*first.tags, "howl"])
    app.run()
    app.button(key=f"save-{second.sound_id}").click().run()
    after = open_local_workspace(own_workspace).sounds.get(second.sound_id)
    assert "howl" not in after.tags
    assert not after.reviewed


def test_unsaved_chips_survive_another_curators_change_and_both_count(app, own_workspace):
    sound = first_sound(own_workspace)
    app.run()
    edit_chips(app, sound, [*sound.tags, "mine"])
    app.run()
    append(own_workspace, save_changes(sound, [*sound.tags[1:], "theirs"], "bob"))
    app.run()
    assert "bob has changed this sound since" in shown(app)
    app.button(key=f"save-{sound.sound_id}").click().run()
    assert first_sound(own_workspace).tags == (*sound.tags[1:], "theirs", "mine")


def test_a_contradicted_colleague_is_named(app, own_workspace):
    sound = first_sound(own_workspace)
    app.run()
    edit_chips(app, sound, list(sound.tags[1:]))
    app.run()
    append(own_workspace, confirm(sound, sound.tags, "bob"))
    app.button(key=f"save-{sound.sound_id}").click().run()
    assert f"bob had kept {sound.tags[0]} meanwhile" in shown(app)


@pytest.mark.parametrize(
    "edit",
    [
        "nonsense",
        {"version": "other", "tags": ["x"]},
        {"version": 1},
        {"tags": [1, {}]},
        None,
    ],
)
def test_nonsense_from_the_browser_changes_nothing(app, own_workspace, edit):
    sound = first_sound(own_workspace)
    if isinstance(edit, dict) and "version" not in edit:
        edit = edit | {"version": sound.last_event.event_id}
    app.run()
    app.session_state[f"tags-{sound.sound_id}"] = {"edit": edit}
    app.run()
    app.button(key=f"save-{sound.sound_id}").click().run()
    assert not app.exception
    assert first_sound(own_workspace).tags == sound.tags


def test_filters_narrow_the_list_and_an_empty_result_says_so(app, own_workspace):
    sound = first_sound(own_workspace)
    app.run()
    app.button(key=f"confirm-{sound.sound_id}").click().run()
    app.selectbox(key="filter-show").select("reviewed").run()
    assert save_keys(app) == [f"save-{sound.sound_id}"]
    assert app.query_params["state"] == "reviewed"
    tag_counts = open_local_workspace(own_workspace).sounds.tag_counts()
    other = next(tag for tag, _ in tag_counts if tag not in sound.tags)
    app.selectbox(key="filter-tag").select(other).run()
    assert "No sounds match these filters" in shown(app)


def test_an_empty_workspace_says_what_to_do(app, tmp_path, monkeypatch):
    monkeypatch.setenv("EARMARK_WORKSPACE", str(tmp_path / "empty"))
    app.run()
    assert not app.exception
    assert "No sounds yet" in shown(app)


def test_a_broken_setting_is_one_sentence_on_the_page_and_one_line_in_the_log(
    app, monkeypatch, caplog
):
    monkeypatch.setenv("EARMARK_PAGE_SIZE", "many")
    for _ in range(3):
        app.run()
    assert "EARMARK\\_PAGE\\_SIZE" in shown(app)
    assert not app.exception
    (record,) = [record for record in caplog.records if record.message.startswith("page error")]
    assert record.levelname == "WARNING"
    assert "page=/ " in record.message
    assert "EARMARK_PAGE_SIZE" in record.message


def test_try_your_sound_tags_an_uploaded_clip(app, examples):
    page = open_page(app, "try_your_sound.py")
    assert page.title[0].value == "Try your sound"
    path = examples / "rain-on-leaves.ogg"
    page.file_uploader[0].upload(path.name, path.read_bytes()).run()
    assert not page.exception
    assert "rain" in page.code[0].value
    assert "Suggested by" in shown(page)


def test_try_your_sound_tags_a_recording(app, examples):
    page = open_page(app, "try_your_sound.py")
    page.get("audio_input")[0].upload("take.wav", as_wav(examples / "siren.ogg")).run()
    assert not page.exception
    assert "siren" in page.code[0].value


def test_somebody_without_a_sound_can_try_an_example(app):
    page = open_page(app, "try_your_sound.py")
    page.get("button_group")[0].select("Ambulance siren").run()
    assert not page.exception
    assert "siren" in page.code[0].value


def test_the_same_bytes_under_another_name_show_that_name(app, examples):
    page = open_page(app, "try_your_sound.py")
    data = (examples / "siren.ogg").read_bytes()
    for name in ("one.ogg", "two.ogg"):
        page.file_uploader[0].upload(name, data).run()
    clips = page.session_state["tried-clips"].values()
    assert [clip.analysis.sound.title for clip in clips] == ["one.ogg", "two.ogg"]


def as_wav(path) -> bytes:
    samples, rate = soundfile.read(path)
    out = BytesIO()
    soundfile.write(out, samples, rate, format="WAV")
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.wav", b"", "empty"),
        ("<b>x</b>.mp3", b"not sound at all", "not a sound file"),
        ("p.ogg", b"\x89PNG\r\n", "picture"),
    ],
)
def test_a_wrong_file_is_explained_and_its_name_is_text(app, caplog, name, data, reason):
    page = open_page(app, "try_your_sound.py")
    page.file_uploader[0].upload(name, data).run()
    page.run()
    assert not page.exception
    assert reason in page.error[0].value
    assert "<b>" not in page.error[0].value
    lines = [record.message for record in caplog.records if "page error" in record.message]
    assert len(lines) == 1
    assert "page=/try " in lines[0]


def test_model_metrics_show_the_default_models_scores_beside_the_prototypes(app):
    page = open_page(app, "metrics.py")
    default = bundles.load()
    overall = default.metrics["overall"]
    assert f"{overall['pr_auc_macro']:.3f}" in [metric.value for metric in page.metric]
    assert "Compared" in [header.value for header in page.header]
    assert "non" in shown(page).lower()


def imported(folder, *tags):
    """The sound of an import, newest in the workspace."""
    append(folder, new_event(Imported(tags=tags, file="old.json"), "freesound:42", "import"))
    return open_local_workspace(folder).sounds.get("freesound:42")


def test_tags_that_nobody_touched_are_saved_as_they_are_whatever_they_look_like(app, own_workspace):
    sound = imported(own_workspace, "Rain", "it", "field_recording")
    app.run()
    app.button(key=f"save-{sound.sound_id}").click().run()
    assert "Nothing was changed" in shown(app)
    edit_chips(app, sound, [*sound.tags, "New Tag"])
    app.run()
    app.button(key=f"save-{sound.sound_id}").click().run()
    assert first_sound(own_workspace).tags == ("Rain", "it", "field_recording", "new-tag")


def test_adding_one_tag_to_very_many_drops_none(app, own_workspace):
    sound = imported(own_workspace, *(f"t{number}" for number in range(150)))
    app.run()
    edit_chips(app, sound, [*sound.tags, "one-more"])
    app.run()
    app.button(key=f"save-{sound.sound_id}").click().run()
    assert first_sound(own_workspace).tags == (*sound.tags, "one-more")


def test_a_sound_whose_media_are_not_here_says_so(app, own_workspace):
    imported(own_workspace, "dog")
    app.run()
    assert "no media of the sound" in shown(app)


def test_that_no_suggestion_fits_can_be_confirmed(app, own_workspace):
    sound = imported(own_workspace)
    app.run()
    app.button(key=f"confirm-{sound.sound_id}").click().run()
    assert first_sound(own_workspace).reviewed


def test_a_filter_begins_at_its_first_page(app, own_workspace):
    app.run()
    app.button(key="next-page").click().run()
    sound = first_sound(own_workspace)
    append(own_workspace, confirm(sound, ["howl"], "bob"))
    app.selectbox(key="filter-show").select("reviewed").run()
    assert save_keys(app) == [f"save-{sound.sound_id}"]


@pytest.mark.parametrize(
    "name", ["monitor.py", "try_your_sound.py", "batch.py", "uploads.py", "metrics.py"]
)
def test_every_page_begins_with_its_title(app, monkeypatch, name):
    """Streamlit would also show a bare text in a page's file, such as a note to developers."""
    monkeypatch.setenv("FREESOUND_API_KEY", "k" * 40)
    monkeypatch.setenv("EARMARK_FREESOUND_CLIENT_ID", "client")
    app.run()
    page = app if name == "monitor.py" else open_page(app, name)
    assert not page.exception
    texts = [element.type for element in page.main if element.type in TEXT_KINDS]
    assert texts[0] == "title"


def test_a_vocabulary_that_could_not_be_had_is_asked_for_again(app, own_workspace):
    from app import services

    model = first_sound(own_workspace).model
    folder = own_workspace / "models" / model.name
    folder.rename(folder.with_name("elsewhere"))
    assert services.vocabulary(model) == ()
    folder.with_name("elsewhere").rename(folder)
    assert services.vocabulary(model) == bundles.load().vocabulary
