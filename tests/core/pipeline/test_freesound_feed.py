"""Tagging the newest sounds of the local double of Freesound, over real HTTP.

What is fetched, what is skipped and why, and what happens half way.
"""

import json

import pytest
from pydantic import SecretStr

from core.events.query import Query
from core.freesound.client import FreesoundClient
from core.freesound.errors import (
    BadPreview,
    DailyLimitReached,
    DailyThrottled,
    NotAllowed,
    ServerTrouble,
)
from core.freesound.rate_limit import Budget, Limits
from core.freesound.types import FreesoundSound
from core.pipeline.errors import SourceUnavailable
from core.pipeline.sources import FreesoundSource
from core.pipeline.tagging import MAX_FAILURES, MAX_RETRIES, tag_new_sounds

PLENTY = Limits(reads_a_minute=10**6, reads_a_day=10**6)


@pytest.fixture
def server(freesound_server):
    return freesound_server


@pytest.fixture
def credential(server):
    return server.state.add_client("earmark", owner="alice")


@pytest.fixture
def pauses():
    return []


@pytest.fixture
def client(server, credential, tmp_path, pauses):
    def sleep(seconds):
        pauses.append(seconds)
        server.advance(seconds)

    budget = Budget(tmp_path / "budget.sqlite", PLENTY, server.now)
    return FreesoundClient(
        SecretStr(credential.client_secret), budget, f"{server.url}/apiv2", ("127.0.0.1",), sleep
    )


@pytest.fixture
def source(client):
    return FreesoundSource(client)


@pytest.fixture
def ogg(examples):
    return (examples / "sneeze.ogg").read_bytes()


@pytest.fixture
def upload(server, ogg):
    """Makes a public sound that was uploaded so many minutes ago."""

    def make(minutes=0.0, **more):
        created = server.now() - 60 * minutes
        return server.state.add_sound(
            "alice", **{"audio": ogg, "created": created, "duration": 3.0} | more
        ).id

    return make


@pytest.fixture
def fetch(source, predictor, workspace):
    def run(limit=5, **more):
        return tag_new_sounds(source, predictor, workspace, limit, **more)

    return run


def numbers(workspace):
    """Freesound's numbers of the sounds on the first page of the monitor."""
    return [
        int(state.sound_id.removeprefix("freesound:"))
        for state in workspace.sounds.page(Query(), size=50).sounds
    ]


def previews(server):
    """Numbers of the sounds whose previews were asked for."""
    return [
        int(request.path.split("/")[-1].split("_")[0])
        for request in server.requests
        if "/previews/" in request.path
    ]


def searches(server):
    return [request for request in server.requests if request.path.endswith("/search/")]


def gone(server, number):
    server.fail(f"/{number}_", times=None, status=404)


def test_the_newest_sounds_are_tagged_newest_first_with_one_request_to_the_api(
    server, upload, fetch, workspace
):
    made = [upload(minutes) for minutes in range(8)]
    run = fetch(5)
    assert (run.tagged, run.skipped, run.source, run.state) == (5, (), "Freesound", "finished")
    assert numbers(workspace) == made[:5]
    assert sorted(previews(server)) == sorted(made[:5])
    assert len(searches(server)) == 1


def test_what_is_tagged_already_is_not_fetched_again_and_the_next_run_goes_further_back(
    server, upload, fetch, workspace
):
    made = [upload(minutes) for minutes in range(1, 5)]
    fetch(2)
    server.requests.clear()
    newest = upload()
    run = fetch(2)
    assert run.known == 2
    assert sorted(previews(server)) == sorted([newest, made[2]])
    assert set(numbers(workspace)) == {newest, *made[:3]}
    assert all(
        len(workspace.events.of_sound(f"freesound:{number}")) == 1 for number in numbers(workspace)
    )


def test_long_and_old_sounds_do_not_come(server, upload, fetch):
    upload(1, duration=11.0)
    upload(31 * 24 * 60)
    assert fetch().tagged == 0
    assert previews(server) == []


def test_a_sound_that_is_moderated_days_later_under_its_old_date_is_found(
    server, upload, fetch, workspace
):
    late = upload(6 * 24 * 60, public=False)
    first = upload(5)
    fetch()
    assert numbers(workspace) == [first]
    server.state.process(late, duration=3.0)
    server.state.moderate(late)
    assert fetch().tagged == 1
    assert set(numbers(workspace)) == {first, late}


def test_the_list_is_read_page_by_page_only_as_far_as_needed_and_never_at_the_host_that_next_names(
    server, source, upload, workspace, ogg
):
    for minutes in range(310):
        upload(minutes, audio=None)
    rows = source.items()
    for _ in range(150):
        next(rows)
    assert len(searches(server)) == 1
    assert len(list(rows)) == 160
    assert [request.query["page"] for request in searches(server)] == ["1", "2", "3"]


def test_a_null_in_the_list_is_skipped_with_a_reason_and_does_not_use_up_the_number(
    server, upload, fetch, workspace
):
    made = [upload(minutes) for minutes in range(3)]
    server.null_sound_ids.add(made[0])
    run = fetch(2)
    assert numbers(workspace) == made[1:]
    assert [reason for _, reason in run.skipped] == [
        "Freesound lists a sound that it does not have any more."
    ]


def test_a_vanished_preview_and_broken_audio_are_skipped_with_reasons_and_others_take_their_place(
    server, upload, fetch, workspace
):
    vanished, broken, no_sound, *good = (
        upload(0),
        upload(1, audio=b"OggS nonsense"),
        upload(2, audio=b"<html>"),
        *map(upload, (3, 4, 5)),
    )
    gone(server, vanished)
    steps = []
    run = fetch(3, progress=lambda *step: steps.append(step))
    assert run.tagged == 3
    assert sorted(numbers(workspace)) == sorted(good)
    reasons = dict(run.skipped)
    assert reasons[f"sound {vanished} ({vanished})"] == f"The preview of sound {vanished} is gone."
    assert reasons[f"sound {no_sound} ({no_sound})"].endswith("is no Ogg or MP3 file.")
    assert f"({broken})" in reasons[f"sound {broken} ({broken})"]
    assert [(done, total) for done, total, _ in steps] == [
        (1, 3),
        (2, 3),
        (3, 3),
        (4, 6),
        (5, 6),
        (6, 6),
    ]
    assert workspace.runs.latest(1)[0].skipped == run.skipped


def test_a_preview_on_another_host_is_never_asked_for(server, upload, fetch):
    number = upload()
    server.media_host = "http://localhost.example:1"
    run = fetch()
    assert run.skipped == (
        (
            f"sound {number} ({number})",
            f"The preview of sound {number} lies on another host than Freesound.",
        ),
    )
    assert previews(server) == []


def test_previews_come_over_https_unless_the_api_is_on_this_machine(client, tmp_path):
    real = FreesoundClient(SecretStr("k"), Budget(tmp_path / "b.sqlite", PLENTY))
    for url in (
        "http://cdn.freesound.org/a.ogg",
        "file://cdn.freesound.org/etc/passwd",
        "https://[broken/a.ogg",
    ):
        with pytest.raises(BadPreview, match="another host"):
            real.preview(FreesoundSound(id=1, name="x", previews={"preview-hq-ogg": url}))


def test_more_broken_sounds_than_one_run_attempts_do_not_starve_the_feed(
    server, upload, fetch, workspace
):
    good = [upload(1000), upload(1001)]
    broken = [upload(minutes, audio=b"<html>") for minutes in range(MAX_FAILURES + MAX_RETRIES)]
    run = fetch(2)
    assert run.tagged == 0
    assert run.note == f"Stopped after {MAX_FAILURES} sounds that could not be used."
    assert workspace.runs.latest(1)[0].note == run.note
    server.requests.clear()
    run = fetch(2)
    while run.tagged == 0:
        assert run.note
        run = fetch(2)
    assert sorted(numbers(workspace)) == sorted(good)
    assert len({name for name, _ in run.skipped}) == len(broken)


def test_a_sound_that_could_not_be_used_is_tried_again_by_the_next_run(
    server, upload, fetch, workspace
):
    number = upload()
    gone(server, number)
    assert fetch().tagged == 0
    server.heal()
    assert fetch().tagged == 1
    assert numbers(workspace) == [number]


def test_a_run_reads_a_limited_part_of_the_list_and_says_so(client, upload, predictor, workspace):
    made = [upload(minutes) for minutes in range(5)]
    run = tag_new_sounds(FreesoundSource(client, max_rows=3), predictor, workspace, 5)
    assert sorted(numbers(workspace)) == sorted(made[:3])
    assert [reason for _, reason in run.skipped] == [
        "A run looks no further than the 3 newest sounds; what lies deeper was left out."
    ]


# Half way


def test_a_web_page_with_500_is_waited_out(server, upload, fetch, pauses):
    upload()
    server.fail("/search/", times=2, status=500)
    server.fail("/previews/", times=1, status=503)
    assert fetch().tagged == 1
    assert len(pauses) == 3


def test_trouble_on_a_later_page_keeps_what_was_tagged_and_the_next_run_takes_the_rest(
    server, upload, fetch, workspace, client
):
    rest = [upload(minutes) for minutes in range(200, 203)]
    for minutes in range(1, 150):
        server.null_sound_ids.add(upload(minutes, audio=None))
    first = upload()
    server.fail("/search/", times=1, delay=0)  # the first page comes as it is
    server.fail("/search/", times=None, status=500)
    with pytest.raises(ServerTrouble, match="status 500"):
        fetch(4)
    assert numbers(workspace) == [first]
    assert (workspace.runs.latest(1)[0].state, workspace.runs.latest(1)[0].tagged) == ("failed", 1)
    assert "status 500" in workspace.runs.latest(1)[0].note
    server.heal()
    assert fetch(4).tagged == 3
    assert set(numbers(workspace)) == {first, *rest}


def test_a_minute_without_requests_is_waited_for(server, credential, upload, fetch, client, pauses):
    upload()
    credential.get_limits = (1, 2000)
    next(client.search())
    assert fetch().tagged == 1
    assert [pause for pause in pauses if pause > 60]


def test_the_daily_limit_ends_the_run_with_one_sentence_and_nothing_is_lost(
    server, credential, upload, fetch, workspace
):
    upload()
    credential.get_limits = (60, 0)
    with pytest.raises(
        DailyThrottled,
        match=r"^Freesound asks for fewer requests \(.*0/day\); there is room again tomorrow\.$",
    ):
        fetch()
    assert workspace.runs.latest(1)[0].state == "failed"
    credential.get_limits = (60, 2000)
    assert fetch().tagged == 1


def test_our_own_budget_stops_before_freesound_has_to(server, upload, fetch, client, tmp_path):
    upload()
    client.budget = Budget(
        tmp_path / "own.sqlite", Limits(reads_a_minute=5, reads_a_day=1), server.now
    )
    assert fetch().tagged == 1
    with pytest.raises(DailyLimitReached, match=r"daily limit"):
        fetch()
    assert len(searches(server)) == 1


def test_a_wrong_key_is_one_sentence(server, upload, fetch, client):
    client.api_key = SecretStr("wrong")
    with pytest.raises(NotAllowed, match=r"^Freesound does not know this server's key"):
        fetch()


def test_a_preview_host_that_is_away_ends_the_run_and_is_not_tried_for_every_sound(
    server, upload, fetch, workspace
):
    made = [upload(minutes) for minutes in range(10)]
    server.fail("/previews/", times=None, status=503)
    with pytest.raises(SourceUnavailable, match="cannot be fetched"):
        fetch(10)
    assert len(set(previews(server))) < len(made)
    server.heal()
    assert fetch(10).tagged == 10


def test_one_preview_that_never_comes_does_not_hold_up_the_others_for_ever(
    server, upload, fetch, workspace
):
    stuck = [upload(minutes) for minutes in range(4)]
    good = upload(10)
    for number in stuck:
        server.fail(f"/{number}_", times=None, status=503)
    with pytest.raises(SourceUnavailable):
        fetch(5)
    fetch(5)
    assert good in numbers(workspace)


def test_a_run_that_is_stopped_in_the_middle_loses_nothing_and_the_next_repeats_nothing(
    server, upload, fetch, workspace
):
    made = [upload(minutes) for minutes in range(5)]

    def stop_after_two(done, total, name):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(5, progress=stop_after_two)
    assert workspace.runs.latest(1)[0].state == "interrupted"
    assert set(numbers(workspace)) == set(made[3:])
    assert fetch(5).tagged == 3
    assert set(numbers(workspace)) == set(made)
    assert all(len(workspace.events.of_sound(f"freesound:{number}")) == 1 for number in made)


# What is kept


def test_what_the_uploader_said_is_kept_with_the_sound(server, upload, fetch, workspace):
    number = upload(
        name="Rain <b>roof</b>",
        tags=["Rain", "roof"],
        description="<script>",
        license="Attribution",
        category_code="ss-n",
        gen_ai_preference="no-gen-ai",
    )
    fetch()
    sound = workspace.sounds.get(f"freesound:{number}").sound
    assert (sound.title, sound.author, sound.description) == (
        "Rain <b>roof</b>",
        "alice",
        "<script>",
    )
    assert sound.tags == ("Rain", "roof")
    assert sound.license == "https://creativecommons.org/licenses/by/4.0/"
    assert sound.category == "Soundscapes: Nature"
    assert sound.gen_ai_preference == "no-gen-ai"
    assert sound.url == f"https://freesound.org/people/alice/sounds/{number}/"
    assert sound.created.endswith("Z")
    assert sound.seconds > 0


def test_halves_of_characters_and_endless_texts_do_no_harm(
    server, client, upload, fetch, workspace
):
    number = upload(description="y" * 10**6)
    row = client.sound(number).model_dump(mode="json") | {
        "name": "half \ud83d\x1b[2J" + "x" * 9999,
        "tags": ["\udc00"],
    }
    server.fail("/search/", status=200, body=json.dumps({"results": [row], "next": None}))
    names = []
    assert fetch(progress=lambda done, total, name: names.append(name)).tagged == 1
    assert "\x1b" not in names[0]
    sound = workspace.sounds.get(f"freesound:{number}").sound
    assert sound.title.startswith("half ? [2Jx")
    assert len(sound.description) == 5000
