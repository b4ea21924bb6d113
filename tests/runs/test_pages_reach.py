"""The page of an agent's reach: which rules, what was asked, a rule proposed, unused ones taken out and put back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from agents import capabilities, ids, permissions, policies, privacy
from agents.models import Agent, Policy, Role, User, Visibility
from runs import reach
from sandboxes.egress import usage
from sandboxes.models import EgressDecision
from tests import shell
from tests.api_client import Program, end
from tests.conftest import person
from tests.rules import rules

Browser = Callable[..., Client]


def asked(agent: Agent, host: str, *, allowed: bool = False, days: float = 0, **more: Any) -> EgressDecision:
    at = timezone.now() - timedelta(days=days)
    return EgressDecision.objects.create(
        id=ids.connection_id(), agent=agent, host=host, port=443, allowed=allowed, at=at, **more
    )


def text(answer: Any) -> str:
    return str(answer.content.decode())


@pytest.fixture
def policy(ada: User, atlas: Agent) -> Policy:
    """One that has stood for twenty days, with records that go back that far."""
    made = Policy.objects.create(name="Web", owner=ada, rules=rules("used.example", "idle.example", "deny bad.example"))
    made.history.update(history_date=timezone.now() - timedelta(days=20))
    atlas.policies.add(made)
    asked(atlas, "long.example", days=20)
    asked(atlas, "used.example", allowed=True, rule=f"{made.pk}/used.example", binary="/usr/bin/curl")
    return made


def test_it_tells_the_rules_where_they_stand_and_when_they_were_used(
    browser: Browser, ada: User, alice: User, atlas: Agent, policy: Policy
) -> None:
    capabilities.switch_on(alice, atlas, "github", 1)

    page = text(browser(ada).get(f"/agents/{atlas.pk}/reach/"))

    for words in ("deny bad.example", "github.com:443", "not used yet", f"/policies/{policy.pk}/", "capability"):
        assert words in page, words


def test_who_may_not_see_a_policy_is_not_told_its_rules(
    browser: Browser, alice: User, atlas: Agent, policy: Policy
) -> None:
    page = text(browser(alice).get(f"/agents/{atlas.pk}/reach/"))

    assert "policies of this agent that you may not see" in page
    assert "idle.example" not in page
    assert "Web" not in page


def test_others_see_what_their_own_runs_asked_for(
    browser: Browser, ada: User, alice: User, bob: User, mallory: User, atlas: Agent
) -> None:
    from runs import dispatch

    run = dispatch.start(bob, "Hello", agent=atlas).run
    end(run, "Done.")
    asked(atlas, "his.example", run_id=run.pk)
    asked(atlas, "hers.example", run_id="run_of_alice")
    asked(atlas, "anybodys.example")

    his = text(browser(bob).get(f"/agents/{atlas.pk}/reach/"))
    hers = text(browser(alice).get(f"/agents/{atlas.pk}/reach/"))
    assert "his.example" in his
    assert "hers.example" not in his
    assert "anybodys.example" not in his
    assert "Of your own runs." in his
    for host in ("his.example", "hers.example", "anybodys.example"):
        assert host in hers
    assert browser(mallory).get(f"/agents/{atlas.pk}/reach/").status_code == 404
    assert [each["host"] for each in Program(bob).get(f"agents/{atlas.pk}/egress")["items"]] == ["his.example"]
    assert Program(mallory)("GET", f"agents/{atlas.pk}/egress").status_code == 404


def test_private_chats_close_it_for_admins(ada: User, alice: User, atlas: Agent) -> None:
    asked(atlas, "hers.example")
    assert reach.decisions(ada, atlas).count() == 1

    privacy.switch(ada, True)

    assert reach.decisions(ada, atlas).count() == 0
    assert reach.decisions(alice, atlas).count() == 1


def test_what_was_refused_can_be_proposed_as_a_rule_with_one_click(
    browser: Browser, ada: User, atlas: Agent, policy: Policy
) -> None:
    asked(atlas, "new.example", binary="/usr/bin/git", reason="No rule names new.example.")
    asked(atlas, "new.example", binary="/usr/bin/git", reason="No rule names new.example.")
    asked(atlas, "10.0.0.1", reason="10.0.0.1 is not a host name.")
    asked(atlas, "bad.example", rule=f"{policy.pk}/bad.example")
    client = browser(ada)

    (each, _) = reach.overview(ada, atlas, reach.decisions(ada, atlas)).denied
    assert (each.line, each.count) == ("new.example by /usr/bin/git", 2)
    assert each.propose in text(client.get(f"/agents/{atlas.pk}/reach/")).replace("&amp;", "&")
    page = text(client.get(each.propose))
    assert "deny bad.example\nnew.example by /usr/bin/git</textarea>" in page
    assert "Nothing is saved yet" in page
    assert Policy.objects.get(pk=policy.pk).version == policy.version


def test_a_proposal_without_a_policy_begins_one(browser: Browser, ada: User, atlas: Agent) -> None:
    asked(atlas, "new.example")

    (each,) = reach.overview(ada, atlas, reach.decisions(ada, atlas)).denied

    assert "new.example</textarea>" in text(browser(ada).get(each.propose))


def test_unused_rules_are_taken_out_and_put_back(browser: Browser, ada: User, atlas: Agent, policy: Policy) -> None:
    client = browser(ada)
    page = text(client.get(f"/agents/{atlas.pk}/reach/"))
    assert "Not needed for 14 days: Web" in page
    assert 'value="used.example"' not in page
    assert 'value="idle.example" checked' in page
    assert 'value="bad.example"> ' in page, "without what denies more may be reached: nobody takes that out by accident"
    data = {"agent": atlas.pk, "version": policy.version, "rule": ["idle.example", "bad.example"]}

    answer = client.post(f"/policies/{policy.pk}/prune/", data, follow=True)

    assert [rule["name"] for rule in Policy.objects.get().rules] == ["used.example"]
    assert "Put them back" in text(answer)
    client.post(f"/policies/{policy.pk}/unprune/", {"agent": atlas.pk})
    assert [rule["name"] for rule in Policy.objects.get().rules] == ["used.example", "idle.example", "bad.example"]
    again = client.post(f"/policies/{policy.pk}/unprune/", {"agent": atlas.pk}, follow=True)
    assert "nothing to put back" in text(again)


def test_a_preset_that_nobody_needed_is_taken_out_and_put_back(
    browser: Browser, ada: User, atlas: Agent, policy: Policy
) -> None:
    policy.presets.add("github", "slack")
    policy.history.update(history_date=timezone.now() - timedelta(days=20))
    policies.change(ada, policy.pk, policy.version, preset_ids=["github", "slack", "tavily"])
    policy.refresh_from_db()
    asked(atlas, "api.github.com", allowed=True, rule=f"{policy.pk}+github/api")
    client = browser(ada)

    assert [each.pk for each in usage.unused(policy).presets] == ["slack"], "one was needed, one is young"
    page = text(client.get(f"/agents/{atlas.pk}/reach/"))
    assert 'name="preset" value="slack"' in page
    assert 'name="preset" value="github"' not in page
    assert "/presets/github/" in page
    assert Program(ada).get(f"policies/{policy.pk}/unused?days=14")["presets"] == ["slack"]
    assert "preset slack" in shell.run("egress", "unused", "Web").out
    data = {"agent": atlas.pk, "version": policy.version, "preset": ["slack"]}
    client.post(f"/policies/{policy.pk}/prune/", data)
    assert {each.pk for each in policy.presets.all()} == {"github", "tavily"}
    client.post(f"/policies/{policy.pk}/unprune/", {"agent": atlas.pk})
    assert {each.pk for each in policy.presets.all()} == {"github", "slack", "tavily"}
    assert shell.run("egress", "prune", "Web", "--preset", "github").code == 1


@pytest.mark.parametrize("version", ["\u00b2", "-1", "", "9" * 5000])
def test_a_version_that_is_none_is_one_of_before(browser: Browser, ada: User, policy: Policy, version: str) -> None:
    data = {"version": version, "rule": ["idle.example"]}

    answer = browser(ada).post(f"/policies/{policy.pk}/prune/", data, follow=True)

    assert "Somebody saved this first" in text(answer)
    assert len(Policy.objects.get().rules) == 3


def test_what_is_needed_or_new_or_unknown_stays(ada: User, atlas: Agent, policy: Policy) -> None:
    program = Program(ada)
    body = {"version": policy.version, "names": ["used.example"]}
    assert "was matched" in program("POST", f"policies/{policy.pk}/prune", body).json()["error"]["message"]
    assert program("POST", f"policies/{policy.pk}/prune", {**body, "names": ["none"]}).status_code == 400
    stale = {**body, "version": policy.version + 1, "names": ["idle.example"]}
    assert program("POST", f"policies/{policy.pk}/prune", stale).status_code == 409

    policy.rules = [*policy.rules, *rules("young.example")]
    policy.save()
    known = program.get(f"policies/{policy.pk}/unused?days=14")
    assert (known["is_known"], [rule["name"] for rule in known["unused"]]) == (True, ["idle.example", "bad.example"])
    assert program.get(f"policies/{policy.pk}/unused?days=25")["is_known"] is False
    assert program("GET", f"policies/{policy.pk}/unused?days=31").status_code == 400
    assert not usage.unused(Policy.objects.create(name="Young", rules=rules("a.example"))).is_known


def test_who_may_not_edit_a_policy_prunes_nothing(browser: Browser, atlas: Agent, alice: User, policy: Policy) -> None:
    policy.visibility = Visibility.SHARED
    policy.save()
    data = {"version": policy.version, "rule": "idle.example"}
    olga = person("olga", Role.OPERATOR)

    for who in (alice, olga):
        assert browser(who).post(f"/policies/{policy.pk}/prune/", data).status_code == 404
        assert Program(who)("GET", f"policies/{policy.pk}/unused").status_code == 404
    permissions.grant(olga, "edit", policy)
    assert browser(olga).post(f"/policies/{policy.pk}/prune/", data).status_code == 302


def test_it_is_narrowed_and_takes_few_queries_and_little_room(
    browser: Browser, ada: User, atlas: Agent, policy: Policy, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(8):
        more = Policy.objects.create(name=f"more {number}", owner=ada, rules=rules(f"more{number}.example"))
        atlas.policies.add(more)
    for number in range(60):
        asked(atlas, f"{'x' * 60}{number}.example", binary="/usr/bin/" + "p" * 100, reason="r" * 300, run_id="run_1")
    atlas.policies.first().presets.add("github", "slack")  # type: ignore[union-attr]
    capabilities.switch_on(ada, atlas, "github", 1)
    client = browser(ada)

    client.get(f"/agents/{atlas.pk}/reach/")
    with django_assert_max_num_queries(10):
        page = text(client.get(f"/agents/{atlas.pk}/reach/"))
    assert len(page) < 60_000
    only = text(client.get(f"/agents/{atlas.pk}/reach/", {"decision": "allowed", "text": "curl"}))
    assert only.count('class="state ok">let through') == 1
    for odd in ({"since": "x"}, {"decision": "\x00"}, {"after": "x"}, {"text": "%" * 300}):
        assert client.get(f"/agents/{atlas.pk}/reach/", odd).status_code == 200, odd


def test_from_a_shell(ada: User, atlas: Agent, policy: Policy) -> None:
    asked(atlas, "new.example", reason="No rule names new.example.")

    assert "No rule names new.example." in shell.run("egress", "list", "atlas", "--denied").out
    assert "used.example" not in shell.run("egress", "list", "atlas", "--denied").out
    assert shell.run("egress", "list", "atlas", "--json").json[0]["host"] == "new.example"
    assert "idle.example" in shell.run("egress", "unused", "Web").out
    assert shell.run("egress", "prune", "Web", "used.example").code == 1
    assert shell.run("egress", "prune", "Web", "idle.example").code == 0
    assert [rule["name"] for rule in Policy.objects.get().rules] == ["used.example", "bad.example"]
    assert shell.run("egress", "list", "nobody").code == 1
