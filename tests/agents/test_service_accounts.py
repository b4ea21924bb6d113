"""Service accounts: tokens and nothing else, never more than their keeper, and shown for what they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.test import Client

from agents import composition, permissions, service_accounts, sharing, souls, tokens
from agents.errors import Conflict, Invalid, LogosError, NotFound
from agents.models import Agent, Role, SecurityEvent, User
from tests import shell
from tests.api_client import Program
from tests.conftest import PASSWORD, person

Browser = Callable[..., Client]


def with_token(account: User, maker: User) -> Program:
    return Program(secret=tokens.make(account, "job", maker=maker)[1])


def test_it_acts_with_its_own_name_and_its_own_grants(alice: User, atlas: Agent) -> None:
    build = service_accounts.make(alice, "nightly-build", "user")
    program = with_token(build, alice)

    assert program.get("me")["username"] == "nightly-build"
    assert program.get("me")["name"] == "nightly-build (service account)"
    assert program("GET", f"agents/{atlas.pk}").status_code == 404, "what its keeper owns is not its own"
    permissions.grant(build, "view", atlas)
    assert program.get(f"agents/{atlas.pk}")["name"] == "atlas"


@pytest.mark.parametrize("way", ["password", "set by hand", "e-mail"])
def test_it_cannot_sign_in(alice: User, way: str) -> None:
    build = service_accounts.make(alice, "nightly-build", "user")
    build.set_password(PASSWORD)
    build.email = "build@example.org"
    build.save()
    if way == "set by hand":
        User.objects.filter(pk=build.pk).update(password=alice.password)
        EmailAddress.objects.create(user=build, email="build@example.org", verified=True, primary=True)
    client = Client()

    client.post(
        "/accounts/login/", {"login": "build@example.org" if way == "e-mail" else "nightly-build", "password": PASSWORD}
    )

    assert "_auth_user_id" not in client.session
    assert client.get("/account/").status_code == 302


def test_a_session_of_one_opens_no_api(alice: User, browser: Browser) -> None:
    """However it came to be."""
    assert browser(service_accounts.make(alice, "nightly-build", "user")).get("/api/me").status_code == 401


@pytest.mark.parametrize(("role", "may_give"), [("operator", 3), ("user", 2), ("admin", 4)])
def test_nobody_makes_one_that_may_more_than_they(db: None, role: str, may_give: int) -> None:
    maker = person("maker", role)

    for wanted in service_accounts.RANKS[:may_give]:
        service_accounts.make(maker, f"for-{wanted}", wanted)
    for wanted in service_accounts.RANKS[may_give:]:
        with pytest.raises(Invalid, match="your own role at most"):
            service_accounts.make(maker, f"for-{wanted}", wanted)


def test_a_viewer_makes_none(viewer: User) -> None:
    with pytest.raises(LogosError) as caught:
        service_accounts.make(viewer, "build", "viewer")
    assert caught.value.reason == "forbidden"


def test_it_is_demoted_with_its_keeper(ada: User) -> None:
    otto = person("otto", Role.OPERATOR)
    build = service_accounts.make(otto, "nightly-build", "operator")

    otto.role = Role.USER
    otto.save()

    build.refresh_from_db()
    assert build.role == Role.USER
    assert not build.is_staff
    build.role = Role.ADMIN
    with pytest.raises(Invalid):
        build.save()


def test_it_stops_while_its_keeper_is_suspended_until_somebody_takes_it_over(alice: User, bob: User, ada: User) -> None:
    build = service_accounts.make(alice, "nightly-build", "user")
    program = with_token(build, alice)
    assert program("GET", "me").status_code == 200

    alice.is_active = False
    alice.save()
    assert program("GET", "me").status_code == 401

    service_accounts.give(ada, build.pk, "bob", revoke=False)
    assert program("GET", "me").status_code == 200
    told = {"before": "alice", "after": "bob", "tokens": "kept"}
    assert SecurityEvent.objects.get(kind="service_moved").detail == told


@pytest.mark.parametrize("door", ["page", "API", "command"])
@pytest.mark.parametrize("keeps", [False, True])
def test_copies_of_its_tokens_end_with_the_handover_unless_one_says_otherwise(
    alice: User, bob: User, browser: Browser, door: str, keeps: bool
) -> None:
    build = service_accounts.make(alice, "nightly-build", "user")
    program = with_token(build, alice)

    if door == "page":
        shown = browser(alice).get(f"/account/service-accounts/{build.pk}/").content.decode()
        assert 'name="revoke" aria-describedby="revoke-hint" checked' in shown
        typed = {"keeper": "bob"} if keeps else {"keeper": "bob", "revoke": "on"}
        browser(alice).post(f"/account/service-accounts/{build.pk}/give/", typed)
    elif door == "API":
        body = {"keeper": "bob", "revoke_tokens": False} if keeps else {"keeper": "bob"}
        assert Program(alice)("PATCH", f"service-accounts/{build.pk}", body).status_code == 200
    else:
        shell.run("service", "give", "nightly-build", "bob", "--user", "alice", *(["--keep-tokens"] if keeps else []))

    build.refresh_from_db()
    assert build.keeper == bob
    assert program("GET", "me").status_code == (200 if keeps else 401)
    moved = SecurityEvent.objects.get(kind="service_moved")
    assert moved.detail["tokens"] == ("kept" if keeps else "all revoked")
    assert SecurityEvent.objects.filter(kind="token_revoked", person=build).count() == (0 if keeps else 1)


def test_a_wrong_keeper_revokes_nothing_and_keeps_the_tick(alice: User, browser: Browser) -> None:
    build = service_accounts.make(alice, "nightly-build", "user")
    program = with_token(build, alice)

    answer = browser(alice).post(f"/account/service-accounts/{build.pk}/give/", {"keeper": "nobody"})

    assert answer.status_code == 400
    assert 'aria-describedby="revoke-hint">' in answer.content.decode(), "it was not ticked"
    assert program("GET", "me").status_code == 200


def test_it_is_suspended_when_its_keeper_is_deleted(alice: User, ada: User) -> None:
    build = service_accounts.make(alice, "nightly-build", "user")
    program = with_token(build, alice)

    alice.delete()

    build.refresh_from_db()
    assert not build.is_active
    assert program("GET", "me").status_code == 401


def test_suspended_it_does_nothing_and_restored_it_goes_on(alice: User) -> None:
    build = service_accounts.make(alice, "nightly-build", "user")
    program = with_token(build, alice)

    service_accounts.suspend(alice, build.pk)
    assert program("GET", "me").status_code == 401
    service_accounts.suspend(alice, build.pk, suspended=False)

    assert program("GET", "me").status_code == 200


def test_only_admins_make_one_for_the_team_and_all_of_them_look_after_it(ada: User, alice: User) -> None:
    team = service_accounts.make(ada, "team-bot", "admin", for_team=True)

    assert team.keeper is None
    assert team in service_accounts.of(person("otto-admin", Role.ADMIN))
    assert team not in service_accounts.of(alice)
    with pytest.raises(LogosError):
        service_accounts.make(alice, "team-two", "user", for_team=True)
    own = service_accounts.make(alice, "own", "user")
    with pytest.raises(LogosError):
        service_accounts.give(alice, own.pk, "")


def test_nobody_finds_those_of_others(alice: User, mallory: User) -> None:
    build = service_accounts.make(alice, "nightly-build", "user")
    token, _ = tokens.make(build, "job", maker=alice)
    program = Program(mallory)

    assert program.get("service-accounts")["items"] == []
    for method, path in (
        ("GET", ""),
        ("PATCH", ""),
        ("GET", "/tokens"),
        ("POST", "/tokens"),
        ("POST", f"/tokens/{token.pk}/rotate"),
        ("DELETE", f"/tokens/{token.pk}"),
    ):
        body = {"name": "x", "suspended": True}
        assert program(method, f"service-accounts/{build.pk}{path}", body).status_code == 404, path
    with pytest.raises(NotFound):
        service_accounts.fetch(build, build.pk)


def test_an_account_of_a_person_is_no_service_account(ada: User, alice: User) -> None:
    assert Program(ada)("GET", f"service-accounts/{alice.pk}").status_code == 404
    assert Program(ada)("PATCH", f"service-accounts/{alice.pk}", {"suspended": True}).status_code == 404
    alice.refresh_from_db()
    assert alice.is_active


def test_it_is_given_only_to_somebody_whose_role_is_enough(ada: User, alice: User, viewer: User) -> None:
    build = service_accounts.make(ada, "nightly-build", "operator")
    other = service_accounts.make(ada, "other", "viewer")

    for name in ("alice", "viewer", "nobody", "other"):
        with pytest.raises(Invalid):
            service_accounts.give(ada, build.pk, name)
    with pytest.raises(Invalid):
        service_accounts.give(ada, other.pk, "viewer")


@pytest.mark.parametrize("name", ["", "  ", "two words", "a" * 61, "<script>", "ünïcode ok", "nul\0"])
def test_a_name_that_cannot_be_is_refused(alice: User, name: str) -> None:
    with pytest.raises(Invalid) as caught:
        service_accounts.make(alice, name, "user")
    assert caught.value.field == "name"


def test_a_taken_name_is_refused_whatever_its_case(alice: User) -> None:
    with pytest.raises(Conflict):
        service_accounts.make(alice, "ALICE", "user")


def test_over_the_api_it_is_made_given_tokens_and_suspended(alice: User) -> None:
    program = Program(alice)
    made = program.post("service-accounts", {"name": "nightly-build", "role": "user"}, 201)
    assert (made["keeper"], made["works"]) == ("alice", True)

    token = program.post(f"service-accounts/{made['id']}/tokens", {"name": "job", "scopes": ["read"]}, 201)
    rotated = program.post(f"service-accounts/{made['id']}/tokens/{token['id']}/rotate", {"hours": 0}, 201)

    assert Program(secret=token["secret"])("GET", "me").status_code == 401
    assert Program(secret=rotated["secret"])("GET", "me").status_code == 200
    changed = program("PATCH", f"service-accounts/{made['id']}", {"suspended": True}).json()
    assert (changed["suspended"], changed["works"]) == (True, False)
    assert Program(secret=rotated["secret"])("GET", "me").status_code == 401
    taken = program.post("service-accounts", {"name": "nightly-build", "role": "user"}, 409)
    assert taken["error"]["reason"] == "name_taken"
    assert program.post("service-accounts", {"name": "x", "role": "admin"}, 400)["error"]["field"] == "role"


def test_on_its_page_it_is_made_and_the_secret_shown_once(browser: Browser, alice: User) -> None:
    client = browser(alice)

    page = client.post("/account/service-accounts/", {"name": "nightly-build", "role": "user"}, follow=True)
    made = User.objects.get(username="nightly-build")
    assert page.redirect_chain[-1][0] == f"/account/service-accounts/{made.pk}/"
    shown = client.post(f"/account/service-accounts/{made.pk}/", {"name": "job", "days": "30", "scopes": "chat"})

    secret = shown.context["secret"]
    assert secret in shown.content.decode()
    assert made.tokens.get().scopes == "chat"
    again = client.get(f"/account/service-accounts/{made.pk}/").content.decode()
    assert secret not in again
    assert "may look, chat" in again
    token = made.tokens.get()
    rotated = client.post(f"/account/service-accounts/{made.pk}/tokens/{token.pk}/rotate/").context["secret"]
    client.post(f"/account/service-accounts/{made.pk}/tokens/{token.pk}/revoke/")
    assert Program(secret=secret)("GET", "me").status_code == 401
    client.post(f"/account/service-accounts/{made.pk}/suspend/")
    assert Program(secret=rotated)("GET", "me").status_code == 401
    client.post(f"/account/service-accounts/{made.pk}/suspend/", {"do": "restore"})
    assert Program(secret=rotated)("GET", "me").status_code == 200


def test_a_wrong_name_keeps_what_was_typed(browser: Browser, alice: User) -> None:
    answer = browser(alice).post("/account/service-accounts/", {"name": "two words", "role": "user"})

    assert answer.status_code == 400
    assert 'value="two words"' in answer.content.decode()
    assert "no blanks" in answer.content.decode()


def test_given_away_it_is_gone_from_ones_page(browser: Browser, alice: User, bob: User) -> None:
    build = service_accounts.make(alice, "nightly-build", "user")
    client = browser(alice)

    wrong = client.post(f"/account/service-accounts/{build.pk}/give/", {"keeper": "nobody"})
    assert wrong.status_code == 400
    assert 'value="nobody"' in wrong.content.decode()
    client.post(f"/account/service-accounts/{build.pk}/give/", {"keeper": "bob"})

    assert client.get(f"/account/service-accounts/{build.pk}/").status_code == 404
    assert browser(bob).get(f"/account/service-accounts/{build.pk}/").status_code == 200


def test_the_list_asks_as_often_for_forty_as_for_one(
    browser: Browser, ada: User, alice: User, django_assert_max_num_queries: Any
) -> None:
    for number in range(40):
        service_accounts.make(alice, f"bot-{number}", "user")

    client = browser(ada)
    client.get("/account/")  # the session is written down once a minute
    with django_assert_max_num_queries(8):
        page = client.get("/account/service-accounts/")
    assert len(page.content) < 60_000
    with django_assert_max_num_queries(8):
        Program(ada).get("service-accounts")


def test_a_role_that_needs_a_second_factor_needs_its_keepers(alice: User, settings: Any) -> None:
    build = service_accounts.make(alice, "nightly-build", "user")
    settings.LOGOS_SECOND_FACTOR_ROLES = ["user"]

    with pytest.raises(LogosError) as caught:
        tokens.make(build, "job", maker=alice)
    assert caught.value.reason == "second_factor_required"


def test_the_command_makes_lists_suspends_and_gives(ada: User, alice: User) -> None:
    shell.run("service", "create", "nightly-build", "--role", "user")
    secret = shell.run("token", "create", "nightly-build", "job", "--scope", "read").out.strip()
    assert Program(secret=secret).get("me")["username"] == "nightly-build"
    assert Program(secret=secret)("POST", "conversations", {}).status_code == 403

    assert "nightly-build" in shell.run("service", "list").out
    assert shell.run("service", "list", "--json").json[0]["keeper"] == "ada"
    shell.run("service", "suspend", "nightly-build")
    assert Program(secret=secret)("GET", "me").status_code == 401
    shell.run("service", "restore", "nightly-build")
    shell.run("service", "give", "nightly-build", "alice", "--keep-tokens")
    assert User.objects.get(username="nightly-build").keeper == alice
    token = User.objects.get(username="nightly-build").tokens.get()
    rotated = shell.run("token", "rotate", str(token.pk), "--hours", "0").out.strip()
    assert Program(secret=rotated)("GET", "me").status_code == 200
    assert shell.run("service", "suspend", "alice").code == 1
    assert shell.run("token", "rotate", "999").code == 1


def test_lists_and_the_audit_show_it_for_what_it_is(ada: User, alice: User, browser: Browser) -> None:
    build = service_accounts.make(alice, "nightly-build", "user")
    with_token(build, alice).post("tokens", {"name": "another"}, 201)
    client = browser(ada)

    for page in ("/admin/agents/user/", "/audit/"):
        shown = client.get(page)
        assert shown.status_code == 200, page
        assert "nightly-build (service account)" in shown.content.decode(), page
    only = client.get("/admin/agents/user/?kind__exact=service").content.decode()
    assert "nightly-build" in only
    assert "alice@example.org" not in only
    assert "admin" in client.get("/admin/agents/apitoken/").content.decode()


def test_one_makes_no_others_that_would_outlive_its_keepers_account(alice: User, ada: User) -> None:
    bot = service_accounts.make(alice, "bot", Role.USER)

    answer = with_token(bot, alice)("POST", "service-accounts", {"name": "bot-of-bot", "role": "user"})

    assert (answer.status_code, answer.json()["error"]["reason"]) == (403, "forbidden")
    assert not User.objects.filter(username="bot-of-bot").exists()


def test_what_it_owns_counts_for_its_keepers_limit(alice: User, bob: User, atlas: Agent, settings: Any) -> None:
    settings.LOGOS_MAX_AGENTS = {"user": 2}
    bots = [service_accounts.make(alice, name, Role.USER) for name in ("bot-1", "bot-2")]
    permissions.grant(bots[0], "view", atlas.soul)

    made = [
        with_token(bot, alice)("POST", "agents", {"name": f"of {bot}", "soul_id": atlas.soul_id, "prepare": False})
        for bot in (bots[0], bots[0])
    ]

    assert [answer.status_code for answer in made] == [201, 409]
    with pytest.raises(Conflict, match="at most"):
        sharing.transfer(alice, atlas, bots[1])
    composition.create(bob, "his", soul := souls.create("Bob's", "Text.", bob))
    composition.create(bob, "his other", soul)
    with pytest.raises(Conflict, match="at most"):
        service_accounts.give(alice, bots[0].pk, "bob")
    service_accounts.give(alice, bots[1].pk, "bob")
