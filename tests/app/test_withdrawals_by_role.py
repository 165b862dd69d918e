"""Withdrawing on the monitor: maintainers any sound, uploaders their own, nobody else."""

import pytest

from app import auth, services
from app.views.withdrawal import withdraw_sound
from core.people import user_id
from core.storage.local import open_local_workspace
from tests.helpers.app_pages import BROWSER, choose, first_sound, menus, sounds
from tests.helpers.publishing import ANALYSIS, noise_wav, upload_form

WITHDRAW = "Withdraw"


def offered(app) -> list[str]:
    return [sound_id for sound_id, entries in menus(app).items() if WITHDRAW in entries]


def sound_ids(folder) -> list[str]:
    return [sound.sound_id for sound in sounds(folder)]


def last_event(folder, sound_id):
    return open_local_workspace(folder).events.of_sound(sound_id)[-1]


def published(person) -> str:
    data = noise_wav()
    token = auth.with_token(person)
    upload = services.publisher().publish(person, token, upload_form(data), data, ANALYSIS)
    return f"freesound:{upload.sound_id}"


def test_a_maintainer_withdraws_with_a_reason_that_stays_in_the_history(
    public, sign_in, own_workspace
):
    alice, sound = sign_in("alice"), first_sound(own_workspace)
    public.run()
    assert len(offered(public)) == 10
    choose(public, sound.sound_id, WITHDRAW)
    assert first_sound(own_workspace) == sound  # nothing is done without a second press
    public.text_input(key=f"reason-{sound.sound_id}").set_value("  Somebody's voice <b>  ")
    public.button(key=f"withdraw-{sound.sound_id}").click().run()
    assert not public.exception
    last = last_event(own_workspace, sound.sound_id)
    assert (last.kind, user_id(last.actor)) == ("withdrawn", alice.user_id)
    assert last.payload.reason == "Somebody's voice <b>"
    assert sound.sound_id not in offered(public)
    assert sound.sound_id not in sound_ids(own_workspace)
    assert open_local_workspace(own_workspace).media.path(sound.media.audio) is None


@pytest.mark.parametrize("name", ["carol", "bob", None])
def test_others_do_not_see_it_and_a_direct_call_does_nothing(
    public, sign_in, own_workspace, name, caplog
):
    if name:
        sign_in(name)
    sound = first_sound(own_workspace)
    public.run()
    assert offered(public) == []
    withdraw_sound(sound.sound_id)
    assert first_sound(own_workspace) == sound
    assert [record.message for record in caplog.records if "action=withdraw" in record.message]


def test_the_uploader_withdraws_the_own_sound_and_no_other(public, sign_in, own_workspace):
    other = first_sound(own_workspace).sound_id
    bob = sign_in("bob")
    own = published(bob)
    public.run()
    assert offered(public) == [own]
    withdraw_sound(other)
    assert other in sound_ids(own_workspace)
    choose(public, own, WITHDRAW).button(key=f"withdraw-{own}").click().run()
    assert own not in sound_ids(own_workspace)
    last = last_event(own_workspace, own)
    assert (last.kind, user_id(last.actor)) == ("withdrawn", bob.user_id)


def test_another_persons_own_sound_is_not_theirs_by_name(
    public, sign_in, own_workspace, freesound_server
):
    """Bob has published; his name has passed to somebody else since."""
    own = published(sign_in("bob"))
    freesound_server.state.users["bob"].id = 999
    sign_in("bob")
    public.run()
    assert offered(public) == []
    withdraw_sound(own)
    assert own in sound_ids(own_workspace)


def test_a_maintainer_who_has_signed_out_meanwhile_withdraws_nothing(
    public, sign_in, own_workspace
):
    sign_in("alice")
    sound = first_sound(own_workspace)
    public.run()
    choose(public, sound.sound_id, WITHDRAW)
    services.sign_ins().sign_out(BROWSER)
    public.button(key=f"withdraw-{sound.sound_id}").click().run()
    assert first_sound(own_workspace) == sound


def test_a_withdrawn_sound_is_gone_from_a_list_that_was_drawn_before(
    public, sign_in, own_workspace
):
    sign_in("carol")
    sound = first_sound(own_workspace)
    public.run()
    sign_in("alice")
    withdraw_sound(sound.sound_id)
    sign_in("carol")
    public.button(key=f"confirm-{sound.sound_id}").click().run()
    assert last_event(own_workspace, sound.sound_id).kind == "withdrawn"
    assert not public.exception
