"""A host that was refused is asked for; what is allowed holds at once, as long as was said, and no longer."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from agents import permissions, reaching
from agents.errors import Conflict, Invalid, NotFound
from agents.models import Agent, HostGrant, Policy, Role, User
from runs import approvals, asked_hosts, dispatch
from runs.approvals import RuleWish
from runs.models import Approval, Run
from sandboxes.egress.reaches import Reaches
from sandboxes.lifecycle import in_thread
from sandboxes.models import EgressDecision
from tests.api_client import Program, end
from tests.conftest import person

pytestmark = pytest.mark.django_db

CURL = "/usr/bin/curl"


@pytest.fixture
def run(alice: User, atlas: Agent) -> Run:
    run = dispatch.start(alice, "Fetch the page", agent=atlas).run
    refused(run, "docs.example.org")
    return run


@pytest.fixture
def otto(atlas: Agent) -> User:
    otto = person("otto", Role.OPERATOR)
    permissions.grant(otto, "manage", atlas)
    return otto


def refused(run: Run, host: str, port: int = 443, binary: str = CURL) -> None:
    EgressDecision.objects.create(
        id=f"conn_{host}", agent=run.agent, run_id=run.pk, host=host, port=port, binary=binary, allowed=False, at=timezone.now(),
        reason=f"No rule names {host}.",
    )  # fmt: skip


def reaches(agent: Agent, host: str = "docs.example.org", port: int = 443, binary: str = CURL) -> bool:
    return reaching.reach_of(Agent.objects.get(pk=agent.pk)).decide(host, port, binary, timezone.now()).allowed


def test_a_refused_host_is_asked_for_and_operators_who_manage_the_agent_decide(
    alice: User, otto: User, run: Run, atlas: Agent
) -> None:
    asked = asked_hosts.ask_for(alice, run.pk, "docs.example.org", 443)

    assert (asked.kind, asked.tier, asked.asked_for) == ("egress", "admin", alice)
    assert asked.subject == {"host": "docs.example.org", "port": 443, "program": CURL}
    assert asked_hosts.ask_for(alice, run.pk, "docs.example.org", 443) == asked, "one request for one host"
    with pytest.raises(NotFound):
        approvals.decide(alice, asked, "once")
    assert not reaches(atlas)

    approvals.decide(otto, asked, "once")

    assert reaches(atlas)
    assert not reaches(atlas, port=80)
    assert not reaches(atlas, host="www.docs.example.org")
    assert not reaches(atlas, binary="/usr/bin/wget")
    with pytest.raises(Conflict) as already:
        asked_hosts.ask_for(alice, run.pk, "docs.example.org", 443)
    assert already.value.reason == "already_allowed"


@pytest.mark.parametrize("choice", ["once", "run"])
def test_what_is_allowed_for_a_run_ends_with_it(alice: User, otto: User, run: Run, atlas: Agent, choice: str) -> None:
    approvals.decide(otto, asked_hosts.ask_for(alice, run.pk, "docs.example.org", 443), choice)
    assert reaches(atlas)

    end(run, "Done.")

    assert not reaches(atlas)
    assert HostGrant.objects.get().ended_at is not None


def test_a_rule_outlives_the_run_and_ends_by_hand_or_by_time(alice: User, otto: User, run: Run, atlas: Agent) -> None:
    asked = asked_hosts.ask_for(alice, run.pk, "docs.example.org", 443)
    rule = approvals.decide(otto, asked, "rule", rule=RuleWish(lifetime_s=7200)).rule
    assert rule is not None
    assert rule.words == f"docs.example.org:443 by {CURL}, in every run of atlas"
    end(run, "Done.")
    assert reaches(atlas)

    HostGrant.objects.update(until=timezone.now() - timedelta(seconds=1))
    assert not reaches(atlas)
    HostGrant.objects.update(until=timezone.now() + timedelta(hours=1))
    approvals.revoke(otto, rule.pk)
    assert not reaches(atlas)


def test_a_denial_opens_nothing(alice: User, otto: User, run: Run, atlas: Agent) -> None:
    approvals.decide(otto, asked_hosts.ask_for(alice, run.pk, "docs.example.org", 443), "deny")

    assert not reaches(atlas)
    assert not HostGrant.objects.exists()


def test_what_was_not_refused_or_no_rule_could_allow_is_not_asked_for(
    alice: User, mallory: User, viewer: User, run: Run, atlas: Agent
) -> None:
    refused(run, "169.254.169.254", 80)
    refused(run, "printer.local")
    refused(run, "bad.example.org")
    policy = Policy.objects.create(
        name="Closed", owner=alice, rules=[{"name": "no", "hosts": ["bad.example.org"], "effect": "deny"}]
    )
    atlas.policies.add(policy)

    for host, port in (("elsewhere.example.org", 443), ("docs.example.org", 80)):
        with pytest.raises(Invalid, match="not refused"):
            asked_hosts.ask_for(alice, run.pk, host, port)
    for host, port in (("169.254.169.254", 80), ("printer.local", 443)):
        with pytest.raises(Invalid):
            asked_hosts.ask_for(alice, run.pk, host, port)
    with pytest.raises(Conflict) as denied:
        asked_hosts.ask_for(alice, run.pk, "bad.example.org", 443)
    assert denied.value.reason == "denied_by_rule"
    for stranger in (mallory, viewer):
        with pytest.raises(NotFound):
            asked_hosts.ask_for(stranger, run.pk, "docs.example.org", 443)
    assert not Approval.objects.exists()


def test_programs_and_pages_ask(alice: User, mallory: User, run: Run) -> None:
    body = {"host": "docs.example.org", "port": 443}
    Program(mallory).post(f"runs/{run.pk}/hosts", body, 404)

    asked = Program(alice).post(f"runs/{run.pk}/hosts", body, 201)

    assert (asked["kind"], asked["state"], asked["choices"]) == ("egress", "pending", ["once", "run", "rule", "deny"])
    assert Program(alice).post(f"runs/{run.pk}/hosts", {"host": "x.example.org", "port": 443}, 400)["error"]["field"]


@pytest.mark.django_db(transaction=True)
async def test_a_proxy_hears_of_it_at_once(alice: User, otto: User, run: Run, atlas: Agent) -> None:
    known = Reaches(in_thread)
    assert not (await known.of(atlas.pk)).decide("docs.example.org", 443, CURL).allowed
    asked = await in_thread(asked_hosts.ask_for, alice, run.pk, "docs.example.org", 443)

    await in_thread(approvals.decide, otto, asked, "once")

    assert (await known.of(atlas.pk)).decide("docs.example.org", 443, CURL).allowed
