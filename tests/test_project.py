"""What holds for the project as a whole: who may import whom, and what must not be in it."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("core", "app", "pages", "jobs", "training", "benchmarks", "examples")
MAY_NOT_IMPORT = {
    "core": {"app", "pages", "jobs", "training", "benchmarks", "tests", "streamlit", "modal", "librosa"},
    "training": {"app", "pages", "jobs", "benchmarks", "tests", "streamlit", "modal"},
    "jobs": {"app", "pages", "benchmarks", "tests", "streamlit"},
    "app": {"pages", "jobs", "training", "benchmarks", "tests"},
    "pages": {"pages", "jobs", "training", "benchmarks", "tests"},
}


def sources(room):
    return sorted((ROOT / room).rglob("*.py"))


def imported(path):
    """The top-level names that a file imports anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield str(node.module).split(".")[0]


@pytest.mark.parametrize("room", MAY_NOT_IMPORT)
def test_the_arrows_between_the_rooms_point_one_way(room):
    assert sources(room)
    wrong = {path.name: sorted(set(imported(path)) & MAY_NOT_IMPORT[room]) for path in sources(room)}
    assert {name: names for name, names in wrong.items() if names} == {}


def test_charts_know_nothing_of_streamlit():
    assert "streamlit" not in set(imported(ROOT / "app" / "charts.py"))


def test_there_are_no_pickles():
    calls = re.compile(r"\bpickle\b|torch\.load\(|torch\.save\(|allow_pickle=True|joblib\.(load|dump)")
    assert [path.name for room in ROOMS for path in sources(room) if calls.search(path.read_text("utf-8"))] == []


def test_every_import_is_pinned_in_requirements():
    names = {"PIL": "pillow", "sklearn": "scikit-learn", "pydantic_settings": "pydantic-settings", "requests_toolbelt": "requests-toolbelt"}
    names |= dict.fromkeys(("hopsworks_common", "hsml"), "hopsworks")  # one distribution
    pinned = set(re.findall(r"^([\w-]+)==\d", (ROOT / "requirements.txt").read_text("utf-8"), re.MULTILINE))
    used = {name for room in ROOMS for path in sources(room) for name in imported(path)}
    foreign = {names.get(name, name) for name in used if name not in sys.stdlib_module_names and name not in ROOMS}
    assert foreign - pinned == set()


def test_the_monitor_opens_without_the_heavy_libraries(tmp_path):
    script = (
        "import sys; from streamlit.testing.v1 import AppTest;"
        "app = AppTest.from_file('app/main.py', default_timeout=60).run(); assert not app.exception, app.exception;"
        "print(sorted({'torch', 'librosa', 'sklearn', 'av', 'hopsworks', 'modal'} & set(sys.modules)))"
    )
    environment = os.environ | {"EARMARK_WORKSPACE": str(tmp_path / "w")}
    result = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    assert result.stdout.strip() == "[]", result.stderr
