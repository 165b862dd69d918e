"""Saved views: by name, a person's own or shared."""

import pytest

from core.curation.errors import InvalidView
from core.curation.opening import open_curation
from core.curation.saved_views import MAX_NAME_LENGTH, MAX_VIEWS
from core.events.query import Query

RAIN = Query(show="to review", tag="rain & <b>", min_probability=0.5)


@pytest.fixture
def views(curation):
    return curation.views


def names(views, actor):
    return [(view.name, view.author) for view in views.visible_to(actor)]


def test_a_view_comes_back_with_its_filters_and_order(views, workspace):
    views.save("  Rain   first ", "ada", RAIN, "most uncertain")
    (view,) = open_curation(workspace).views.visible_to("ada")
    assert (view.name, view.shared) == ("Rain first", False)
    assert (view.choice.query, view.choice.order) == (RAIN, "most uncertain")


def test_own_views_come_first_and_others_only_where_they_are_shared(views):
    views.save("b", "ada", RAIN, "newest")
    views.save("A", "ada", RAIN, "newest", shared=True)
    views.save("z", "bob", RAIN, "newest")
    views.save("a", "bob", RAIN, "newest", shared=True)
    assert names(views, "ada") == [("A", "ada"), ("b", "ada"), ("a", "bob")]
    assert names(views, "cid") == [("A", "ada"), ("a", "bob")]


def test_saving_again_replaces_the_person_s_own_view_alone(views):
    views.save("mine", "ada", RAIN, "newest")
    views.save("mine", "bob", RAIN, "newest", shared=True)
    views.save("mine", "ada", Query(), "newest", shared=True)
    assert [view.choice.query for view in views.visible_to("ada")] == [Query(), RAIN]


def test_only_the_author_s_view_is_deleted(views):
    views.save("mine", "ada", RAIN, "newest", shared=True)
    assert views.delete("mine", "bob") is False
    assert views.delete("mine", "ada") is True
    assert names(views, "ada") == []


@pytest.mark.parametrize("name", ["", "   ", "a" * (MAX_NAME_LENGTH + 1), "a\x00b", "a\u202eb"])
def test_a_name_that_cannot_be_shown_is_refused(views, name):
    with pytest.raises(InvalidView):
        views.save(name, "ada", RAIN, "newest")
    assert names(views, "ada") == []


def test_a_person_keeps_so_many_views_and_may_still_replace_them(views):
    for number in range(MAX_VIEWS):
        views.save(f"view {number}", "ada", RAIN, "newest")
    with pytest.raises(InvalidView, match="delete"):
        views.save("one more", "ada", RAIN, "newest")
    views.save("view 0", "ada", Query(), "newest")
    views.save("view 0", "bob", Query(), "newest")
