"""An agent learns for a while: who may begin, what is let through and what never, how it ends, and what is proposed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F
from django.template.loader import render_to_string
from django.test import Client
from django.utils import timezone

from agents import ids, learning, permissions, policies, reaching
from agents.editing import Stale
from agents.errors import Conflict, Invalid, NotFound
from agents.models import Agent, Learning, Policy, Role, SecurityEvent, User
from agents.reach import LEARNING
from runs import learned
from sandboxes.models import EgressDecision
from tests import shell
from tests.api_client import Program, end
from tests.conftest import person
from tests.rules import rules

Browser = Callable[..., Client]


@pytest.fixture
def policy(ada: User, atlas: Agent) -> Policy:
    made = policies.create(ada, "Web", rules("known.example", "deny bad.example"))
    atlas.policies.add(made)
    return made


@pytest.fixture
def otto(atlas: Agent, policy: Policy) -> User:
    """An operator who manages the agent and may edit its policy."""
    otto = person("otto", Role.OPERATOR)
    permissions.grant(otto, "manage", atlas)
    permissions.grant(otto, "edit", policy)
    return otto


def text(answer: Any) -> str:
    return str(answer.content.decode())


def asked(agent: Agent, host: str, *, binary: str = "/usr/bin/curl", rule: str = LEARNING, **more: Any) -> None:
    told = {"port": 443, "allowed": True, "at": timezone.now(), **more}
    EgressDecision.objects.create(id=ids.connection_id(), agent=agent, host=host, binary=binary, rule=rule, **told)


def over(agent: Agent) -> None:
    """Its time passes."""
    Learning.objects.filter(agent=agent).update(until=timezone.now() - timedelta(seconds=1))


# What it opens ------------------------------------------------------------------------------------


def test_it_opens_public_names_on_the_webs_ports_and_nothing_else(otto: User, atlas: Agent, policy: Policy) -> None:
    learning.start(otto, atlas.pk, policy.pk)
    reach, now = reaching.reach_of(atlas), timezone.now()

    through = reach.decide("new.example.org", 443, "/usr/bin/curl", now)
    assert (through.allowed, through.rule) == (True, LEARNING)
    assert through.reason == "No rule names new.example.org. It is let through while the agent learns."
    assert reach.decide("new.example.org", 80, "", now)
    assert reach.decide("known.example", 80, "/usr/bin/curl", now).rule == LEARNING, "a rule names it on another port"
    assert reach.decide("known.example", 443, "/usr/bin/curl", now).rule == f"{policy.pk}/known.example"
    for host, port in [
        ("new.example.org", 22), ("new.example.org", 8443), ("bad.example", 443), ("bad.example", 80), ("10.0.0.1", 443), ("::1", 443),
        ("127.1", 80), ("localhost", 80), ("printer.local", 80), ("metadata.google.internal", 80), ("router", 80),
        ("169.254.169.254", 80), ("0x7f.1", 80), ("", 80),
    ]:  # fmt: skip
        assert not reach.decide(host, port, "/usr/bin/curl", now), (host, port)


def test_it_ends_by_itself_whatever_was_read_before(otto: User, atlas: Agent, policy: Policy) -> None:
    row = learning.start(otto, atlas.pk, policy.pk, 1)
    held = reaching.reach_of(atlas)

    assert held.decide("new.example", 443, "/usr/bin/curl", row.until - timedelta(seconds=1))
    assert not held.decide("new.example", 443, "/usr/bin/curl", row.until)
    assert not held.decide("new.example", 443, "/usr/bin/curl"), "without a clock the rules alone decide"
    before = reaching.version_of(atlas.pk)
    over(atlas)
    assert reaching.version_of(atlas.pk) != before
    assert reaching.reach_of(atlas).learns_until is None


@pytest.mark.parametrize("event", ["suspended", "demoted", "policy taken away", "policy deleted", "stopped"])
def test_it_ends_with_what_it_stands_on(otto: User, atlas: Agent, policy: Policy, event: str) -> None:
    learning.start(otto, atlas.pk, policy.pk)
    assert reaching.reach_of(atlas).learns_until

    if event == "suspended":
        User.objects.filter(pk=otto.pk).update(is_active=False)
    elif event == "demoted":
        User.objects.filter(pk=otto.pk).update(role=Role.USER)
    elif event == "policy taken away":
        atlas.policies.clear()
    elif event == "policy deleted":
        policy.delete()
    else:
        learning.stop(otto, atlas.pk)

    assert reaching.reach_of(atlas).learns_until is None


def test_an_end_for_want_of_the_policy_is_one_and_is_told(otto: User, atlas: Agent, policy: Policy) -> None:
    learning.start(otto, atlas.pk, policy.pk)
    atlas.policies.clear()

    assert learning.settle() == 1
    atlas.policies.add(policy)

    assert not learning.going(atlas.pk).exists(), "it does not begin again by itself"
    assert "policy" in SecurityEvent.objects.get(kind="learning_over").detail["why"]
    assert learning.start(otto, atlas.pk, policy.pk)


def test_a_policy_that_cannot_be_read_closes_it_too(otto: User, atlas: Agent, policy: Policy) -> None:
    learning.start(otto, atlas.pk, policy.pk)
    Policy.objects.filter(pk=policy.pk).update(rules=[{"hosts": 1}])

    assert not reaching.reach_of(atlas).decide("new.example", 443, "/usr/bin/curl", timezone.now())


def test_a_run_says_that_it_went_while_the_agent_learned(ada: User, atlas: Agent, policy: Policy, route: Any) -> None:
    from runs import dispatch, permitted, withheld
    from runs.composing import compose

    assert not [rule for rule in compose(atlas)["permissions"]["rules"] if rule["in"] == LEARNING]
    learning.start(ada, atlas.pk, policy.pk)

    stamp = compose(atlas)

    assert [rule["hosts"] for rule in stamp["permissions"]["rules"] if rule["in"] == LEARNING] == [["any public host"]]
    assert "any public host" in stamp["permissions"]["hosts"]
    run = dispatch.start(ada, "Hello", agent=atlas).run
    end(run, "Done.")
    learning.stop(ada, atlas.pk)
    assert permitted.attempt(ada, run, "new.example", 443)
    assert not permitted.attempt(ada, run, "bad.example", 443)
    assert not permitted.attempt_now(ada, atlas, "new.example", 443)
    hers = withheld.told(person("hanna"), stamp)["permissions"]
    assert [rule["in"] for rule in hers["rules"]] == [LEARNING]


def test_its_timeline_says_so() -> None:
    from runs import events
    from runs.events import Event
    from runs.items import Egress
    from runs.timeline import Timeline

    data = {"host": "a.example", "port": 443, "binary": "/usr/bin/curl", "decision": "allowed", "rule": LEARNING}
    line = Timeline([Event("r", 1, "egress", {**data, "reason": "", "count": 1}, events.now())])

    (item,) = line.items
    assert isinstance(item, Egress)
    assert item.learned
    html = render_to_string("runs/_item_egress.html", {"item": item})
    assert "let through while it learns" in html


# Who, when ----------------------------------------------------------------------------------------


def test_who_manages_the_agent_and_edits_its_policy_may_begin(ada: User, alice: User, otto: User, atlas: Agent) -> None:
    policy = Policy.objects.get()
    olga = person("olga", Role.OPERATOR)
    for who in (alice, olga, person("viewer-2", Role.VIEWER)):
        with pytest.raises(NotFound):
            learning.start(who, atlas.pk, policy.pk)
    permissions.grant(olga, "manage", atlas)
    with pytest.raises(NotFound):
        learning.start(olga, atlas.pk, policy.pk)
    other = policies.create(otto, "Elsewhere")
    with pytest.raises(NotFound):
        learning.start(otto, atlas.pk, other.pk)
    assert not Learning.objects.exists()

    learning.start(otto, atlas.pk, policy.pk)
    with pytest.raises(Conflict, match="learning already"):
        learning.start(ada, atlas.pk, policy.pk)
    learning.stop(alice, atlas.pk)
    with pytest.raises(Conflict, match="not learning"):
        learning.stop(alice, atlas.pk)
    learning.start(ada, atlas.pk, policy.pk)
    kinds = list(SecurityEvent.objects.filter(object_id=atlas.pk).order_by("pk").values_list("kind", "actor__username"))
    assert kinds == [("learning_on", "otto"), ("learning_off", "alice"), ("learning_on", "ada")]


@pytest.mark.parametrize("minutes", [0, -1, 1441, 10**9])
def test_a_time_that_is_none_is_refused(otto: User, atlas: Agent, policy: Policy, minutes: int) -> None:
    with pytest.raises(Invalid, match="1 to 1,440 minutes"):
        learning.start(otto, atlas.pk, policy.pk, minutes)


@pytest.mark.parametrize("lost", ["agent", "policy"])
def test_it_ends_within_seconds_when_who_began_it_loses_the_right(
    otto: User, atlas: Agent, policy: Policy, lost: str
) -> None:
    learning.start(otto, atlas.pk, policy.pk)
    assert learning.settle() == 0

    level, row = ("manage", atlas) if lost == "agent" else ("edit", policy)
    permissions.revoke(otto, level, row)

    # The engine asks at every beat.
    assert (learning.settle(), learning.settle()) == (1, 0)
    assert reaching.reach_of(atlas).learns_until is None
    assert SecurityEvent.objects.get(kind="learning_over").detail["why"]


def test_the_end_is_written_down_once(otto: User, atlas: Agent, policy: Policy) -> None:
    learning.start(otto, atlas.pk, policy.pk)
    assert learning.settle() == 0
    over(atlas)

    assert (learning.settle(), learning.settle()) == (1, 0)
    assert Learning.objects.get().ended_at == Learning.objects.values_list("until", flat=True).get()
    assert SecurityEvent.objects.filter(kind="learning_over").count() == 1
    learning.start(otto, atlas.pk, policy.pk)
    assert Learning.objects.count() == 2


# What is proposed ---------------------------------------------------------------------------------


def recorded(otto: User, atlas: Agent, policy: Policy) -> None:
    """It learned two hosts of one program; other things happened, too."""
    learning.start(otto, atlas.pk, policy.pk)
    for host in ("one.example", "two.example", "one.example"):
        asked(atlas, host)
    asked(atlas, "any.example", binary="")
    asked(atlas, "inside.example", allowed=False, reason="inside.example leads to 10.0.0.1")
    asked(atlas, "known.example", rule=f"{policy.pk}/known.example")
    asked(atlas, "refused.example", rule="", allowed=False)
    asked(atlas, "early.example", at=timezone.now() - timedelta(hours=2))


def test_the_smallest_rules_for_what_it_learned(otto: User, atlas: Agent, policy: Policy) -> None:
    recorded(otto, atlas, policy)
    learning.stop(otto, atlas.pk)

    found = learned.proposed(otto, atlas, policy, "learned")

    assert found.lines == ["one.example, two.example by /usr/bin/curl"]
    assert [each.asked.host for each in found.left_out] == ["any.example"]
    assert (found.outcome.newly_allowed, found.outcome.newly_refused) == (3, 0)
    assert learned.proposed(otto, atlas, policy, "denied").lines == ["refused.example by /usr/bin/curl"]


def test_one_click_stores_it_and_nobody_is_overwritten(
    browser: Browser, otto: User, atlas: Agent, policy: Policy
) -> None:
    recorded(otto, atlas, policy)
    client, path = browser(otto), f"/agents/{atlas.pk}/proposal/"
    page = text(client.get(path))
    assert "1 rule for Web" in page
    assert "<ins>" in page
    assert "any.example" in page
    assert "more let through" in page
    sent = {"policy": policy.pk, "version": policy.version, "lines": "one.example, two.example by /usr/bin/curl"}
    policies.change(otto, policy.pk, policy.version, description="Somebody else's.")

    stale = client.post(path, sent)
    assert stale.status_code == 409
    assert "saved this first" in text(stale)
    assert client.post(path, {**sent, "version": policy.version + 1}).status_code == 302

    policy.refresh_from_db()
    assert [rule["name"] for rule in policy.rules] == ["known.example", "bad.example", "one.example"]
    assert policy.rules[2]["binaries"] == ["/usr/bin/curl"]
    assert policy.history.count() == 3
    assert "Nothing to add to Web" in text(client.get(path))
    wrong = client.post(path, {**sent, "version": policy.version, "lines": "10.0.0.1"})
    assert wrong.status_code == 400
    assert client.post(path, {**sent, "policy": "pol_nothing"}).status_code == 404
    with pytest.raises(Stale):
        learned.store(otto, policy, 1, ["x.example"])


def test_who_may_not_edit_or_see_is_proposed_nothing(
    browser: Browser, otto: User, alice: User, mallory: User, atlas: Agent, policy: Policy
) -> None:
    recorded(otto, atlas, policy)
    olga = person("olga", Role.OPERATOR)
    permissions.grant(olga, "chat", atlas)
    permissions.grant(olga, "edit", policy)

    assert browser(alice).get(f"/agents/{atlas.pk}/proposal/").status_code == 404
    assert browser(mallory).get(f"/agents/{atlas.pk}/proposal/").status_code == 404
    hers = text(browser(olga).get(f"/agents/{atlas.pk}/proposal/"))
    assert "one.example" not in hers, "she sees what her own runs asked for"
    assert "of your own runs" in hers


# Doors --------------------------------------------------------------------------------------------


def test_every_page_of_the_agent_says_so(
    browser: Browser, otto: User, alice: User, atlas: Agent, policy: Policy, route: Any
) -> None:
    client = browser(otto)
    assert "Let it learn" in text(client.get(f"/agents/{atlas.pk}/reach/"))
    sent = {"policy": policy.pk, "minutes": "90"}
    assert client.post(f"/agents/{atlas.pk}/learning/", {**sent, "minutes": "x"}).status_code == 302
    assert not Learning.objects.exists()
    client.post(f"/agents/{atlas.pk}/learning/", sent)

    for tab in ("", "capabilities/", "documents/", "reach/", "edit/"):
        page = text(browser(alice).get(f"/agents/{atlas.pk}/{tab}"))
        assert "atlas learns what it needs" in page, tab
    hers = browser(alice)
    assert "Let it learn" not in text(hers.get(f"/agents/{atlas.pk}/reach/"))
    assert hers.post(f"/agents/{atlas.pk}/learning/", sent).status_code == 404
    assert hers.post(f"/agents/{atlas.pk}/learning/stop/").status_code == 302
    assert "learns what it needs" not in text(hers.get(f"/agents/{atlas.pk}/"))
    assert hers.post(f"/agents/{atlas.pk}/learning/stop/").status_code == 302
    assert Learning.objects.filter(ended_by=alice).count() == 1


def test_programs_let_it_learn(otto: User, alice: User, mallory: User, atlas: Agent, policy: Policy) -> None:
    program, path = Program(otto), f"agents/{atlas.pk}/learning"
    assert program.get(path) == {"learns": False, "until": None}
    assert program("POST", path, {"policy_id": policy.pk, "minutes": 1441}).status_code in (400, 422)
    assert Program(alice)("POST", path, {"policy_id": policy.pk}).status_code == 404
    assert program("POST", path, {"policy_id": policy.pk}).status_code == 201
    assert program("POST", path, {"policy_id": policy.pk}).json()["error"]["reason"] == "learning"
    assert Program(alice).get(path)["learns"] is True
    assert Program(mallory)("GET", path).status_code == 404
    asked(atlas, "one.example")

    found = program.get(f"agents/{atlas.pk}/proposal")

    assert found["rules"][0]["hosts"] == ["one.example"]
    assert (found["policy_id"], found["policy_version"]) == (policy.pk, policy.version)
    assert found["outcome"]["newly_allowed"] == 1
    assert Program(alice)("GET", f"agents/{atlas.pk}/proposal").status_code == 404
    assert program("DELETE", path).status_code == 204
    assert program("DELETE", path).status_code == 409


def test_from_a_shell(ada: User, atlas: Agent, policy: Policy) -> None:
    assert shell.run("egress", "learn", "atlas", "--minutes", "0").code == 1
    begun = shell.run("egress", "learn", "atlas", "--minutes", "5")
    assert "for the policy Web" in begun.said
    asked(atlas, "one.example")
    asked(atlas, "any.example", binary="")
    shown = shell.run("egress", "propose", "atlas")
    assert shown.out == "one.example by /usr/bin/curl\n"
    assert "left out: any.example:443" in shown.said
    assert shell.run("egress", "propose", "atlas", "--policy", "Web", "--save").code == 0
    assert "one.example" in Policy.objects.get().hosts
    assert shell.run("egress", "learn", "atlas", "--stop").code == 0
    assert shell.run("egress", "propose", "atlas", "--denied").out == ""
    assert Learning.objects.filter(ended_at__lt=F("until")).count() == 1
