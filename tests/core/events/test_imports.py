"""Files of events from outside: whatever is in them, one sentence and nothing half imported."""

import gzip
import json
import string
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import cli
from core.events.errors import InvalidEvent
from core.events.formats import from_prototype_format, parse_lines
from core.events.types import MAX_EVENT_BYTES, parse_event
from core.storage.local import open_local_workspace
from tests.helpers.commands import ROOT, command_runner
from tests.helpers.events import predicted

LINES = [predicted(number).to_json() for number in (1, 2, 3)]
GOOD, OTHER, THIRD = LINES
NESTED = "[" * 100_000 + "]" * 100_000
CONFLICTING = GOOD.replace('"dog"', '"cat"')
SOUNDS = [f"freesound:{number}" for number in (1, 2, 3)]

BAD_LINES = {
    "version of 2^63": GOOD.replace('"version":1', '"version":9223372036854775808'),
    "version of 1e30": GOOD.replace('"version":1', '"version":1e30'),
    "version of 1e400": GOOD.replace('"version":1', '"version":1e400'),
    "version of 5000 digits": GOOD.replace('"version":1', f'"version":{"9" * 5000}'),
    "channels of 2^63": GOOD.replace('"channels":0', '"channels":9223372036854775808'),
    "negative rate": GOOD.replace('"rate":0', '"rate":-1'),
    "endless seconds": GOOD.replace('"seconds":0.0', '"seconds":1e300'),
    "unknown field of 1e400": GOOD.replace('"rate":0', '"rate":0,"mood":1e400'),
    "unknown field of 5000 digits": GOOD.replace('"rate":0', f'"rate":0,"mood":{"9" * 5000}'),
    "unknown field of NaN": GOOD.replace('"rate":0', '"rate":0,"mood":NaN'),
    "unknown field of -Infinity": GOOD.replace('"rate":0', '"rate":0,"mood":-Infinity'),
    "unknown field nested 300 deep": GOOD.replace(
        '"rate":0', f'"rate":0,"mood":{NESTED[:300]}{NESTED[-300:]}'
    ),
    "a key twice": GOOD.replace('"actor":"job"', '"actor":"ada","actor":"job"'),
    "a key twice within": GOOD.replace('"channels":0', '"channels":0,"channels":1'),
    "half of a surrogate pair": GOOD.replace("sound 1", r"\ud800"),
    "an empty tag": GOOD.replace('"dog"', '" "'),
    "a tag with a line break": GOOD.replace('"dog"', r'"d\nog"'),
    "a tag with a NUL": GOOD.replace('"dog"', r'"d\u0000og"'),
    "a tag that turns text around": GOOD.replace('"dog"', r'"d\u202eog"'),
    "a very long tag": GOOD.replace('"dog"', f'"{"d" * 1000}"'),
    "very long": GOOD.replace("sound 1", "s" * MAX_EVENT_BYTES),
    "a list": f"[{GOOD}]",
    "a number": "7",
    "nested lists": NESTED,
    "nested objects": '{"a":' * 100_000,
    "of no kind": '{"a":1}',
    "of a long unknown kind": json.dumps({"kind": "k" * 5000}),
    "cut off": GOOD[:-20],
    "the year 1": GOOD.replace('"time":"2', '"time":"0001-01-01T00:00:00+14:00","x":"2'),
    "a time that is a huge number": GOOD.replace('"time":"', '"time":1e300,"x":"'),
    "no time zone": GOOD.replace('Z"', '"'),
    "media of another folder": GOOD.replace('"audio":""', '"audio":"../index.sqlite"'),
    "a sound id that is too large": GOOD.replace("freesound:1", f"freesound:{'9' * 20}"),
    "Latin-1": GOOD.replace("sound 1", "café").encode("latin-1"),
    "UTF-8 of a surrogate": GOOD.encode().replace(b"sound 1", b"\xed\xa0\x80"),
    "a NUL byte": GOOD.encode().replace(b"sound 1", b"\0"),
    "NUL bytes only": b"\0" * 100,
    "an empty line": b"",
}
UNREADABLE = {
    "compressed": gzip.compress(GOOD.encode()),
    "a zip archive": b"PK\x03\x04" + bytes(100),
}
NOT_IN_PROTOTYPE_FORMAT = {
    "a key twice": '{"1":["a"],"1":["b"]}',
    "a sound by two keys": '{"1":["a"],"freesound:1":["b"]}',
    "half of a surrogate pair": r'{"1":["\ud800"]}',
    "nested lists": NESTED,
    "a list of lists": '{"1":[["a"]]}',
    "a tag that is null": '{"1":["a",null]}',
    "no tags": '{"1":null}',
    "an empty tag": '{"1":["a",""]}',
    "a tag with control characters": r'{"1":["a\u001b[2J"]}',
    "too many tags": json.dumps({"1": ["a"] * 5000}),
    "an id of zero": '{"0":["a"]}',
    "an id of 5000 digits": json.dumps({"9" * 5000: ["a"]}),
    "a path for an id": '{"../../x":["a"]}',
    "an event": GOOD,
    "events": f"{GOOD}\n{OTHER}\n",
    "a number": "1e400",
    "nothing": "",
    "Latin-1": '{"1":["café"]}'.encode("latin-1"),
    "a NUL byte": b'{"1":["a\0"]}',
    "compressed": gzip.compress(b'{"1":["a"]}'),
    "UTF-16 that is cut off": '{"1":["a"]}'.encode("utf-16")[:-3],
}


def as_bytes(content):
    return content if isinstance(content, bytes) else content.encode()


@pytest.fixture
def earmark(tmp_path, monkeypatch, capsys):
    """Runs a command of the core in this process, with a workspace of its own."""
    return command_runner(cli.main, monkeypatch, capsys, EARMARK_WORKSPACE=tmp_path / "w")


@pytest.fixture
def imported(earmark, tmp_path):
    """Imports a file of some bytes; gives the result and the ids of the workspace's sounds."""

    def run(content, name="log.jsonl"):
        (tmp_path / name).write_bytes(as_bytes(content))
        result = earmark("import", tmp_path / name)
        assert "Traceback" not in result.stderr
        return result, sound_ids(tmp_path / "w")

    return run


def sound_ids(folder):
    """The sounds of a workspace, all of whose tables can be read and agree with its events."""
    workspace = open_local_workspace(folder)
    states = list(workspace.sounds.all())
    tags = workspace.sounds.tag_counts()
    events = [parse_event(event.to_json()) for event in workspace.events.all()]
    assert {event.sound_id for event in events} == {state.sound_id for state in states}
    workspace.events.rebuild()
    assert list(workspace.sounds.all()) == states
    assert workspace.sounds.tag_counts() == tags
    return [state.sound_id for state in states]


# ---- events as JSON lines


@pytest.mark.parametrize("bad", BAD_LINES.values(), ids=BAD_LINES)
def test_a_bad_line_is_one_sentence_with_its_number_and_the_good_ones_are_imported(imported, bad):
    result, sounds = imported(b"\n".join([GOOD.encode(), as_bytes(bad), OTHER.encode()]) + b"\n")
    assert result.returncode == 1
    [sentence] = [line for line in result.stderr.splitlines() if "line 2:" in line]
    assert sentence.endswith(".")
    assert len(sentence) < 500
    assert "2 events added, 0 were there already, 1 lines refused." in result.stderr
    assert sounds == SOUNDS[:2]


def test_an_id_that_stands_for_another_event_keeps_the_whole_file_out(imported):
    assert imported(GOOD)[1] == SOUNDS[:1]
    result, sounds = imported(f"{OTHER}\n{CONFLICTING}\n{THIRD}\n")
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].endswith("nothing was added.")
    assert sounds == SOUNDS[:1]


def test_a_file_that_contradicts_itself_is_kept_out(imported):
    result, sounds = imported(f"{GOOD}\n{OTHER}\n{CONFLICTING}\n")
    assert result.returncode == 1
    assert "nothing was added." in result.stderr
    assert sounds == []


@pytest.mark.parametrize("content", UNREADABLE.values(), ids=UNREADABLE)
def test_a_compressed_file_is_one_sentence(imported, content):
    result, sounds = imported(content)
    assert result.returncode == 1
    assert result.stderr.strip() == "The file is compressed; please unpack it first."
    assert sounds == []


def test_of_a_file_of_something_else_only_the_first_lines_are_named(imported):
    result, sounds = imported(bytes(range(256)).replace(b"\r", b"") * 500)
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) < 30
    assert f"{501 - cli.MAX_LINES_NAMED} more lines are no events, either." in result.stderr
    assert sounds == []


@pytest.mark.parametrize(
    "content",
    [
        "\n".join(LINES).encode("utf-8-sig"),
        "\n".join(LINES).encode("utf-16"),
        b"\xfe\xff" + "\n".join(LINES).encode("utf-16-be"),
        "\r\n".join(LINES).encode(),
        "\r".join(LINES).encode(),
        "".join(f"{line}\n" for line in LINES * 2).encode(),
    ],
    ids=["byte order mark", "UTF-16", "UTF-16 BE", "CR LF", "CR", "twice the same"],
)
def test_files_that_other_programs_have_rewritten_are_read(imported, content):
    result, sounds = imported(content)
    assert result.returncode == 0
    assert sounds == SOUNDS


def test_an_empty_file_adds_nothing(imported):
    result, sounds = imported(b"")
    assert result.returncode == 0
    assert "0 events added, 0 were there already, 0 lines refused." in result.stderr
    assert sounds == []


@pytest.mark.parametrize("name", ["", "missing.jsonl"])
def test_a_folder_and_a_missing_file_are_one_sentence(earmark, tmp_path, name):
    result = earmark("import", tmp_path / name)
    assert result.returncode != 0
    assert "Traceback" not in result.stderr
    assert "is a directory" in result.stderr or "cannot be read: No such file" in result.stderr


def test_a_bad_file_ends_the_process_with_one_and_no_traceback(tmp_path):
    file = tmp_path / "nested.json"
    file.write_text(NESTED)
    process = subprocess.run(
        [sys.executable, "-m", "core", "import", str(file)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert process.returncode == 1
    assert "nested more than 100 levels deep" in process.stderr
    assert len(process.stderr.splitlines()) == 1


TOKENS = st.sampled_from(
    [
        *(b"1e400", b"1e30", b"9" * 400, b"9223372036854775808", b"-1", b"NaN", b"-Infinity"),
        *(b"null", b"true", b"[]", b"{}", b'""', b'"\\ud800"', b'"\\u0000"', b'"\xff"', b"\0"),
        *(b"[" * 200, b"[" * 5000, b'{"a":' * 5000, b'"0001-01-01T00:00:00+14:00"'),
        *(b'"9999-12-31T23:59:59.9-12:00"', b'"freesound:0"', b'"predicted"', b'"withdrawn"'),
        *(b'"a":1,"a":2,', b",", b"}", b'"', b"\\", b"\xef\xbb\xbf", b"\xed\xa0\x80"),
    ]
)


@st.composite
def mutated_lines(draw):
    """An event of which some pieces are cut, or replaced by what troubles readers of JSON."""
    line = GOOD.encode()
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(line)))
        end = start + draw(st.integers(0, 30))
        line = line[:start] + draw(TOKENS | st.binary(max_size=4)) + line[end:]
    return line


@st.composite
def lines_with_other_values(draw):
    """An event one of whose values is another JSON value."""
    fields = json.loads(GOOD)
    place = fields
    while True:
        name = draw(st.sampled_from(sorted(place)))
        if not isinstance(place[name], dict) or draw(st.booleans()):
            break
        place = place[name]
    texts = st.text(max_size=5) | st.text(string.printable, max_size=5)
    scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts
    place[name] = draw(
        st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(texts, inner))
    )
    return json.dumps(fields).encode()


def refusal(read, *arguments):
    """The sentence with which something is refused; empty where it is not."""
    try:
        read(*arguments)
    except InvalidEvent as error:
        return str(error)
    return ""


@settings(max_examples=400, deadline=None)
@given(mutated_lines() | lines_with_other_values())
def test_any_line_is_an_event_that_can_be_kept_or_one_sentence(line):
    sentence = refusal(parse_event, line)
    if not sentence:
        kept = parse_event(line).to_json()
        assert parse_event(kept).to_json() == kept
    else:
        assert sentence.startswith("Not a valid event: ")
        assert len(sentence) < 500


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=80) | mutated_lines())
def test_any_bytes_are_an_id2prediction_or_one_sentence(data):
    sentence = refusal(from_prototype_format, data, "x.json")
    assert not sentence or sentence.startswith("x.json is not an id2prediction.json: ")
    sentence = refusal(parse_lines, data)
    assert not sentence or sentence == "The file is compressed; please unpack it first."


# ---- id2prediction.json


@pytest.mark.parametrize("content", NOT_IN_PROTOTYPE_FORMAT.values(), ids=NOT_IN_PROTOTYPE_FORMAT)
def test_a_file_with_one_bad_entry_is_refused_whole(imported, content):
    result, sounds = imported(content, "id2prediction.json")
    assert result.returncode == 1
    sentence = result.stderr.strip()
    assert sentence.startswith("id2prediction.json is not an id2prediction.json: ")
    assert len(sentence.splitlines()) == 1
    assert len(sentence) < 500
    assert sounds == []


def test_the_reason_names_the_key_that_is_there_twice(imported):
    result, _ = imported(b'{"1":["a"],"1":["b"]}', "id2prediction.json")
    assert "it has the key '1' twice" in result.stderr


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("name", ["id2prediction.json", "ID2PREDICTION.JSON"])
def test_an_id2prediction_is_read_in_every_unicode_encoding(imported, encoding, name):
    result, sounds = imported('{"1": ["dog", "naïve"], "2": []}'.encode(encoding), name)
    assert result.returncode == 0
    assert sounds == SOUNDS[:2]


def test_a_file_whose_name_is_not_utf_8_is_imported(imported):
    result, sounds = imported(b'{"1": ["dog"]}', "caf\udce9.json")
    assert result.returncode == 0
    assert sounds == SOUNDS[:1]
