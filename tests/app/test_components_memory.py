"""The components' data do not make Streamlit load what only data frames need."""

import subprocess
import sys

from tests.helpers.source_tree import ROOT

PROGRAM = """
import sys
from streamlit.testing.v1 import AppTest

PAGE = '''
from app.components.player import player
from app.components.tag_editor import tag_editor

player(key="player", audio_url="/a.ogg", picture_url="/a.webp", title="Rain", facts="2 s",
       seconds=2.0, suggestions=(), selectable=True)
tag_editor("editor", ["rain"], ["rain", "wind"])
'''

app = AppTest.from_string(PAGE, default_timeout=200).run()
assert not app.exception, app.exception
assert len(app.get("bidi_component")) == 2
print(*{"pandas", "pyarrow"}.intersection(sys.modules))
"""


def test_showing_a_sound_loads_neither_pandas_nor_pyarrow():
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, timeout=240
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == []
