"""Signing in against the local double, over real HTTP: consent, refresh, and what must not work."""

import sqlite3
import threading
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr

from core.freesound.client import FreesoundClient
from core.freesound.errors import (
    BadCredential,
    ForeignCallback,
    NotSignedIn,
    ServerTrouble,
    SignInExpired,
    SignInRefused,
    Unreachable,
)
from core.freesound.oauth import OAuthClient
from core.freesound.rate_limit import Budget, Limits
from core.freesound.sign_ins import MAX_STATES, Finished, SignIns
from core.people import Person
from tests.servers.freesound.person import consent, parameters

CALLBACK = "http://localhost:8501/auth/freesound/callback"


@pytest.fixture
def credential(freesound_server):
    return freesound_server.state.add_client("earmark", redirect_uri=CALLBACK)


@pytest.fixture
def build_client(freesound_server, credential, tmp_path):
    def build(secret=credential.client_secret) -> FreesoundClient:
        budget = Budget(tmp_path / "budget.sqlite", Limits(1000, 1000, 1000, 1000))
        return FreesoundClient(
            SecretStr(secret), budget, f"{freesound_server.url}/apiv2", sleep=lambda seconds: None
        )

    return build


@pytest.fixture
def client(build_client):
    return build_client()


@pytest.fixture
def build(freesound_server, credential, tmp_path, build_client):
    def build(
        secret=credential.client_secret,
        clock=freesound_server.now,
        roles_of=lambda user_id: "",
    ) -> SignIns:
        oauth = OAuthClient(
            credential.client_id, SecretStr(secret), f"{freesound_server.url}/apiv2"
        )
        path = tmp_path / "people.sqlite"
        return SignIns(path, oauth, build_client(secret), clock, roles_of)

    return build


@pytest.fixture
def sign_ins(build):
    return build()


def sign_in(
    sign_ins: SignIns, browser: str = "browser-1", username: str = "alice", former: str = ""
) -> Finished:
    """Sign somebody in; `browser` is the browser's id afterwards."""
    former = former or f"former-{browser}"
    landed = parameters(consent(sign_ins.begin(former, CALLBACK, "/try"), username))
    return sign_ins.finish(former, landed["state"], landed["code"], browser)


def refreshes(server) -> int:
    """Return how often the token endpoint was asked after the sign-in itself."""
    return sum(request.path.endswith("access_token/") for request in server.requests) - 1


def test_a_person_who_agrees_is_signed_in_at_this_browser_only(sign_ins, freesound_server):
    alice = freesound_server.state.users["alice"]
    assert sign_in(sign_ins) == Finished("/try", Person(alice.id, "alice"), None)
    assert sign_ins.person("browser-1") == Person(alice.id, "alice")
    assert sign_ins.person("browser-2") is None
    assert sign_ins.person(None) is None


def test_a_sign_in_survives_a_restart(sign_ins, build):
    sign_in(sign_ins)
    assert build().person("browser-1").name == "alice"
    assert build().with_token("browser-1", lambda token: token.get_secret_value())


def test_signing_out_ends_it(sign_ins):
    sign_in(sign_ins)
    sign_ins.sign_out("browser-1")
    assert sign_ins.person("browser-1") is None
    with pytest.raises(NotSignedIn):
        sign_ins.with_token("browser-1", lambda token: token)


def test_who_declines_is_not_signed_in_and_goes_back_to_where_they_were(sign_ins):
    landed = parameters(
        consent(sign_ins.begin("browser-1", CALLBACK, "/try"), "alice", agree=False)
    )
    assert landed["error"] == "access_denied"
    assert sign_ins.abandon("browser-1", landed["state"]) == "/try"
    assert sign_ins.person("browser-1") is None


def test_a_callback_begun_in_another_browser_is_refused_and_used_up(sign_ins):
    """Login CSRF: the attacker's own callback must not sign the victim in as the attacker."""
    landed = parameters(consent(sign_ins.begin("attacker", CALLBACK, "/try"), "bob"))
    with pytest.raises(ForeignCallback):
        sign_ins.finish("victim", landed["state"], landed["code"], "next")
    assert sign_ins.person("victim") is None
    with pytest.raises(ForeignCallback):
        sign_ins.finish("attacker", landed["state"], landed["code"], "next")


def test_a_callback_works_once(sign_ins):
    landed = parameters(consent(sign_ins.begin("browser-1", CALLBACK, "/try"), "alice"))
    sign_ins.finish("browser-1", landed["state"], landed["code"], "next")
    with pytest.raises(ForeignCallback):
        sign_ins.finish("browser-1", landed["state"], landed["code"], "next")


def test_a_made_up_state_is_refused_before_freesound_is_asked(sign_ins, freesound_server):
    with pytest.raises(ForeignCallback):
        sign_ins.finish("browser-1", "made-up", "code", "next")
    assert freesound_server.requests == []


def test_a_code_of_another_sign_in_does_not_fit(sign_ins):
    """PKCE: a leaked code is worth nothing without the verifier of its own sign-in."""
    stolen = parameters(consent(sign_ins.begin("victim", CALLBACK, "/try"), "alice"))["code"]
    own = parameters(consent(sign_ins.begin("attacker", CALLBACK, "/try"), "bob"))
    with pytest.raises(SignInRefused):
        sign_ins.finish("attacker", own["state"], stolen, "next")
    assert sign_ins.person("attacker") is None


def test_a_sign_in_that_took_more_than_ten_minutes_is_refused(sign_ins, freesound_server):
    landed = parameters(consent(sign_ins.begin("browser-1", CALLBACK, "/try"), "alice"))
    freesound_server.advance(601)
    with pytest.raises(ForeignCallback):
        sign_ins.finish("browser-1", landed["state"], landed["code"], "next")


def test_a_code_that_has_run_out_at_freesound_says_sign_in_again(sign_ins, build, freesound_server):
    patient = build(clock=lambda: 0.0)
    landed = parameters(consent(patient.begin("browser-1", CALLBACK, "/try"), "alice"))
    freesound_server.advance(700)
    with pytest.raises(SignInRefused, match="please sign in again"):
        patient.finish("browser-1", landed["state"], landed["code"], "next")


def test_a_wrong_client_secret_is_the_operators_matter(build):
    wrong = build(secret="x" * 40)
    landed = parameters(consent(wrong.begin("browser-1", CALLBACK, "/try"), "alice"))
    with pytest.raises(BadCredential, match="whoever runs Earmark"):
        wrong.finish("browser-1", landed["state"], landed["code"], "next")


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"status": 500}, ServerTrouble),
        ({"status": 502, "body": "<html>Bad gateway</html>"}, ServerTrouble),
        ({"status": 200, "body": "<html>hello</html>", "content_type": "text/html"}, ServerTrouble),
        (
            {"status": 200, "body": '{"access_token": "a"}', "content_type": "application/json"},
            ServerTrouble,
        ),
        ({"status": 200, "body": "[]", "content_type": "application/json"}, ServerTrouble),
        (
            {"status": 200, "body": "[" * 100_000, "content_type": "application/json"},
            ServerTrouble,
        ),
        (
            {"status": 200, "body": '{"access_token": "\\ud800", "refresh_token": "a"}'},
            ServerTrouble,
        ),
        ({"drop": "before"}, Unreachable),
        ({"drop": "after"}, Unreachable),
    ],
)
def test_a_token_endpoint_in_trouble_is_one_sentence_without_secrets(
    sign_ins, freesound_server, credential, fault, error, caplog
):
    landed = parameters(consent(sign_ins.begin("browser-1", CALLBACK, "/try"), "alice"))
    freesound_server.fail("oauth2/access_token", **fault)
    with pytest.raises(error) as caught:
        sign_ins.finish("browser-1", landed["state"], landed["code"], "next")
    shown = f"{caught.value!r} {caught.value.__cause__!r} {caplog.text}"
    assert credential.client_secret not in shown
    assert landed["code"] not in shown


def test_an_expired_token_is_refreshed_once_and_the_new_pair_is_kept(
    sign_ins, build, client, freesound_server
):
    sign_in(sign_ins)
    freesound_server.state.expire_tokens()
    assert sign_ins.with_token("browser-1", client.me).username == "alice"
    assert build().with_token("browser-1", client.me).username == "alice"
    assert refreshes(freesound_server) == 1


def test_twenty_at_once_refresh_once(sign_ins, client, freesound_server):
    """Both tokens rotate: a second refresh with the old pair would end the sign-in."""
    sign_in(sign_ins)
    freesound_server.state.expire_tokens()
    barrier, names = threading.Barrier(20), []

    def ask():
        barrier.wait()
        names.append(sign_ins.with_token("browser-1", client.me).username)

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert names == ["alice"] * 20
    assert refreshes(freesound_server) == 1


def test_a_sign_in_taken_back_at_freesound_ends_here_too(
    sign_ins, client, freesound_server, caplog
):
    sign_in(sign_ins)
    freesound_server.state.revoke("alice")
    with pytest.raises(SignInExpired, match="please sign in again"):
        sign_ins.with_token("browser-1", client.me)
    assert sign_ins.person("browser-1") is None
    assert "sign-in refresh refused user=" in caplog.text


def test_two_browsers_of_one_person_do_not_disturb_each_other(sign_ins, client, freesound_server):
    sign_in(sign_ins, "browser-1")
    sign_in(sign_ins, "browser-2")
    freesound_server.state.expire_tokens()
    for browser in ("browser-1", "browser-2", "browser-1"):
        assert sign_ins.with_token(browser, client.me).username == "alice"


def test_the_file_holds_neither_tokens_nor_browser_ids(sign_ins, tmp_path):
    sign_in(sign_ins)
    access = sign_ins.with_token("browser-1", lambda token: token.get_secret_value())
    file = tmp_path / "people.sqlite"
    assert file.stat().st_mode & 0o077 == 0
    dump = "\n".join(sqlite3.connect(file).iterdump()).encode() + file.read_bytes()
    assert access.encode() not in dump
    assert b"browser-1" not in dump


def test_with_another_client_secret_everybody_signs_in_again(sign_ins, build):
    sign_in(sign_ins)
    with pytest.raises(SignInExpired, match="credential has changed"):
        build(secret="y" * 40).with_token("browser-1", lambda token: token)


def test_a_browser_that_begins_again_and_again_fills_nothing(sign_ins, tmp_path):
    for _ in range(MAX_STATES + 10):
        sign_ins.begin("browser-1", CALLBACK, "/")
    assert sqlite3.connect(tmp_path / "people.sqlite").execute(
        "select count(*) from begun"
    ).fetchone() == (MAX_STATES,)


# New ids for a browser


def test_who_knew_the_browsers_id_before_the_sign_in_is_not_signed_in(sign_ins, client):
    sign_in(sign_ins, "browser-1", former="planted")
    assert sign_ins.person("planted") is None
    with pytest.raises(NotSignedIn):
        sign_ins.with_token("planted", client.me)
    assert not sign_ins.retired("planted").signed_out
    assert sign_ins.retired("browser-1") is None


def test_a_sign_in_that_was_begun_under_the_old_id_cannot_be_finished(sign_ins):
    """Whoever planted the id may have begun one of their own under it."""
    own = parameters(consent(sign_ins.begin("planted", CALLBACK, "/try"), "bob"))
    sign_in(sign_ins, "browser-1", former="planted")
    for browser in ("planted", "browser-1"):
        with pytest.raises(ForeignCallback):
            sign_ins.finish(browser, own["state"], own["code"], "next")
    assert sign_ins.person("browser-1").name == "alice"


def test_work_under_a_sign_in_goes_on_when_the_same_person_signs_in_again(sign_ins, client):
    sign_in(sign_ins, "browser-1")
    running = sign_ins.signed_in("browser-1").sign_in
    sign_in(sign_ins, "browser-2", former="browser-1")
    assert sign_ins.person("browser-1") is None
    assert sign_ins.with_token_of(running, client.me).username == "alice"


@pytest.mark.parametrize("username", ["bob", None])
def test_work_under_a_sign_in_ends_with_it(sign_ins, client, username):
    sign_in(sign_ins, "browser-1")
    running = sign_ins.signed_in("browser-1").sign_in
    if username is None:
        sign_ins.retire("browser-1")
    else:
        finished = sign_in(sign_ins, "browser-2", username, former="browser-1")
        assert finished.former.name == "alice"
    with pytest.raises(NotSignedIn):
        sign_ins.with_token_of(running, client.me)


def test_after_a_sign_out_the_browsers_id_is_dead(sign_ins):
    sign_in(sign_ins, "browser-1")
    sign_ins.retire("browser-1")
    assert sign_ins.person("browser-1") is None
    assert sign_ins.retired("browser-1").signed_out


def test_a_browser_gets_a_new_id_when_a_role_changes_and_only_then(build, client):
    roles = {"now": ""}
    sign_ins = build(roles_of=lambda user_id: roles["now"])
    sign_in(sign_ins, "browser-1")
    assert sign_ins.renew("browser-1", "browser-2") is None
    running = sign_ins.signed_in("browser-1").sign_in
    roles["now"] = "curator"
    assert sign_ins.has_other_roles(sign_ins.signed_in("browser-1"))
    assert sign_ins.renew("browser-1", "browser-2").name == "alice"
    assert sign_ins.renew("browser-1", "browser-3") is None
    assert [sign_ins.person(f"browser-{number}") is None for number in (1, 2, 3)] == [
        *(True, False, True)
    ]
    assert sign_ins.signed_in("browser-2").roles == "curator"
    assert sign_ins.with_token_of(running, client.me).username == "alice"


def test_a_file_of_the_first_version_opens_and_its_people_stay_signed_in(
    build, tmp_path, client, freesound_server
):
    sign_ins = build()
    sign_in(sign_ins)
    with sqlite3.connect(tmp_path / "people.sqlite") as file:
        file.execute("drop table retired")
        file.execute("alter table people drop column sign_in")
        file.execute("alter table people drop column roles")
        file.execute("update schema_versions set version = 1")
    later = build()
    assert later.signed_in("browser-1").roles is None
    assert later.with_token("browser-1", client.me).username == "alice"
    assert later.renew("browser-1", "browser-2").name == "alice"
    assert later.person("browser-2").name == "alice"


@pytest.mark.parametrize(
    ("account", "path", "prompt"),
    [
        ("any", "/apiv2/oauth2/authorize/", None),
        ("confirmed", "/apiv2/oauth2/authorize/", "force"),
        ("other", "/apiv2/oauth2/logout_and_authorize/", "force"),
    ],
)
def test_freesound_is_told_which_account_is_wanted(sign_ins, account, path, prompt):
    address = sign_ins.begin("browser-1", CALLBACK, "/try", account)
    assert urlsplit(address).path == path
    assert parameters(address).get("approval_prompt") == prompt
