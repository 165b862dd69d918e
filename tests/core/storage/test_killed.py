import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_a_process_killed_before_any_step_leaves_a_consistent_workspace_and_loses_nothing_saved(
    tmp_path,
):
    script = [sys.executable, "-m", "tests.helpers.killed_writer", str(tmp_path)]
    result = subprocess.run(script, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    deaths = [json.loads(line) for line in result.stdout.splitlines()]
    assert [death for death in deaths if death["wrong"]] == []
    assert not deaths[-1]["killed"]
    assert len(deaths) > 60
    assert {death["acknowledged"] for death in deaths} == {0, 1, 2, 4, 5, 6}
