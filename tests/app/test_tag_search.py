"""The browser's search of tags ranks as the reference in Python does."""

import base64
import json
import random
from pathlib import Path

import pytest

from core.curation.tag_search import TagEntry, search_tags, tag_entries

ROOT = Path(__file__).parents[2]
MODULE = ROOT / "app" / "components" / "shared" / "vocabulary.js"
CASES = ROOT / "tests" / "core" / "curation" / "tag_search_cases.json"
SEARCH = """async ([module, entries, typed]) => {
    const { Vocabulary } = await import(module)
    const vocabulary = new Vocabulary("", entries)
    const matches = text => vocabulary.search(text, [], 1000)
    return typed.map(text => matches(text).map(({ tag, alias }) => [tag, alias]))
}"""
pytestmark = pytest.mark.browser


@pytest.fixture
def in_browser(chromium):
    """Runs a script in a page with the module, entries and typed texts; returns its result."""
    code = base64.b64encode(MODULE.read_bytes()).decode()
    module = f"data:text/javascript;base64,{code}"
    page = chromium.new_page()
    page.goto("about:blank")

    def run(script, entries, typed):
        rows = [[entry.tag, entry.sounds, list(entry.aliases)] for entry in entries]
        return page.evaluate(script, [module, rows, typed])

    yield run
    page.close()


def test_the_browser_gives_the_matches_of_the_examples(in_browser):
    cases = json.loads(CASES.read_text("utf-8"))
    entries = [TagEntry(tag, count, tuple(aliases)) for tag, count, aliases in cases["entries"]]
    shown = in_browser(SEARCH, entries, [case["typed"] for case in cases["cases"]])
    assert shown == [case["matches"] for case in cases["cases"]]


def slips(word, generator):
    """A word as somebody may type it: its beginning, with a slip or two."""
    letters = list(word[: generator.randint(1, len(word))])
    for _ in range(generator.randint(0, 2)):
        place = generator.randrange(len(letters) + 1)
        letters[place : place + generator.randint(0, 1)] = generator.choice(
            ["", "a", "x", " ", "-"]
        )
    return "".join(letters)


def test_the_browser_ranks_as_the_reference_whatever_is_typed(in_browser):
    generator = random.Random(1)
    syllables = ["ra", "in", "do", "g", "tr", "al", "ar", "m", "-", "field", "rec", "s", "colour"]
    words = {"".join(generator.choices(syllables, k=generator.randint(2, 4))) for _ in range(400)}
    vocabulary = sorted(word.strip("-") for word in words if word.strip("-"))
    entries = tag_entries(vocabulary, {tag: generator.randint(0, 9) for tag in vocabulary[::2]})
    typed = [slips(generator.choice(vocabulary), generator) for _ in range(150)]
    shown = in_browser(SEARCH, entries, typed)
    for text, matches in zip(typed, shown, strict=True):
        expected = search_tags(text, entries, 1000)
        assert matches == [[match.tag, match.alias] for match in expected], text
