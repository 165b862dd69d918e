"""Export of the current view: complete, verified on request, harmless in a spreadsheet."""

import csv
import io
import json

import pytest

from core import cli
from core.curation.errors import InvalidFilter
from core.curation.export import PAGE_SIZE, export_chunks
from core.events.fold import confirm, fold, mark
from core.events.formats import from_prototype_format
from core.events.query import Query
from core.events.types import Predicted, Sound, Suggestion, new_event
from core.files import write_chunks_atomic
from core.storage.local import open_local_workspace
from tests.helpers.commands import command_runner
from tests.helpers.events import V1, predicted

FORMULAS = ["=1+1", "+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", " =1", "=cmd|' /C calc'!A0"]


def content(workspace, form, query=None, **options):
    return b"".join(export_chunks(workspace.sounds, query or Query(), form, **options))


def rows(data):
    return list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")))


@pytest.fixture
def three(add, act, workspace):
    """Three sounds: confirmed as rain, confirmed without tags, untouched."""
    add(1, 2, 3)
    act(1, ["dog", "rain"], "Ada L. (freesound user 7)")
    act(2, [])


def test_csv_has_a_row_for_each_sound(workspace, three):
    table = {row["sound_id"]: row for row in rows(content(workspace, "csv"))}
    assert list(table) == ["freesound:3", "freesound:2", "freesound:1"]
    first = table["freesound:1"]
    assert (first["tags"], first["state"], first["reviewed_by"]) == (
        "dog; rain",
        "reviewed",
        "Ada L.",
    )
    assert first["suggestions"] == "dog 0.90; bark 0.90"
    assert first["model"] == "cnn v1"
    assert (table["freesound:3"]["state"], table["freesound:3"]["reviewed_by"]) == ("to review", "")


def test_json_lines_have_everything_in_its_type(workspace, three):
    lines = [json.loads(line) for line in content(workspace, "jsonl").splitlines()]
    assert [line["sound_id"] for line in lines] == ["freesound:3", "freesound:2", "freesound:1"]
    assert lines[2]["tags"] == ["dog", "rain"]
    assert lines[2]["decisions"] == {"bark": "removed", "dog": "kept", "rain": "added"}
    assert lines[0]["suggestions"][0] == {"tag": "dog", "probability": 0.9, "suggested": True}
    assert lines[0]["reviewed_by"] is None


def test_the_prototype_s_file_can_be_imported(workspace, three):
    data = content(workspace, "id2prediction")
    assert json.loads(data) == {"3": ["dog", "bark"], "2": [], "1": ["dog", "rain"]}
    assert len(from_prototype_format(data, "id2prediction.json")) == 3


def test_verified_is_an_option_and_leaves_out_what_nobody_confirmed(workspace, three):
    workspace.events.append([mark(workspace.sounds.get("freesound:3"), "not sure", "ada")])
    assert len(rows(content(workspace, "csv"))) == 3
    assert list(json.loads(content(workspace, "id2prediction", verified=True))) == ["2", "1"]
    with pytest.raises(InvalidFilter, match="not sure"):
        content(workspace, "csv", Query(show="not sure"), verified=True)


@pytest.mark.parametrize("form", ["csv", "jsonl", "id2prediction"])
def test_only_the_sounds_of_the_view_are_exported(workspace, three, form):
    data = content(workspace, form, Query(tag="rain"))
    assert b'1"' in data or b"freesound:1" in data
    assert b"freesound:2" not in data
    assert b"\n 2" not in data


@pytest.mark.parametrize("form", ["csv", "jsonl", "id2prediction"])
def test_all_sounds_are_written_in_parts_and_each_once(workspace, add, form):
    number = 2 * PAGE_SIZE + 7
    add(*range(1, number + 1))
    chunks = list(export_chunks(workspace.sounds, Query(), form))
    assert len(chunks) >= 3
    assert max(map(len, chunks)) < sum(map(len, chunks)) / 2
    data = b"".join(chunks)
    count = {
        "csv": lambda: len({row["sound_id"] for row in rows(data)}),
        "jsonl": lambda: len({json.loads(line)["sound_id"] for line in data.splitlines()}),
        "id2prediction": lambda: len(json.loads(data)),
    }
    assert count[form]() == number


@pytest.mark.parametrize("form", ["csv", "jsonl", "id2prediction"])
def test_a_view_without_sounds_gives_a_whole_file(workspace, form):
    data = content(workspace, form)
    assert (rows(data) if form == "csv" else data) == (
        {"csv": [], "jsonl": b"", "id2prediction": b"{}\n"}[form]
    )


@pytest.mark.parametrize("formula", FORMULAS)
def test_no_cell_is_a_formula_whoever_wrote_it(workspace, formula):
    sound = Sound(title=formula, source="test", author=formula, license=formula, url=formula)
    sound = sound.model_copy(update={"tags": (formula, "rain")})
    top = (Suggestion(tag=formula, probability=0.9, above_threshold=True),)
    first = new_event(Predicted(model=V1, top=top, sound=sound), "freesound:1", "job")
    event = confirm(fold([first]), [formula], formula)
    workspace.events.append([first, event])
    (row,) = rows(content(workspace, "csv"))
    starts = {value.lstrip(" ")[:1] for value in row.values() if value}
    assert not starts & set("=+-@\t\r")
    assert row["title"] == f"'{formula}"
    (line,) = content(workspace, "jsonl").splitlines()
    assert json.loads(line)["title"] == formula


# ---- the command


@pytest.fixture
def earmark(tmp_path, monkeypatch, capsys):
    return command_runner(cli.main, monkeypatch, capsys, EARMARK_WORKSPACE=tmp_path / "w")


@pytest.fixture
def filled(tmp_path):
    """The command's workspace, with one reviewed and one untouched sound."""
    workspace = open_local_workspace(tmp_path / "w")
    first, second = predicted(1, "rain"), predicted(2, "rain")
    workspace.events.append([first, second, confirm(fold([first]), ["rain"], "ada")])
    return workspace


def test_the_command_writes_the_view_of_an_address(earmark, filled, tmp_path):
    file = tmp_path / "new" / "rain.csv"
    result = earmark(
        *("export", "--format", "csv", "--verified", "--filter", "state=reviewed&tag=rain", file)
    )
    assert result.returncode == 0
    assert [row["sound_id"] for row in rows(file.read_bytes())] == ["freesound:1"]
    assert "1 sounds" in result.stderr


@pytest.mark.parametrize("name", ["all.csv", "all.jsonl", "all.json"])
def test_the_name_of_the_file_says_its_format(earmark, filled, tmp_path, name):
    assert earmark("export", tmp_path / name).returncode == 0
    expected = content(filled, {"csv": "csv", "jsonl": "jsonl", "json": "id2prediction"}[name[4:]])
    assert (tmp_path / name).read_bytes() == expected


@pytest.mark.parametrize(
    "arguments",
    [
        ("export",),
        ("export", "--verified"),
        ("export", "--filter", "tag=rain"),
        ("export", "{}/no-suffix"),
        ("export", "--filter", "tga=rain", "{}/all.csv"),
        ("export", "--filter", "state=not-sure", "--verified", "{}/all.csv"),
        ("export", "{}/w/index.sqlite/all.csv"),
        ("similar", "freesound:404"),
    ],
)
def test_what_cannot_be_exported_is_refused_in_a_sentence_and_writes_nothing(
    earmark, filled, tmp_path, arguments
):
    result = earmark(*(argument.format(tmp_path) for argument in arguments))
    assert result.returncode != 0
    assert result.stderr.strip().endswith(".")
    assert "Traceback" not in result.stderr
    assert not list(tmp_path.glob("**/all.csv"))


def test_a_file_is_replaced_as_a_whole_or_not_at_all(tmp_path):
    path = tmp_path / "file"
    assert write_chunks_atomic(path, [b"old", b"er"]) == 5

    def broken():
        yield b"half"
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError):
        write_chunks_atomic(path, broken())
    assert path.read_bytes() == b"older"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]
