from core.people import Person, local_actor, shown_name, user_id


def test_an_actor_says_who_it_was_by_id_and_is_shown_by_name():
    actor = Person(12, "alice").actor
    assert (shown_name(actor), user_id(actor)) == ("alice", 12)


def test_a_local_name_cannot_pass_for_somebody_who_signed_in():
    assert user_id(local_actor("alice (freesound user 12)")) is None
    assert local_actor("  Ada   Lovelace\n") == "Ada Lovelace"


def test_names_without_an_id_are_shown_as_they_are():
    assert (shown_name("earmark"), user_id("earmark")) == ("earmark", None)
