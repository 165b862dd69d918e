"""Each page under AppTest: what it shows, and what its buttons write."""

from pathlib import Path

import pytest

from core.workspace import Query
from core.workspace.local import LocalWorkspace

PAGES = Path(__file__).parents[2] / "pages"


def shown(app) -> str:
    """All text on the page."""
    return "\n".join(
        element.value for kind in ("title", "caption", "markdown", "subheader", "info", "error", "text") for element in app.get(kind)
    )


def first_sound(folder):
    return LocalWorkspace(folder).page(Query(), 1, 1).sounds[0]


def chips(app, state, tags):
    """What the browser says when somebody has edited the chips of that sound."""
    app.session_state[f"tags-{state.sound_id}"] = {"edit": {"version": state.last.event_id, "tags": tags}}


def open_page(app, name):
    app.run()
    return app.switch_page(str(PAGES / name)).run()


def test_the_monitor_shows_the_sounds_newest_first_and_pages_through_them(app, own_workspace):
    app.run()
    assert not app.exception
    assert app.title[0].value == "Monitor"
    sounds = LocalWorkspace(own_workspace).page(Query(), 1, 50).sounds
    assert f"{len(sounds)} sounds" in shown(app)
    saves = [button.key for button in app.button if button.key and button.key.startswith("save-")]
    assert saves == [f"save-{state.sound_id}" for state in sounds[:10]]
    app.session_state["page"] = 2
    app.run()
    saves = [button.key for button in app.button if button.key and button.key.startswith("save-")]
    assert saves == [f"save-{state.sound_id}" for state in sounds[10:20]]


def test_an_edit_is_saved_as_a_review_and_shown_as_it_was_stored(app, own_workspace):
    state = first_sound(own_workspace)
    app.run()
    chips(app, state, [*state.tags, "Field Recording"])
    app.run()
    assert "Will be stored as" in shown(app)
    app.button(key=f"save-{state.sound_id}").click().run()
    assert "added field\\-recording" in shown(app)
    after = first_sound(own_workspace)
    assert after.tags == (*state.tags, "field-recording")
    assert after.last.actor == "Ada"
    assert after.last.base == state.last.event_id


def test_saving_without_a_change_writes_nothing(app, own_workspace):
    state = first_sound(own_workspace)
    app.run()
    app.button(key=f"save-{state.sound_id}").click().run()
    assert "Nothing was changed" in shown(app)
    assert first_sound(own_workspace).last == state.last


def test_all_correct_is_a_decision_about_each_tag(app, own_workspace):
    state = first_sound(own_workspace)
    app.run()
    app.button(key=f"accept-{state.sound_id}").click().run()
    assert first_sound(own_workspace).last.payload.decisions == dict.fromkeys(state.tags, "kept")


def test_a_saved_review_can_be_undone(app, own_workspace):
    state = first_sound(own_workspace)
    app.run()
    assert app.button(key=f"undo-{state.sound_id}").disabled
    chips(app, state, [])
    app.run()
    app.button(key=f"save-{state.sound_id}").click().run()
    assert first_sound(own_workspace).tags == ()
    app.button(key=f"undo-{state.sound_id}").click().run()
    assert first_sound(own_workspace).tags == state.tags
    assert not first_sound(own_workspace).reviewed


def test_what_is_typed_at_one_sound_never_shows_at_another(app, own_workspace):
    first, second = LocalWorkspace(own_workspace).page(Query(), 1, 2).sounds
    app.run()
    chips(app, first, [*first.tags, "howl"])
    app.run()
    app.button(key=f"save-{second.sound_id}").click().run()
    workspace = LocalWorkspace(own_workspace)
    assert "howl" not in workspace.sound(second.sound_id).tags
    assert not workspace.sound(second.sound_id).reviewed


def test_unsaved_chips_survive_another_curators_change_and_both_count(app, own_workspace):
    from core.id2prediction import review

    state = first_sound(own_workspace)
    app.run()
    chips(app, state, [*state.tags, "mine"])
    app.run()
    LocalWorkspace(own_workspace).append([review(state, [*state.tags[1:], "theirs"], "bob")])
    app.run()
    assert "bob has changed this sound since" in shown(app)
    app.button(key=f"save-{state.sound_id}").click().run()
    assert first_sound(own_workspace).tags == (*state.tags[1:], "theirs", "mine")


def test_a_contradicted_colleague_is_named(app, own_workspace):
    from core.id2prediction import review

    state = first_sound(own_workspace)
    app.run()
    chips(app, state, list(state.tags[1:]))
    app.run()
    LocalWorkspace(own_workspace).append([review(state, state.tags, "bob", accept=True)])
    app.button(key=f"save-{state.sound_id}").click().run()
    assert f"bob had kept {state.tags[0]} meanwhile" in shown(app)


@pytest.mark.parametrize("edit", ["nonsense", {"version": "other", "tags": ["x"]}, {"version": 1}, {"tags": [1, {}]}, None])
def test_nonsense_from_the_browser_changes_nothing(app, own_workspace, edit):
    state = first_sound(own_workspace)
    if isinstance(edit, dict) and "version" not in edit:
        edit = edit | {"version": state.last.event_id}
    app.run()
    app.session_state[f"tags-{state.sound_id}"] = {"edit": edit}
    app.run()
    app.button(key=f"save-{state.sound_id}").click().run()
    assert not app.exception
    assert first_sound(own_workspace).tags == state.tags


def test_filters_narrow_the_list_and_an_empty_result_says_so(app, own_workspace):
    state = first_sound(own_workspace)
    app.run()
    app.button(key=f"accept-{state.sound_id}").click().run()
    app.session_state["show"] = "reviewed"
    app.run()
    saves = [button.key for button in app.button if button.key and button.key.startswith("save-")]
    assert saves == [f"save-{state.sound_id}"]
    app.session_state["tag"] = next(tag for tag, _ in LocalWorkspace(own_workspace).tags_in_use() if tag not in state.tags)
    app.run()
    assert "No sound fits" in shown(app)


def test_an_empty_workspace_says_what_to_do(app, tmp_path, monkeypatch):
    monkeypatch.setenv("EARMARK_WORKSPACE", str(tmp_path / "empty"))
    app.run()
    assert not app.exception
    assert "There are no sounds yet" in shown(app)


def test_a_broken_setting_is_one_sentence_on_the_page(app, monkeypatch):
    monkeypatch.setenv("EARMARK_PAGE_SIZE", "many")
    app.run()
    assert "EARMARK\\_PAGE\\_SIZE" in shown(app)
    assert not app.exception


def test_try_your_sound_tags_an_uploaded_clip(app, examples):
    page = open_page(app, "try_your_sound.py")
    assert page.title[0].value == "Try your sound"
    path = examples / "rain-on-leaves.ogg"
    page.file_uploader[0].upload(path.name, path.read_bytes()).run()
    assert not page.exception
    assert "rain" in page.code[0].value
    assert "Heard by" in shown(page)


def test_try_your_sound_tags_a_recording(app, examples):
    page = open_page(app, "try_your_sound.py")
    page.get("audio_input")[0].upload("take.wav", _wav(examples / "siren.ogg")).run()
    assert not page.exception
    assert "siren" in page.code[0].value


def test_somebody_without_a_sound_can_try_one_of_ours(app):
    page = open_page(app, "try_your_sound.py")
    page.get("button_group")[0].select("Ambulance siren").run()
    assert not page.exception
    assert "siren" in page.code[0].value


def test_the_same_bytes_under_another_name_show_that_name(app, examples):
    page = open_page(app, "try_your_sound.py")
    data = (examples / "siren.ogg").read_bytes()
    for name in ("one.ogg", "two.ogg"):
        page.file_uploader[0].upload(name, data).run()
    assert [clip.name for clip in page.session_state["listened"].values()] == ["one.ogg", "two.ogg"]


def _wav(path) -> bytes:
    from io import BytesIO

    import soundfile

    samples, rate = soundfile.read(path)
    out = BytesIO()
    soundfile.write(out, samples, rate, format="WAV")
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [("a.wav", b"", "empty"), ("<b>x</b>.mp3", b"not sound at all", "not a sound file"), ("p.ogg", b"\x89PNG\r\n", "picture")],
)
def test_a_wrong_file_is_explained_and_its_name_is_text(app, name, data, said):
    page = open_page(app, "try_your_sound.py")
    page.file_uploader[0].upload(name, data).run()
    assert not page.exception
    assert said in page.error[0].value
    assert "<b>" not in page.error[0].value


def test_model_metrics_show_the_shipped_scores_beside_the_seeds(app):
    from core.model import bundle

    page = open_page(app, "metrics.py")
    assert not page.exception
    overall = bundle.load().metrics["overall"]
    assert f"{overall['pr_auc_macro']:.3f}" in [metric.value for metric in page.metric]
    baseline = page.dataframe[0].value.iloc[1]
    assert (baseline["ROC-AUC macro"], baseline["PR-AUC macro"], baseline["Exact match"]) == (0.938, 0.415, 0.249)
    assert "another data set" in baseline["Data"]
    assert len(page.dataframe[1].value) == len(bundle.load().vocabulary)
    assert len(page.get("plotly_chart")) == 4
    assert "non" in shown(page).lower()


def test_model_metrics_count_what_curators_say(app, own_workspace):
    state = first_sound(own_workspace)
    app.run()
    app.button(key=f"accept-{state.sound_id}").click().run()
    page = open_page(app, "metrics.py")
    table = page.dataframe[2].value
    assert set(table["Tag"]) == set(state.tags)
    assert table["Kept"].tolist() == [1] * len(state.tags)


def imported(folder, *tags):
    """The sound of an import, newest in the workspace."""
    from core.id2prediction import Imported, new_event

    workspace = LocalWorkspace(folder)
    workspace.append([new_event(Imported(tags=tags, file="old.json"), "freesound:42", "import")])
    return workspace.sound("freesound:42")


def test_tags_that_nobody_touched_are_saved_as_they_are_whatever_they_look_like(app, own_workspace):
    state = imported(own_workspace, "Rain", "it", "field_recording")
    app.run()
    app.button(key=f"save-{state.sound_id}").click().run()
    assert "Nothing was changed" in shown(app)
    chips(app, state, [*state.tags, "New Tag"])
    app.run()
    app.button(key=f"save-{state.sound_id}").click().run()
    assert first_sound(own_workspace).tags == ("Rain", "it", "field_recording", "new-tag")


def test_adding_one_tag_to_very_many_drops_none(app, own_workspace):
    state = imported(own_workspace, *(f"t{number}" for number in range(150)))
    app.run()
    chips(app, state, [*state.tags, "one-more"])
    app.run()
    app.button(key=f"save-{state.sound_id}").click().run()
    assert first_sound(own_workspace).tags == (*state.tags, "one-more")


def test_a_sound_whose_media_are_not_here_says_so(app, own_workspace):
    imported(own_workspace, "dog")
    app.run()
    assert "not kept in this workspace" in shown(app)


def test_that_no_suggestion_fits_can_be_said(app, own_workspace):
    state = imported(own_workspace)
    app.run()
    app.button(key=f"accept-{state.sound_id}").click().run()
    assert first_sound(own_workspace).reviewed


def test_a_filter_that_leaves_fewer_pages_shows_the_last_of_them(app, own_workspace):
    app.run()
    app.session_state["page"] = 2
    app.run()
    state = first_sound(own_workspace)
    LocalWorkspace(own_workspace).append([_review(state)])
    app.session_state["show"] = "reviewed"
    app.run()
    assert [button.key for button in app.button if button.key and button.key.startswith("save-")] == [f"save-{state.sound_id}"]


def _review(state):
    from core.id2prediction import review

    return review(state, ["howl"], "bob")


@pytest.mark.parametrize("name", ["monitor.py", "try_your_sound.py", "many_sounds.py", "uploads.py", "metrics.py"])
def test_every_page_begins_with_its_title(app, monkeypatch, name):
    """Streamlit would also show a bare text in a page's file, such as a note for the next developer."""
    monkeypatch.setenv("FREESOUND_API_KEY", "k" * 40)
    monkeypatch.setenv("EARMARK_FREESOUND_CLIENT_ID", "client")
    app.run()
    page = app if name == "monitor.py" else open_page(app, name)
    assert not page.exception
    assert page.main.children[0].type == "title"
