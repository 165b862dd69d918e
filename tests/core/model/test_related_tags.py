"""Of related tags few are suggested: the special ones, and wider ones as long as there is room."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.model.predictor import MAX_TOP
from core.model.related_tags import TABLE, RelatedTags, rank, related_tags

TABLE_TAGS = sorted(related_tags().wider)
VEHICLES = ("boat", "bus", "car", "helicopter", "motorcycle", "skateboard", "train", "truck")


def suggested(probabilities: dict[str, float], limit: int = 5, threshold: float = 0.5) -> list[str]:
    """What is suggested of tags with these probabilities."""
    tags = tuple(probabilities)
    values = np.array(list(probabilities.values()), np.float32)
    ranking = rank(tags, values, np.full(len(tags), threshold, np.float32), limit)
    return [tags[index] for index in ranking.suggested]


def guesses(probabilities: dict[str, float]) -> list[str]:
    """The order of tags of which none reaches its threshold."""
    tags = tuple(probabilities)
    values = np.array(list(probabilities.values()), np.float32)
    ranking = rank(tags, values, np.ones(len(tags), np.float32), 5)
    return [tags[index] for index in ranking.guesses]


def test_a_barking_dog_is_bark_dog_and_animal():
    assert suggested({"animal": 0.9, "bark": 0.98, "dog": 0.99}) == ["dog", "bark", "animal"]


def test_of_eight_kinds_of_vehicle_two_are_suggested_and_the_vehicle():
    scores = {tag: 0.9 - 0.01 * place for place, tag in enumerate(VEHICLES)}
    tags = suggested({"vehicle": 0.95, **scores})
    assert tags[0] == "vehicle"
    assert 1 <= len(set(tags) & set(VEHICLES)) <= 3


def test_animals_of_different_kinds_are_suggested_beside_each_other():
    tags = suggested({"animal": 0.9, "cat": 0.8, "dog": 0.95, "rain": 0.7})
    assert set(tags) == {"animal", "cat", "dog", "rain"}


def test_of_words_for_the_same_the_usual_one_is_suggested_unless_another_is_surer():
    assert suggested({"ocean": 0.8, "sea": 0.8}) == ["sea"]
    assert suggested({"ocean": 0.9, "sea": 0.8}) == ["ocean"]


def test_wider_tags_give_way_to_special_ones():
    scores = {
        "music": 0.99,
        "instrument": 0.9,
        "guitar": 0.9,
        "string": 0.9,
        "acoustic-guitar": 0.8,
    }
    tags = suggested(scores | {"rain": 0.6, "bark": 0.6}, limit=4)
    assert set(tags) == {"music", "acoustic-guitar", "rain", "bark"}


def test_tags_that_no_table_knows_are_suggested_like_any_other():
    scores = {"zorb": 0.9, "quux": 0.8, "dog": 0.7}
    assert suggested(scores) == ["zorb", "quux", "dog"]
    assert suggested(scores, limit=2) == ["zorb", "quux"]


def test_guesses_that_say_no_more_than_a_better_one_come_last():
    scores = {"instrument": 0.3, "keyboard": 0.3, "piano": 0.3, "music": 0.2, "rain": 0.1}
    assert guesses(scores) == ["piano", "rain", "instrument", "keyboard", "music"]
    assert guesses({"river": 0.3, "stream": 0.3, "wood": 0.2}) == ["stream", "wood", "river"]


@st.composite
def answers(draw) -> tuple[tuple[str, ...], np.ndarray, np.ndarray, int]:
    """Tags of the table and others, their probabilities and thresholds, and a limit."""
    known = draw(st.lists(st.sampled_from(TABLE_TAGS), min_size=1, max_size=40, unique=True))
    tags = tuple(sorted({*known, *(w for tag in known for w in related_tags().wider[tag]), "zorb"}))
    values = st.lists(
        st.sampled_from([0.0, 0.2, 0.5, 0.7, 0.9, 1.0]), min_size=len(tags), max_size=len(tags)
    )
    return (
        tags,
        np.array(draw(values), np.float32),
        np.array(draw(values), np.float32),
        draw(st.integers(1, MAX_TOP)),
    )


@given(answers())
@settings(deadline=None)
def test_every_suggestion_reaches_its_threshold_and_the_surest_tag_is_one(data):
    tags, probabilities, thresholds, limit = data
    ranking = rank(tags, probabilities, thresholds, limit)
    reached = set(np.flatnonzero(probabilities >= thresholds))
    chosen = ranking.suggested
    assert set(chosen) <= reached
    assert len(chosen) == len(set(chosen)) <= limit
    assert bool(chosen) == bool(reached)
    if reached:
        assert probabilities[chosen[0]] == probabilities[list(reached)].max()
    assert sorted(ranking.guesses) == sorted(set(range(len(tags))) - reached)
    ordered = probabilities[chosen].tolist()
    assert ordered == sorted(ordered, reverse=True)


@given(answers())
@settings(deadline=None)
def test_no_two_suggestions_mean_the_same_and_few_are_of_a_kind(data):
    tags, probabilities, thresholds, limit = data
    related = related_tags()
    chosen = [tags[index] for index in rank(tags, probabilities, thresholds, limit).suggested]
    meanings = [related.meaning(tag) for tag in chosen]
    assert len(set(meanings)) == len(meanings)
    covered = {wider for tag in chosen for wider in related.wider_than(tag)}
    special = [tag for tag in chosen[1:] if tag not in covered]
    kinds = Counter(related.wider_than(tag)[0] for tag in special if related.wider_than(tag))
    assert max(kinds.values(), default=0) <= max(1, round(0.4 * limit))


@given(answers())
@settings(deadline=None)
def test_where_no_tag_is_related_the_best_are_suggested(data):
    tags, probabilities, thresholds, limit = data
    ranking = rank(tags, probabilities, thresholds, limit, RelatedTags())
    reached = [index for index in range(len(tags)) if probabilities[index] >= thresholds[index]]
    best = sorted(reached, key=lambda index: -probabilities[index])[:limit]
    assert ranking.suggested == best


def test_a_wider_tags_wider_tags_are_listed_too_and_none_is_wider_than_itself():
    related = related_tags()
    for tag, wider in related.wider.items():
        assert tag not in wider, tag
        for each in wider:
            further = {related.meaning(tag) for tag in related.wider_than(each)}
            assert further <= {related.meaning(tag) for tag in wider}, (tag, each)


def test_a_tag_that_stands_for_synonyms_stands_for_itself():
    related = related_tags()
    assert all(related.meaning(related.meaning(tag)) == related.meaning(tag) for tag in TABLE_TAGS)
    assert related.meaning("ocean") == related.meaning("sea") == "sea"


@pytest.mark.parametrize("line", ["bark dog", "a b\tdog", "bark\tdog\nbark\tanimal", "a\tb\tc\td"])
def test_a_malformed_line_is_named(tmp_path, line):
    table = tmp_path / "related.tsv"
    table.write_text(f"# related\n{line}\n")
    with pytest.raises(ValueError, match=r"related\.tsv, line [23]"):
        related_tags(table)


def test_the_table_is_in_the_order_of_the_alphabet():
    tags = [line.split("\t")[0] for line in TABLE.read_text("utf-8").splitlines() if line[0] != "#"]
    assert tags == sorted(tags)
