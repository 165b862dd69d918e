"""The code speaks the field's language: no name of the left column of the style's glossary."""

import ast
import re
from collections.abc import Iterator

import pytest

from tests.helpers.source_tree import PACKAGES, Module, modules

WHOLE_NAMES = frozenset(
    """
    one found chosen wanted told right there some mine ours whose
    listened in_force usable_model copy_of at_home posted home
    readdress take_back saw beginnings look_around passing_disk portions repeated
    overruled ground gather judge levers shares sounds_without_tags passes areas agreed
    tries belongs_to leave_for may_not_edit may_not_run hear_to_publish another_name passed_over
    worth_trying model_in_force
    Away Refused Missing Occupied Torn Parcel Material Contradiction Heard Listened
    """.split()
)
"""Names that say nothing, or that mean something else to a reader."""

WORDS = frozenset(
    "heard hear hears listened starter mirror flush settle upkeep ledger parcel licence".split()
)
"""Words that are in no name, not as a part of it either."""

CONSTANT_WORDS = re.compile(r"(^|_)(FEWEST|MOST|LONGEST|LARGEST|AT_ONCE|EVERY_S)(_|$)")
"""Limits are MIN_..., MAX_..., ..._BATCH_SIZE and ..._INTERVAL_S."""

PROTOCOL_NAMES = frozenset({"flush"})
"""Methods that Python's own protocols ask for, such as a file's."""

PLACES = (*PACKAGES, "tests/servers")

QUESTION = re.compile(r"(What|Whether|How|Who|Whose|Where|Why|Those|Which)\b")


def defined_names(module: Module) -> Iterator[tuple[str, int]]:
    """Yield each name that a module gives to something, with its line."""
    for node in ast.walk(module.tree):
        line = getattr(node, "lineno", 0)
        match node:
            case ast.FunctionDef(name) | ast.AsyncFunctionDef(name) | ast.ClassDef(name):
                yield name, line
            case ast.arg(name):
                yield name, line
            case ast.Name(name, ast.Store()):
                yield name, line
            case ast.Attribute(_, name, ast.Store()):
                yield name, line
            case ast.alias(_, str(name)):
                yield name, line
            case ast.MatchAs(_, str(name)) | ast.MatchStar(str(name)):
                yield name, line


def split(name: str) -> set[str]:
    """Return the words of a name in lower case."""
    separated = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return set(separated.lower().split("_"))


def is_old(name: str) -> bool:
    """Tell if a name is of the old language."""
    plain = name.strip("_")
    if plain in PROTOCOL_NAMES:
        return False
    return plain in WHOLE_NAMES or bool(split(plain) & WORDS or CONSTANT_WORDS.search(plain))


@pytest.mark.parametrize("name", ["one", "_found", "heard_tags", "FEWEST_TAGS", "Torn", "Ledger"])
def test_the_old_names_are_known(name):
    assert is_old(name)


@pytest.mark.parametrize("name", ["tone", "sounds", "bright", "MAX_TAGS", "shared", "almost"])
def test_other_names_are_not_mistaken_for_them(name):
    assert not is_old(name)


def test_no_name_is_of_the_old_language():
    wrong = [
        f"{module.place}:{line} {name}"
        for module in modules(*PLACES)
        for name, line in defined_names(module)
        if is_old(name)
    ]
    assert not wrong, "\n" + "\n".join(wrong)


def test_no_docstring_begins_with_a_question_word():
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    wrong = [
        f"{module.place}:{node.lineno} {node.name}"
        for module in modules(*PLACES)
        for node in ast.walk(module.tree)
        if isinstance(node, kinds) and QUESTION.match(ast.get_docstring(node) or "")
    ]
    assert not wrong, "\n" + "\n".join(wrong)


def test_license_is_spelled_as_in_the_api():
    wrong = [
        f"{module.place}:{number}"
        for module in modules(*PLACES)
        for number, line in enumerate(module.text.splitlines(), start=1)
        if re.search('licence(?!")', line, re.IGNORECASE)  # the quoted key is version 0.1's
    ]
    assert not wrong, "\n" + "\n".join(wrong)
