"""No way round the history: every configuration model has one, and nothing that changes rows in bulk escapes it."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings
from django.contrib.auth.models import Group
from django.db.models import Model

from agents import acting, keeping, sharing, souls
from agents.models import Agent, AgentUserGrant, Policy, Provider, Soul, User
from agents.models.history import Changes
from tests.conftest import person

pytestmark = pytest.mark.django_db

# What is recorded rather than configured: each says elsewhere what became of it.
RECORDS = {
    "agents.soulrevision": "is the history of a soul's text",
    "agents.securityevent": "is the audit",
    "agents.onetimelink": "invitations and links are made, used and withdrawn; each is a security event",
    "agents.agentnote": "is kept by the agent; what people change of it is a security event, and what is gone is gone",
    "agents.dataexport": "is asked for and fetched; both are security events",
    "agents.apitoken": "made and revoked are security events; nothing else of it changes but when it was used",
    "agents.pricelist": "is applied and undone; both are security events, and each route's history tells its prices",
    "agents.halt": "begins and is taken back by steps; each is a security event",
    "agents.haltstop": "is what a halt asked to stop and what confirmed",
    "agents.hostgrant": "comes of an approval or its rule and ends with it; both tell who and when",
    "agents.learning": "begins and ends by itself or by somebody; both are security events",
}


def is_history(model: type[Model]) -> bool:
    return model.__name__.startswith("Historical")


def test_every_configuration_model_is_in_the_history() -> None:
    ours = {model for model in apps.get_app_config("agents").get_models() if not is_history(model)} | {Group}
    without = {model._meta.label_lower for model in ours - set(keeping.tracked())}

    assert without == set(RECORDS), "give a new model `history = Changes(...)`, or say here why it needs none"


def test_every_tracked_model_says_what_has_changed(alice: User) -> None:
    assert set(Changes.of) == set(keeping.tracked())


def test_no_code_changes_configuration_in_bulk() -> None:
    names = "|".join(model.__name__ for model in keeping.tracked())
    bulk = r"(update|bulk_create|bulk_update|_raw_delete)\("
    pattern = re.compile(rf"\b({names})\.(objects|_default_manager)\b[^\n]*\.{bulk}|save_without_historical_record")
    found = [
        f"{path.name}: {line.strip()}"
        for path in Path(settings.BASE_DIR).glob("[a-z]*/**/*.py")
        if path.parts[len(Path(settings.BASE_DIR).parts)] not in ("tests",) and "migrations" not in path.parts
        for line in path.read_text().splitlines()
        if pattern.search(line) and ".update(delivered_at=" not in line  # quiet: no change of configuration
    ]

    assert found == []


def test_only_sharing_gives_and_takes_grants() -> None:
    """So that every grant is a security event."""
    found = [
        path.name
        for path in Path(settings.BASE_DIR).glob("[a-z]*/**/*.py")
        if "tests" not in path.parts and re.search(r"permissions\.(grant|revoke)\(", path.read_text())
    ]

    assert found == ["sharing.py"]


def test_what_changed_is_written_down(atlas: Agent) -> None:
    atlas.description, atlas.toolsets = "New", ["file"]
    atlas.save()
    atlas.save()
    atlas.name = "atlas"
    atlas.save(update_fields=["name"])

    assert [row.changed for row in atlas.history.all()] == ["", "", "description,toolsets", ""]
    assert [row.history_type for row in atlas.history.all()] == ["~", "~", "~", "+"]


@pytest.mark.parametrize("side", ["person", "group"])
def test_joining_and_leaving_a_group_is_a_change_of_the_person(alice: User, bob: User, side: str) -> None:
    group = Group.objects.create(name="helpers")
    if side == "person":
        alice.groups.add(group)
        alice.groups.add(group)
        alice.groups.clear()
    else:
        group.user_set.add(alice, bob)
        group.user_set.add(alice)
        group.user_set.clear()

    for who in {"person": [alice], "group": [alice, bob]}[side]:
        newest = list(who.history.all())
        assert [row.changed for row in newest] == ["groups", "groups", ""]
        assert [[each.group for each in row.groups.all()] for row in newest] == [[], [group], []]
    assert group.history.count() == 1


def test_a_deleted_group_leaves_its_members(alice: User, ada: User) -> None:
    group = Group.objects.create(name="helpers")
    alice.groups.add(group)
    with acting.through("console", ada):
        group.delete()

    newest = alice.history.first()
    assert (newest.changed, list(newest.groups.all()), newest.history_user) == ("groups", [], ada)


@pytest.mark.parametrize("side", ["agent", "policy"])
def test_policies_come_and_go(atlas: Agent, side: str) -> None:
    policy = Policy.objects.create(name="Web")
    if side == "agent":
        atlas.policies.set([policy])
    else:
        policy.agents.set([atlas])
    policy.delete()

    assert [row.changed for row in atlas.history.all()] == ["policies", "policies", ""]
    assert list(atlas.history.first().policies.all()) == []


def test_what_a_deleted_person_owned_is_recorded_without_an_owner(soul: Soul, ada: User) -> None:
    leaver = person("leaver")
    mine = souls.create("Mine", "Mine.", leaver)
    with acting.through("console", ada):
        leaver.delete()

    mine.refresh_from_db()
    assert (mine.owner, mine.version) == (None, 2)
    newest = mine.history.first()
    assert (newest.owner_id, newest.changed, newest.history_user) == (None, "owner", ada)


def test_grants_that_go_with_their_person_are_recorded(atlas: Agent, alice: User, bob: User) -> None:
    sharing.grant(alice, bob, "edit", atlas)
    bob_id = bob.pk
    bob.delete()

    assert AgentUserGrant.history.filter(user_id=bob_id).first().history_type == "-"


def test_no_history_or_event_holds_a_planted_secret(ada: User, alice: User) -> None:
    secret = "planted-73521"
    provider = Provider(name="Cloud", kind="openai-compatible", base_url="https://cloud.example")
    provider.set_key(secret)
    provider.save()
    provider.set_key(f"{secret}-again")
    provider.save()
    alice.set_password(secret)
    alice.save()
    sealed, hashed = provider.sealed_key, alice.password

    past = [model for model in apps.get_models() if is_history(model) or model.__name__ == "SecurityEvent"]
    kept = "".join(str(list(model._default_manager.values())) for model in past)

    assert len(past) > 15
    assert "Cloud" in kept
    assert not [each for each in (secret, sealed, hashed, hashed.rpartition("$")[2]) if each in kept]


def test_rows_from_before_the_history_get_their_first_record(atlas: Agent, alice: User) -> None:
    policy, group = Policy.objects.create(name="Web"), Group.objects.create(name="helpers")
    atlas.policies.add(policy)
    alice.groups.add(group)
    for model in (Agent, User, Group, Policy):
        model.history.all().delete()

    migration = import_module("agents.migrations.0006_history_begins")
    for _ in range(2):
        migration.begin(apps, None)

    first = atlas.history.get()
    assert (first.history_type, first.name, first.history_change_reason) == ("+", "atlas", migration.REASON)
    assert [each.policy for each in first.policies.all()] == [policy]
    assert [each.group for each in alice.history.get().groups.all()] == [group]
    assert group.history.get().name == "helpers"
