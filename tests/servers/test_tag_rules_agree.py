"""The product's and the double's tag rules are written apart from each other, and agree."""

from hypothesis import given, settings
from hypothesis import strategies as st

from core.tags import freesound_tags
from tests.servers.freesound import clean_tags

WORDS = "the The of field_recording Lo--Fi -x- café 日本語 a-the-b it's 9".split()
TEXT = st.one_of(
    st.text(max_size=30),
    st.text("theofaA9-_ ,.\t\né", max_size=30),
    st.lists(st.sampled_from(WORDS), max_size=8).map(" ".join),
)


@settings(max_examples=1000, deadline=None)
@given(text=TEXT)
def test_the_product_foresees_which_tags_the_site_stores(text: str) -> None:
    assert sorted(freesound_tags(text)) == clean_tags(text)


@settings(max_examples=100, deadline=None)
@given(text=TEXT)
def test_stored_tags_are_stored_again_as_they_are(text: str) -> None:
    tags = clean_tags(text)
    assert clean_tags(" ".join(tags)) == tags
