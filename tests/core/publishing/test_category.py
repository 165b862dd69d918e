"""Which category a sound's tags speak for."""

import csv
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.model.bundle import DEFAULT_BUNDLE
from core.publishing import category as module
from core.publishing.category import CATEGORIES, category, predict_category
from core.publishing.errors import UnknownCategory
from tests.servers import freesound as double


def test_codes_and_names_are_freesounds():
    names = {code: (category.top, category.name) for code, category in CATEGORIES.items()}
    assert names == double.CATEGORIES
    for code, described in CATEGORIES.items():
        assert described.code == code
        assert described.description.endswith(".")


def test_a_category_is_looked_up_by_its_second_level_code():
    assert category("fx-a").label == "Sound effects: Animals"
    for wrong in ("ss", "", "FX-A", "zzz"):
        with pytest.raises(UnknownCategory, match=r"\.$"):
            category(wrong)


@pytest.mark.parametrize(
    ("tags", "code"),
    [
        ("bird", "fx-a"),
        ("bird forest ambience", "ss-n"),
        ("Birds Forest Field-Recording", "ss-n"),
        ("dog bark animal", "fx-a"),
        ("dog-barking", "fx-a"),
        ("dog bark field-recording", "fx-a"),
        ("dog_barking", "fx-a"),
        ("puppies", "fx-a"),
        ("rooster farm", "fx-a"),
        ("insect buzz nature", "fx-a"),
        ("rain", "fx-n"),
        ("rain ambience", "ss-n"),
        ("thunder storm rain", "fx-n"),
        ("gun shot explosion", "fx-n"),
        ("fire crackle", "fx-n"),
        ("car engine", "fx-v"),
        ("helicopter vehicle engine", "fx-v"),
        ("siren alarm city", "fx-v"),
        ("car traffic city field-recording", "ss-u"),
        ("city street", "ss-u"),
        ("jackhammer tool construction", "fx-m"),
        ("chainsaw engine tool", "fx-m"),
        ("hum machine motor", "fx-m"),
        ("door creak", "fx-o"),
        ("clock tick household", "fx-o"),
        ("glass break", "fx-o"),
        ("vacuum motor household", "fx-o"),
        ("kitchen cooking ambience", "ss-i"),
        ("office room-tone", "ss-i"),
        ("footstep walk human", "fx-h"),
        ("baby cry human voice", "fx-h"),
        ("applause", "fx-h"),
        ("sneeze human", "fx-h"),
        ("speech", "sp-s"),
        ("human voice", "sp-s"),
        ("conversation people", "sp-c"),
        ("robot voice", "sp-p"),
        ("text-to-speech announcement", "sp-p"),
        ("music", "m-m"),
        ("music loop", "m-m"),
        ("drum loop", "m-sp"),
        ("drum", "is-p"),
        ("kick one-shot", "is-p"),
        ("guitar riff", "m-si"),
        ("guitar note", "is-s"),
        ("drum bass guitar loop", "m-m"),
        ("piano melody", "m-si"),
        ("piano chord", "is-k"),
        ("flute sample", "is-w"),
        ("synth", "is-e"),
        ("synth loop 120bpm", "m-si"),
        ("singing", "m-si"),
        ("laser game sci-fi", "fx-el"),
        ("notification beep", "fx-el"),
        ("granular experimental", "fx-ex"),
        ("dark drone ambient", "ss-s"),
        ("spaceship ambience", "ss-s"),
        ("field-recording", "ss-other"),
    ],
)
def test_categories_by_worked_examples(tags, code):
    assert predict_category(tags.split())[0].code == code


def test_the_tags_that_spoke_for_a_category_are_named_as_they_were_given():
    best, *others = predict_category(["Birds", "forest", "ambience", "h4n"])
    assert (best.code, set(best.tags)) == ("ss-n", {"Birds", "forest", "ambience"})
    assert all("Birds" not in other.tags for other in others)


def test_a_tag_counts_as_much_as_it_is_probable():
    assert predict_category(["rain", "dog"], {"rain": 0.2, "dog": 0.9})[0].code == "fx-a"
    assert predict_category(["rain", "dog"], {"rain": 0.9, "dog": 0.2})[0].code == "fx-n"


def test_what_a_person_typed_counts_in_full_beside_a_models_guess():
    assert predict_category(["rain", "dog"], {"rain": 0.7})[0].code == "fx-a"


def test_no_known_tag_gives_no_category():
    assert predict_category(["qwertz", "", " "]) == []
    assert predict_category([]) == []


def test_every_tag_that_the_shipped_model_knows_speaks_for_something():
    assert [
        tag
        for tag in json.loads((DEFAULT_BUNDLE / "id2tag.json").read_text()).values()
        if not predict_category([tag])
    ] == []


LIKELY = {
    "ss-u": "street_music",
    "fx-v": "airplane car_horn engine engine_idling helicopter siren train",
    "fx-m": "air_conditioner chainsaw drilling hand_saw jackhammer washing_machine",
    "fx-a": "cat chirping_birds cow crickets crow dog dog_bark frog hen insects pig rooster",
    "fx-h": (
        "breathing brushing_teeth children_playing clapping coughing crying_baby drinking_sipping "
        "footsteps laughing sneezing snoring"
    ),
    "fx-o": (
        "can_opening church_bells clock_alarm clock_tick door_wood_creaks door_wood_knock "
        "glass_breaking keyboard_typing mouse_click pouring_water toilet_flush vacuum_cleaner"
    ),
    "fx-n": ("crackling_fire fireworks gun_shot rain sea_waves thunderstorm water_drops wind"),
}
"""What a person would say of each class of the real clips."""


def test_real_clips_get_the_category_that_a_person_would_choose(clips):
    expected = {kind: code for code, kinds in LIKELY.items() for kind in kinds.split()}
    with open(clips / "clips.csv", newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["tags"]]
    guesses = {
        (row["category"], row["tags"]): predict_category(row["tags"].split()) for row in rows
    }
    assert len(rows) > 2000
    assert [key for key, ranked in guesses.items() if not ranked] == []
    assert {kind: ranked[0].code for (kind, _), ranked in guesses.items()} == {
        kind: expected[kind] for kind, _ in guesses
    }


@given(
    st.lists(
        st.sampled_from(
            [
                "bird",
                "ambience",
                "music",
                "loop",
                "drum",
                "guitar",
                "robot",
                "voice",
                "rain",
                "city",
                "synth",
                "laser",
                "qwertz",
                "90bpm",
            ]
        )
    )
)
def test_scores_are_shares_and_every_category_is_freesounds(tags):
    ranked = predict_category(tags)
    assert all(guess.code in CATEGORIES and set(guess.tags) <= set(tags) for guess in ranked)
    assert sum(guess.score for guess in ranked) == pytest.approx(1 if ranked else 0)
    assert [guess.score for guess in ranked] == sorted(
        (guess.score for guess in ranked), reverse=True
    )


@given(st.lists(st.text(max_size=30), max_size=8))
def test_any_text_is_taken_for_a_tag_without_complaint(tags):
    assert all(0 < guess.score <= 1 for guess in predict_category(tags))


def test_the_table_of_words_is_well_formed():
    path = Path(module.__file__).parent / "category_words.tsv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert {row["code"] for row in rows} <= set(CATEGORIES)
    assert {row["strength"] for row in rows} == {"last resort", "associated", "named"}
    assert all(row["word"] == row["word"].strip().lower() != "" for row in rows)
