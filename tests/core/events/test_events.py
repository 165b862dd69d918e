import itertools
import json
import random
from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.events.errors import InvalidEvent
from core.events.fold import confirm, fold, save_changes, superseded_decisions, undo
from core.events.formats import from_prototype_format, parse_lines, to_prototype_format
from core.events.types import (
    Event,
    Imported,
    Media,
    ModelRef,
    Predicted,
    Published,
    Reviewed,
    RolledOut,
    Sound,
    Suggestion,
    ThresholdsSet,
    Undone,
    Withdrawn,
    event_from_fields,
    new_event,
    parse_event,
)

SOUND = "freesound:123"
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
V1, V2 = (ModelRef(name="cnn", version=version, fingerprint="f") for version in (1, 2))


def prediction(*sure: str, unsure=(), model=V1, minutes=0):
    top = [
        Suggestion(tag=tag, probability=0.9 - 0.1 * place, above_threshold=True)
        for place, tag in enumerate(sure)
    ]
    top += [Suggestion(tag=tag, probability=0.1, above_threshold=False) for tag in unsure]
    payload = Predicted(
        model=model, top=tuple(top), sound=Sound(title="A dog", source="test"), media=Media()
    )
    return new_event(payload, SOUND, "job", now=NOON + timedelta(minutes=minutes))


def reviewed(base: Event, minutes: int, actor="ada", basis: Event | None = None, **decisions):
    named = {tag.replace("_", "-"): verdict for tag, verdict in decisions.items()}
    payload = Reviewed(decisions=named, basis=(basis or base).event_id)
    return new_event(payload, SOUND, actor, base=base, now=NOON + timedelta(minutes=minutes))


def test_an_untouched_sound_has_the_suggestions_above_their_threshold():
    state = fold([prediction("dog", "bark", unsure=("cat",))])
    assert state.tags == ("dog", "bark")
    assert [suggestion.tag for suggestion in state.suggestions] == ["dog", "bark", "cat"]
    assert not state.reviewed


def test_no_tag_above_its_threshold_is_a_valid_answer():
    assert fold([prediction(unsure=("dog", "cat"))]).tags == ()


def test_a_long_sound_has_every_tag_that_reaches_its_threshold():
    sure = ("dog", "bark", "rain", "thunder", "train", "bell", "wind")
    state = fold([prediction(*sure, unsure=("cat", "siren"))])
    assert state.tags == sure
    assert [suggestion.tag for suggestion in state.suggestions] == list(sure)


def test_adding_a_tag_to_an_untouched_sound_drops_none():
    first = prediction("dog", "bark", "animal", "street", "city")
    event = save_changes(fold([first]), [*fold([first]).tags, "howl"], "ada")
    assert event.payload.decisions == {"howl": "added"}
    assert fold([first, event]).tags == ("dog", "bark", "animal", "street", "city", "howl")


def test_accepting_that_no_suggestion_fits_is_an_answer_and_can_be_undone():
    first = prediction(unsure=("dog", "cat"))
    event = confirm(fold([first]), [], "ada")
    state = fold([first, event])
    assert state.reviewed
    assert state.tags == ()
    assert state.last_review == event
    assert not fold([first, event, undo(state, event.event_id, "ada")]).reviewed


def test_changing_nothing_decides_nothing():
    state = fold([prediction("dog")])
    assert save_changes(state, state.tags, "ada") is None


def test_accepting_is_a_decision_about_each_tag():
    state = fold([prediction("dog", "bark")])
    event = confirm(state, ["dog", "howl"], "ada")
    assert event.payload.decisions == {"bark": "removed", "howl": "added", "dog": "kept"}


def test_an_undone_review_leaves_the_sound_as_it_was_before():
    first = prediction("dog", "cat")
    change = save_changes(fold([first]), ["dog", "howl"], "ada")
    back = undo(fold([first, change]), change.event_id, "ada")
    state = fold([first, change, back])
    assert state.tags == ("dog", "cat")
    assert not state.reviewed


def test_an_undo_can_itself_be_undone():
    first = prediction("dog")
    change = save_changes(fold([first]), ["howl"], "ada")
    back = undo(fold([first, change]), change.event_id, "ada")
    forth = undo(fold([first, change, back]), back.event_id, "bob")
    assert fold([first, change, back, forth]).tags == ("howl",)


def test_undoing_one_review_uncovers_the_decision_before_it():
    first = prediction("dog")
    away = reviewed(first, 1, dog="removed")
    again = reviewed(away, 2, basis=first, dog="added")
    back = undo(fold([first, away, again]), again.event_id, "ada")
    assert fold([first, away, again]).tags == ("dog",)
    assert fold([first, away, again, back]).tags == ()


def test_a_prediction_or_a_published_event_cannot_be_undone():
    first = prediction("dog")
    out = new_event(
        Published(
            decisions={"dog": "kept", "howl": "added"}, basis=first.event_id, tags=("dog", "howl")
        ),
        SOUND,
        "ada",
        base=first,
    )
    for target in (first, out):
        back = undo(fold([first, out]), target.event_id, "ada")
        assert fold([first, out, back]).tags == ("dog", "howl")


def test_a_publication_that_was_recorded_by_mistake_does_not_count_until_that_is_undone():
    first = prediction("dog")
    decisions = {"dog": "removed", "howl": "added"}
    payload = Published(decisions=decisions, basis=first.event_id, tags=("howl",))
    out = new_event(payload, SOUND, "ada", base=first)
    mistake = new_event(Undone(event=out.event_id, mistake="A duplicate."), SOUND, "bob", base=out)
    state = fold([first, out, mistake])
    assert (state.tags, state.decisions, state.review_state) == (("dog",), {}, "to review")
    back = undo(state, mistake.event_id, "ada")
    assert fold([first, out, mistake, back]).tags == ("howl",)


def test_a_later_prediction_changes_suggestions_but_never_what_a_person_decided():
    first = prediction("dog", "bark")
    change = reviewed(first, 1, bark="removed", howl="added")
    later = prediction("cat", "bark", model=V2, minutes=2)
    state = fold([first, change, later])
    assert state.tags == ("dog", "howl")
    assert [suggestion.tag for suggestion in state.suggestions] == ["cat", "bark"]
    assert state.model == V2


def test_a_later_prediction_counts_again_once_every_review_is_undone():
    first = prediction("dog")
    change = reviewed(first, 1, howl="added")
    later = prediction("cat", model=V2, minutes=2)
    back = undo(fold([first, change, later]), change.event_id, "ada")
    assert fold([first, change, later, back]).tags == ("cat",)


def test_a_prediction_that_arrives_late_but_is_older_does_not_replace_the_newer_one():
    newer, older = prediction("cat", model=V2, minutes=5), prediction("dog", minutes=1)
    assert fold([newer, older]).tags == ("cat",)


def test_two_curators_who_decide_about_different_tags_both_count():
    first = prediction("dog", "bark")
    ada = reviewed(first, 1, actor="ada", bark="removed")
    bob = reviewed(first, 2, actor="bob", howl="added")
    state = fold([first, ada, bob])
    assert state.tags == ("dog", "howl")
    assert superseded_decisions(bob, [first, ada, bob]) == []


def test_of_contradictory_decisions_the_later_counts_and_the_second_curator_can_be_informed():
    first = prediction("dog", "bark")
    ada = reviewed(first, 1, actor="ada", bark="removed")
    bob = reviewed(first, 2, actor="bob", bark="kept")
    assert fold([first, ada, bob]).tags == ("dog", "bark")
    (superseded,) = superseded_decisions(bob, [first, ada, bob])
    assert (superseded.tag, superseded.verdict, superseded.event.actor) == (
        "bark",
        "removed",
        "ada",
    )


def test_two_curators_of_one_name_are_told_apart():
    first = prediction("dog")
    first_review, second_review = (
        reviewed(first, minute, actor="curator", dog=verdict)
        for minute, verdict in ((1, "removed"), (2, "kept"))
    )
    superseded = superseded_decisions(second_review, [first, first_review, second_review])
    assert [decision.event for decision in superseded] == [first_review]


def test_a_decision_that_its_author_had_seen_is_not_superseded():
    first = prediction("dog")
    ada = reviewed(first, 1, actor="ada", dog="removed")
    bob = reviewed(ada, 2, actor="bob", basis=first, dog="added")
    assert superseded_decisions(bob, [first, ada, bob]) == []


def test_at_equal_times_the_event_id_decides_whatever_the_order():
    first = prediction("dog")
    low = reviewed(first, 1, dog="removed").model_copy(update={"event_id": "0" * 32})
    high = reviewed(first, 1, dog="kept").model_copy(update={"event_id": "f" * 32})
    for order in itertools.permutations([first, low, high]):
        assert fold(order).tags == ("dog",)


def test_an_events_time_is_after_its_base_even_where_this_clock_is_behind():
    future = prediction("dog", minutes=10**6)
    event = new_event(
        Reviewed(decisions={"dog": "removed"}, basis=future.event_id),
        SOUND,
        "ada",
        base=future,
        now=NOON,
    )
    assert event.time == future.time + timedelta(microseconds=1)
    assert event.base == future.event_id


def test_published_decides_like_a_review_by_the_uploader():
    first = prediction("dog", "bark")
    payload = Published(
        decisions={"bark": "removed", "howl": "added"}, basis=first.event_id, tags=("dog", "howl")
    )
    state = fold([first, new_event(payload, SOUND, "uploader", base=first)])
    assert state.tags == ("dog", "howl")
    assert state.reviewed


def test_an_import_stands_until_a_person_decides_and_a_prediction_does_not_replace_it():
    imported = new_event(
        Imported(tags=("wolf", "night"), file="old.json"), SOUND, "import", now=NOON
    )
    first = prediction("dog", minutes=1)
    state = fold([imported, first])
    assert state.tags == ("wolf", "night")
    assert [suggestion.tag for suggestion in state.suggestions] == ["dog"]
    change = save_changes(state, ["wolf", "howl"], "ada")
    assert fold([imported, first, change]).tags == ("wolf", "howl")


def test_a_withdrawn_sound_stays_withdrawn():
    first = prediction("dog")
    gone = new_event(Withdrawn(reason="gone"), SOUND, "job", base=first)
    assert fold([gone, prediction("cat", minutes=9), first]).withdrawn


# Whatever order events arrive in


@st.composite
def histories(draw):
    """Draw a sound's history: predictions, reviews by several people, imports, undos.

    Each is based on any event before it; times are often equal.
    """
    tags = ["dog", "cat", "rain", "horn"]
    events = [prediction(*draw(st.lists(st.sampled_from(tags), unique=True, max_size=3)))]
    for _ in range(draw(st.integers(0, 8))):
        now = NOON + timedelta(minutes=draw(st.integers(0, 3)))
        base = draw(st.sampled_from(events))
        kind = draw(st.sampled_from(["predicted", "reviewed", "undone", "imported", "published"]))
        chosen_tags = draw(st.lists(st.sampled_from(tags), unique=True, max_size=3))
        if kind == "predicted":
            event = prediction(*chosen_tags, model=V2, minutes=draw(st.integers(0, 3)))
        elif kind == "imported":
            event = new_event(Imported(tags=tuple(chosen_tags)), SOUND, "import", now=now)
        elif kind == "undone":
            event = undo(fold(events), base.event_id, "bob").model_copy(
                update={"time": max(now, base.time + timedelta(microseconds=1))}
            )
        else:
            decisions = {
                tag: draw(st.sampled_from(["kept", "removed", "added"]))
                for tag in chosen_tags or ["dog"]
            }
            cls = Reviewed if kind == "reviewed" else Published
            event = new_event(
                cls(decisions=decisions, basis=base.event_id),
                SOUND,
                draw(st.sampled_from(["ada", "bob"])),
                base=base,
                now=now,
            )
        events.append(event)
    return events


def _outcome(events):
    state = fold(events)
    return (
        state.tags,
        state.suggestions,
        state.reviewed,
        state.last_event.event_id,
        {tag: decision.verdict for tag, decision in state.decisions.items()},
    )


@settings(max_examples=300, deadline=None)
@given(histories(), st.randoms(use_true_random=False))
def test_any_order_of_arrival_gives_the_same_tags(events, chance: random.Random):
    shuffled = events[:]
    chance.shuffle(shuffled)
    assert _outcome(shuffled) == _outcome(events)


@settings(max_examples=200, deadline=None)
@given(histories())
def test_the_last_counting_decision_on_each_tag_is_what_the_sound_has(events):
    state = fold(events)
    for tag, decision in state.decisions.items():
        assert (tag in state.tags) == (decision.verdict != "removed")
    assert len(set(state.tags)) == len(state.tags)


@settings(max_examples=200, deadline=None)
@given(histories())
def test_events_survive_json_lines_without_loss(events):
    assert [parse_event(event.to_json()) for event in events] == events


def test_fields_of_a_newer_version_pass_through_unharmed():
    line = prediction("dog").to_json().replace('"source":"test"', '"source":"test","mood":"calm"')
    assert '"mood":"calm"' in parse_event(line).to_json()


@pytest.mark.parametrize(
    "line",
    [
        "",
        "no json",
        "[]",
        "{}",
        '{"kind":"telepathy"}',
        prediction("dog").to_json().replace("freesound:123", "freesound:0"),
        prediction("dog").to_json().replace("freesound:123", "../../etc/passwd"),
        prediction("dog").to_json().replace("2026-11-22T12:00:00.000000Z", "yesterday"),
        prediction("dog").to_json().replace("2026-11-22T12:00:00.000000Z", "2026-11-22T12:00:00"),
        prediction("dog").to_json().replace('"probability":0.9', '"probability":9'),
        prediction("dog").to_json().replace('"seconds":0.0', '"seconds":NaN'),
        prediction("dog").to_json().replace('"seconds":0.0', '"seconds":-1'),
        prediction("dog").to_json().replace('"name":"cnn"', '"name":"../../etc/x"'),
        prediction("dog").to_json().replace('"name":"cnn"', '"name":"a\\u0000"'),
        prediction("dog").to_json().replace('"audio":""', '"audio":"../index.sqlite"'),
        prediction("dog").to_json().replace('"version":1', '"version":0'),
        prediction("dog")
        .to_json()
        .replace("2026-11-22T12:00:00.000000Z", "9999-12-31T23:59:59.999999Z"),
        prediction("dog")
        .to_json()
        .replace("2026-11-22T12:00:00.000000Z", "0001-01-01T00:00:00+14:00"),
        prediction("dog").to_json().replace("A dog", "\\ud800"),
        "[" * 100_000,
        prediction("dog").to_json().replace('"test"', f'"test","more":{"[" * 300}{"]" * 300}'),
        prediction("dog").to_json().replace('"kind":"predicted"', '"kind":["predicted"]'),
        reviewed(prediction("dog"), 1, dog="removed").to_json().replace('"removed"', '"perhaps"'),
        new_event(RolledOut(model=V1, reason="x"), None, "ada")
        .to_json()
        .replace('"sound_id":null', '"sound_id":"freesound:1"'),
    ],
)
def test_a_line_that_is_no_event_is_refused_with_one_sentence(line):
    with pytest.raises(InvalidEvent, match=r"^Not a valid event: .*\.$"):
        parse_event(line)


# The prototype's format


def test_the_prototype_format_holds_suggestions_of_untouched_and_current_tags_of_other_sounds():
    first = prediction("dog", unsure=("cat", "rain"))
    assert to_prototype_format([fold([first])]) == {"123": ["dog", "cat", "rain"]}
    assert to_prototype_format([fold([first, reviewed(first, 1, dog="removed")])]) == {"123": []}


def test_an_imported_sound_is_exported_with_its_tags_also_after_a_prediction():
    imported = new_event(Imported(tags=("wolf",)), SOUND, "import", now=NOON)
    assert to_prototype_format([fold([imported, prediction("dog", minutes=1)])]) == {
        "123": ["wolf"]
    }


def test_a_withdrawn_sound_is_not_exported():
    first = prediction("dog")
    assert (
        to_prototype_format(
            [fold([first, new_event(Withdrawn(reason="gone"), SOUND, "job", base=first)])]
        )
        == {}
    )


def test_what_is_exported_can_be_imported_and_twice_adds_nothing_new():
    text = '{"123": ["dog", "bark"], "file:' + "a" * 64 + '": ["rain"]}'
    once, twice = (
        from_prototype_format(text, "id2prediction.json"),
        from_prototype_format(text, "id2prediction.json"),
    )
    assert [event.event_id for event in once] == [event.event_id for event in twice]
    assert to_prototype_format([fold([event]) for event in once]) == {
        "123": ["dog", "bark"],
        "file:" + "a" * 64: ["rain"],
    }


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"123": "dog"}',
        '{"123": [1]}',
        '{"abc": ["dog"]}',
        '{"123": ["\\ud800"]}',
        '{"123": ' + "[" * 100_000,
        "\xff",
    ],
)
def test_a_file_that_is_not_in_the_prototype_format_is_refused_with_one_sentence(text):
    with pytest.raises(InvalidEvent, match=r"is not an id2prediction\.json"):
        from_prototype_format(text, "id2prediction.json")


# Kinds, and files of events


def test_the_class_of_the_payload_decides_the_kind_of_a_new_event():
    payloads = {
        "predicted": prediction("dog").payload,
        "reviewed": Reviewed(decisions={}),
        "published": Published(decisions={}),
        "undone": Undone(event="0" * 32),
        "imported": Imported(tags=()),
        "withdrawn": Withdrawn(reason="gone"),
    }
    kinds = {get_args(event.model_fields["kind"].annotation)[0] for event in get_args(Event)}
    assert kinds == {*payloads, "rolled_out", "thresholds_set"}
    for kind, payload in payloads.items():
        event = new_event(payload, SOUND, "ada")
        assert event.kind == kind
        assert parse_event(event.to_json()) == event
        assert type(parse_event(event.to_json()).payload) is type(payload)


def test_no_events_have_no_state():
    with pytest.raises(ValueError, match="without events has no state"):
        fold([])
    rollout = new_event(RolledOut(model=V1, reason="first"), None, "ada")
    with pytest.raises(ValueError, match="without events has no state"):
        fold([rollout])
    thresholds = new_event(ThresholdsSet(model=V1, thresholds={"dog": 0.5}), None, "ada")
    with pytest.raises(ValueError, match="without events has no state"):
        fold([thresholds])


@pytest.mark.parametrize("value", [None, 7, [], {"kind": ["predicted"]}, {"kind": None}])
def test_a_value_that_is_no_event_is_refused_with_one_sentence(value):
    with pytest.raises(InvalidEvent, match=r"^Not a valid event: .* is no kind of event"):
        event_from_fields(value)


def test_lines_that_are_no_events_are_named_by_their_number():
    events = [prediction("dog"), prediction("cat")]
    lines = [events[0].to_json(), "no json", "", events[1].to_json(), '{"kind":"dreamt"}']
    parsed = parse_lines("\n".join(lines).encode())
    assert parsed.events == events
    assert [number for number, _ in parsed.refused] == [2, 3, 5]
    assert all(reason.startswith("Not a valid event: ") for _, reason in parsed.refused)


# The metadata of a sound


def test_fields_that_version_0_1_did_not_write_are_left_out_where_they_are_empty():
    old = prediction("dog").to_json()
    assert "note" not in old
    assert "is_explicit" not in old
    assert parse_event(old).payload.sound.note == ""


def test_fields_that_came_later_are_kept_and_read_again():
    later = {
        "note": "Channel 1 was used alone.",
        "is_explicit": True,
        "pack": "Rain",
        "geotag": "41.4 2.19",
        "avg_rating": 4.5,
        "num_ratings": 12,
    }
    first = prediction("dog")
    sound = first.payload.sound.model_copy(update=later)
    event = new_event(first.payload.model_copy(update={"sound": sound}), SOUND, "job")
    line = event.to_json()
    assert parse_event(line) == event
    assert parse_event(line).to_json() == line
    assert later.items() <= json.loads(line)["payload"]["sound"].items()
