"""The rules of an agent: its policies and what its capabilities grant; closed when one cannot be read."""

from __future__ import annotations

from agents import agent_secrets, capabilities, reaching
from agents.models import Agent, Policy, User
from tests.rules import rules


def test_policies_and_capabilities_join(atlas: Agent, alice: User) -> None:
    policy = Policy.objects.create(name="Web", rules=rules("a.example", "deny api.github.com by /usr/bin/curl"))
    atlas.policies.add(policy)
    capabilities.switch_on(alice, atlas, "github", 1)

    reach = reaching.reach_of(atlas)

    assert reach.decide("a.example", 443).rule == f"{policy.pk}/a.example"
    assert reach.decide("github.com", 443).rule == "capability:github/github.com:443"
    assert reach.decide("api.github.com", 443, "/usr/bin/git")
    assert not reach.decide("api.github.com", 443, "/usr/bin/curl")
    assert not reach.decide("gitlab.com", 443)


def test_a_host_that_stands_in_a_secret_is_reached_and_not_told(atlas: Agent, alice: User) -> None:
    capabilities.switch_on(alice, atlas, "search-own", 1)
    assert not reaching.reach_of(atlas).rules
    agent_secrets.put(alice, atlas, "SEARXNG_URL", "https://search.example.org:8443/x")

    assert reaching.reach_of(atlas).decide("search.example.org", 8443)
    assert "search.example" not in str(reaching.shown(reaching.rules_of(atlas)))
    agent_secrets.put(alice, atlas, "SEARXNG_URL", "http://127.0.0.1:8443/")
    assert not reaching.reach_of(atlas).rules


def test_a_policy_that_cannot_be_read_closes_everything(atlas: Agent) -> None:
    atlas.policies.add(
        Policy.objects.create(name="Web", rules=rules("a.example")), Policy.objects.create(name="Odd", rules=[{"x": 1}])
    )

    verdict = reaching.reach_of(atlas).decide("a.example", 443)

    assert (verdict.allowed, "cannot be read" in verdict.reason) == (False, True)


def test_every_change_is_another_version(atlas: Agent, alice: User) -> None:
    seen = [reaching.version_of(atlas.pk)]
    policy = Policy.objects.create(name="Web", rules=rules("a.example"))
    for change in (
        lambda: atlas.policies.add(policy),
        policy.save,
        lambda: capabilities.switch_on(alice, atlas, "github", 1),
        lambda: agent_secrets.put(alice, atlas, "SEARXNG_URL", "https://a.example.org"),
        lambda: agent_secrets.put(alice, atlas, "SEARXNG_URL", "https://b.example.org"),
        lambda: capabilities.switch_off(alice, atlas, "github"),
        lambda: atlas.policies.remove(policy),
    ):
        change()
        seen.append(reaching.version_of(atlas.pk))

    assert len(set(seen[:-1])) == len(seen) - 1
