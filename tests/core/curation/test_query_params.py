"""Filters in an address: they come back as they were, and nothing in an address does harm."""

from datetime import date
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.curation.errors import InvalidFilter
from core.curation.query_params import (
    AGREEMENTS,
    ORDERS,
    STATES,
    params_text,
    parse_filter,
    query_from_params,
    query_to_params,
)
from core.events.query import Query

FULL = Query(
    show="to review",
    tag="field recording & more=ü",
    min_probability=0.25,
    max_probability=1.0,
    agreement="no uploader tags",
    license="Creative Commons 0",
    uploader="<b>ann & bob</b>",
    since=date(2026, 1, 31),
    until=date(2026, 2, 1),
    run="0123456789abcdef" * 2,
    explicit=False,
    text="rain on a tin roof",
)


def test_a_choice_comes_back_through_an_address():
    address = params_text(query_to_params(FULL, "most informative"))
    parsed = parse_filter(address)
    assert (parsed.query, parsed.order, parsed.problem) == (FULL, "most informative", "")
    assert query_from_params(dict(parse_qsl(address))) == parsed


def test_defaults_need_no_parameter():
    assert query_to_params(Query()) == {}
    assert query_from_params({}).query == Query()


@pytest.mark.parametrize("state", STATES)
def test_every_state_comes_back(state):
    params = query_to_params(Query(show=state))
    assert not any(" " in value for value in params.values())
    assert query_from_params(params).query.show == state


@pytest.mark.parametrize("agreement", AGREEMENTS)
@pytest.mark.parametrize("order", ORDERS)
def test_every_agreement_and_order_come_back(agreement, order):
    parsed = query_from_params(query_to_params(Query(agreement=agreement), order))
    assert (parsed.query.agreement, parsed.order) == (agreement, order)


@given(
    st.builds(
        Query,
        tag=st.none() | st.from_regex(r"[a-z0-9-]{1,30}", fullmatch=True),
        min_probability=st.none() | st.integers(0, 5000).map(lambda n: n / 10_000),
        max_probability=st.none() | st.integers(5000, 10_000).map(lambda n: n / 10_000),
        since=st.none() | st.dates(date(2001, 1, 1), date(2020, 1, 1)),
        until=st.none() | st.dates(date(2020, 1, 1), date(2050, 1, 1)),
        explicit=st.none() | st.booleans(),
    )
)
def test_any_choice_comes_back(query):
    assert query_from_params(query_to_params(query)).query == query


HOSTILE = [
    ("state", "everything"),
    ("tag", "dog\x00"),
    ("tag", "\u202egod"),
    ("tag", "d" * 201),
    ("min", "nan"),
    ("min", "1e400"),
    ("min", "-0.5"),
    ("max", "2"),
    ("max", "٠"),
    ("agreement", "' OR 1=1 --"),
    ("license", "a\nb"),
    ("uploader", "x" * 201),
    ("since", "2026-02-30"),
    ("since", "yesterday"),
    ("until", "99999-01-01"),
    ("run", "../../etc/passwd"),
    ("explicit", "maybe"),
    ("order", "random()"),
]


@pytest.mark.parametrize(("name", "value"), HOSTILE)
def test_a_value_that_cannot_be_used_counts_as_absent_and_is_named_in_a_sentence(name, value):
    parsed = query_from_params({name: value, "q": "rain"})
    assert parsed.query == Query(text="rain")
    assert parsed.order == "newest"
    assert f"{name}=" in parsed.problem
    assert parsed.problem.endswith(".")
    assert parsed.problem.isprintable()
    assert len(parsed.problem) < 300


@given(st.dictionaries(st.sampled_from(["state", "min", "since", "q", "tag", "zzz"]), st.text()))
def test_any_text_in_an_address_gives_a_choice(params):
    query_from_params(params)


def test_a_range_that_ends_before_it_begins_is_left_out():
    parsed = query_from_params({"min": "0.8", "max": "0.2", "state": "reviewed"})
    assert parsed.query == Query(show="reviewed")
    assert "min=0.8" in parsed.problem
    assert query_from_params({"since": "2026-02-01", "until": "2026-01-01"}).query == Query()


def test_other_parameters_of_a_page_are_not_ours():
    parsed = query_from_params({"cursor": "abc", "view": "list", "tag": "dog"})
    assert parsed.query == Query(tag="dog")
    assert parsed.problem == ""


@pytest.mark.parametrize("text", ["sate=reviewed", "reviewed", "&", "tag=a&tag=b", "min=2"])
def test_a_slip_in_a_typed_filter_is_refused_and_does_not_choose_all_sounds(text):
    with pytest.raises(InvalidFilter):
        parse_filter(text)


@pytest.mark.parametrize("text", ["state=to-review", "?state=to review", "state=to%20review"])
def test_a_typed_filter_may_be_spelled_as_people_do(text):
    assert parse_filter(text).query == Query(show="to review")
    assert parse_filter("").query == Query()
