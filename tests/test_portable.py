"""The program runs on Windows and macOS, too: it uses nothing that only one system has."""

import ast
from collections.abc import Iterator

import pytest

from tests.helpers.source_tree import Module, modules

FOLDERS = ("core", "app", "pages", "jobs", "training")
POSIX_ONLY = {
    "fcntl", "grp", "posix", "pty", "pwd", "readline", "resource", "syslog", "termios", "tty",
}  # fmt: skip
NOT_EVERYWHERE = {
    *("os.chown", "os.fork", "os.geteuid", "os.getgid", "os.getuid", "os.killpg", "os.mkfifo"),
    *("os.sched_getaffinity", "os.setsid", "os.setuid", "os.statvfs", "os.sync", "os.wait"),
    *("signal.SIGALRM", "signal.SIGHUP", "signal.SIGKILL", "signal.SIGUSR1", "signal.alarm"),
    *("signal.pause", "signal.setitimer", "time.tzset"),
}
GUARDS = ("sys.platform", "os.name", "hasattr(")
TEXT_METHODS = {"read_text", "write_text"}
MODULES = modules(*FOLDERS)


def is_guarded(module: Module, node: ast.AST) -> bool:
    """True where a condition on the system decides whether a statement runs."""
    return any(
        isinstance(condition, ast.If)
        and any(guard in ast.unparse(condition.test) for guard in GUARDS)
        and node in ast.walk(condition)
        for condition in ast.walk(module.tree)
    )


def test_no_module_is_imported_that_only_some_systems_have():
    imported = {
        f"{module.place}: {entry.name}"
        for module in MODULES
        for entry in module.imports
        if entry.name.partition(".")[0] in POSIX_ONLY
    }
    assert imported == set()


def test_what_only_some_systems_have_is_asked_for_before_it_is_used():
    used = [
        f"{module.place}:{node.lineno} {ast.unparse(node)}"
        for module in MODULES
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute)
        and ast.unparse(node) in NOT_EVERYWHERE
        and not is_guarded(module, node)
    ]
    assert used == []


def texts_without_an_encoding(module: Module) -> Iterator[str]:
    """Yield where a file is read or written as text in whatever encoding the system has."""
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.Call):
            continue
        place = f"{module.place}:{node.lineno}"
        named = {word.arg for word in node.keywords}
        if isinstance(node.func, ast.Attribute) and node.func.attr in TEXT_METHODS:
            first = 1 if node.func.attr == "write_text" else 0
            if "encoding" not in named and len(node.args) <= first:
                yield place
        is_method = isinstance(node.func, ast.Attribute) and node.func.attr == "open"
        is_open = isinstance(node.func, ast.Name) and node.func.id == "open"
        if is_open or (is_method and ast.unparse(node.func.value) not in OPENERS):
            texts = [each.value for each in ast.walk(node) if isinstance(each, ast.Constant)]
            modes = [each.id for each in ast.walk(node) if isinstance(each, ast.Name)]
            is_binary = any(text in BINARY_MODES for text in texts) or "mode" in modes
            if not is_binary and "encoding" not in named:
                yield place


BINARY_MODES = {"rb", "wb", "ab", "r+b", "xb"}
OPENERS = {"Image", "av", "gzip", "os", "tarfile", "webbrowser", "zipfile"}
"""Whose `open` opens no text."""


@pytest.mark.parametrize("folder", sorted(FOLDERS))
def test_text_files_have_the_same_encoding_everywhere(folder):
    places = [place for module in modules(folder) for place in texts_without_an_encoding(module)]
    assert places == []
