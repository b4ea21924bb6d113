"""An earlier version is put back by the rules of today: as a new version, or refused with a sentence."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from agents import acting, composition, documents, permissions, sharing, souls
from agents.errors import Conflict, Invalid, LogosError, NotFound
from agents.models import Agent, ModelRoute, Policy, Provider, Role, SecurityEvent, Soul, User, Visibility
from agents.past import reverting
from tests.conftest import person
from tests.rules import rules

pytestmark = pytest.mark.django_db


def revert(user: User, kind: str, row: Agent | Soul | ModelRoute | Policy | Provider | User | Group, to: int) -> None:
    reverting.revert(user, kind, str(row.pk), to)
    row.refresh_from_db()


def test_an_agent_is_what_it_was(alice: User, atlas: Agent, route: ModelRoute, soul: Soul) -> None:
    policy = Policy.objects.create(name="Web", visibility=Visibility.SHARED)
    atlas.policies.add(policy)
    before = atlas.history.count()
    other = souls.create("Other", "Other.", alice)
    composition.change(
        alice, atlas, name="borealis", description="New", toolsets=["file"], soul=other, route=route, policies=[]
    )
    sharing.set_visibility(alice, atlas, Visibility.SHARED)

    with acting.through("page", alice):
        reverting.revert(alice, "agent", atlas.pk, before, reason="It worked better")
    atlas.refresh_from_db()

    assert (atlas.name, atlas.description, atlas.soul, atlas.route) == ("atlas", "", soul, None)
    assert (atlas.toolsets, list(atlas.policies.all())) == (["terminal", "file"], [policy])
    assert atlas.visibility == Visibility.SHARED, "who may use it is no matter of history"
    newest = atlas.history.first()
    assert newest.history_change_reason == f"Version {before} put back: It worked better"
    assert newest.history_user == alice


def test_a_soul_gets_a_new_revision(alice: User, soul: Soul) -> None:
    first = soul.text
    souls.change(soul, alice, text="Another.", description="New")

    revert(alice, "soul", soul, 1)

    assert (soul.text, soul.description, soul.revision) == (first, "", 3)
    assert soul.revisions.first().note == "Version 1 put back"


def test_routes_policies_and_providers(ada: User, route: ModelRoute) -> None:
    provider = route.provider
    policy = Policy.objects.create(name="Web", rules=rules("pypi.org"))
    at = {row: row.history.count() for row in (route, provider, policy)}
    route.price_input, provider.name, policy.rules = Decimal(9), "Renamed", rules("example.org")
    for row in (route, provider, policy):
        row.save()

    for kind, row in (("route", route), ("provider", provider), ("policy", policy)):
        revert(ada, kind, row, at[row])

    assert (route.price_input, provider.name, policy.hosts) == (
        Decimal(0),
        "Rehearsal (built in, scripted)",
        ["pypi.org"],
    )


def test_a_providers_key_stays(ada: User) -> None:
    provider = Provider(name="Cloud", kind="openai-compatible", base_url="https://cloud.example")
    provider.set_key("first")
    provider.save()
    provider.name = "Clouds"
    provider.set_key("second")
    provider.save()
    sealed = provider.sealed_key

    revert(ada, "provider", provider, 1)

    assert (provider.name, provider.sealed_key) == ("Cloud", sealed)


def test_a_persons_name_and_groups_and_nothing_that_opens_the_account(ada: User, alice: User) -> None:
    group = Group.objects.create(name="helpers")
    group.user_set.add(alice)
    alice.first_name, alice.role, alice.email = "Alicia", Role.OPERATOR, "new@example.org"
    alice.save()
    group.user_set.remove(alice)

    revert(ada, "person", alice, 2)

    assert (alice.first_name, list(alice.groups.all())) == ("", [group])
    assert (alice.role, alice.email) == (Role.OPERATOR, "new@example.org")
    assert SecurityEvent.objects.filter(kind="member_added", person=alice, actor=ada).exists()
    with pytest.raises(LogosError, match="Your role does not include"):
        reverting.revert(alice, "person", str(alice.pk), 1)


def test_a_group_gets_its_name_back(ada: User) -> None:
    group = Group.objects.create(name="helpers")
    group.name = "friends"
    group.save()

    revert(ada, "group", group, 1)

    assert group.name == "helpers"


def test_somebody_was_first(alice: User, atlas: Agent) -> None:
    composition.change(alice, atlas, description="One")
    seen = atlas.history.count()
    composition.change(alice, atlas, description="Two")

    with pytest.raises(Conflict) as refused:
        reverting.revert(alice, "agent", atlas.pk, 1, seen)

    assert refused.value.reason == "stale"
    atlas.refresh_from_db()
    assert atlas.description == "Two"


@pytest.mark.parametrize("gone", ["deleted", "private", "archived"])
def test_a_reference_that_is_gone_or_not_ones_own_is_refused_alike(alice: User, atlas: Agent, gone: str) -> None:
    other = souls.create("Other", "Other.", alice)
    carols = souls.create("Carol's", "x", person("carol"), visibility=Visibility.SHARED)
    composition.change(alice, atlas, soul=carols)
    composition.change(alice, atlas, soul=other)
    if gone == "deleted":
        carols.delete()
    else:
        Soul.objects.filter(pk=carols.pk).update(
            **{"visibility": "private"} if gone == "private" else {"status": "archived"}
        )

    with pytest.raises(Invalid) as refused:
        reverting.revert(alice, "agent", atlas.pk, 2)

    atlas.refresh_from_db()
    assert atlas.soul == other
    if gone != "archived":
        assert refused.value.message == "The soul of that version is gone, or not yours to use."
        assert "Carol" not in refused.value.message


def test_policies_that_are_gone_are_refused(alice: User, atlas: Agent) -> None:
    policy = Policy.objects.create(name="Web", visibility=Visibility.SHARED)
    atlas.policies.add(policy)
    policy.delete()

    with pytest.raises(Invalid, match="The policies of that version are gone, or not yours to use"):
        reverting.revert(alice, "agent", atlas.pk, 2)


def test_a_name_that_is_taken_by_now_is_refused(alice: User, atlas: Agent, soul: Soul) -> None:
    composition.change(alice, atlas, name="borealis")
    composition.create(alice, "Atlas", soul)

    with pytest.raises(Conflict) as refused:
        reverting.revert(alice, "agent", atlas.pk, 1)

    assert refused.value.reason == "name_taken"


def test_todays_rules_hold_for_what_was_written_before_them(ada: User) -> None:
    policy = Policy.objects.create(name="Web", rules=[{**rules("pypi.org")[0], "hosts": ["localhost"]}])
    policy.rules = []
    policy.save()
    Policy.objects.create(name="Other")
    named = Policy.objects.create(name="Third")
    named.name = "Fourth"
    named.save()
    Policy.objects.create(name="Third")

    with pytest.raises(Invalid, match="localhost"):
        reverting.revert(ada, "policy", policy.pk, 1)
    with pytest.raises(Invalid, match="cannot be put back"):
        reverting.revert(ada, "policy", named.pk, 1)


def test_what_is_the_same_or_gone_or_not_there_is_said(alice: User, ada: User, atlas: Agent) -> None:
    with pytest.raises(Invalid, match="Nothing of version 1 differs"):
        reverting.revert(alice, "agent", atlas.pk, 1)
    with pytest.raises(NotFound):
        reverting.revert(alice, "agent", atlas.pk, 7)
    atlas.mark_deleted()
    with pytest.raises(Invalid, match="It was deleted"):
        reverting.revert(alice, "agent", atlas.pk, 1)


def test_who_may_only_look_puts_nothing_back(alice: User, atlas: Agent, mallory: User) -> None:
    composition.change(alice, atlas, description="New")
    sharing.set_visibility(alice, atlas, Visibility.SHARED)
    operator = person("olive", Role.OPERATOR)
    editor = person("editor")
    permissions.grant(editor, "edit", atlas)

    for who in (operator, mallory):
        with pytest.raises(NotFound):
            reverting.revert(who, "agent", atlas.pk, 1)
    reverting.revert(editor, "agent", atlas.pk, 1)


def test_the_page_puts_back_and_says_what_is_wrong(alice: User, atlas: Agent, browser: Callable[..., Client]) -> None:
    composition.change(alice, atlas, description="New")
    client, address = browser(alice), f"/history/agent/{atlas.pk}/"
    assert "This changes description." in " ".join(client.get(address, {"to": 1}).content.decode().split())

    assert client.post(address, {"to": 1, "seen": 1, "reason": "kept <b>"}).status_code == 409
    refused = client.post(address, {"to": "", "reason": "kept <b>"})
    assert refused.status_code == 400
    assert "kept &lt;b&gt;" in client.post(address, {"to": 1, "seen": 1, "reason": "kept <b>"}).content.decode()
    done = client.post(address, {"to": 1, "seen": 2, "reason": "漢" * 1000})

    assert (done.status_code, done["Location"]) == (302, address)
    atlas.refresh_from_db()
    assert atlas.description == ""
    newest = atlas.history.first()
    assert (newest.via, newest.history_user) == ("page", alice)
    assert newest.history_change_reason.startswith("Version 1 put back: 漢漢")


def test_an_operator_is_offered_no_button(alice: User, atlas: Agent, browser: Callable[..., Client]) -> None:
    composition.change(alice, atlas, description="New")
    sharing.set_visibility(alice, atlas, Visibility.SHARED)

    client = browser(person("olive", Role.OPERATOR))

    assert "Put version" not in client.get(f"/history/agent/{atlas.pk}/", {"to": 1}).content.decode()
    assert client.post(f"/history/agent/{atlas.pk}/", {"to": 1}).status_code == 404


def test_parts_of_an_agent_are_changed_on_their_own_pages(ada: User, alice: User, atlas: Agent) -> None:
    document = documents.put(alice, atlas, "notes.md", "One")
    document = documents.put(alice, atlas, "notes.md", "Two", version=document.version)

    with pytest.raises(Invalid, match="on its own page"):
        reverting.revert(ada, "document", document.pk, 1)


def test_who_may_edit_a_soul_takes_it_out_of_no_archive(bob: User, alice: User, soul: Soul) -> None:
    permissions.grant(bob, "edit", soul)
    souls.change(soul, alice, status="archived")

    with pytest.raises(LogosError) as refused:
        reverting.revert(bob, "soul", soul.pk, 1)

    assert refused.value.reason == "forbidden"
    soul.refresh_from_db()
    assert soul.status == "archived"
