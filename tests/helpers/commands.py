"""Running the project's command lines as processes."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from core import cli

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 120


def run_module(*arguments: object, **environment: object) -> subprocess.CompletedProcess[str]:
    """Run `python -m ARGUMENTS` in the project's root, with these variables as well."""
    return subprocess.run(
        [sys.executable, "-m", *map(str, arguments)],
        cwd=ROOT,
        env=surroundings(**environment),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )


def run_script(script: str, **environment: object) -> subprocess.CompletedProcess[str]:
    """Run some lines of Python in the project's root, with these variables as well."""
    return subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=surroundings(**environment),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )


@dataclass(frozen=True)
class Result:
    """What a command printed, and its exit status."""

    returncode: int
    stdout: str
    stderr: str


def command_runner(
    command: click.Command,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    **environment: object,
) -> Callable[..., Result]:
    """Return what runs a command line in this process: faster, but for one test only.

    Its arguments are those of the command; names are variables, in addition to `environment`.
    """

    def run(*arguments: object, **more: object) -> Result:
        for name, value in {**environment, **more}.items():
            monkeypatch.setenv(name, str(value))
        monkeypatch.setattr(sys, "argv", ["earmark", *map(str, arguments)])
        capsys.readouterr()
        status, sentence = 0, ""
        try:
            cli.run(command)
        except SystemExit as exit:
            if isinstance(exit.code, str):
                status, sentence = 1, exit.code
            else:
                status = exit.code or 0
        printed = capsys.readouterr()
        return Result(status, printed.out, printed.err + sentence)

    return run


def surroundings(**environment: object) -> dict[str, str]:
    """Return the environment of a process: that of the tests, and these variables."""
    added = {name: str(value) for name, value in environment.items()}
    return os.environ | {"COLUMNS": "200"} | added


def modules_loaded_by(statement: str, names: set[str]) -> set[str]:
    """Return those of some modules that a statement, such as an import, loads."""
    script = f"import sys\n{statement}\nprint(*sorted(set({sorted(names)}) & set(sys.modules)))"
    result = run_script(script)
    assert result.returncode == 0, result.stderr
    return set(result.stdout.split())
