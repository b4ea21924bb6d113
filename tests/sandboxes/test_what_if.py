"""A draft of a policy is tried on recorded connections: counted right, told to whom it concerns, saved by nobody."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from django.test import Client
from django.utils import timezone

from agents import permissions, policies, rule_lines
from agents.errors import Invalid
from agents.models import Agent, Policy, Preset, Role, User
from sandboxes import what_if
from sandboxes.models import EgressDecision
from tests import shell
from tests.api_client import Program
from tests.conftest import person

Browser = Callable[..., Client]


@pytest.fixture
def otto(atlas: Agent) -> User:
    """An operator who manages the agent."""
    otto = person("otto", Role.OPERATOR)
    permissions.grant(otto, "manage", atlas)
    return otto


@pytest.fixture
def policy(ada: User, otto: User, atlas: Agent) -> Policy:
    made = policies.create(ada, "Reach", rule_lines.read("pypi.org\ngithub.com by /usr/bin/git"))
    permissions.grant(otto, "edit", made)
    atlas.policies.add(made)
    return made


def asked(agent: Agent, host: str, count: int = 1, *, binary: str = "/usr/bin/curl", days_ago: float = 1) -> None:
    """So many connections of the agent to port 443 of the host are on record."""
    before = EgressDecision.objects.count()
    EgressDecision.objects.bulk_create(
        EgressDecision(
            id=f"egress_{before + number:026d}",
            agent=agent,
            host=host,
            port=443,
            binary=binary,
            allowed=host == "pypi.org",
            at=timezone.now() - timedelta(days=days_ago),
        )
        for number in range(count)
    )


def tried(user: User, policy: Policy, lines: str, days: int = 7) -> what_if.Outcome:
    draft = what_if.drafted(policy, policies.clean_rules(rule_lines.read(lines)))
    return what_if.replay(user, policy, draft, days)


def test_what_the_draft_decides_otherwise_is_counted_by_kind(otto: User, atlas: Agent, policy: Policy) -> None:
    asked(atlas, "pypi.org", 5)
    asked(atlas, "github.com", 3, binary="/usr/bin/git")
    asked(atlas, "github.com", 2)
    asked(atlas, "elsewhere.example", 4)

    outcome = tried(otto, policy, "github.com\nelsewhere.example")

    assert (outcome.agents, outcome.connections) == (1, 14)
    assert (outcome.newly_refused, outcome.newly_allowed) == (5, 6)
    assert (outcome.still_allowed, outcome.still_refused) == (3, 0)
    assert [(c.host, c.binary, c.count, c.allowed) for c in outcome.changes] == [
        ("pypi.org", "/usr/bin/curl", 5, False),
        ("elsewhere.example", "/usr/bin/curl", 4, True),
        ("github.com", "/usr/bin/curl", 2, True),
    ]
    assert outcome.changes[0].reason == "No rule names pypi.org."


def test_what_another_policy_of_the_agent_allows_stays_allowed(
    ada: User, otto: User, atlas: Agent, policy: Policy
) -> None:
    atlas.policies.add(policies.create(ada, "Other", rule_lines.read("pypi.org")))
    asked(atlas, "pypi.org", 5)

    assert tried(otto, policy, "").newly_refused == 0
    # And a denial of the draft wins over it.
    assert tried(otto, policy, "deny pypi.org").newly_refused == 5


def test_only_the_last_days_count(otto: User, atlas: Agent, policy: Policy) -> None:
    asked(atlas, "pypi.org", 2, days_ago=1)
    asked(atlas, "pypi.org", 3, days_ago=20)

    assert [tried(otto, policy, "", days).connections for days in (1, 2, 30)] == [0, 2, 5]
    for days in (0, 91, -1):
        with pytest.raises(Invalid, match="1 to 90 days"):
            tried(otto, policy, "", days)


def test_nobody_learns_what_others_agents_asked_for(mallory: User, atlas: Agent, policy: Policy) -> None:
    olga = person("olga", Role.OPERATOR)
    asked(atlas, "pypi.org", 5)
    permissions.grant(olga, "edit", policy)

    assert tried(olga, policy, "").connections == 0
    body = {"rules": [], "days": 7}
    assert Program(mallory)("POST", f"policies/{policy.pk}/what-if", body).status_code == 404
    permissions.grant(mallory, "view", policy)
    assert Program(mallory)("POST", f"policies/{policy.pk}/what-if", body).status_code == 404
    assert Program(olga)("POST", f"policies/{policy.pk}/what-if", body).json()["connections"] == 0


def test_the_page_shows_it_and_keeps_the_draft(otto: User, atlas: Agent, policy: Policy, browser: Browser) -> None:
    asked(atlas, "pypi.org", 5)
    client, path = browser(otto), f"/policies/{policy.pk}/what-if/"
    sent = {"name": "Reach", "description": "Mine", "rules": "github.com", "version": policy.version, "days": "7"}

    shown = client.post(path, sent)

    page = shown.content.decode()
    assert shown.status_code == 200
    assert "5 connections would be refused, 0 more let through" in page
    assert "pypi.org:443" in page
    assert re.search(r">\s*github.com</textarea>", page)
    assert 'value="Mine"' in page
    policy.refresh_from_db()
    assert policy.hosts == ["pypi.org", "github.com"], "nothing is saved"
    assert "Try on what was recorded" in client.get(f"/policies/{policy.pk}/").content.decode()
    assert client.post(path, {**sent, "days": "1000"}).status_code == 400
    wrong = client.post(path, {**sent, "rules": "10.0.0.1"})
    assert wrong.status_code == 400
    assert "10.0.0.1" in wrong.content.decode()
    assert client.post(f"/policies/{policy.pk}/", sent).status_code == 302
    policy.refresh_from_db()
    assert policy.hosts == ["github.com"]


def test_an_address_opened_without_a_draft_leads_back_to_the_form(
    otto: User, mallory: User, ada: User, policy: Policy, browser: Browser
) -> None:
    preset = Preset.objects.create(pk="wheels", name="Wheels", category="packages", rules=[])

    opened = browser(otto).get(f"/policies/{policy.pk}/what-if/")
    assert (opened.status_code, opened.headers["Location"]) == (302, f"/policies/{policy.pk}/")
    assert browser(ada).get(f"/presets/{preset.pk}/what-if/").headers["Location"] == f"/presets/{preset.pk}/"
    assert browser(mallory).get(f"/policies/{policy.pk}/what-if/").status_code == 404


def test_programs_and_the_shell_get_the_same_answer(otto: User, atlas: Agent, policy: Policy, tmp_path: Path) -> None:
    asked(atlas, "pypi.org", 5)
    draft = tmp_path / "draft.txt"
    draft.write_text("github.com by /usr/bin/git")

    answer = Program(otto)("POST", f"policies/{policy.pk}/what-if", {"rules": [{"hosts": ["github.com"]}]}).json()
    assert (answer["newly_refused"], answer["changes"][0]["host"]) == (5, "pypi.org")
    ran = shell.run("what-if", "Reach", "--file", str(draft), "--user", "otto")
    assert ran.code == 3
    assert "5 would be refused" in ran.said
    draft.write_text("pypi.org")
    assert shell.run("what-if", "Reach", "--file", str(draft), "--user", "otto").code == 0


def test_many_connections_of_few_kinds_take_few_queries(
    otto: User, atlas: Agent, policy: Policy, django_assert_max_num_queries: Callable[[int], object]
) -> None:
    for number in range(40):
        asked(atlas, f"host-{number}.example.org", 20)

    with django_assert_max_num_queries(10):  # type: ignore[attr-defined]
        outcome = tried(otto, policy, "*.example.org")

    assert outcome.connections == 800
