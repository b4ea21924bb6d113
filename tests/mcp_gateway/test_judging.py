"""What becomes of calls, judged in memory: what is kept read is never older than the rules, and counts are exact."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mcp_gateway import judging
from mcp_gateway.book import Served
from mcp_gateway.judging import HOUR_S, MINUTE_S, Judge, Made
from sandboxes.tool_server import deciding, outside
from sandboxes.tool_server.deciding import Rule
from sandboxes.tool_server.tiers import Tier

FILES = Served("mcp_1", "files")


def rule(tier: str, tool: str = "mcp:*", **more: Any) -> Rule:
    return Rule(more.pop("id", f"rule-{tier}-{tool}"), more.pop("layer", deciding.SITE), tool, tier, **more)


def test_what_is_kept_read_goes_with_the_rules_the_category_and_the_arguments() -> None:
    judge, wary = Judge(), rule("block", condition="argument", pattern="path=/etc/*")

    def tier(rules: Any, arguments: Any = None, served: Served = FILES, agent: str = "agent_1") -> Tier:
        return judge.judge(agent, served, "read", arguments or {}, rules).tier

    for _ in range(2):
        assert tier(()) == Tier.ALLOW
        assert tier([wary], {"path": "/etc/passwd"}) == Tier.BLOCK
        assert tier([wary], {"path": "/home"}) == Tier.ALLOW
        assert tier([rule("ask")]) == Tier.ASK
        assert tier([rule("ask", "mcp:other.*")]) == Tier.ALLOW
        assert tier((), served=Served("mcp_1", "files", calls="ask")) == Tier.ASK
        assert tier([rule("block", layer=deciding.AGENT)]) == Tier.BLOCK
        assert tier((), agent="agent_2") == Tier.ALLOW


def test_only_so_many_tools_are_kept_read(monkeypatch: Any) -> None:
    monkeypatch.setattr(judging, "MOST_KNOWN", 3)
    judge = Judge()

    for number in range(10):
        assert judge.judge("agent_1", FILES, f"tool-{number}", {}, [rule("notify")]).tier == Tier.NOTIFY
    assert len(judge._known) <= 3


@given(
    st.lists(
        st.sampled_from([(t, c, p) for t in ("allow", "ask", "block") for c, p in (("", ""), ("argument", "a=x*"))])
    )
)
def test_a_verdict_is_that_of_all_the_rules(drawn: list[tuple[str, str, str]]) -> None:
    tools = ("mcp:*", "mcp:files.*", "mcp:files.read", "mcp:other.*", "*", "write_file")
    rules = [
        rule(tier, tools[number % len(tools)], id=str(number), condition=condition, pattern=pattern)
        for number, (tier, condition, pattern) in enumerate(drawn)
    ]
    about = outside.tool("mcp:files.read", Tier.ALLOW)

    for arguments in ({}, {"a": "xy"}, {"a": "y"}):
        found = Judge().judge("agent_1", FILES, "read", arguments, rules)
        assert found.tier == deciding.decide(about, outside.things(arguments), rules).tier
        assert found.rule == deciding.decide(about, outside.things(arguments), rules).rule


def test_counts_are_those_of_the_last_minute_and_hour() -> None:
    chance, made, at, done = random.Random(7), Made(), 1000.0, []
    for _ in range(3000):
        at += chance.choice([0, 0, 0.4, 1, 7, 59])
        done.append(int(at))
        wanted = tuple(sum(each > int(at) - span for each in done) for span in (MINUTE_S, HOUR_S))
        assert made.count(at) == wanted
