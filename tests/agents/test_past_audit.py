"""The audit: one timeline of changes and events, narrowed by anything, of which everybody sees what is theirs to see."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape

import pytest
from django.contrib.auth.models import Group
from django.http import HttpResponse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from agents import acting, audit, composition, permissions, sharing, souls
from agents.models import Agent, Policy, Provider, Role, SecurityEvent, Soul, User, Visibility
from agents.past import timeline
from agents.past.timeline import Wanted
from tests.agents.test_past_history import Browser
from tests.conftest import person
from tests.world import traces, world

pytestmark = pytest.mark.django_db


def lines(answer: HttpResponse) -> list[str]:
    """What the page lists, one sentence each."""
    assert answer.status_code == 200
    found = re.findall(r'<span class="sentence">(.*?)</span>\s*<span class="small', answer.content.decode(), re.DOTALL)
    return [" ".join(unescape(re.sub(r"<[^>]+>", "", each)).split()) for each in found]


@pytest.fixture
def past(ada: User, alice: User, atlas: Agent, soul: Soul, mallory: User) -> None:
    """Some things that happened, oldest first."""
    with acting.through("api", alice, "192.0.2.1"):
        composition.change(alice, atlas, description="New")
        sharing.grant(alice, mallory, "chat", atlas)
    with acting.through("console", ada, "192.0.2.2"):
        Policy.objects.create(name="Package indexes")
        alice.role = Role.OPERATOR
        alice.save()
        alice.role = Role.USER
        alice.save()
    with acting.because("Clearer words"), acting.through("page", alice, "192.0.2.1"):
        souls.revise(soul, "Be clear.", alice)


def test_changes_and_events_are_one_list_newest_first(browser: Browser, ada: User, past: None) -> None:
    told = lines(browser(ada).get("/audit/"))

    assert told[1:8] == [
        "alice changed soul Steady hand: text Clearer words",
        "ada changed the role of alice: operator → user",
        "ada changed the role of alice: user → operator",
        "ada made policy Package indexes",
        "alice gave access to agent atlas: chat to mallory",
        "alice changed agent atlas: description",
        "Logos added mallory: user",
    ]


@pytest.mark.parametrize(
    ("query", "first", "count"),
    [
        ({"person": "alice", "kind": "agent"}, "alice gave access to agent atlas: chat to mallory", 2),
        ({"action": "granted"}, "alice gave access to agent atlas: chat to mallory", 1),
        ({"action": "changed", "kind": "soul"}, "alice changed soul Steady hand: text Clearer words", 1),
        ({"text": "clearer"}, "alice changed soul Steady hand: text Clearer words", 1),
        ({"text": "package indexes"}, "ada made policy Package indexes", 1),
        ({"kind": "policy"}, "ada made policy Package indexes", 1),
        ({"person": "mallory", "action": "granted"}, "alice gave access to agent atlas: chat to mallory", 1),
        ({"text": "nothing of the kind"}, "", 0),
        ({"since": "2999-01-01"}, "", 0),
        ({"until": "2000-01-01"}, "", 0),
        ({"object": "agent_none"}, "", 0),
    ],
)
def test_every_filter_narrows(
    browser: Browser, ada: User, past: None, query: dict[str, str], first: str, count: int
) -> None:
    told = lines(browser(ada).get("/audit/", query))

    assert len(told) == count
    assert told[:1] == [first][:count]


def test_an_object_is_found_by_its_id(browser: Browser, ada: User, past: None, atlas: Agent, alice: User) -> None:
    assert all("atlas" in line for line in lines(browser(ada).get("/audit/", {"object": atlas.pk})))
    assert len(lines(browser(ada).get("/audit/", {"object": atlas.pk}))) == 3
    assert browser(ada).get("/audit/", {"object": str(alice.pk)}).status_code == 200


def test_wrong_filters_are_said(browser: Browser, ada: User, past: None) -> None:
    client = browser(ada)

    assert "nobody of this user name" in client.get("/audit/", {"person": "nobody"}).content.decode()
    assert "there is no such choice" in client.get("/audit/", {"action": "explode"}).content.decode()
    for after in ("x", "~", "2020-01-01~agent~1", "2020-01-01T00:00:00+00:00~agent~x", "9999~~", "\x00", "a" * 9999):
        assert client.get("/audit/", {"after": after}).status_code == 200


def test_pages_follow_each_other_and_nothing_is_lost(browser: Browser, ada: User, atlas: Agent) -> None:
    at = timezone.now()
    for number in range(40):
        atlas.description = f"description {number}"
        atlas._history_date = at  # many at one moment
        atlas.save()
        audit.note("refused", actor=ada, what=f"Thing {number}")
    client, address, seen = browser(ada), "/audit/", []
    while address:
        page = client.get(address)
        told = lines(page)
        assert len(told) <= 25
        assert len(page.content) < 60_000
        seen += told
        following = re.search(r'href="(\?[^"]*after=[^"]+)"[^>]*rel="next"', page.content.decode())
        address = f"/audit/{unescape(following[1])}" if following else ""

    assert (
        seen.count("alice changed agent atlas: description") + seen.count("Logos changed agent atlas: description")
        == 40
    )
    assert len({line for line in seen if "thing" in line}) == 40


def test_a_page_costs_the_same_however_much_happened(
    browser: Browser, ada: User, atlas: Agent, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    operator = person("olive", Role.OPERATOR)
    clients = [browser(ada), browser(operator)]
    for number in range(60):
        atlas.description = f"description {number}"
        atlas.save()
        audit.note("refused", actor=person(f"somebody-{number}"), about=atlas)

    for client in clients:
        with django_assert_max_num_queries(7):
            client.get("/audit/")


@pytest.mark.parametrize("who", ["mallory", "viewer", "alice"])
def test_it_is_not_there_for_those_who_do_not_operate(
    browser: Browser, request: pytest.FixtureRequest, who: str
) -> None:
    assert browser(request.getfixturevalue(who)).get("/audit/").status_code == 404
    assert browser().get("/audit/").status_code == 302


def test_an_operator_finds_no_trace_of_what_they_may_not_see(browser: Browser, route: object, ada: User) -> None:
    alice = person("alice-777")
    rows = world(alice, 777)
    with acting.through("page", alice, "203.0.113.77"):
        sharing.grant(alice, person("friend-777"), "chat", rows[Agent])
        Group.objects.create(name="group-777")
        audit.note("refused", actor=alice, about=rows[Agent])
    operator = person("olive", Role.OPERATOR)
    client = browser(operator)

    for query in ({}, {"text": "777"}, {"person": "alice-777"}, {"object": rows[Agent].pk}, {"kind": "agent"}):
        page = client.get("/audit/", query).content.decode()
        # What was asked for is repeated in the form.
        listed = page.partition('class="card entries"')[2]
        assert not [each for each in (*traces(rows, 777), "203.0.113.77") if each in listed], query
    assert "-777" in browser(ada).get("/audit/").content.decode()


def test_an_operator_sees_what_they_may_see_and_access_to_what_they_manage(
    browser: Browser, alice: User, atlas: Agent, mallory: User
) -> None:
    operator = person("olive", Role.OPERATOR)
    sharing.set_visibility(alice, atlas, Visibility.SHARED)
    sharing.grant(alice, mallory, "edit", atlas)
    composition.change(alice, atlas, description="New")

    seen = lines(browser(operator).get("/audit/", {"kind": "agent"}))
    permissions.grant(operator, "manage", atlas)
    managed = lines(browser(operator).get("/audit/", {"kind": "agent"}))

    assert seen == ["Logos changed agent atlas: description", "Logos made agent atlas"]
    assert "alice gave access to agent atlas: edit to mallory" in managed


def test_what_one_was_refused_goes_on_looking_like_what_is_not_there(
    browser: Browser, atlas: Agent, mallory: User, alice: User
) -> None:
    browser(mallory).post(f"/share/agent/{atlas.pk}/", {"do": "revoke", "person": "bob"})

    assert SecurityEvent.objects.filter(kind="refused", actor=mallory).exists()
    assert "atlas" not in browser(mallory).get("/account/activity/").content.decode()
    assert "was refused on" in browser(alice).get(f"/history/agent/{atlas.pk}/").content.decode()


def test_addresses_are_for_admins_and_oneself(browser: Browser, alice: User, ada: User, atlas: Agent) -> None:
    operator = person("olive", Role.OPERATOR)
    permissions.grant(operator, "manage", atlas)
    with acting.through("page", alice, "203.0.113.9"):
        sharing.set_visibility(alice, atlas, Visibility.SHARED)

    assert "203.0.113.9" in browser(ada).get("/audit/").content.decode()
    assert "203.0.113.9" not in browser(operator).get("/audit/").content.decode()
    assert "203.0.113.9" in browser(alice).get("/account/activity/").content.decode()


def test_nobody_is_told_where_an_admin_was_who_did_something_to_them(browser: Browser, ada: User) -> None:
    otto = person("otto", Role.OPERATOR)
    with acting.through("page", ada, "198.51.100.7"):
        audit.note("limit_changed", actor=ada, person=otto, before="role", after="7")

    page = browser(otto).get("/audit/").content.decode()

    assert "7" in page
    assert "198.51.100.7" not in page


def test_everybody_sees_the_events_of_their_own_account(
    browser: Browser, alice: User, mallory: User, atlas: Agent
) -> None:
    sharing.grant(alice, mallory, "chat", atlas)
    client = browser(mallory)

    told = lines(client.get("/account/activity/"))
    page = client.get("/account/activity/").content.decode()

    assert told[:2] == ["mallory signed in: Unknown device", "alice gave access to agent atlas: chat to mallory"]
    assert f"/history/agent/{atlas.pk}/" not in page, "she may not open it"
    assert "atlas" not in browser(person("carol")).get("/account/activity/").content.decode()


def test_no_page_shows_a_planted_secret(browser: Browser, ada: User, alice: User) -> None:
    provider = Provider(name="Cloud", kind="openai-compatible", base_url="https://cloud.example")
    provider.set_key("planted-73521")
    provider.save()
    provider.set_key("planted-73521-again")
    provider.save()
    client = browser(ada)

    for address in ("/audit/", f"/history/provider/{provider.pk}/", f"/history/provider/{provider.pk}/?from=0&to=1"):
        page = client.get(address).content.decode()
        assert "Cloud" in page
        assert not [each for each in ("planted-73521", provider.sealed_key, alice.password) if each in page]


def test_every_kind_of_history_is_in_the_timeline_or_told_by_events(ada: User) -> None:
    told = {"AgentUserGrant", "AgentGroupGrant", "SoulUserGrant", "SoulGroupGrant"}
    told |= {"ModelRouteUserGrant", "ModelRouteGroupGrant", "PolicyUserGrant", "PolicyGroupGrant"}
    told |= {"McpServerUserGrant", "McpServerGroupGrant"}
    from agents import keeping
    from agents.past.kinds import kinds

    assert {model.__name__ for model in keeping.tracked()} - told == {model.__name__ for model in kinds().values()}


def test_a_hundred_years_of_time_are_fine(ada: User) -> None:
    wanted = Wanted(since=timezone.now() - timedelta(days=36_500), until=timezone.now() + timedelta(days=36_500))

    entries, more = timeline.page(ada, wanted, None, 200)

    assert not more
    assert SecurityEvent.objects.count() == sum(entry.event is not None for entry in entries) > 0


def test_what_others_wrote_is_shown_as_text(browser: Browser, ada: User) -> None:
    with acting.because("<script>alert(1)</script>"):
        Policy.objects.create(name="<b>loud</b> 漢字")

    page = browser(ada).get("/audit/", {"text": "<u>"}).content.decode() + browser(ada).get("/audit/").content.decode()

    assert not [each for each in ("<script>alert", "<b>loud", "<u>") if each in page]
