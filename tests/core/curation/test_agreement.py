"""Cohen's kappa, against scikit-learn's, and the pairs of reviews that count."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from core.curation.agreement import MIN_JUDGEMENTS, agreement_report, cohen_kappa, report_of
from core.curation.second_opinion import blind_state, find_pair
from core.events.fold import confirm, fold, undo
from tests.helpers.events import predicted

JUDGEMENTS = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=20, max_size=200)


@given(JUDGEMENTS)
def test_kappa_is_scikit_learn_s(judgements):
    kappa = cohen_kappa(judgements)
    first, second = zip(*judgements, strict=True)
    if len({*first, *second}) == 1:  # scikit-learn divides zero by zero
        assert kappa.value is None
    else:
        assert kappa.value == pytest.approx(cohen_kappa_score(first, second))
    assert kappa.n == len(judgements)


def test_too_few_judgements_give_no_value():
    few = [(True, True), (False, True)] * (MIN_JUDGEMENTS // 2 - 1)
    assert cohen_kappa(few).value is None
    assert cohen_kappa(few).n == len(few)
    assert cohen_kappa([*few, (True, True), (False, False)]).value is not None
    assert cohen_kappa([]).value is None


def pair_of(first_tags, second_tags, number=1):
    events = [predicted(number, "dog", "bark", "wind")]
    events.append(confirm(fold(events), first_tags, "ada"))
    events.append(confirm(blind_state(events), second_tags, "bob"))
    return events


def test_both_are_asked_about_what_both_were_shown_and_what_either_added():
    pair = find_pair(pair_of(["dog", "howl"], ["dog", "bark", "night"]))
    assert (pair.first.actor, pair.second.actor) == ("ada", "bob")
    assert pair.judgements == {
        "bark": (False, True),
        "dog": (True, True),
        "howl": (True, False),
        "night": (False, True),
        "wind": (False, False),
    }


def test_a_review_by_somebody_who_saw_the_first_is_no_pair():
    events = [predicted(1)]
    events.append(confirm(fold(events), ["dog"], "ada"))
    events.append(confirm(fold(events), ["dog"], "bob"))
    assert find_pair(events) is None


def test_two_reviews_at_once_are_a_pair_although_nobody_asked_for_one():
    events = [predicted(1)]
    shown = fold(events)
    both = [confirm(shown, ["dog"], "ada"), confirm(shown, ["bark"], "bob")]
    assert find_pair([*events, *both]).judgements == {"bark": (False, True), "dog": (True, False)}


def test_one_person_s_two_reviews_and_undone_reviews_are_no_pair():
    events = [predicted(1)]
    shown = fold(events)
    twice = [confirm(shown, ["dog"], "ada"), confirm(shown, ["bark"], "ada")]
    assert find_pair([*events, *twice]) is None
    undone = pair_of(["dog"], ["dog"])
    undone.append(undo(fold(undone), undone[-1].event_id, "bob"))
    assert find_pair(undone) is None


def test_the_report_has_a_value_for_each_tag_with_enough_judgements():
    pairs = []
    for number in range(1, 2 * MIN_JUDGEMENTS + 1):
        second = ["dog"] if number % 4 else ["dog", "bark"]
        first = ["dog", "howl"] if number == 1 else ["dog"] if number % 2 else ["dog", "bark"]
        pairs.append(find_pair(pair_of(first, second, number)))
    report = report_of(pairs)
    by_tag = dict(report.by_tag)
    assert report.sounds == 2 * MIN_JUDGEMENTS
    assert by_tag["bark"].value == pytest.approx(
        cohen_kappa_score(*zip(*(pair.judgements["bark"] for pair in pairs), strict=True))
    )
    assert by_tag["dog"].value is None  # always there: chance would agree, too
    assert (by_tag["howl"].n, by_tag["howl"].value) == (1, None)
    assert report.overall.n == sum(len(pair.judgements) for pair in pairs)


def test_the_workspace_is_asked_for_its_pairs(workspace, curation):
    for number in (1, 2):
        workspace.events.append(pair_of(["dog"], ["dog", "bark"], number))
    workspace.events.append([predicted(3)])
    report = agreement_report(workspace, curation.reviews)
    assert report.sounds == 2
    assert (report.overall.n, report.overall.same) == (6, 4)
