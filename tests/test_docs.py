"""The documents agree with the code: settings, commands, links, names."""

import importlib
import importlib.util
import re
from pathlib import Path

import click
import pytest

from docs.tables import SETTINGS_PAGE, with_settings_table

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
PAGES += sorted((ROOT / "docs").glob("*.md"))
OF_TODAY = [page for page in PAGES if page.name != "CHANGELOG.md"]  # it names old commands, too
NOT_IN_THE_REPOSITORY = {".streamlit/secrets.toml"}
OWN_COMMANDS = ("core", "jobs", "training", "benchmarks", "tests.servers")


def ids(page):
    return page.name


def texts_in_code(page):
    """Code spans and the lines of code blocks, with continued lines joined."""
    text = page.read_text("utf-8").replace("\\\n", " ")
    blocks = re.findall(r"^```[^\n]*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    text = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    spans = re.findall(r"`([^`\n]+)`", text)
    return spans + [line for block in blocks for line in block.splitlines()]


def anchors(page):
    """The anchors that GitHub gives a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_settings_table_is_the_code_s():
    page = SETTINGS_PAGE.read_text("utf-8")
    assert page == with_settings_table(page), "stale: run `make docs`"


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_links_within_the_project_lead_somewhere(page):
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8"))
    broken = []
    for link in links:
        if re.match(r"https?:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def is_runnable(module):
    """True if `python -m module` finds something to run."""
    try:
        spec = importlib.util.find_spec(module)
        is_package = spec is not None and spec.submodule_search_locations is not None
        return bool(importlib.util.find_spec(f"{module}.__main__") if is_package else spec)
    except ModuleNotFoundError:
        return False


def problems_of(line):
    """What is wrong with a `python -m` command; nothing for one that click would accept."""
    module, rest = re.match(r"([\w.]*\w)(?: ([^#]*))?", line).groups()
    words = (rest or "").split()
    if not is_runnable(module):
        return [f"{module} cannot be run"]
    if module not in OWN_COMMANDS:
        return []
    command = importlib.import_module(f"{module}.__main__").main
    if isinstance(command, click.Group) and words and not words[0].startswith("-"):
        if words[0] not in command.commands:
            return [f"{module} has no command {words[0]}"]
        command = command.commands[words[0]]
    known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    options = [word.partition("=")[0] for word in words if word.startswith("--")]
    return [f"{module} has no option {option}" for option in options if option not in known]


@pytest.mark.parametrize("page", OF_TODAY, ids=ids)
def test_commands_exist_with_their_options(page):
    lines = [line for text in texts_in_code(page) for line in re.findall(r"python -m (.+)", text)]
    assert [problem for line in lines for problem in problems_of(line)] == []


@pytest.mark.parametrize("page", OF_TODAY, ids=ids)
def test_modal_s_modules_and_functions_exist(page):
    code = "\n".join(texts_in_code(page))
    for name in re.findall(r"modal (?:run|deploy) .*?-m (\S+)", code):
        module, _, function = name.partition("::")
        assert hasattr(importlib.import_module(module), function or "app"), name


@pytest.mark.parametrize("page", OF_TODAY, ids=ids)
def test_make_s_targets_exist(page):
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    code = "\n".join(texts_in_code(page))
    assert set(re.findall(r"(?:^|\s)make ([a-z-]+)", code)) - targets == set()


def resolves(name):
    """True if a dotted name is a module, or something in one."""
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        try:
            value = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError:
            continue
        for part in parts[count:]:
            fields = getattr(value, "__dataclass_fields__", {})
            if not hasattr(value, part) and part not in fields:
                return False
            value = getattr(value, part, None)
        return True
    return False


@pytest.mark.parametrize("page", OF_TODAY, ids=ids)
def test_names_and_files_of_the_code_exist(page):
    texts = texts_in_code(page)
    dotted = {text for text in texts if re.fullmatch(r"(core|app|jobs|training)(\.\w+)+", text)}
    missing = [name for name in dotted if not resolves(name)]
    folders = r"(?:core|app|pages|jobs|training|tests|docs|examples|\.streamlit|\.ci)/[\w./]*"
    words = {word.strip(";,:.()\"'") for text in texts for word in re.split(r"[\s=]+", text)}
    files = {word for word in words if re.fullmatch(folders, word)}
    files -= NOT_IN_THE_REPOSITORY
    missing += [name for name in files if not (ROOT / name).exists()]
    assert missing == []
