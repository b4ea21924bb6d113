"""The history of a row on its page: versions, differences by word and by name, and who may read them."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from html import unescape

import pytest
from django.contrib.auth.models import Group
from django.http import HttpResponse
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from agents import acting, composition, permissions, sharing, souls
from agents.models import Agent, ModelRoute, Policy, Provider, Role, Soul, User, Visibility
from agents.past import comparing
from agents.past.kinds import find, kinds
from agents.past.versions import listed, one
from tests.conftest import person

pytestmark = pytest.mark.django_db

Browser = Callable[..., Client]


def text_of(answer: HttpResponse) -> str:
    return " ".join(unescape(answer.content.decode()).split())


def changes(reader: User, kind: str, row: object, number: int) -> dict[str, comparing.FieldChange]:
    past = find(reader, kind, str(row.pk))  # type: ignore[attr-defined]
    before = one(past, number - 1).record if number > 1 else None
    return {each.name: each for each in comparing.compare(reader, before, one(past, number).record)}


def test_every_kind_has_a_page(browser: Browser, ada: User, atlas: Agent, soul: Soul, route: ModelRoute) -> None:
    policy, group = Policy.objects.create(name="Web"), Group.objects.create(name="helpers")
    rows = [atlas, soul, route, policy, route.provider, ada, group]
    words = ["agent", "soul", "route", "policy", "provider", "person", "group"]
    assert set(words) <= set(kinds())

    for kind, row in zip(words, rows, strict=True):
        page = browser(ada).get(f"/history/{kind}/{row.pk}/?to=1")
        assert page.status_code == 200, kind
        assert "Version 1" in text_of(page)


def test_versions_say_who_when_by_which_door_and_why(browser: Browser, alice: User, soul: Soul) -> None:
    with acting.through("api", alice), acting.because("Asked for by the team"):
        souls.revise(soul, "Another text.", alice)

    found, total = listed(find(alice, "soul", soul.pk))
    page = text_of(browser(alice).get(f"/history/soul/{soul.pk}/"))

    assert total == 2
    assert [(each.number, each.by, each.via, each.what) for each in found] == [
        (2, alice, "api", "changed"),
        (1, None, "", "made"),
    ]
    assert "Asked for by the team" in page
    assert "by alice" in page


def test_a_text_differs_by_word(browser: Browser, alice: User) -> None:
    soul = souls.create("Calm", "Be calm.\nThen act.\n", alice)
    souls.revise(soul, "Be quiet.\nThen act.\n", alice)

    page = browser(alice).get(f"/history/soul/{soul.pk}/").content.decode()

    assert "<del>calm</del><ins>quiet</ins>" in page
    assert "Then act." in page


def test_lists_differ_as_sets_and_references_by_name(alice: User, atlas: Agent, route: ModelRoute) -> None:
    policy = Policy.objects.create(name="Web", visibility=Visibility.SHARED)
    composition.change(alice, atlas, toolsets=["file"], route=route, policies=[policy])

    found = changes(alice, "agent", atlas, 2)

    assert (found["toolsets"].added, found["toolsets"].removed) == ([], ["terminal"])
    assert (found["route"].before, found["route"].after) == ("", str(route))
    assert (found["policies"].added, found["policies"].removed) == (["Web"], [])


def test_the_names_of_what_one_may_not_see_are_not_told(alice: User, ada: User, atlas: Agent) -> None:
    secret = souls.create("Very private soul", "x", person("carol"))
    atlas.soul = secret
    atlas.save()

    assert changes(alice, "agent", atlas, 2)["soul"].after == comparing.HIDDEN
    assert changes(ada, "agent", atlas, 2)["soul"].after == "Very private soul"


def test_what_is_gone_is_told_to_admins_by_its_last_name(alice: User, ada: User, atlas: Agent) -> None:
    policy = Policy.objects.create(name="Old rules", visibility=Visibility.SHARED)
    atlas.policies.add(policy)
    policy.delete()

    assert changes(ada, "agent", atlas, 2)["policies"].added == ["Old rules (deleted)"]
    assert changes(alice, "agent", atlas, 2)["policies"].added == [comparing.HIDDEN]


def test_figures_are_read_as_figures(ada: User, route: ModelRoute) -> None:
    route.price_input, route.context_length = Decimal("1.50"), None
    route.save()

    found = changes(ada, "route", route, route.history.count())

    assert (found["price_input"].before, found["price_input"].after) == ("0", "1.5")
    assert found["context_length"].after == ""


def test_any_two_versions_can_be_compared(browser: Browser, alice: User) -> None:
    soul = souls.create("Calm", "one", alice)
    for text in ("two", "three"):
        souls.revise(soul, text, alice)
    client, address = browser(alice), f"/history/soul/{soul.pk}/"

    assert "<del>one</del>" in client.get(address, {"from": 1, "to": 3}).content.decode()
    assert "<del>two</del>" in client.get(address).content.decode()
    assert "Nothing differs" in text_of(client.get(address, {"from": 3, "to": 3}))
    for wrong in ({"to": 99}, {"to": "x"}, {"from": 99}, {"to": 0}, {"record": 10**8}, {"before": "-1"}, {"to": "٣"}):
        assert client.get(address, wrong).status_code == 200, wrong
    assert "There is no version 99" in text_of(client.get(address, {"to": 99}))


@pytest.mark.parametrize("kind", ["agent", "soul"])
def test_who_may_not_edit_it_reads_no_history(
    browser: Browser, alice: User, bob: User, mallory: User, viewer: User, atlas: Agent, kind: str
) -> None:
    row = atlas if kind == "agent" else atlas.soul
    for who in (bob, viewer):
        permissions.grant(who, "chat", row)
    sharing.set_visibility(alice, row, Visibility.SHARED)
    operator = person("olive", Role.OPERATOR)

    for reader, status in ((alice, 200), (bob, 404), (viewer, 404), (mallory, 404), (operator, 200)):
        assert browser(reader).get(f"/history/{kind}/{row.pk}/").status_code == status, reader
    sharing.set_visibility(alice, row, Visibility.PRIVATE)
    for reader in (operator, mallory):
        answer = browser(reader).get(f"/history/{kind}/{row.pk}/")
        assert answer.status_code == 404
        assert str(row) not in answer.content.decode()
    assert browser().get(f"/history/{kind}/{row.pk}/").status_code == 302


def test_people_read_their_own_history_and_nobody_elses(browser: Browser, alice: User, mallory: User) -> None:
    group = Group.objects.create(name="helpers")

    assert browser(alice).get(f"/history/person/{alice.pk}/").status_code == 200
    assert browser(mallory).get(f"/history/person/{alice.pk}/").status_code == 404
    assert browser(mallory).get(f"/history/group/{group.pk}/").status_code == 404


def test_operators_read_of_providers_and_nobody_reads_a_key(browser: Browser, ada: User, mallory: User) -> None:
    provider = Provider(name="Cloud", kind="openai-compatible", base_url="https://cloud.example")
    provider.set_key("planted-8472")
    provider.save()
    operator = person("olive", Role.OPERATOR)

    for reader in (ada, operator):
        page = browser(reader).get(f"/history/provider/{provider.pk}/").content.decode()
        assert "https://cloud.example" in page
        assert not [each for each in ("planted-8472", provider.sealed_key, "ealed") if each in page]
    assert browser(mallory).get(f"/history/provider/{provider.pk}/").status_code == 404


def test_deleted_rows_stay_readable_to_admins(browser: Browser, ada: User, alice: User) -> None:
    policy = Policy.objects.create(name="Old rules", owner=alice)
    operator = person("olive", Role.OPERATOR)
    address = f"/history/policy/{policy.pk}/"
    policy.delete()

    page = text_of(browser(ada).get(address))
    assert "History of Old rules" in page
    assert "deleted" in page
    assert "Put version" not in page
    assert browser(operator).get(address).status_code == 404
    assert browser(alice).get(address).status_code == 404


@pytest.mark.parametrize(
    "address", ["agent/none", "nothing/1", "person/abc", "person/99999999999999", "group/-1", "event/1"]
)
def test_what_is_not_there_is_not_found(browser: Browser, ada: User, address: str) -> None:
    assert browser(ada).get(f"/history/{address}/").status_code == 404


def test_access_is_told_to_those_who_manage_it(
    browser: Browser, alice: User, mallory: User, atlas: Agent, ada: User
) -> None:
    sharing.grant(alice, mallory, "edit", atlas)
    address = f"/history/agent/{atlas.pk}/"

    assert "gave access to" in text_of(browser(alice).get(address))
    assert "Share" in text_of(browser(alice).get(address))
    page = text_of(browser(mallory).get(address))
    assert "gave access" not in page
    assert f"/share/agent/{atlas.pk}/" not in page


def test_words_of_others_are_shown_as_text(browser: Browser, alice: User, atlas: Agent) -> None:
    with acting.because("<script>alert(1)</script>"):
        composition.change(alice, atlas, name="<b>loud</b>", description="<img src=x> 漢字 🜁")

    page = browser(alice).get(f"/history/agent/{atlas.pk}/").content.decode()

    assert not [each for each in ("<script>alert", "<b>loud", "<img") if each in page]
    assert "漢字 🜁" in page


def test_a_huge_soul_changed_throughout_stays_a_light_page(browser: Browser, alice: User) -> None:
    soul = souls.create("Long", "漢字\n" * 6_000, alice)
    souls.revise(soul, "字漢 \n" * 4_900, alice)

    page = browser(alice).get(f"/history/soul/{soul.pk}/")

    assert page.status_code == 200
    assert len(page.content) < 60_000
    assert "[…]" in text_of(page)


def test_many_versions_come_a_page_at_a_time(
    browser: Browser, alice: User, atlas: Agent, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(60):
        atlas.description = f"description {number}"
        atlas.save()
    client, address = browser(alice), f"/history/agent/{atlas.pk}/"

    with django_assert_max_num_queries(16):
        page = client.get(address)

    assert "61 versions" in text_of(page)
    assert page.content.decode().count('class="row"') == 25
    assert len(page.content) < 60_000
    assert "Made" in text_of(client.get(address, {"before": 12}))
