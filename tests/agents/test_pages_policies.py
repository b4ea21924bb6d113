"""The pages of policies: hosts in one spelling, saved by version, tried before they are trusted."""

from __future__ import annotations

import html
from collections.abc import Callable

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from agents import permissions, rule_lines
from agents.models import Agent, Policy, Role, User
from tests.conftest import person
from tests.rules import rules

Browser = Callable[..., Client]


@pytest.fixture
def policy(ada: User) -> Policy:
    return Policy.objects.create(name="Python", description="Packages", rules=rules("pypi.org"), owner=ada)


@pytest.fixture
def olga(db: None) -> User:
    return person("olga", Role.OPERATOR)


def text(answer) -> str:
    return answer.content.decode()


def test_an_operator_writes_one_in_one_spelling(browser: Browser, olga: User) -> None:
    data = {
        "name": "Web",
        "rules": " PyPI.org , pypi.org.\r\n\r\n*.Bücher.example : 443, 8443 by /usr/bin/git",
        "visibility": "private",
    }

    answer = browser(olga).post("/policies/new/", data)

    policy = Policy.objects.get()
    assert policy.owner == olga
    assert rule_lines.write(policy.rules) == "pypi.org\n*.xn--bcher-kva.example : 443, 8443 by /usr/bin/git"
    assert answer["Location"] == f"/policies/{policy.pk}/"


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("10.0.0.7", "is not a host name"),
        ("localhost", "this machine"),
        ("*.com", "Anybody may own"),
        ("ok.example\nhttp://x.example/", "is no rule"),
        ("a.*.example", "front only"),
        ("\n".join(f"h{number}.example" for number in range(1001)), "1,000 rules"),
        ("a.example\n\nb.example : 0", "Line 3: 0 is no port"),
        ("a.example by git", "is no rule"),
        ("a.example by /workspace/bin/git", "counts as unknown"),
        ("a.example by /usr/bin/git, /tmp/*", "counts as unknown"),
        ("a.example as one\nb.example as one", "Two rules are called"),
        ('[{"name": "a", "hosts": ["a.example"], "hosts": ["b.example"]}]', "written twice"),
        ("[{", "not valid JSON"),
        ('{"name": "a"}', "A policy is a list of rules"),
    ],
)
def test_a_host_that_is_none_is_refused_by_its_rule_and_nothing_typed_is_lost(
    browser: Browser, olga: User, written: str, words: str
) -> None:
    answer = browser(olga).post("/policies/new/", {"name": "Kept", "rules": written, "visibility": "private"})

    assert answer.status_code == 400
    assert words in text(answer)
    assert 'value="Kept"' in text(answer)
    assert html.escape(written.splitlines()[-1]).replace("&#x27;", "'") in text(answer)
    assert not Policy.objects.exists()


def test_a_taken_name_is_said_beside_the_name(browser: Browser, olga: User, policy: Policy) -> None:
    answer = browser(olga).post("/policies/new/", {"name": " Python ", "visibility": "private"})

    assert answer.status_code == 400
    assert "This name is taken" in text(answer)


def test_people_without_a_grant_find_nothing(browser: Browser, alice: User, viewer: User, policy: Policy) -> None:
    for who in (alice, viewer):
        client = browser(who)
        assert "Python" not in text(client.get("/policies/"))
        assert client.get(f"/policies/{policy.pk}/").status_code == 404
        assert client.post(f"/policies/{policy.pk}/", {"version": 1, "name": "Mine"}).status_code == 404
        assert client.get("/policies/new/").status_code == 403


def test_who_may_look_sees_hosts_and_no_form(browser: Browser, alice: User, policy: Policy) -> None:
    permissions.grant(alice, "edit", policy)  # her role only looks
    client = browser(alice)
    page = text(client.get(f"/policies/{policy.pk}/"))

    assert "pypi.org" in page
    assert 'name="rules"' not in page
    assert client.post(f"/policies/{policy.pk}/", {"version": 1, "name": "Mine"}).status_code == 404


def test_who_saves_second_keeps_the_draft_and_saves_on_purpose(
    browser: Browser, ada: User, olga: User, policy: Policy
) -> None:
    permissions.grant(olga, "edit", policy)
    form = {"name": "Python", "description": "Packages", "rules": "pypi.org"}
    browser(ada).post(f"/policies/{policy.pk}/", {**form, "rules": "pypi.org\nfiles.example", "version": 1})

    answer = browser(olga).post(f"/policies/{policy.pk}/", {**form, "description": "Mine", "version": 1})
    page = text(answer)

    assert answer.status_code == 409
    assert "Somebody saved this first." in page
    assert "ada saved" not in page  # who saved is for who manages it
    assert 'value="Mine"' in page
    assert "<ins>" in page
    assert 'name="version" value="2"' in page
    assert Policy.objects.get().description == "Packages"

    data = {**form, "description": "Mine", "rules": "pypi.org\nfiles.example", "version": 2}
    assert browser(olga).post(f"/policies/{policy.pk}/", data).status_code == 302
    assert Policy.objects.get().hosts == ["pypi.org", "files.example"]


def test_saving_without_a_change_is_no_change(browser: Browser, ada: User, policy: Policy) -> None:
    form = {"name": "Python", "description": "Packages", "rules": "pypi.org", "version": 1}

    browser(ada).post(f"/policies/{policy.pk}/", form)

    assert Policy.objects.get().version == 1


@pytest.mark.parametrize(
    ("host", "port", "words"),
    [("pypi.org", "443", "let through"), ("evil.example", "443", "refused"), ("pypi.org", "80", "refused"),
     ("10.0.0.1", "443", "is not a host name"), ("pypi.org", "0", "A port is a number"), ("<b>", "443", "refused")],
)  # fmt: skip
def test_a_host_can_be_tried(browser: Browser, ada: User, policy: Policy, host: str, port: str, words: str) -> None:
    page = text(browser(ada).get(f"/policies/{policy.pk}/", {"host": host, "port": port}))

    assert words in page
    assert "<b>" not in page.partition("Would it reach?")[2].partition("</section>")[0]


def test_a_policy_an_agent_has_stays_and_says_whose(
    browser: Browser, ada: User, olga: User, atlas: Agent, policy: Policy
) -> None:
    atlas.policies.add(policy)
    permissions.grant(olga, "manage", policy)

    assert "used by atlas" in text(browser(ada).post(f"/policies/{policy.pk}/delete/"))
    refused = text(browser(olga).post(f"/policies/{policy.pk}/delete/"))
    assert "used by agents you may not see" in refused
    assert "atlas" not in refused

    atlas.mark_deleted()
    assert browser(olga).post(f"/policies/{policy.pk}/delete/").status_code == 302
    assert not Policy.objects.exists()


def test_the_list_takes_few_queries_and_little_room(
    browser: Browser, ada: User, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    many = rules(*(f"h{each}.example" for each in range(500)))
    for number in range(40):
        Policy.objects.create(
            name=f"policy {number}",
            owner=ada,
            rules=many,
            description="x" * 300,
        )
    client = browser(ada)

    with django_assert_max_num_queries(6):
        page = text(client.get("/policies/"))
    assert len(page) < 60_000
