"""Command line of the demo: python -m tests.servers freesound | hopsworks | team."""

import os
import shlex
import subprocess
import sys
import threading
from collections.abc import Sequence

import click

from core import cli
from tests.servers.demo import (
    CALLBACK,
    add_demo_data,
    freesound_settings,
    hopsworks_settings,
)
from tests.servers.freesound import FreesoundServer
from tests.servers.hopsworks import HopsworksServer
from tests.servers.team import team as run_team

PASS_ON = {"ignore_unknown_options": True, "allow_interspersed_args": False}
START_APP = ("make", "run")


@click.group()
def main() -> None:
    """Try Earmark on local doubles of Freesound and Hopsworks, without an account.

    Sign in as alice (password alice) or bob (password bob). What the doubles keep is gone when
    they stop.
    """


@main.command()
@click.option("--port", default=8765, show_default=True, help="Port of the double.")
@click.option(
    "--redirect-uri",
    default=CALLBACK,
    show_default=True,
    help="The app's callback; blank: the code is shown to be pasted.",
)
@click.option(
    "--process/--no-process",
    default=True,
    show_default=True,
    help="Process uploaded sounds at once (moderation stays open).",
)
def freesound(port: int, redirect_uri: str, process: bool) -> None:
    """Run the double of Freesound and print how to start the app on it."""
    with FreesoundServer(port) as server:
        client = add_demo_data(server, redirect_uri)
        server.auto_process = process
        sounds = f"{len(server.state.sounds)} sounds"
        click.echo(f"Freesound at {server.url}/apiv2 with {sounds}. Start the app on it with\n")
        click.echo(_command(freesound_settings(server, client), START_APP))
        click.echo("\nand sign in as alice (password alice) or bob (password bob). Ctrl-C stops.")
        sys.stdout.flush()
        threading.Event().wait()


@main.command(context_settings=PASS_ON)
@click.option("--port", default=8181, show_default=True, help="Port of the double.")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def hopsworks(port: int, command: tuple[str, ...]) -> None:
    """Run COMMAND with the double of Hopsworks; without a command, print the settings for it."""
    with HopsworksServer(port) as server:
        settings = hopsworks_settings(server)
        if command:
            sys.exit(_run(command, settings))
        for name, value in settings.items():
            click.echo(f"export {name}={shlex.quote(value)}")
        sys.stdout.flush()
        threading.Event().wait()


@main.command(context_settings=PASS_ON)
@click.option("--redirect-uri", default=CALLBACK, show_default=True, help="The app's callback.")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def team(redirect_uri: str, command: tuple[str, ...]) -> None:
    """Run COMMAND (by default: make run) with both doubles; alice is curator and maintainer."""
    with run_team(redirect_uri) as (_, _, settings):
        sys.exit(_run(command or START_APP, settings))


def _run(command: Sequence[str], settings: dict[str, str]) -> int:
    """Return the exit status of a command that finds these settings in its environment."""
    return subprocess.run(command, env=os.environ | settings).returncode


def _command(settings: dict[str, str], command: Sequence[str]) -> str:
    """Return a command with its settings as it is typed into a shell, one setting a line."""
    lines = [f"{name}={shlex.quote(value)}" for name, value in settings.items()]
    return " \\\n".join([*lines, shlex.join(command)])


if __name__ == "__main__":
    cli.run(main)
