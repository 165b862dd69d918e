import csv
import json

import numpy as np
import pytest

from core.model.related_tags import rank, related_tags
from core.tags import clean
from training.datasets.audioset import LABELS, label_tags
from training.errors import DatasetError

MAX_LABELS_WITHOUT_TAGS = 40


def test_every_tag_is_stored_by_freesound_as_it_is_written():
    vocabulary = label_tags().vocabulary
    assert clean(vocabulary).tags == vocabulary


def test_no_tag_stands_there_in_two_spellings():
    tags = label_tags().vocabulary
    stems = {}
    for tag in tags:
        plain = tag.replace("-", "")
        stems.setdefault(plain.removesuffix("es"), []).append(tag)
        stems.setdefault(plain.removesuffix("s"), []).append(tag)
    doubles = {tuple(sorted(set(words))) for words in stems.values() if len(set(words)) > 1}
    assert not doubles


def test_several_hundred_tags_of_which_every_label_has_few():
    table = label_tags()
    assert len(table.labels) == LABELS
    assert 300 <= len(table.vocabulary) <= 600
    assert sum(not tags for tags in table.tags) <= MAX_LABELS_WITHOUT_TAGS
    assert max(map(len, table.tags)) <= 6


def test_implications_follow_the_table():
    table = label_tags()
    matrix = table.implications(table.vocabulary)
    bark, dog = (table.vocabulary.index(tag) for tag in ("bark", "dog"))
    row = table.labels.index("Bark")
    assert matrix[row, bark]
    assert matrix[row, dog]
    assert not matrix[table.labels.index("Meow"), dog]
    assert matrix.sum(axis=1).tolist() == [len(tags) for tags in table.tags]


@pytest.mark.parametrize(
    "line", ["Speech", "\tvoice", "Speech\tTwo,words", "Speech\tvoice voice", "Speech\tVoice"]
)
def test_a_malformed_line_is_named(tmp_path, line):
    table = tmp_path / "tags.tsv"
    table.write_text(f"# labels\n{line}\n", "utf-8")
    with pytest.raises(DatasetError, match=r"tags\.tsv, line 2"):
        label_tags(table)


def test_the_labels_are_audiosets_in_their_order(clips):
    with (clips.parents[1] / "models" / "audioset_labels.csv").open(encoding="utf-8") as file:
        names = tuple(row["display_name"] for row in csv.DictReader(file))
    assert label_tags().labels == names


def test_many_of_coalas_tags_are_among_them(clips):
    text = (clips.parent / "coala" / "id2token_top_1000.json").read_text("utf-8")
    coala = json.loads(text)
    words = set(coala.values() if isinstance(coala, dict) else coala)
    assert len(words & set(label_tags().vocabulary)) >= 150


def test_what_a_label_implies_is_suggested_with_the_most_special_tag_in_it():
    vocabulary, related = label_tags().vocabulary, related_tags()
    for label, tags in zip(label_tags().labels, label_tags().tags, strict=True):
        implied = np.array([tag in tags for tag in vocabulary], np.float32)
        ranking = rank(vocabulary, implied, np.full(len(vocabulary), 0.5, np.float32), limit=5)
        meanings = {related.meaning(vocabulary[index]) for index in ranking.suggested}
        assert {related.meaning(tag) for tag in tags[:1]} <= meanings, label
        assert len(ranking.suggested) <= 5


def test_wider_tags_are_wider_in_the_table_of_labels_too_where_it_says_anything():
    vocabulary, related = set(label_tags().vocabulary), related_tags()
    by_hand = {"voice", "wind", "insect", "percussion", "kid"}
    """Their wider tags are true, but the table's lines do not all have them."""
    for tag in vocabulary - by_hand:
        rows = [set(tags) for tags in label_tags().tags if tag in tags]
        wider = set(related.wider_than(tag)) - {
            each for name in by_hand for each in related.wider_than(name)
        }
        assert all(wider <= row for row in rows), tag
