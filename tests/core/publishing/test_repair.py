"""Publications that earlier versions recorded and that never happened are corrected by events."""

import json
import uuid

import pytest
from click.testing import CliRunner

from core.cli import main
from core.curation.feedback import open_feedback
from core.events.fold import confirm, fold
from core.events.types import Published, Undone, new_event, parse_event
from core.people import Person
from core.pipeline.analysis import published_as, save_analysis
from core.publishing.upload_log import Intent, UploadLog
from core.storage.local import open_local_workspace
from tests.helpers.publishing import ANALYSIS, upload_form
from training.datasets.corrections import read_corrections

ALICE = Person(100, "alice")
TYPED = ("dog", "bark", "garden")
YEAR_S = 365 * 86_400


@pytest.fixture
def settings_of(monkeypatch, tmp_path):
    """Set the settings of the command; with the double's address and key where one is given."""

    def set_them(server=None):
        monkeypatch.setenv("EARMARK_WORKSPACE", str(tmp_path / "workspace"))
        monkeypatch.setenv("EARMARK_FREESOUND_REQUESTS_FILE", str(tmp_path / "requests.sqlite"))
        monkeypatch.delenv("FREESOUND_API_KEY", raising=False)
        if server is not None:
            key = server.state.add_client("earmark").client_secret
            monkeypatch.setenv("FREESOUND_API_KEY", key)
            monkeypatch.setenv("EARMARK_FREESOUND_API", f"{server.url}/apiv2")

    return set_them


@pytest.fixture
def log(tmp_path):
    (tmp_path / "workspace").mkdir(exist_ok=True)
    return UploadLog(tmp_path / "workspace" / "publications")


@pytest.fixture
def workspace(tmp_path):
    return open_local_workspace(tmp_path / "workspace")


def announced(workspace, log, sound_id, tags, *, created="", typed=TYPED):
    """Record a publication as earlier versions did: with whatever tags Freesound had."""
    form = upload_form(b"data", tags=typed, name="A dog", description="In the garden.")
    intent = Intent(before=(), description=form.to_description())
    upload = log.begin(uuid.uuid4().hex, ALICE, "a-dog.ogg", "1" * 32, intent, ANALYSIS)
    name = f"freesound:{sound_id}"
    sound = ANALYSIS.sound.model_copy(
        update={"title": "A dog", "tags": tuple(tags), "created": created, "source": "Freesound"}
    )
    predicted = save_analysis(workspace, published_as(ANALYSIS, name, sound), ALICE.actor)
    decisions = confirm(fold([predicted]), tags, ALICE.actor).payload.decisions
    published = new_event(
        Published(decisions=decisions, basis=predicted.event_id, tags=tuple(tags)),
        *(name, ALICE.actor, predicted),
    )
    log.keep_events(upload, (predicted, published))
    workspace.events.append([predicted, published])
    log.mark(upload, "published", "Published.", sound_id=sound_id)
    return published


def run(*arguments):
    result = CliRunner().invoke(main, ["repair-uploads", *arguments], catch_exceptions=False)
    return result.output


def test_a_refused_duplicate_is_found_without_freesound_and_training_does_not_learn_it(
    workspace, log, settings_of
):
    settings_of()
    published = announced(workspace, log, 1011, ["rain", "weather", "leaves"])
    before = [event.to_json() for event in workspace.events.all()]
    assert open_feedback(workspace).by_tag("uploader")["dog"].removed == 1
    output = run()
    assert "sound 1011: The sound has other tags than were sent" in output
    assert "1 uploads checked, 1 corrected." in output
    assert "Freesound was not asked" in output

    after = [event.to_json() for event in workspace.events.all()]
    assert after[: len(before)] == before
    state = workspace.sounds.get("freesound:1011")
    assert (state.decisions, state.review_state) == ({}, "to review")
    assert state.last_event.payload.event == published.event_id
    assert open_feedback(workspace).by_tag("uploader") == {}
    assert read_corrections(workspace) == ([], 0)
    (upload,) = log.all()
    assert (upload.state, "Not published." in upload.message) == ("refused", True)
    assert "1 uploads checked, 0 corrected." in run()


def test_an_older_sound_is_found_by_its_date_whatever_its_tags_are(workspace, log, settings_of):
    settings_of()
    announced(workspace, log, 1011, TYPED, created="2019-05-01T10:00:00Z")
    assert "older than the upload" in run()
    assert workspace.sounds.get("freesound:1011").decisions == {}


def test_freesounds_own_words_come_back_where_it_can_be_asked(
    workspace, log, settings_of, freesound_server
):
    settings_of(freesound_server)
    freesound_server.state.add_sound(
        "alice", id=1011, name="Rain on leaves", description="Long ago.", license="Attribution"
    )
    announced(workspace, log, 1011, ["field-recording", "nature", "test"])
    run()
    state = workspace.sounds.get("freesound:1011")
    assert (state.sound.title, state.sound.description) == ("Rain on leaves", "Long ago.")
    assert "by/4.0" in state.sound.license
    assert (state.sound.seconds, state.media.audio != "") == (4.0, True)
    assert [event.kind for event in workspace.events.of_sound("freesound:1011")] == [
        "predicted",
        "published",
        "undone",
        "predicted",
    ]


def test_a_half_made_sound_is_found_by_asking_freesound(
    workspace, log, settings_of, freesound_server
):
    settings_of(freesound_server)
    freesound_server.state.add_sound("alice", id=90, public=False, tags=[])
    announced(workspace, log, 90, TYPED)
    assert "without all that was sent" in run()
    assert workspace.sounds.get("freesound:90").decisions == {}
    assert workspace.sounds.get("freesound:90").sound.tags == ()


def test_a_real_publication_stays_also_when_its_tags_were_edited_since(
    workspace, log, settings_of, freesound_server
):
    settings_of(freesound_server)
    words = {"name": "A dog", "description": "In the garden."}
    freesound_server.state.add_sound("alice", id=90, tags=list(TYPED), **words)
    freesound_server.state.add_sound("alice", id=91, tags=["dog", "bark", "night"], **words)
    announced(workspace, log, 90, TYPED)
    announced(workspace, log, 91, ["dog", "bark", "night"])
    assert "2 uploads checked, 0 corrected." in run()
    assert workspace.sounds.get("freesound:90").reviewed


def test_it_can_be_looked_at_first(workspace, log, settings_of):
    settings_of()
    announced(workspace, log, 1011, ["rain", "weather", "leaves"])
    before = list(workspace.events.all())
    assert "1 to correct" in run("--dry-run")
    assert list(workspace.events.all()) == before
    assert log.all()[0].state == "published"


def test_without_uploads_there_is_nothing_to_do(settings_of):
    settings_of()
    assert "Nothing was published" in run()


def test_freesound_out_of_reach_is_a_sentence_for_each_upload(
    workspace, log, settings_of, freesound_server
):
    settings_of(freesound_server)
    announced(workspace, log, 1011, ["rain", "weather", "leaves"])
    freesound_server.fail("sounds/1011", times=None, status=403)
    assert "a-dog.ogg: not checked." in run()


def test_the_correction_is_one_that_the_versions_before_can_read(workspace, log, settings_of):
    settings_of()
    announced(workspace, log, 1011, ["rain", "weather", "leaves"])
    run()
    (line,) = [event.to_json() for event in workspace.events.all() if event.kind == "undone"]
    fields = json.loads(line)
    assert set(fields["payload"]) == {"event", "mistake"}
    assert parse_event(line).to_json() == line


def test_an_undo_without_a_mistake_is_written_as_before_and_leaves_a_publication():
    payload = Undone(event="a" * 32)
    assert payload.model_dump(mode="json") == {"event": "a" * 32}
