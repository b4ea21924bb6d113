"""Two clicks at the same moment, in real threads: one of them counts, and no rule gives way between the two."""

from __future__ import annotations

import pytest

from agents import composition, invitations, people, permissions, registration, service_accounts, sharing, tokens
from agents.errors import LogosError
from agents.models import Agent, ApiToken, ModelRoute, Policy, Role, Soul, User
from tests.agents.test_people_rules import at_once
from tests.conftest import PASSWORD, person
from tests.console import Console, complaints, initial_values
from tests.rules import rules

pytestmark = pytest.mark.django_db(transaction=True)


def refused(found: list[object]) -> int:
    return sum(isinstance(each, LogosError) for each in found)


def test_an_invitation_makes_one_person(ada: User) -> None:
    _, secret = invitations.invite(ada, Role.USER)

    found = at_once(*[lambda n=n: invitations.join(secret, username=f"new-{n}", password=PASSWORD) for n in range(3)])

    assert refused(found) == 2
    assert User.objects.filter(username__startswith="new-").count() == 1


def test_an_application_is_decided_once(ada: User) -> None:
    from django.utils import timezone

    dora = person("dora")
    User.objects.filter(pk=dora.pk).update(is_active=False, applied_at=timezone.now())

    found = at_once(lambda: registration.approve(ada, dora), lambda: registration.refuse(ada, dora))

    dora.refresh_from_db()
    assert refused(found) == 1
    assert dora.state == ("active" if found[0] is None else "refused")


def test_two_agents_given_at_once_do_not_share_the_last_place(
    ada: User, alice: User, bob: User, atlas: Agent, soul: Soul
) -> None:
    other = composition.create(alice, "boreas", soul)
    people.set_limit(ada, bob, "1")

    found = at_once(*[lambda each=each: sharing.transfer(alice, each, bob) for each in (atlas, other)])

    assert refused(found) == 1
    assert Agent.objects.filter(owner=bob).count() == 1


def test_a_person_and_their_service_account_do_not_share_the_last_place(ada: User, alice: User, soul: Soul) -> None:
    people.set_limit(ada, alice, "1")
    bot = service_accounts.make(alice, "bot", Role.USER)
    permissions.grant(bot, "view", soul)

    found = at_once(
        lambda: composition.create(User.objects.get(pk=alice.pk), "hers", soul),
        lambda: composition.create(User.objects.get(pk=bot.pk), "its", soul),
    )

    assert refused(found) == 1
    assert Agent.objects.filter(owner__in=[alice, bot]).count() == 1


def test_a_grant_replaced_twice_at_once_leaves_one_level(alice: User, bob: User, atlas: Agent) -> None:
    at_once(
        lambda: sharing.grant(alice, bob, "edit", atlas),
        lambda: sharing.grant(alice, bob, "manage", atlas),
        lambda: sharing.grant(alice, bob, "view", atlas),
    )

    assert len([each for each in sharing.grants_on(atlas) if each.subject == bob]) == 1
    from agents.models import AgentUserGrant

    assert AgentUserGrant.objects.filter(user=bob, content_object=atlas).count() == 1


def test_a_token_rotated_while_it_is_revoked_leaves_nothing_that_works_unseen(alice: User) -> None:
    token, _ = tokens.make(alice, "job")

    found = at_once(lambda: tokens.revoke(alice, token.pk), lambda: tokens.rotate(alice, token.pk))

    token.refresh_from_db()
    assert token.revoked_at or not isinstance(found[1], LogosError)
    # Whatever still works is in the list its owner revokes from.
    works = ApiToken.objects.filter(user=alice, revoked_at=None)
    assert set(works) == set(tokens.of(alice))
    assert works.filter(pk=token.pk).exists() is (token.revoked_at is None)


def test_an_invitation_used_while_its_maker_is_suspended_comes_before_or_not_at_all(ada: User) -> None:
    eve = person("eve", Role.ADMIN)
    _, secret = invitations.invite(eve, Role.ADMIN)

    found = at_once(
        lambda: people.suspend(ada, eve),
        lambda: invitations.join(secret, username="eve-2", password=PASSWORD),
    )

    assert not isinstance(found[0], LogosError)
    assert User.objects.filter(username="eve-2").exists() is not isinstance(found[1], LogosError)


def test_who_saves_second_in_the_console_loses_nothing_and_undoes_nothing(
    ada: User, alice: User, atlas: Agent, soul: Soul, route: ModelRoute
) -> None:
    policy = Policy.objects.create(name="Hosts", owner=alice, rules=rules("pypi.org"))
    console = Console(ada)
    for row, theirs, mine in (
        (atlas, {"description": "Theirs."}, {"name": "mine"}),
        (policy, {"description": "Theirs."}, {"name": "Mine"}),
        (route, {"context_length": "4096"}, {"price_input": "2"}),
        (soul, {"description": "Theirs."}, {"name": "Mine"}),
    ):
        before = {name: value for name, value in initial_values(console.open(row)).items() if value is not None}
        assert console.save(row, **theirs).status_code == 302

        page = console.client.post(console.address(type(row), "change", row.pk), {**before, **mine})

        assert "Somebody saved" in complaints(page), row
        row.refresh_from_db()
        [(field, value)] = mine.items()
        assert str(getattr(row, field)) != value
        assert f'value="{value}"' in page.content.decode(), "the draft is kept"

    before = initial_values(console.open(atlas)) | {"name": "mine", "written_from": "1"}
    page = console.client.post(console.address(Agent, "change", atlas.pk), before)
    again = {**before, "written_from": page.context["adminform"].form.data["written_from"]}
    assert console.client.post(console.address(Agent, "change", atlas.pk), again).status_code == 302
    atlas.refresh_from_db()
    assert atlas.name == "mine", "whoever has seen it may overwrite it"
