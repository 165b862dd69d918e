import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def earmark(tmp_path):
    """Runs `python -m ...` in the project with a workspace of its own."""

    def run(*arguments, module="core", **environment):
        surroundings = os.environ | {"EARMARK_WORKSPACE": str(tmp_path / "w"), "COLUMNS": "200"} | environment
        return subprocess.run(
            [sys.executable, "-m", module, *map(str, arguments)], cwd=ROOT, env=surroundings, capture_output=True, text=True, timeout=120
        )

    return run


RAIN = "examples/sounds/rain-on-leaves.ogg"


def test_tag_prints_a_table(earmark):
    result = earmark("tag", RAIN)
    assert result.returncode == 0
    first, *rows = result.stdout.splitlines()
    assert first == f"{RAIN} (6.0 s)"
    assert len(rows) == 5
    assert any(row.startswith("  * rain ") for row in rows[:2])
    assert result.stderr == ""


def test_the_readme_shows_exactly_what_tag_prints(earmark):
    shown = (ROOT / "README.md").read_text("utf-8").split("$ python -m core tag ")[1].split("```")[0]
    file, _, expected = shown.partition("\n")
    assert earmark("tag", file).stdout.strip() == expected.strip()


def test_tag_prints_json_lines_and_csv(earmark):
    one = json.loads(earmark("tag", "--json", RAIN).stdout)
    assert one["file"] == RAIN
    assert "rain" in [score["tag"] for score in one["tags"][:2]]
    assert one["tags"][0]["suggested"] is True
    rows = list(csv.DictReader(earmark("tag", "--csv", "--top", "3", RAIN, RAIN).stdout.splitlines()))
    assert [row["rank"] for row in rows] == ["1", "2", "3"] * 2


def test_a_file_that_cannot_be_heard_is_said_and_the_others_are_tagged(earmark, tmp_path):
    (tmp_path / "bad.wav").write_bytes(b"no")
    result = earmark("tag", tmp_path / "bad.wav", tmp_path / "nowhere.wav", RAIN)
    assert result.returncode == 1
    assert "bad.wav is not a sound file" in result.stderr
    assert "nowhere.wav cannot be read" in result.stderr
    assert "Traceback" not in result.stderr
    assert RAIN in result.stdout


def test_doctor_says_what_is_there_what_is_missing_and_what_works_without_it(earmark):
    result = earmark("doctor")
    assert result.returncode == 0, result.stdout
    for subject in ("Python", "Packages", "Model", "Sounds", "Workspace", "Freesound", "Hopsworks", "Modal"):
        assert subject in result.stdout
    assert "everything else works" in result.stdout


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"EARMARK_SOUNDS": "/nowhere"}, "There is no folder"),
        ({"EARMARK_PAGE_SIZE": "x"}, "EARMARK_PAGE_SIZE"),
        ({"EARMARK_TYPO": "1"}, "misspelt"),
    ],
)
def test_doctor_finds_what_is_broken(earmark, environment, said):
    result = earmark("doctor", **environment)
    assert result.returncode == 1
    assert said in result.stdout


def test_doctor_shows_no_secret(earmark):
    result = earmark("doctor", FREESOUND_API_KEY="very-secret")
    assert "very-secret" not in result.stdout + result.stderr


def test_events_travel_from_one_workspace_to_another_without_loss(earmark, tmp_path):
    assert earmark(module="jobs.tagging").returncode == 0
    assert earmark("export", "--events", tmp_path / "log.jsonl", "--tags", tmp_path / "id2prediction.json").returncode == 0
    other = {"EARMARK_WORKSPACE": str(tmp_path / "other")}
    assert earmark("import", tmp_path / "log.jsonl", **other).returncode == 0
    assert earmark("export", "--events", tmp_path / "again.jsonl", **other).returncode == 0
    assert (tmp_path / "again.jsonl").read_bytes() == (tmp_path / "log.jsonl").read_bytes()
    assert all(len(tags) == 5 for tags in json.loads((tmp_path / "id2prediction.json").read_text()).values())


def test_a_bad_line_is_refused_with_its_number_and_the_rest_is_imported(earmark, tmp_path):
    earmark("tag", RAIN)
    (tmp_path / "one.json").write_text('{"123": ["dog"]}')
    earmark("import", tmp_path / "one.json")
    earmark("export", "--events", tmp_path / "good.jsonl")
    (tmp_path / "mixed.jsonl").write_text('{"kind": "telepathy"}\n' + (tmp_path / "good.jsonl").read_text())
    result = earmark("import", tmp_path / "mixed.jsonl", EARMARK_WORKSPACE=str(tmp_path / "other"))
    assert result.returncode == 1
    assert "mixed.jsonl, line 1: Not a valid event" in result.stderr
    assert "1 events added, 0 were there already, 1 lines refused" in result.stderr


def test_the_seeds_file_can_be_imported(earmark, tmp_path):
    (tmp_path / "id2prediction.json").write_text('{"123": ["dog", "bark"]}')
    assert "1 events added" in earmark("import", tmp_path / "id2prediction.json").stderr
    assert "0 events added, 1 were there" in earmark("import", tmp_path / "id2prediction.json").stderr


def test_wrong_use_is_explained_without_a_traceback(earmark):
    for result in (earmark("tag"), earmark("export"), earmark("dance"), earmark(module="jobs.tagging", EARMARK_SOUNDS="/nowhere")):
        assert result.returncode != 0
        assert result.stderr.strip()
        assert "Traceback" not in result.stderr


def test_the_newest_of_freesound_are_tagged_with_the_jobs_key(earmark, freesound_server, examples):
    own = freesound_server.state.add_client("jobs", owner="alice")
    for name in ("siren", "sneeze", "rooster"):
        freesound_server.state.add_sound("alice", audio=(examples / f"{name}.ogg").read_bytes(), name=name, duration=3.0)
    settings = {
        "EARMARK_FREESOUND_JOBS_KEY": own.client_secret,
        "EARMARK_FREESOUND_API": f"{freesound_server.url}/apiv2",
        "EARMARK_PREVIEW_HOSTS": "127.0.0.1",
    }
    result = earmark("--source", "freesound", "--limit", 2, module="jobs.tagging", **settings)
    assert result.returncode == 0, result.stderr
    assert "Tagged 2 sounds" in result.stderr
    assert own.client_secret not in result.stderr
    result = earmark("--source", "freesound", module="jobs.tagging", **settings | {"EARMARK_FREESOUND_JOBS_KEY": "wrong"})
    assert (result.returncode, result.stderr.strip()) == (
        1,
        "Freesound does not know this server's key; whoever runs Earmark here must look at FREESOUND_API_KEY.",
    )


def test_without_a_key_the_job_says_what_to_set(earmark):
    result = earmark("--source", "freesound", module="jobs.tagging")
    assert result.returncode == 1
    assert result.stderr.startswith("No key for Freesound is set: FREESOUND_API_KEY")


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"FREESOUND_API_KEY": "s3cret"}, "nobody can sign in"),
        ({"FREESOUND_API_KEY": "s3cret", "EARMARK_FREESOUND_CLIENT_ID": "id"}, "people can sign in"),
        ({"EARMARK_FREESOUND_JOBS_KEY": "s3cret"}, "only the jobs' own key"),
    ],
)
def test_doctor_says_what_freesounds_key_is_good_for_without_trying_or_showing_it(monkeypatch, environment, said):
    from core.doctor import examine

    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    (finding,) = [one for one in examine() if one.subject == "Freesound"]
    assert finding.health == "good"
    assert said in finding.text
    assert "new sounds can be read" in finding.text
    assert "s3cret" not in finding.text
