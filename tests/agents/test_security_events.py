"""What concerns accounts and access is noted once, in the same breath as the change, by whichever door it came."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from agents import acting, audit, second_factor, sharing, tokens
from agents.errors import LogosError
from agents.models import Agent, AgentUserGrant, ApiToken, Provider, Role, SecurityEvent, User
from runs import approvals
from runs.models import Run
from tests.api_client import Program
from tests.conftest import person
from tests.console import Console
from tests.runs.acting import finished

pytestmark = pytest.mark.django_db


def kinds() -> list[str]:
    """What was noted, oldest first; people of the cast were added before."""
    return [kind for kind in SecurityEvent.objects.order_by("id").values_list("kind", flat=True) if kind not in QUIET]


QUIET = ("person_added", "signed_in")


def newest() -> SecurityEvent:
    return SecurityEvent.objects.order_by("-id")[0]


def test_a_kind_nobody_knows_is_a_mistake() -> None:
    with pytest.raises(KeyError):
        audit.note("something_else")


def test_texts_are_redacted_and_cut() -> None:
    noted = audit.note("refused", text="key sk-abcdef0123456789abcdef" + "x" * 1000)

    assert "abcdef0123456789" not in noted.detail["text"]
    assert len(noted.detail["text"]) <= 300


def test_giving_and_taking_access_back(atlas: Agent, alice: User, mallory: User) -> None:
    sharing.grant(alice, mallory, "chat", atlas)
    sharing.grant(alice, mallory, "edit", atlas)
    sharing.revoke(alice, mallory, atlas)

    noted = SecurityEvent.objects.filter(object_id=atlas.pk).order_by("id")
    assert [(each.kind, each.actor, each.person, each.detail) for each in noted] == [
        ("granted", alice, mallory, {"level": "chat"}),
        ("granted", alice, mallory, {"level": "edit"}),
        ("revoked", alice, mallory, {"level": "edit"}),
    ]
    assert (noted[0].object_kind, noted[0].object_name) == ("agent", "atlas")


def test_a_grant_that_is_undone_leaves_no_event(atlas: Agent, alice: User, viewer: User) -> None:
    with pytest.raises(LogosError):
        sharing.grant(alice, viewer, "chat", atlas)

    assert kinds() == []


def test_groups_are_named(atlas: Agent, alice: User) -> None:
    sharing.grant(alice, Group.objects.create(name="helpers"), "chat", atlas)

    assert newest().detail == {"level": "chat", "group": "helpers"}


def test_visibility_and_owner_by_any_door(atlas: Agent, alice: User, bob: User, ada: User) -> None:
    sharing.set_visibility(alice, atlas, "shared")
    sharing.transfer(alice, atlas, bob)
    Console(ada).save(atlas, visibility="private", owner="alice")

    changed = SecurityEvent.objects.filter(kind="visibility_changed").order_by("id")
    given = SecurityEvent.objects.filter(kind="transferred").order_by("id")
    assert [(each.detail["before"], each.detail["after"]) for each in changed] == [
        ("private", "shared"),
        ("shared", "private"),
    ]
    assert [(each.detail["before"], each.detail["after"], each.via) for each in given] == [
        ("alice", "bob", ""),
        ("bob", "alice", "console"),
    ]
    assert given[1].actor == ada


def test_grants_in_the_console(atlas: Agent, ada: User, mallory: User) -> None:
    prefix = "agentusergrant_set"
    level = AgentUserGrant._meta.get_field("permission").remote_field.model.objects.get(codename="chat_agent")
    total = {f"{prefix}-TOTAL_FORMS": 1, f"{prefix}-0-user": "mallory", f"{prefix}-0-permission": level.pk}
    Console(ada).save(atlas, **total)
    assert (newest().kind, newest().person, newest().actor, newest().via) == ("granted", mallory, ada, "console")

    Console(ada).save(atlas, **{f"{prefix}-0-DELETE": "on"})

    assert (newest().kind, newest().person, newest().detail) == ("revoked", mallory, {"level": "chat"})


def test_roles_and_suspensions(alice: User, ada: User) -> None:
    with acting.through("console", ada):
        alice.role = Role.OPERATOR
        alice.save()
        alice.is_active = False
        alice.save(update_fields=["is_active"])
        alice.is_active = True
        alice.save()

    assert kinds() == ["role_changed", "suspended", "restored"]
    assert SecurityEvent.objects.get(kind="role_changed").detail == {"before": "user", "after": "operator"}
    assert {(each.actor, each.person) for each in SecurityEvent.objects.exclude(kind="person_added")} == {(ada, alice)}


def test_a_person_who_is_removed_is_still_named(ada: User, mallory: User) -> None:
    with acting.through("console", ada):
        mallory.delete()

    assert (newest().kind, newest().object_kind, newest().object_name) == ("person_removed", "person", "mallory")


def test_who_removes_themselves_leaves_a_row(mallory: User) -> None:
    with acting.through("command", mallory):
        mallory.delete()

    assert (newest().kind, newest().actor, newest().object_name) == ("person_removed", None, "mallory")


def test_a_new_password_is_noted_and_a_stronger_hash_is_not(alice: User) -> None:
    alice.set_password("another-long-password")
    alice.save()
    alice.password = alice.password + "="
    alice.save(update_fields=["password"])

    assert kinds() == ["password_changed"]


def test_a_key_replaced_and_removed() -> None:
    provider = Provider(name="Cloud", kind="openai-compatible", base_url="https://cloud.example")
    provider.set_key("sk-first")
    provider.save()
    provider.name = "Clouds"
    provider.save()
    provider.set_key("sk-second")
    provider.save(update_fields=["sealed_key"])
    provider.sealed_key = ""
    provider.save()

    assert kinds() == ["key_replaced", "key_removed"]


def test_tokens_are_noted_without_any_part_of_them(alice: User, run_command: Callable[..., str]) -> None:
    token, secret = tokens.make(alice, "backup job", 30)
    tokens.revoke(alice, token.pk)
    other, _ = tokens.make(alice, "other")
    run_command("token", "revoke", str(other.pk))

    assert kinds() == ["token_made", "token_revoked", "token_made", "token_revoked"]
    everything = str(list(SecurityEvent.objects.values()))
    assert not [part for part in (secret, secret[:12], ApiToken.digest_of(secret)) if part in everything]


def test_a_revoked_token_that_is_still_used_is_noted_once(alice: User) -> None:
    token, secret = tokens.make(alice, "leaked")
    tokens.revoke(alice, token.pk)
    for _ in range(5):
        assert Program(secret=secret)("GET", "me").status_code == 401
        assert Program(secret="logos_guess")("GET", "me").status_code == 401

    assert kinds().count("token_refused") == 1
    assert (newest().person, newest().detail["name"]) == (alice, "leaked")


def test_a_second_factor_taken_away_from_a_shell(alice: User) -> None:
    second_factor.reset(alice)

    assert kinds() == [], "there was none"


def test_trying_to_change_what_is_somebody_elses_is_noted_once(
    atlas: Agent, mallory: User, browser: Callable[..., Client]
) -> None:
    client = browser(mallory)
    for _ in range(4):
        assert client.post(f"/share/agent/{atlas.pk}/", {"do": "revoke", "person": "bob"}).status_code == 404
    Program(mallory)("DELETE", f"agents/{atlas.pk}")

    refused = list(SecurityEvent.objects.filter(kind="refused").order_by("id"))
    assert [(each.actor, each.object_id, each.detail["action"], each.via) for each in refused] == [
        (mallory, atlas.pk, "agent.manage", "page")
    ]


def test_looking_and_guessing_are_not_noted(atlas: Agent, mallory: User, browser: Callable[..., Client]) -> None:
    browser(mallory).get(f"/share/agent/{atlas.pk}/")
    browser(mallory).post("/share/agent/agent_nobody/", {"do": "revoke"})
    browser().post(f"/share/agent/{atlas.pk}/", {"do": "revoke"})

    assert kinds() == []


def test_a_walk_over_many_rows_in_one_request_is_bounded(atlas: Agent) -> None:
    with acting.through("api", None):
        for number in range(100):
            acting.remember_refusal("agent.edit", Agent, str(number))

        assert len(acting.refusals()) == acting.MAX_REFUSALS


def test_an_answer_to_somebody_elses_question_is_noted(
    alice: User, atlas: Agent, mallory: User, browser: Callable[..., Client]
) -> None:
    run: Run = finished(alice, atlas)
    asked = approvals.request(run.pk, "rm", "")

    browser(mallory).post(f"/approvals/{asked.pk}/decide/", {"choice": "once"})

    assert (newest().kind, newest().actor, newest().detail["action"]) == ("refused", mallory, "run.approve")


def test_what_the_role_lacks_is_noted(viewer: User) -> None:
    Program(viewer)("POST", "souls", {"name": "Mine", "text": "Mine."})

    assert (newest().kind, newest().detail["action"], newest().object_id) == ("refused", "soul.create", "")


def test_the_cast_was_added_by_nobody_in_particular() -> None:
    made = person("newcomer", Role.OPERATOR)

    assert (newest().kind, newest().person, newest().detail) == ("person_added", made, {"role": "operator"})
