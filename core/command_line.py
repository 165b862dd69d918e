"""How every command line of the project ends: one sentence for what went wrong, never a traceback for it."""

import sys

import click

from core.errors import EarmarkError

INTERRUPTED = 130  # the shell's exit status for Ctrl-C


def run(command: click.Command, when_stopped: str = "Stopped.") -> None:
    """Run a command on the program's arguments and leave with its exit status; `when_stopped` is said after Ctrl-C."""
    try:
        command(standalone_mode=False)
    except EarmarkError as error:
        sys.exit(str(error))
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo(when_stopped, err=True)
        sys.exit(INTERRUPTED)
