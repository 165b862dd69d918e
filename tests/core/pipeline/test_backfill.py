"""A range of Freesound's past, over real HTTP.

What is listed, analysed and kept, and what a broken batch or a limit leaves.
"""

import json
import re
import threading
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr

from core.events.query import Count, Query
from core.events.types import ModelRef, RolledOut, new_event
from core.freesound.client import FreesoundClient
from core.freesound.rate_limit import Budget, Limits
from core.model import bundle as bundles
from core.pipeline.backfill import backfill, in_this_process
from core.pipeline.backfill_worker import BackfillTask, analyse_task
from core.pipeline.errors import AnalysisError, BackfillError
from core.pipeline.freesound_range import (
    MAX_SEARCH_ROWS,
    DateRange,
    IdRange,
    RangeListing,
    parse_range,
)
from core.settings import Settings
from core.storage.active_model import AUTOMATIC, resolve_model
from tests.helpers.freesound_sounds import START, add_a_sound_a_day
from tests.helpers.sound_files import tone, written

PLENTY = Limits(reads_a_minute=10**6, reads_a_day=10**6)


@pytest.fixture
def credential(freesound_server):
    return freesound_server.state.add_client("earmark", owner="alice")


@pytest.fixture
def sounds(freesound_server, examples):
    return add_a_sound_a_day(freesound_server, examples)


@pytest.fixture
def settings(freesound_server, credential, tmp_path):
    return Settings(
        freesound_api_key=SecretStr(credential.client_secret),
        freesound_api=f"{freesound_server.url}/apiv2",
        preview_hosts="127.0.0.1",
        workspace=tmp_path / "workspace",
    )


@pytest.fixture
def fill(settings, workspace, freesound_server, tmp_path):
    """Runs a backfill into the local workspace."""

    def run(
        freesound_range,
        fan_out=None,
        batch_size=3,
        limits=PLENTY,
        again=False,
        max_rows=MAX_SEARCH_ROWS,
        limited=None,
    ):
        client = FreesoundClient(
            settings.freesound_api_key,
            Budget(tmp_path / "budget.sqlite", limits, freesound_server.now),
            settings.freesound_api,
            tuple(settings.preview_hosts),
            freesound_server.advance,
        )
        model = resolve_model(workspace).model
        tagged_by = model if again else None
        listing = RangeListing(client, workspace, freesound_range, 10, tagged_by, max_rows)
        fan_out = fan_out or in_this_process(settings, 1)
        return backfill(workspace, listing, model, limited or settings, fan_out, batch_size)

    return run


def numbers(workspace):
    return sorted(
        int(state.sound_id.removeprefix("freesound:")) for state in workspace.sounds.all()
    )


def searches(server):
    return [request for request in server.requests if request.path.endswith("/search/")]


def test_a_range_of_ids_is_tagged_with_media_sidecar_and_a_record_of_the_run(
    fill, sounds, settings, workspace
):
    run = fill(IdRange(2003, 2008), in_this_process(settings, 2))
    assert (run.tagged, run.known, run.skipped) == (6, 0, ())
    assert (run.state, run.actor) == ("finished", AUTOMATIC)
    assert run.source == "Freesound, backfill --ids 2003 2008"
    assert workspace.runs.latest() == [run]
    assert workspace.sounds.count(Query(run=run.run_id)) == Count(6)
    assert numbers(workspace) == [2003, 2004, 2005, 2006, 2007, 2008]
    for state in workspace.sounds.all():
        assert len(state.suggestions) == 5
        assert (state.sound.author, state.sound.source) == ("alice", "Freesound")
        assert workspace.media.path(state.media.audio).read_bytes()[:4] == b"OggS"
        assert workspace.media.path(state.media.spectrogram).read_bytes()[8:12] == b"WEBP"
        assert workspace.sidecars.get(state.sound_id, state.model)["embedding"].ndim == 1


def test_a_range_of_dates_is_tagged_and_a_second_call_finds_nothing_to_do(
    fill, sounds, workspace, freesound_server
):
    freesound_range = DateRange(START + timedelta(days=2), START + timedelta(days=5, hours=1))
    assert fill(freesound_range).tagged == 4
    assert numbers(workspace) == [2003, 2004, 2005, 2006]
    before = len(freesound_server.requests)
    assert fill(freesound_range) is None
    assert len(freesound_server.requests) == before + 1  # one search, no preview
    assert len(workspace.runs.latest()) == 1
    assert fill(IdRange(2001, 2010)).known == 4


def test_no_search_goes_deeper_than_it_may(fill, sounds, workspace, freesound_server):
    freesound_range = DateRange(START, START + timedelta(days=30))
    assert fill(freesound_range, max_rows=3).tagged == 10
    # 3 rows, then each time the last one again and 2 more.
    assert len(searches(freesound_server)) == 5
    freesound_server.requests.clear()
    assert fill(IdRange(2001, 2010), max_rows=3) is None
    filters = [request.query["filter"] for request in searches(freesound_server)]
    assert [text.split("] ")[0] for text in filters] == [
        "id:[2001 TO 2003",
        "id:[2004 TO 2006",
        "id:[2007 TO 2009",
        "id:[2010 TO 2010",
    ]


def test_more_sounds_of_one_moment_than_one_search_may_page_through_are_all_listed(
    fill, freesound_server, workspace, examples
):
    audio = (examples / "sneeze.ogg").read_bytes()
    for number in range(5):
        freesound_server.state.add_sound(
            "bob",
            id=3001 + number,
            audio=audio,
            created=START.timestamp() + 60,
            duration=3.0,
        )
    assert fill(DateRange(START, START + timedelta(days=1)), max_rows=2).tagged == 5


def test_previews_that_cannot_be_used_are_skipped_with_their_reasons_and_the_others_kept(
    fill, sounds, workspace, freesound_server
):
    freesound_server.state.sounds[2002].audio = b"OggS and then nonsense"
    freesound_server.state.sounds[2003].audio = b"<html>"
    freesound_server.fail("/2004_", times=None, status=404)
    freesound_server.null_sound_ids.add(2005)
    run = fill(IdRange(2001, 2010))
    assert (run.tagged, run.state) == (6, "finished")
    reasons = dict(run.skipped)
    assert set(reasons) == {"s1 (2002)", "s2 (2003)", "s3 (2004)"}
    assert reasons["s2 (2003)"] == "The preview of sound 2003 is no Ogg or MP3 file."
    assert reasons["s3 (2004)"] == "The preview of sound 2004 is gone."


def test_a_sound_that_takes_too_long_is_skipped_and_the_others_of_its_batch_kept(
    fill, sounds, settings, workspace, freesound_server, monkeypatch
):
    """By a clock that ticks with every look at it: the batch takes too long, one sound does too."""
    freesound_server.state.sounds[2003].audio = written(tone(seconds=60), 44_100, "OGG", "VORBIS")
    clocks = threading.local()

    def tick():
        clocks.now = getattr(clocks, "now", 0) + 1
        return clocks.now

    monkeypatch.setattr("core.work.time.thread_time", tick)
    limited = settings.model_copy(update={"max_work_seconds": 6})
    run = fill(IdRange(2001, 2006), in_this_process(limited, 1), batch_size=6, limited=limited)
    assert run.state == "finished"
    assert numbers(workspace) == [2001, 2002, 2004, 2005, 2006]
    assert run.skipped == (
        (
            "s2 (2003)",
            "s2 (2003) takes too long and was given up after 6 s of work; please shorten it.",
        ),
    )


def test_only_freesounds_own_hosts_are_asked_for_previews(fill, sounds, freesound_server):
    freesound_server.media_host = "http://localhost:1"
    run = fill(IdRange(2001, 2003))
    assert run.tagged == 0
    assert all("on another host" in reason for _, reason in run.skipped)


@pytest.fixture
def failing(settings):
    """Workers of whom the batch with that sound fails."""

    def workers(broken):
        def attempt(task):
            if broken in [sound.id for sound in task.sounds]:
                return OSError("the container was lost")
            return analyse_task(task, settings)

        return lambda tasks: map(attempt, tasks)

    return workers


def test_a_batch_that_fails_is_reported_and_taken_by_the_next_call(
    fill, failing, sounds, workspace
):
    reason = "A batch failed, and the next call takes their sounds: OSError: the container was lost"
    with pytest.raises(BackfillError, match=reason):
        fill(IdRange(2001, 2010), failing(2005))
    assert numbers(workspace) == [2001, 2002, 2003, 2007, 2008, 2009, 2010]
    run = workspace.runs.latest(1)[0]
    assert (run.state, run.tagged, run.note) == ("failed", 7, reason)
    assert fill(IdRange(2001, 2010)).tagged == 3
    assert numbers(workspace) == sounds
    histories = [workspace.events.of_sound(state.sound_id) for state in workspace.sounds.all()]
    assert all(len(history) == 1 for history in histories)


def test_it_stops_when_batch_after_batch_fails(fill, sounds, workspace):
    with pytest.raises(BackfillError, match="Stopped after 10 batches in a row failed"):
        fill(
            IdRange(2001, 2010),
            lambda tasks: (OSError("no container") for _ in tasks),
            batch_size=1,
        )
    assert numbers(workspace) == []


def test_a_batch_whose_previews_are_all_out_of_reach_has_failed_and_is_not_skipped(
    fill, sounds, workspace, freesound_server, monkeypatch
):
    monkeypatch.setattr("core.freesound.retry.MAX_ATTEMPTS", 1)
    freesound_server.fail("/previews/", times=None, status=503)
    with pytest.raises(BackfillError, match=r"can.*be fetched \(status 503\)"):
        fill(IdRange(2001, 2003))
    freesound_server.heal()
    assert fill(IdRange(2001, 2003)).tagged == 3


def test_the_days_limit_ends_it_with_the_range_that_is_left(fill, sounds, workspace):
    limits = Limits(reads_a_minute=100, reads_a_day=2)
    rest = r"daily limit .* To go on, call it with --ids 2004 2010\.$"
    with pytest.raises(BackfillError, match=rest):
        fill(IdRange(2001, 2010), limits=limits, max_rows=3)
    assert numbers(workspace) == [2001, 2002, 2003, 2004, 2005, 2006]
    assert workspace.runs.latest(1)[0].state == "failed"


def test_a_newer_model_is_fetched_from_the_workspace_and_tags_again_only_if_asked_to(
    fill, sounds, workspace, tmp_path
):
    fill(IdRange(2001, 2002))
    bundles.copy(bundles.load(bundles.DEFAULT_BUNDLE), tmp_path / "better")
    metrics = tmp_path / "better" / "metrics.json"
    metrics.write_text(metrics.read_text() + "\n")
    better = workspace.models.register(bundles.load(tmp_path / "better"))
    base = workspace.events.rollouts(1)[0]
    rollout = new_event(RolledOut(model=better, reason="better"), None, "maintainer", base=base)
    workspace.events.append([rollout])
    assert fill(IdRange(2001, 2002)) is None
    assert fill(IdRange(2001, 2002), again=True).tagged == 2
    assert {state.model for state in workspace.sounds.all()} == {better}


def test_a_task_is_the_same_after_the_way_to_a_worker_and_names_no_key(settings, freesound_server):
    sound = freesound_server.state.add_sound("alice")
    client = FreesoundClient(
        settings.freesound_api_key,
        Budget(settings.requests_file, PLENTY),
        settings.freesound_api,
    )
    model = ModelRef(name="m", version=1, fingerprint="f")
    sounds = [client.sound(sound.id)]
    task = BackfillTask.from_settings(settings, model, sounds, {"dog": 0.5})
    assert BackfillTask.from_json(task.to_json()) == task
    assert settings.freesound_api_key.get_secret_value() not in task.to_json()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"model": {}}', "[" * 100_000])
def test_what_is_no_task_is_refused_in_one_sentence(text):
    with pytest.raises(AnalysisError, match=r"^Not a backfill task: "):
        BackfillTask.from_json(text)


def test_a_sound_uploaded_at_a_time_that_utc_lacks_is_listed_all_the_same(
    freesound_server, settings, workspace
):
    client = FreesoundClient(
        settings.freesound_api_key,
        Budget(settings.requests_file, PLENTY),
        settings.freesound_api,
    )
    times = ("9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+14:00", "yesterday", "")
    rows = [{"id": number, "name": "x", "created": time} for number, time in enumerate(times, 1)]
    freesound_server.fail("/search/", status=200, body=json.dumps({"results": rows}))
    january = DateRange(*(datetime(2026, month, 1, tzinfo=UTC) for month in (1, 2)))
    listing = RangeListing(client, workspace, january, max_seconds=10)
    assert [[sound.id for sound in batch] for batch in listing.batches(10)] == [[1, 2, 3, 4]]
    assert listing.error is None
    assert str(listing.left) == "--created 2026-01-01T00:00:00Z 2026-02-01T00:00:00Z"


def test_what_is_no_range_is_refused_in_one_sentence():
    january, february = "2026-01-01", "2026-02-01"
    for created, ids in (
        (None, None),
        ((january, february), (1, 2)),
        ((february, january), None),
        (None, (5, 4)),
    ):
        with pytest.raises(BackfillError):
            parse_range(created, ids)
    for text in ("yesterday", "9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+14:00"):
        with pytest.raises(BackfillError, match=f"{re.escape(text)} is no date"):
            parse_range((text, january), None)
    freesound_range = parse_range((january, "2026-02-01T12:00:00+01:00"), None)
    assert str(freesound_range) == "--created 2026-01-01T00:00:00Z 2026-02-01T11:00:00Z"
