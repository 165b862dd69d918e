import csv
import json

import pytest

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
