"""Serving the app without make: python -m app serve, python -m app health."""

import os
import subprocess
import sys
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import click

from core import cli
from core.errors import EarmarkError
from core.settings import ROOT, read_settings

PORT = "STREAMLIT_SERVER_PORT"
BASE_PATH = "STREAMLIT_SERVER_BASE_URL_PATH"
DEFAULT_PORT = "8501"
HEALTH_TIMEOUT_S = 5


@click.group()
def main() -> None:
    """Serve the app, and ask whether it is served."""


@main.command()
def serve() -> None:
    """Tag what is new in the folder of sounds, then serve the app until it is stopped.

    The port is PORT's or STREAMLIT_SERVER_PORT's, else 8501.
    """
    environment = serving_environment(os.environ)
    python = [sys.executable, "-m"]
    subprocess.run([*python, "jobs", "tag"], cwd=ROOT, env=environment)  # it says what went wrong
    command = [*python, "streamlit", "run", "streamlit_app.py"]
    if os.name != "posix":
        sys.exit(subprocess.run(command, cwd=ROOT, env=environment).returncode)
    os.chdir(ROOT)
    sys.stdout.flush()
    os.execve(command[0], command, environment)


@main.command()
def health() -> None:
    """Ask the app on this machine whether it is served; the exit status says so."""
    url = health_url(serving_environment(os.environ))
    try:
        with urllib.request.urlopen(url, timeout=HEALTH_TIMEOUT_S) as answer:
            click.echo(f"{url} answers {answer.status}.")
    except OSError as error:
        raise EarmarkError(f"{url} does not answer: {error}.") from error


def serving_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment that the app is served with.

    Hosts name the port in PORT. Streamlit looks for its configuration at home, and stops where a
    user has none; then the workspace is their home.

    Args:
        environment: What was set.
    """
    port = environment.get("PORT") or environment.get(PORT) or DEFAULT_PORT
    served = {**environment, PORT: port}
    try:
        Path.home()
    except RuntimeError:
        served["HOME"] = str(read_settings().workspace_folder)
    return served


def health_url(environment: Mapping[str, str]) -> str:
    """Return the address that Streamlit answers at as long as it is well."""
    base = environment.get(BASE_PATH, "").strip("/")
    return f"http://localhost:{environment[PORT]}{base and f'/{base}'}/_stcore/health"


if __name__ == "__main__":
    cli.run(main)
