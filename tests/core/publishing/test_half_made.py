"""Uploads that break off, and duplicates: what is announced as published is what was sent."""

import pytest

from core.publishing.comparison import is_same_text
from core.publishing.upload import LISTING_DELAY_S, Publisher
from tests.helpers.publishing import ANALYSIS, noise_wav, upload_form

ROW_STEPS = ("row", "pack", "geotag", "description")
"""Steps after which the sound lacks something that was sent."""
EVERYTHING = {"pack": "Weather", "geotag": "52.5, 13.4"}


def publish(publisher, alice, data, **changes):
    form = upload_form(data, **(EVERYTHING | changes))
    return publisher.publish(alice.person, alice, form, data, ANALYSIS)


def uploads(server) -> int:
    return sum(request.path.endswith("sounds/upload/") for request in server.requests)


# Half-made sounds


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize("step", ROW_STEPS)
def test_a_half_made_sound_is_not_published_and_what_is_missing_is_said(
    publisher, alice, workspace, freesound_server, step, hidden
):
    freesound_server.unmoderated_status = 404 if hidden else 200
    freesound_server.stop_upload_after = step
    done = publish(publisher, alice, noise_wav())
    (row,) = freesound_server.state.sounds.values()
    assert (done.state, done.sound_id) == ("incomplete", row.id)
    assert "tags" in done.message
    assert ("description" in done.message) == (step != "description")
    assert "Published" not in done.message
    assert f"/people/alice/sounds/{row.id}/edit/" in done.message
    assert list(workspace.events.all()) == []


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ("row", "description, tags, category, pack and place are missing"),
        ("pack", "description, tags, category and place are missing"),
        ("geotag", "description, tags and category are missing"),
        ("description", "tags are missing"),
    ],
)
def test_everything_that_is_missing_is_named_where_freesound_shows_the_sound(
    publisher, alice, freesound_server, step, words
):
    freesound_server.stop_upload_after = step
    assert words in publish(publisher, alice, noise_wav()).message


@pytest.mark.parametrize("step", ["tags", "ticket"])
def test_a_sound_that_has_everything_is_published_though_freesound_answered_with_an_error(
    publisher, alice, workspace, freesound_server, step
):
    freesound_server.stop_upload_after = step
    done = publish(publisher, alice, noise_wav())
    assert done.state == "published"
    assert "Its answer was lost" in done.message
    assert workspace.sounds.get(f"freesound:{done.sound_id}").last_event.kind == "published"


def test_an_incomplete_sound_is_not_sent_again_while_it_is_there_and_is_once_it_is_removed(
    publisher, alice, workspace, freesound_server
):
    data = noise_wav()
    freesound_server.stop_upload_after = "row"
    first = publish(publisher, alice, data)
    again = publish(publisher, alice, data)
    assert (again.upload_id, again.state, uploads(freesound_server)) == (
        first.upload_id,
        "incomplete",
        1,
    )
    freesound_server.state.reject(first.sound_id)
    done = publish(publisher, alice, data)
    assert (done.state, uploads(freesound_server)) == ("published", 2)
    states = {upload.upload_id: upload.state for upload in publisher.uploads_of(alice.person)}
    assert states == {first.upload_id: "not there", done.upload_id: "published"}


def test_an_incomplete_sound_that_its_uploader_completes_as_it_was_sent_is_published(
    publisher, alice, workspace, freesound_server
):
    freesound_server.stop_upload_after = "geotag"
    first = publish(publisher, alice, noise_wav())
    row = freesound_server.state.sounds[first.sound_id]
    row.description, row.tags, row.category_code = (
        "Rain, from inside.",
        ["rain", "roof", "weather"],
        "ss-n",
    )
    (resolved,) = publisher.resolve_uploads(alice.person, alice)
    assert resolved.state == "published"
    state = workspace.sounds.get(f"freesound:{row.id}")
    assert state.last_event.payload.decisions["roof"] == "added"


def test_one_that_is_completed_otherwise_leaves_no_trace_here(
    publisher, alice, workspace, freesound_server
):
    freesound_server.stop_upload_after = "row"
    first = publish(publisher, alice, noise_wav())
    row = freesound_server.state.sounds[first.sound_id]
    row.description, row.tags = "Something else.", ["wind", "tree", "storm"]
    (resolved,) = publisher.resolve_uploads(alice.person, alice)
    assert (resolved.state, "otherwise than it was sent" in resolved.message) == ("refused", True)
    assert list(workspace.events.all()) == []


def test_a_half_made_sound_of_an_attempt_that_nobody_remembers_is_named(
    publisher, alice, freesound_server
):
    data = noise_wav()
    state = freesound_server.state
    row = state.add_sound("alice", audio=data, public=False, name="Rain on a roof", tags=[])
    done = publish(publisher, alice, data)
    assert done.state == "refused"
    assert f"Sound {row.id} is incomplete on Freesound: description" in done.message


# Duplicates


@pytest.mark.parametrize("public", [True, False])
@pytest.mark.parametrize("age_s", [0, 86_400 * 400])
def test_a_refused_duplicate_of_ones_own_older_sound_is_never_announced_as_published(
    publisher, alice, workspace, freesound_server, public, age_s
):
    data = noise_wav()
    older = freesound_server.state.add_sound(
        "alice",
        audio=data,
        public=public,
        name="An older name",
        description="Long ago.",
        created=freesound_server.now() - age_s,
    )
    done = publish(publisher, alice, data)
    assert (done.state, done.sound_id) == ("refused", None)
    assert f"as your sound {older.id}" in done.message
    assert "nothing that was typed here was written" in done.message
    assert list(workspace.events.all()) == []


def test_nor_is_one_that_carries_the_very_same_words(publisher, alice, workspace, freesound_server):
    """Freesound has said itself that this upload added nothing."""
    data = noise_wav()
    form = upload_form(data)
    freesound_server.state.add_sound(
        "alice",
        audio=data,
        name=form.name,
        description=form.description,
        tags=list(form.tags),
    )
    assert publish(publisher, alice, data).state == "refused"
    assert list(workspace.events.all()) == []


def test_a_refused_duplicate_that_cannot_be_looked_up_is_refused_all_the_same(
    publisher, alice, workspace, freesound_server
):
    data = noise_wav()
    form = upload_form(data)

    def cut_off(stage, share):
        if stage.startswith("Asking"):
            words = {"description": form.description, "tags": list(form.tags)}
            freesound_server.state.add_sound("alice", audio=data, name=form.name, **words)
            freesound_server.fail("pending_uploads", times=None, status=403)

    freesound_server.state.add_sound("bob", audio=data, public=False)
    done = publisher.publish(alice.person, alice, form, data, ANALYSIS, cut_off)
    assert (done.state, "cannot be looked up just now" in done.message) == ("refused", True)
    freesound_server.heal()
    assert publisher.resolve_uploads(alice.person, alice) == []
    assert list(workspace.events.all()) == []


@pytest.mark.parametrize("ahead_s", [-400 * 86_400, 0, 400 * 86_400])
def test_a_lost_answer_is_told_from_an_older_sound_by_freesounds_clock_not_by_ours(
    client, alice, workspace, tmp_path, freesound_server, ahead_s
):
    """This machine's clock may be wrong by more than a year."""
    publisher = Publisher(
        tmp_path / "publications", client, workspace, lambda: freesound_server.now() + ahead_s
    )
    data = noise_wav()
    form = upload_form(data)
    words = {"name": form.name, "description": form.description, "tags": list(form.tags)}
    freesound_server.state.add_sound(
        "alice", audio=data, created=freesound_server.now() - 3600, **words
    )
    freesound_server.fail("sounds/upload", drop="before")
    assert publish(publisher, alice, data).state == "refused"

    freesound_server.fail("sounds/upload", drop="after")
    assert publish(publisher, alice, noise_wav()).state == "published"


def test_a_lost_answer_is_not_found_in_a_sound_of_the_same_bytes_with_other_words(
    publisher, alice, workspace, freesound_server
):
    """Somebody was faster on Freesound's own page."""
    data = noise_wav()

    def upload_elsewhere(stage, share):
        if stage.startswith("Asking"):
            freesound_server.state.add_sound(
                "alice", audio=data, name="Rain on a roof", description="Other words."
            )

    freesound_server.fail("sounds/upload", drop="before")
    form = upload_form(data)
    done = publisher.publish(alice.person, alice, form, data, ANALYSIS, upload_elsewhere)
    assert (done.state, "as your sound" in done.message) == ("refused", True)
    assert list(workspace.events.all()) == []


def test_another_hidden_sound_of_the_same_name_is_left_alone(
    publisher, alice, workspace, freesound_server
):
    """Nobody is told to delete a sound that is none of this upload's."""
    freesound_server.unmoderated_status = 404

    def upload_elsewhere(stage, share):
        if stage.startswith("Asking"):
            freesound_server.state.add_sound(
                "alice", audio=b"other", public=False, name="Rain on a roof", description="Other."
            )

    freesound_server.fail("sounds/upload", drop="before")
    data = noise_wav()
    form = upload_form(data)
    done = publisher.publish(alice.person, alice, form, data, ANALYSIS, upload_elsewhere)
    assert done.state == "uncertain"
    freesound_server.advance(LISTING_DELAY_S + 1)
    (resolved,) = publisher.resolve_uploads(alice.person, alice)
    assert resolved.state == "not there"


# Bytes that were published before


def test_bytes_whose_sound_was_deleted_on_freesound_can_be_published_again(
    publisher, alice, freesound_server
):
    data = noise_wav()
    first = publish(publisher, alice, data)
    freesound_server.state.reject(first.sound_id)
    again = publish(publisher, alice, data)
    assert (again.state, again.upload_id == first.upload_id) == ("published", False)
    assert uploads(freesound_server) == 2


def test_bytes_that_an_earlier_version_announced_though_the_sound_is_empty_are_not_announced_again(
    publisher, alice, freesound_server
):
    data = noise_wav()
    first = publish(publisher, alice, data)
    row = freesound_server.state.sounds[first.sound_id]
    row.description, row.tags = "", []
    again = publish(publisher, alice, data)
    assert (again.state, again.sound_id) == ("incomplete", row.id)
    freesound_server.state.reject(row.id)
    assert publish(publisher, alice, data).state == "published"


# What the API cannot set


def test_what_has_to_be_done_on_freesound_itself_is_said(publisher, alice, workspace):
    done = publish(publisher, alice, noise_wav(), is_explicit=True, sources="1234")
    assert done.state == "published"
    assert "mark it as explicit and name its sources on Freesound" in done.message
    assert f"/people/alice/sounds/{done.sound_id}/edit/" in done.message
    assert workspace.sounds.get(f"freesound:{done.sound_id}").sound.is_explicit


# Comparing texts


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("Rain & wind.", "Rain &amp; wind."),
        ("One\r\ntwo", " One\ntwo "),
        ("See https://example.org/", 'See <a href="https://example.org/">https://example.org/</a>'),
        ("zero\u200bwidth\tand tab", "zerowidth and tab"),
    ],
)
def test_what_freesound_does_to_a_text_is_no_difference(sent, stored):
    assert is_same_text(sent, stored)


@pytest.mark.parametrize(("sent", "stored"), [("Rain.", ""), ("Rain.", "Rain"), ("Rain", "rain")])
def test_another_text_is(sent, stored):
    assert not is_same_text(sent, stored)
