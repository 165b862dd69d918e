"""Taking a sound out of Earmark on the monitor: maintainers any, uploaders their own, nobody else."""

import pytest

from app import review, session
from core.people import user_id
from core.workspace import Query
from core.workspace.local import LocalWorkspace
from tests.app.conftest import BROWSER, open_to_the_world
from tests.core.freesound.test_publishing import HEARD, form, sound_bytes


@pytest.fixture
def public(connected, monkeypatch, freesound_server):
    """The app as strangers reach it: alice is a maintainer, carol a curator, bob has no role."""
    people = {name: freesound_server.state.add_user(name).id for name in ("alice", "bob", "carol")}
    monkeypatch.setenv("EARMARK_MAINTAINERS", str(people["alice"]))
    monkeypatch.setenv("EARMARK_CURATORS", str(people["carol"]))
    return open_to_the_world(connected, monkeypatch)


def sounds(folder) -> list:
    return LocalWorkspace(folder).page(Query(), 1, 50).sounds


def offered(app) -> list[str]:
    return [button.key.removeprefix("withdraw-") for button in app.button if button.key and button.key.startswith("withdraw-")]


def published(person):
    data = sound_bytes()
    done = session.publisher().publish(person, session.with_token(person), form(data), data, HEARD)
    return f"freesound:{done.sound}"


def test_a_maintainer_withdraws_with_a_reason_that_stays_in_the_history(public, sign_in, own_workspace):
    alice, state = sign_in("alice"), sounds(own_workspace)[0]
    public.run()
    assert len(offered(public)) == 10
    public.text_input(key=f"reason-{state.sound_id}").set_value("  Somebody's voice <b>  ")
    public.button(key=f"withdraw-{state.sound_id}").click().run()
    assert not public.exception
    workspace = LocalWorkspace(own_workspace)
    last = workspace.events(state.sound_id)[-1]
    assert (last.kind, last.payload.reason, user_id(last.actor)) == ("withdrawn", "Somebody's voice <b>", alice.user_id)
    assert state.sound_id not in offered(public)
    assert state.sound_id not in [one.sound_id for one in sounds(own_workspace)]
    assert workspace.media_path(state.media.audio) is None


@pytest.mark.parametrize("name", ["carol", "bob", None])
def test_others_do_not_see_it_and_a_direct_call_does_nothing(public, sign_in, own_workspace, name):
    if name:
        sign_in(name)
    state = sounds(own_workspace)[0]
    public.run()
    assert offered(public) == []
    review._withdraw(state.sound_id)
    assert sounds(own_workspace)[0] == state


def test_the_uploader_withdraws_the_own_sound_and_no_other(public, sign_in, own_workspace):
    other = sounds(own_workspace)[0]
    bob = sign_in("bob")
    own = published(bob)
    public.run()
    assert offered(public) == [own]
    review._withdraw(other.sound_id)
    assert other.sound_id in [one.sound_id for one in sounds(own_workspace)]
    public.button(key=f"withdraw-{own}").click().run()
    assert own not in [one.sound_id for one in sounds(own_workspace)]
    last = LocalWorkspace(own_workspace).events(own)[-1]
    assert (last.kind, user_id(last.actor)) == ("withdrawn", bob.user_id)


def test_another_persons_own_sound_is_not_theirs_by_name(public, sign_in, own_workspace, freesound_server):
    """Bob has published; his name has passed to somebody else since."""
    own = published(sign_in("bob"))
    freesound_server.state.users["bob"].id = 999
    sign_in("bob")
    public.run()
    assert offered(public) == []
    review._withdraw(own)
    assert own in [one.sound_id for one in sounds(own_workspace)]


def test_a_maintainer_who_has_signed_out_meanwhile_withdraws_nothing(public, sign_in, own_workspace):
    sign_in("alice")
    state = sounds(own_workspace)[0]
    public.run()
    session.sign_ins().sign_out(BROWSER)
    public.button(key=f"withdraw-{state.sound_id}").click().run()
    assert sounds(own_workspace)[0] == state


def test_a_withdrawn_sound_is_gone_from_a_list_that_was_drawn_before(public, sign_in, own_workspace):
    sign_in("carol")
    state = sounds(own_workspace)[0]
    public.run()
    sign_in("alice")
    review._withdraw(state.sound_id)
    sign_in("carol")
    public.button(key=f"accept-{state.sound_id}").click().run()
    assert LocalWorkspace(own_workspace).events(state.sound_id)[-1].kind == "withdrawn"
    assert not public.exception
