"""`python -m core`: what it prints, its exit status, and how it fails."""

import csv
import json
import re

import click
import pytest

from core import cli
from core.events.types import RolledOut, new_event
from core.model import bundle as bundles
from core.storage.active_model import AUTOMATIC, resolve_model
from core.storage.local import open_local_workspace
from tests.helpers.commands import ROOT, command_runner, modules_loaded_by, run_module

RAIN = "examples/sounds/rain-on-leaves.ogg"


@pytest.fixture
def earmark(tmp_path, monkeypatch, capsys):
    """Runs a command of the core in this process, with a workspace of its own."""
    return command_runner(cli.main, monkeypatch, capsys, EARMARK_WORKSPACE=tmp_path / "w")


@pytest.fixture
def process(tmp_path):
    """Runs `python -m ...` as a process, with the same workspace."""

    def run(*arguments, **environment):
        return run_module(*arguments, **{"EARMARK_WORKSPACE": tmp_path / "w"} | environment)

    return run


def test_tag_prints_a_table(process):
    result = process("core", "tag", RAIN)
    assert result.returncode == 0
    first, *rows = result.stdout.splitlines()
    assert first == f"{RAIN} (6.0 s)"
    assert len(rows) == 5
    assert any(row.startswith("  * rain ") for row in rows)
    assert result.stderr == ""


def test_the_readme_shows_exactly_what_tag_prints(earmark):
    shown = (ROOT / "README.md").read_text("utf-8").split("$ python -m core tag ")[1]
    file, _, expected = shown.split("```")[0].partition("\n")
    assert earmark("tag", file).stdout.strip() == expected.strip()


def test_tag_prints_json_lines_and_csv(earmark):
    line = json.loads(earmark("tag", "--json", RAIN).stdout)
    assert line["file"] == RAIN
    assert "rain" in [score["tag"] for score in line["tags"]]
    assert line["tags"][0]["suggested"] is True
    printed = earmark("tag", "--csv", "--top", "3", RAIN, RAIN).stdout
    rows = list(csv.DictReader(printed.splitlines()))
    assert [row["rank"] for row in rows] == ["1", "2", "3"] * 2


def test_no_cell_of_the_csv_is_a_formula(earmark, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = '=HYPERLINK("x").ogg'
    (tmp_path / name).write_bytes((ROOT / RAIN).read_bytes())
    rows = list(csv.DictReader(earmark("tag", "--csv", name).stdout.splitlines()))
    assert {row["file"] for row in rows} == {f"'{name}"}


def test_a_file_that_cannot_be_read_is_reported_and_the_others_are_tagged(earmark, tmp_path):
    (tmp_path / "bad.wav").write_bytes(b"no")
    result = earmark("tag", tmp_path / "bad.wav", tmp_path / "nowhere.wav", RAIN)
    assert result.returncode == 1
    assert "bad.wav is not a sound file" in result.stderr
    assert "nowhere.wav cannot be read" in result.stderr
    assert "Traceback" not in result.stderr
    assert RAIN in result.stdout


def test_command_line_job_and_resolver_agree_on_the_model_after_an_upgrade(process, tmp_path):
    """The workspace is on the default model of an older version; nobody chose it."""
    bundles.copy(bundles.load(bundles.DEFAULT_BUNDLE), tmp_path / "older")
    metrics = tmp_path / "older" / "metrics.json"
    metrics.write_text(metrics.read_text() + "\n")
    workspace = open_local_workspace(tmp_path / "w")
    older = workspace.models.register(bundles.load(tmp_path / "older"))
    rollout = new_event(RolledOut(model=older, reason="first start"), None, AUTOMATIC)
    workspace.events.append([rollout])

    by_command = json.loads(process("core", "tag", "--json", RAIN).stdout)["model"]
    job = process("jobs", "tag").stderr
    active = resolve_model(workspace).model
    assert active.fingerprint == bundles.load(bundles.DEFAULT_BUNDLE).fingerprint
    assert active.version == older.version + 1
    assert by_command == str(active)
    assert f"sounds with {active} in" in job
    assert {state.model for state in workspace.sounds.all()} == {active}


def test_a_file_whose_name_is_not_utf_8_is_tagged(process, examples, tmp_path):
    path = tmp_path / "caf\udce9.ogg"
    path.write_bytes((examples / "sneeze.ogg").read_bytes())
    result = process("core", "tag", "--csv", path, PYTHONIOENCODING="utf-8:strict")
    assert result.returncode == 0, result.stderr
    assert "caf\\udce9.ogg,3.50,1," in result.stdout


def test_without_a_workspace_tag_uses_the_default_model_and_makes_none(earmark, tmp_path):
    assert earmark("tag", "--json", RAIN).returncode == 0
    assert not (tmp_path / "w").exists()


def test_events_travel_from_one_workspace_to_another_without_loss(earmark, process, tmp_path):
    log, tags = tmp_path / "log.jsonl", tmp_path / "id2prediction.json"
    assert process("jobs", "tag", "--limit", 4).returncode == 0
    assert earmark("export", "--events", log, "--tags", tags).returncode == 0
    other = {"EARMARK_WORKSPACE": tmp_path / "other"}
    assert earmark("import", log, **other).returncode == 0
    assert earmark("export", "--events", tmp_path / "again.jsonl", **other).returncode == 0
    assert (tmp_path / "again.jsonl").read_bytes() == log.read_bytes()
    assert all(len(tags) == 5 for tags in json.loads(tags.read_text()).values())


def test_a_bad_line_is_refused_with_its_number_and_the_rest_is_imported(earmark, tmp_path):
    (tmp_path / "prototype.json").write_text('{"123": ["dog"]}')
    earmark("import", tmp_path / "prototype.json")
    earmark("export", "--events", tmp_path / "good.jsonl")
    mixed = tmp_path / "mixed.jsonl"
    mixed.write_text('{"kind": "telepathy"}\n' + (tmp_path / "good.jsonl").read_text())
    result = earmark("import", mixed, EARMARK_WORKSPACE=tmp_path / "other")
    assert result.returncode == 1
    assert "mixed.jsonl, line 1: Not a valid event" in result.stderr
    assert "1 events added, 0 were there already, 1 lines refused" in result.stderr


def test_the_prototypes_file_can_be_imported(earmark, tmp_path):
    file = tmp_path / "id2prediction.json"
    file.write_text('{"123": ["dog", "bark"]}')
    assert "1 events added" in earmark("import", file).stderr
    assert "0 events added, 1 were there" in earmark("import", file).stderr


def test_rebuild_makes_the_search_tables_anew(earmark, tmp_path):
    file = tmp_path / "id2prediction.json"
    file.write_text('{"123": ["dog"], "124": ["cat"]}')
    earmark("import", file)
    workspace = open_local_workspace(tmp_path / "w")
    before = workspace.sounds.tag_counts()
    result = earmark("rebuild")
    assert result.returncode == 0, result.stderr
    assert "The tables of 2 sounds were rebuilt." in result.stderr
    assert workspace.sounds.tag_counts() == before


def test_a_file_that_cannot_be_written_is_one_sentence(earmark, tmp_path):
    result = earmark("export", "--events", "/proc/nowhere/log.jsonl")
    assert result.returncode == 1
    assert "/proc/nowhere/log.jsonl cannot be written" in result.stderr
    assert "Traceback" not in result.stderr


def test_wrong_use_is_explained_without_a_traceback(earmark, process):
    results = (
        earmark("tag"),
        earmark("export"),
        earmark("tag", RAIN, EARMARK_PAGE_SIZE="many"),
        process("core", "dance"),
        process("jobs", "tag", EARMARK_SOUNDS="/nowhere"),
    )
    for result in results:
        assert result.returncode not in (0, None)
        assert result.stderr.strip()
        assert "Traceback" not in result.stderr


def test_training_where_its_packages_are_not_installed_is_one_sentence(monkeypatch, capsys):
    @click.command()
    def train():
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    result = command_runner(train, monkeypatch, capsys)()
    assert result.returncode == 1
    assert "torch is not installed here" in result.stderr
    assert "Traceback" not in result.stderr


def test_the_log_level_decides_what_is_logged(earmark, tmp_path):
    file = tmp_path / "id2prediction.json"
    file.write_text('{"123": ["dog", "bark"]}')
    line = re.compile(r"^\S+Z INFO core\.cli import added=\d known=\d refused=0$", re.MULTILINE)
    assert line.search(earmark("import", file).stderr)
    assert not line.search(earmark("import", file, EARMARK_LOG_LEVEL="WARNING").stderr)


def test_the_command_line_loads_only_what_it_needs():
    heavy = {"torch", "streamlit", "modal", "hopsworks", "librosa", "sklearn", "av", "numpy"}
    assert modules_loaded_by("import core.cli", heavy) == set()
