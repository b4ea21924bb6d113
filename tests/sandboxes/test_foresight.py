"""The time machine decides as the live evaluators do: over 100,000 random cases there is not one mismatch."""

from __future__ import annotations

import random
from collections import Counter

from agents.reach import Reach, Rule, parse
from sandboxes import foresight
from sandboxes.foresight import ALLOW, BLOCK, Case, Ruling, Turned
from sandboxes.tool_server import catalogue, deciding
from sandboxes.tool_server.deciding import Thing
from sandboxes.tool_server.tiers import Tier

CASES = 100_000
NAMES = (
    "a.example",
    "b.example",
    "www.a.example",
    "deep.www.a.example",
    "c.example",
    "A.EXAMPLE",
    "",
    "-bad-",
    "127.0.0.1",
)
PORTS = (443, 80, 22, 8443)
PROGRAMS = ("", "/usr/bin/git", "/usr/bin/curl", "/usr/lib/git-core/git-remote-https", "relative")


def some_rules(chance: random.Random) -> tuple[Rule, ...]:
    found = []
    for number in range(chance.randint(0, 12)):
        entry = {
            "name": f"rule {number}",
            "hosts": [chance.choice(["a.example", "b.example", "*.a.example", "*.www.a.example", "c.example"])],
            "ports": chance.sample(PORTS, chance.randint(1, 3)),
            "binaries": chance.sample(["/usr/bin/git", "/usr/bin/curl", "/usr/lib/git-core/*"], chance.randint(0, 2)),
            "effect": chance.choice(["allow", "allow", "deny"]),
        }
        found.append(entry)
    return parse(found, "pol_1")


def by(reaches: dict[str, Reach]) -> foresight.Decide:
    def decide(case: Case) -> Ruling:
        verdict = reaches[case.agent_id].decide(*case.about)
        return Ruling(ALLOW if verdict.allowed else BLOCK, verdict.rule, verdict.reason)

    return decide


def test_connections_grouped_and_decided_anew_are_those_decided_one_by_one() -> None:
    chance = random.Random(5)
    agents = [f"agent_{number}" for number in range(40)]
    now = {agent: some_rules(chance) for agent in agents}
    then = {agent: some_rules(chance) if chance.random() < 0.5 else now[agent] for agent in agents}
    recorded = [
        (chance.choice(agents), (chance.choice(NAMES), chance.choice(PORTS), chance.choice(PROGRAMS)))
        for _ in range(CASES)
    ]

    cases = [Case(agent, about, count) for (agent, about), count in Counter(recorded).items()]
    turned = foresight.turn(
        cases, by({agent: Reach(each) for agent, each in now.items()}), by({a: Reach(each) for a, each in then.items()})
    )

    said = {(each.case.agent_id, each.case.about): each for each in turned}
    live_now, live_then = ({a: Reach(rules) for a, rules in each.items()} for each in (now, then))
    mismatches, newly = 0, Counter[str]()
    for agent, about in recorded:
        found = said[agent, about]
        before, after = live_now[agent].decide(*about), live_then[agent].decide(*about)
        mismatches += (found.before.verdict == ALLOW) != before.allowed or (
            found.after.verdict == ALLOW
        ) != after.allowed
        mismatches += found.after.rule != after.rule
        if before.allowed != after.allowed:
            newly[ALLOW if after.allowed else BLOCK] += 1
    totals = foresight.totals(turned)
    assert mismatches == 0
    assert totals.decisions == CASES
    assert (totals.newly(ALLOW), totals.newly(BLOCK)) == (newly[ALLOW], newly[BLOCK])
    assert newly[ALLOW] > 1_000
    assert newly[BLOCK] > 1_000
    assert sum(share.total for share in foresight.by_agent(turned, dict(zip(agents, agents, strict=True)))) <= sum(
        newly.values()
    )


def test_tool_calls_grouped_and_judged_anew_are_those_judged_one_by_one() -> None:
    chance = random.Random(7)
    tools = [
        catalogue.BY_NAME[name] for name in ("filesystem.read", "filesystem.delete", "process.run", "network.fetch")
    ]
    patterns = {
        "path": ["/workspace/*", "/workspace/a"],
        "host": ["a.example", "*.a.example"],
        "command": ["git *", "rm"],
    }

    def some() -> list[deciding.Rule]:
        found = []
        for number in range(chance.randint(0, 8)):
            condition = chance.choice(["", *patterns])
            found.append(
                deciding.Rule(
                    f"r{number}", chance.choice(["site", "agent"]), chance.choice(["*", "filesystem.*", *(t.name for t in tools)]),
                    chance.choice(list(Tier.values)), condition, chance.choice(patterns[condition]) if condition else "",
                    is_own=chance.random() < 0.5,
                )
            )  # fmt: skip
        return found

    def thing() -> list[Thing]:
        return chance.choice(
            [[], [Thing("path", "a")], [Thing("tree", "b")], [Thing("host", "www.a.example")], [Thing("command", "git push")],
             [Thing("command", "rm -rf /; ls", is_shell=True)]]
        )  # fmt: skip

    now, then = some(), some()
    kinds = [(chance.choice(tools), thing()) for _ in range(500)]
    recorded = [chance.randrange(len(kinds)) for _ in range(CASES // 10)]

    def judged(held: list[deciding.Rule]) -> foresight.Decide:
        return lambda case: Ruling(deciding.decide(*kinds[case.about], held).tier)

    turned = foresight.turn([Case("a", kind, n) for kind, n in Counter(recorded).items()], judged(now), judged(then))

    said = {each.case.about: each for each in turned}
    assert all(
        (said[kind].before.verdict, said[kind].after.verdict)
        == (deciding.decide(*kinds[kind], now).tier, deciding.decide(*kinds[kind], then).tier)
        for kind in recorded
    )


def test_shares_add_up_and_name_what_made_the_difference() -> None:
    turned = [
        Turned(Case("a", 1, 5), Ruling(ALLOW, "old"), Ruling(BLOCK)),
        Turned(Case("b", 2, 3), Ruling(BLOCK), Ruling(ALLOW, "new")),
        Turned(Case("b", 3, 100), Ruling(ALLOW), Ruling(ALLOW)),
    ]

    rules = {share.name: (share.newly_blocked, share.newly_allowed) for share in foresight.by_rule(turned)}
    agents = {share.name: share.total for share in foresight.by_agent(turned, {"a": "Atlas", "b": "Bert"})}

    assert rules == {"old": (5, 0), "new": (0, 3)}
    assert agents == {"Atlas": 5, "Bert": 3}


def test_a_run_nobody_may_see_is_nobodys() -> None:
    foresight_asked, kept = foresight.ASKED_BY[:], foresight.ASKED_BY
    kept[:] = [lambda reader, ids: {"run_2": "alice"}]
    try:
        turned = [Turned(Case("a", 1, 5), Ruling(ALLOW), Ruling(BLOCK))]
        rows = [("a", 1, "run_1", 3), ("a", 1, "run_2", 1), ("a", 1, "", 1), ("a", 9, "run_2", 50)]

        traced = foresight.trace(None, turned, rows)
    finally:
        kept[:] = foresight_asked

    assert dict(traced.runs) == {("a", 1): "run_2"}
    assert {share.name: share.newly_blocked for share in traced.people} == {"nobody you see": 4, "alice": 1}
