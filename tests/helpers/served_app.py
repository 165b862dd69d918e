"""`streamlit run` in a process that is copied from one that has imported the libraries.

Most of a server's start is importing. The standard library's fork server imports once and is copied
for each server, which has settings, threads and files of its own.
"""

import atexit
import multiprocessing
import os
import sys
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import ModuleType
from unittest.mock import patch

from streamlit.web import cli

CAN_COPY = "forkserver" in multiprocessing.get_all_start_methods()  # not on Windows
CONTEXT = multiprocessing.get_context("forkserver" if CAN_COPY else "spawn")
if CAN_COPY:
    CONTEXT.set_forkserver_preload(["tests.helpers.imported_libraries"])


def start(script: Path, environment: dict[str, str], output: Path) -> BaseProcess:
    """Serve a script; what the server prints goes to a file."""
    process = CONTEXT.Process(target=_serve, args=(script, environment, output), daemon=True)
    # A copy runs what is `__main__` here, which AppTest leaves to be the page that it drew.
    with patch.dict(sys.modules, __main__=ModuleType("__main__")):
        process.start()
    return process


def _serve(script: Path, environment: dict[str, str], output: Path) -> None:
    os.environ.clear()
    os.environ.update(environment)
    printed = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(printed, stream)
    sys.argv = ["streamlit", "run", str(script)]
    try:
        cli.main()
    finally:
        atexit._run_exitfuncs()  # as a process that ends by itself does
