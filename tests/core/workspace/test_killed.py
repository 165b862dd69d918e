import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[2]


def test_a_process_killed_before_any_step_leaves_a_consistent_workspace_and_loses_nothing_acknowledged(tmp_path):
    script = [sys.executable, str(HERE / "killed_writer.py"), str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(HERE)])}
    result = subprocess.run(script, env=environment, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    deaths = [json.loads(line) for line in result.stdout.splitlines()]
    assert [one for one in deaths if one["wrong"]] == []
    assert not deaths[-1]["killed"]
    assert len(deaths) > 60
    assert {one["acknowledged"] for one in deaths} == {0, 1, 2, 3, 4}
