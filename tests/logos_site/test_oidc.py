"""Signing in with a real OpenID provider over HTTP: whose account it opens, and whose it never does."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP
from allauth.socialaccount.models import SocialAccount, SocialToken
from django.contrib.auth.models import Group
from django.test import Client

from agents import acting
from agents.models import Role, SecurityEvent, User
from logos_site.oidc.configuration import Issuer
from tests.conftest import PASSWORD
from tests.oidc import agree, configured, corporate, is_in, leave, said, visit

pytestmark = pytest.mark.filterwarnings("ignore::authlib.deprecate.AuthlibDeprecationWarning")

NOBODY = "Corp knows you, but there is no account here for you to use."


@pytest.fixture
def corp(settings: Any, db: None) -> Iterator[Callable[..., Issuer]]:
    """The provider runs; call it to say how far it is trusted."""
    with corporate(settings) as one:
        yield lambda **trust: configured(settings, one.issuer, **trust)


def test_the_button_is_a_form_that_leads_to_the_provider_with_pkce_state_and_nonce(corp: Any) -> None:
    client = Client()

    page = client.get("/accounts/login/").content.decode()
    sent = parse_qs(urlsplit(leave(client)).query)

    assert 'action="/accounts/oidc/corp/login/"' in page
    assert "Continue with Corp" in page
    assert sent["code_challenge_method"] == ["S256"]
    assert sent["response_type"] == ["code"]
    assert {"state", "nonce", "code_challenge"} < set(sent)
    assert "code_verifier" not in sent
    assert client.get("/accounts/oidc/corp/login/").status_code == 302, "a link sends nobody away"


def test_a_verified_address_that_an_admin_gave_opens_the_account_when_the_provider_is_trusted(
    corp: Any, alice: User
) -> None:
    corp(trusts_email=True)
    client = Client()

    back = visit(client, "s-alice")

    assert back["Location"] == "/"
    assert is_in(client) == "alice"
    assert SecurityEvent.objects.filter(kind="sign_in_connected", person=alice).count() == 1
    # The subject opens it from now on, whatever becomes of the address.
    User.objects.filter(pk=alice.pk).update(email="elsewhere@example.org")
    again = Client()
    visit(again, "s-alice")
    assert is_in(again) == "alice"


@pytest.mark.parametrize("sub", ["s-liar", "s-vague", "s-word"])
def test_an_address_the_provider_does_not_call_verified_opens_nothing(corp: Any, alice: User, sub: str) -> None:
    corp(trusts_email=True)
    client = Client()

    visit(client, sub)

    assert is_in(client) == ""
    assert NOBODY in said(client)
    assert not SocialAccount.objects.exists()


def test_no_address_opens_anything_unless_the_operator_trusts_the_provider_with_it(corp: Any, alice: User) -> None:
    client = Client()

    visit(client, "s-alice")

    assert is_in(client) == ""
    assert NOBODY in said(client)
    event = SecurityEvent.objects.get(kind="sign_in_refused")
    assert event.detail == {"provider": "corp", "why": "nobody"}


def test_an_admins_account_is_never_opened_by_an_address(corp: Any, ada: User) -> None:
    corp(trusts_email=True, makes_people=True)
    client = Client()

    visit(client, "s-ada")

    assert is_in(client) == ""
    assert User.objects.count() == 1, "nor does a second one with that address come to be"


def test_an_address_somebody_typed_for_themselves_does_not_catch_its_bearer(corp: Any, mallory: User) -> None:
    corp(trusts_email=True)
    with acting.through("page", mallory):
        mallory.email = "alice@example.org"
        mallory.save()
    client = Client()

    visit(client, "s-alice")

    assert is_in(client) == "", "Alice would be in Mallory's account"
    mallory.email = "mallory@example.org"
    mallory.save()
    mallory.email = "alice@example.org"
    mallory.save()
    assert not EmailAddress.objects.exists(), "an admin's word is another matter"


def test_two_people_with_one_address_are_nobody(corp: Any, alice: User) -> None:
    corp(trusts_email=True)
    User.objects.create_user("alice2", "ALICE@example.org")
    client = Client()

    visit(client, "s-alice")

    assert is_in(client) == ""


def test_somebody_new_gets_an_account_with_the_least_role_when_the_operator_wants_that(corp: Any) -> None:
    corp(makes_people=True)
    client = Client()

    visit(client, "s-new")

    made = User.objects.get()
    assert is_in(client) == made.username == "newcomer"
    assert (made.role, made.email, made.display_name) == (Role.VIEWER, "new@example.org", "New Comer")
    assert not made.has_usable_password()
    assert not SocialToken.objects.exists()
    assert SocialAccount.objects.get().extra_data == {
        "userinfo": {"email": "new@example.org"},
        "made_here": True,
    }
    assert SecurityEvent.objects.filter(kind="person_added", person=made).exists()


def test_roles_and_groups_follow_the_claims_for_people_it_made(corp: Any) -> None:
    writers, others = Group.objects.create(name="Writers"), Group.objects.create(name="Others")
    groups = (("staff", "Writers"), ("board", "Others"), ("staff", "Not there"))
    corp(makes_people=True, roles=(("ops", "operator"), ("staff", "user")), groups=groups)
    visit(Client(), "s-new")
    made = User.objects.get()
    assert made.role == Role.OPERATOR
    assert list(made.groups.all()) == [writers]

    made.groups.add(others)
    corp(makes_people=True, roles=(("board", "operator"), ("staff", "user")), groups=groups)
    visit(Client(), "s-new")

    made.refresh_from_db()
    assert made.role == Role.USER
    assert list(made.groups.all()) == [writers]
    members = SecurityEvent.objects.filter(kind__startswith="member_", person=made).order_by("pk")
    assert [(event.kind, event.object_name) for event in members] == [
        ("member_added", "Writers"), ("member_removed", "Others"),
    ]  # fmt: skip


def test_a_role_an_admin_gave_is_not_the_providers_to_change(corp: Any, alice: User) -> None:
    corp(trusts_email=True, roles=(("nothing", "operator"),), role="viewer")

    visit(Client(), "s-alice")
    visit(Client(), "s-alice")

    alice.refresh_from_db()
    assert alice.role == Role.USER


def test_somebody_made_here_and_promoted_to_admin_is_left_alone(corp: Any) -> None:
    corp(makes_people=True, roles=(("staff", "user"),))
    visit(Client(), "s-new")
    made = User.objects.get()
    made.role = Role.ADMIN
    made.save()

    visit(Client(), "s-new")

    made.refresh_from_db()
    assert made.role == Role.ADMIN


def test_a_suspended_person_is_refused_like_a_stranger(corp: Any, alice: User) -> None:
    corp(trusts_email=True)
    visit(Client(), "s-alice")
    alice.is_active = False
    alice.save()
    client = Client()

    visit(client, "s-alice")

    assert is_in(client) == ""
    assert NOBODY in said(client)


def test_another_domain_stays_outside_however_well_known(corp: Any, alice: User) -> None:
    corp(trusts_email=True, domains=frozenset({"corp.example"}))
    client = Client()

    visit(client, "s-alice")

    assert is_in(client) == ""
    assert SecurityEvent.objects.get(kind="sign_in_refused").detail["why"] == "domain"


def test_the_second_factor_set_up_here_is_asked_for_all_the_same(corp: Any, alice: User) -> None:
    corp(trusts_email=True)
    TOTP.activate(alice, "JBSWY3DPEHPK3PXP")
    client = Client()

    back = visit(client, "s-alice")

    assert back["Location"].startswith("/account/second-factor/authenticate/")
    assert is_in(client) == ""
    assert Authenticator.objects.filter(user=alice).exists()


def test_a_role_that_needs_a_second_factor_sets_it_up_first(corp: Any, alice: User, settings: Any) -> None:
    corp(trusts_email=True)
    settings.LOGOS_SECOND_FACTOR_ROLES = ["user"]
    client = Client()

    visit(client, "s-alice")

    assert client.get("/")["Location"] == "/account/second-factor/"
    assert client.get("/api/me").status_code == 403


def test_the_way_back_is_a_page_of_ours(corp: Any, alice: User) -> None:
    corp(trusts_email=True)

    assert visit(Client(), "s-alice", next="/account/sessions/")["Location"] == "/account/sessions/"
    for evil in ("https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "%2F%2Fevil"):
        where = visit(Client(), "s-alice", next=evil)["Location"]
        assert urlsplit(urljoin("http://testserver/accounts/oidc/", where))[:2] == ("http", "testserver"), evil


def test_nothing_in_the_address_changes_what_is_asked_of_the_provider(corp: Any) -> None:
    client = Client()

    sent = parse_qs(
        urlsplit(
            leave(client, "/accounts/oidc/corp/login/?scope=admin&auth_params=prompt%3Dnone&process=connect")
        ).query
    )

    assert set(sent["scope"][0].split()) == {"openid", "profile", "email"}
    assert "prompt" not in sent


def test_a_code_and_a_state_work_once(corp: Any, alice: User) -> None:
    corp(trusts_email=True)
    client = Client()
    back = agree(leave(client), "s-alice")
    client.get(back)
    client.post("/accounts/logout/")

    client.get(back)
    assert is_in(client) == ""
    # The code alone is worth nothing either: its provider gave it out once, and for another sign-in.
    fresh = parse_qs(urlsplit(leave(client)).query)["state"][0]
    code = parse_qs(urlsplit(back).query)["code"][0]
    client.get(f"/accounts/oidc/corp/login/callback/?code={code}&state={fresh}")
    assert is_in(client) == ""
    assert "did not work" in said(client)


def test_the_state_of_another_browser_is_refused(corp: Any, alice: User) -> None:
    corp(trusts_email=True)
    back = agree(leave(Client()), "s-alice")
    victim = Client()

    victim.get(back)

    assert is_in(victim) == ""


def test_a_code_of_another_sign_in_is_refused_by_its_nonce(corp: Any, alice: User, caplog: Any) -> None:
    """The attacker signs in as themselves and puts their unused code into the victim's way back."""
    corp(trusts_email=True)
    attacker, victim = Client(), Client()
    stolen = parse_qs(urlsplit(agree(leave(attacker), "s-alice")).query)["code"][0]
    state = parse_qs(urlsplit(leave(victim)).query)["state"][0]

    victim.get(f"/accounts/oidc/corp/login/callback/?code={stolen}&state={state}")

    assert is_in(victim) == ""
    assert "answers another sign-in" in caplog.text


def test_no_secret_code_or_token_gets_into_a_log_or_a_page(corp: Any, alice: User, caplog: Any) -> None:
    caplog.set_level(logging.DEBUG, "logos_site")
    caplog.set_level(logging.DEBUG, "agents")
    corp(trusts_email=True)
    client = Client()
    back = agree(leave(client), "s-alice")
    client.get(back + "x")
    page = said(client)

    code = parse_qs(urlsplit(back).query)["code"][0]
    for secret in ("s3cret-of-corp", code):
        assert secret not in caplog.text
        assert secret not in page


def test_a_provider_that_is_down_is_said_calmly(settings: Any, db: None) -> None:
    configured(settings, "http://localhost:9")
    client = Client()

    answer = client.post("/accounts/oidc/corp/login/")

    assert answer["Location"] == "/accounts/login/"
    assert "Signing in with Corp did not work" in said(client)


def test_a_provider_nobody_configured_is_not_there(db: None) -> None:
    for path in ("login/", "login/callback/"):
        assert Client().get(f"/accounts/oidc/other/{path}").status_code == 404
    assert Client().post("/accounts/oidc/other/login/").status_code == 404


def test_saying_no_at_the_provider_comes_back_without_an_alarm(corp: Any) -> None:
    client = Client()
    state = parse_qs(urlsplit(leave(client)).query)["state"][0]

    client.get(f"/accounts/oidc/corp/login/callback/?error=access_denied&state={state}")

    assert "You did not sign in with Corp." in said(client)


def confirmed(user: User) -> Client:
    """Signed in by password a moment ago."""
    client = Client()
    client.post("/accounts/login/", {"login": user.username, "password": PASSWORD})
    client.post("/accounts/reauthenticate/", {"password": PASSWORD})
    return client


def test_somebody_connects_and_disconnects_under_their_account(corp: Any, alice: User) -> None:
    client = confirmed(alice)
    assert "not connected" in client.get("/account/sign-in/").content.decode()

    back = client.get(agree(leave(client, "/account/sign-in/corp/add/"), "s-alice"))
    assert back["Location"] == "/account/sign-in/"
    assert "alice@example.org" in client.get("/account/sign-in/").content.decode()
    other = Client()
    visit(other, "s-alice")
    assert is_in(other) == "alice"

    client.post(f"/account/sign-in/{SocialAccount.objects.get().pk}/remove/")
    gone = Client()
    visit(gone, "s-alice")
    assert is_in(gone) == ""
    assert list(
        SecurityEvent.objects.filter(person=alice, kind__startswith="sign_in_").values_list("kind", flat=True)
    ) == [
        "sign_in_removed",
        "sign_in_connected",
    ]


def test_connecting_and_disconnecting_ask_for_the_password_again(corp: Any, alice: User, browser: Any) -> None:
    row = SocialAccount.objects.create(user=alice, provider="corp", uid="s-alice")
    client = browser(alice)

    assert client.post("/account/sign-in/corp/add/")["Location"].startswith("/accounts/reauthenticate/")
    assert client.post(f"/account/sign-in/{row.pk}/remove/")["Location"].startswith("/accounts/reauthenticate/")
    assert SocialAccount.objects.exists()


def test_what_opens_one_account_cannot_be_connected_to_another(corp: Any, alice: User, bob: User) -> None:
    SocialAccount.objects.create(user=bob, provider="corp", uid="s-alice")
    client = confirmed(alice)

    client.get(agree(leave(client, "/account/sign-in/corp/add/"), "s-alice"))

    assert SocialAccount.objects.get().user == bob


def test_nobody_disconnects_their_only_way_in_or_somebody_elses(corp: Any, alice: User, mallory: User) -> None:
    corp(makes_people=True)
    client = Client()
    visit(client, "s-new")
    own = SocialAccount.objects.get()

    answer = client.post(f"/account/sign-in/{own.pk}/remove/")

    assert answer.status_code == 400
    assert "only way into your account" in answer.content.decode()
    assert confirmed(mallory).post(f"/account/sign-in/{own.pk}/remove/").status_code == 404
    assert SocialAccount.objects.filter(pk=own.pk).exists()


def test_leaving_with_a_form_of_somebody_elses_page_is_refused(corp: Any) -> None:
    client = Client(enforce_csrf_checks=True)

    assert client.post("/accounts/oidc/corp/login/").status_code == 403
