"""Which tier a call falls under, and why: rules of the site first, then rules of the agent, which only tighten. Pure.

In each layer the most specific rule decides: one with a condition before one without, one for this agent before one
for all, one for the tool before one for its family; of equals the strictest. Where the site says nothing, the tool's
own default holds.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from sandboxes.tool_server import argument_patterns, patterns
from sandboxes.tool_server.catalogue import Rates, Tool
from sandboxes.tool_server.tiers import WORDS, Tier, strictness

SITE, AGENT = "site", "agent"
# So many times over its rate a tool is refused instead of asked for: an inbox is no place for a loop.
BLOCKED_AT = 4


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the rules. ``condition``: "", path, host, command or argument; ``is_own``: it is for this agent alone."""

    id: str
    layer: str
    tool: str
    tier: str
    condition: str = ""
    pattern: str = ""
    per_minute: int | None = None
    per_hour: int | None = None
    is_own: bool = False
    version: int = 1

    @property
    def words(self) -> str:
        """The rule as a sentence's part."""
        about = f" on {self.condition} {self.pattern}" if self.condition else ""
        whose = "this agent" if self.layer == AGENT else "the site"
        return f"the rule of {whose} for {self.tool}{about}"


@dataclass(frozen=True, slots=True)
class Thing:
    """What a call is about: a path, a tree (a path and all below it), a host, a command, or its arguments as JSON.
    ``is_shell``: a shell reads the command, so that its beginning says nothing of its end."""

    kind: str
    value: str
    is_shell: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """What one layer said, for the explanation."""

    layer: str
    tier: Tier
    sentence: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of the call, the sentence why, the rule that decided ("" for a default), and every step."""

    tier: Tier
    reason: str
    rule: str = ""
    steps: tuple[Step, ...] = ()

    def raised(self, tier: Tier, reason: str, source: str) -> Verdict:
        """The same or stricter."""
        steps = (*self.steps, Step(source, tier, reason))
        if strictness(tier) <= strictness(self.tier):
            return replace(self, steps=steps)
        return Verdict(tier, reason, source, steps)


def decide(tool: Tool, things: Sequence[Thing], rules: Iterable[Rule]) -> Verdict:
    """The verdict of the rules on one call."""
    fitting = [rule for rule in rules if is_about(rule, tool)]
    about = list(things) or [Thing("", "")]
    site = strictest_of(_of_site(tool, thing, fitting) for thing in about)
    own = [found for thing in about if (found := _of_layer(AGENT, thing, fitting)) is not None]
    verdict = Verdict(site[0], site[1], site[2], (Step(SITE, site[0], site[1]),))
    if not own:
        return verdict
    tier, reason, rule = strictest_of(own)
    return replace(
        verdict.raised(tier, reason, AGENT), rule=rule if strictness(tier) > strictness(site[0]) else site[2]
    )


Found = tuple[Tier, str, str]


def strictest_of(found: Iterable[Found]) -> Found:
    """The strictest; the first of equals."""
    return max(found, key=lambda each: strictness(each[0]))


def is_about(rule: Rule, tool: Tool) -> bool:
    """Is the rule about this tool?"""
    return rule.tool in ("*", tool.name, f"{tool.family}.*") or (rule.tool == "mcp:*" and tool.name.startswith("mcp:"))


def rates_of(tool: Tool, rules: Iterable[Rule]) -> Rates:
    """How often the agent may call the tool: what the site says, and less if the agent's rules say less."""
    fitting = [rule for rule in rules if is_about(rule, tool) and not rule.condition]
    minute, hour = tool.rates.minute, tool.rates.hour
    for layer in (SITE, AGENT):
        found = sorted((rule for rule in fitting if rule.layer == layer), key=_weight, reverse=True)
        by_minute = next((rule.per_minute for rule in found if rule.per_minute is not None), None)
        by_hour = next((rule.per_hour for rule in found if rule.per_hour is not None), None)
        if layer == SITE:
            minute, hour = by_minute or minute, by_hour or hour
        else:
            minute, hour = min(minute, by_minute or minute), min(hour, by_hour or hour)
    return Rates(minute, hour)


def with_rates(verdict: Verdict, rates: Rates, in_minute: int, in_hour: int) -> Verdict:
    """The verdict, raised when the agent calls the tool more often than it may; the counts include this call."""
    for count, most, span in ((in_minute, rates.minute, "minute"), (in_hour, rates.hour, "hour")):
        if count > most * BLOCKED_AT:
            verdict = verdict.raised(
                Tier.BLOCK, f"More than {most * BLOCKED_AT} calls in the last {span}, four times its rate.", "rate"
            )
        elif count > most:
            verdict = verdict.raised(Tier.ASK, f"More than {most} calls in the last {span}.", "rate")
    return verdict


def version_of(rules: Iterable[Rule], gate: str = "") -> str:
    """What stands for these rules in a record: another one when any of them has changed."""
    told = [[rule_id, version] for rule_id, version in sorted((rule.id, rule.version) for rule in rules)]
    told += [[gate, 0]] if gate else []
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]


def _of_site(tool: Tool, thing: Thing, rules: Sequence[Rule]) -> Found:
    default = (tool.tier, f"Without a rule, {tool.name} {WORDS[tool.tier]}.", "")
    return _of_layer(SITE, thing, rules, default) or default


def _of_layer(layer: str, thing: Thing, rules: Sequence[Rule], default: Found | None = None) -> Found | None:
    own = [rule for rule in rules if rule.layer == layer]
    whole = [rule for rule in own if _fits(rule, thing)]
    found = [_as_found(max(whole, key=_weight))] if whole else [default] if default else []
    # What fits in part can make it stricter and never looser.
    found += [_as_found(rule) for rule in own if rule not in whole and _fits_in_part(rule, thing)]
    return strictest_of(found) if found else None


def _as_found(rule: Rule) -> Found:
    words = rule.words
    return Tier(rule.tier), f"{words[0].upper()}{words[1:]}: it {WORDS[Tier(rule.tier)]}.", rule.id


def _weight(rule: Rule) -> tuple[int, int, int, int]:
    exactness = {"*": 0, "mcp:*": 1}.get(rule.tool, 2 if rule.tool.endswith(".*") else 3)
    return int(bool(rule.condition)), int(rule.is_own), exactness, strictness(rule.tier)


def _fits(rule: Rule, thing: Thing) -> bool:
    if not rule.condition:
        return True
    if rule.condition == "path":
        return thing.kind in ("path", "tree") and patterns.covers_path(rule.pattern, thing.value)
    if rule.condition == "host":
        return thing.kind == "host" and patterns.covers_host(rule.pattern, thing.value)
    if rule.condition == "argument":
        return thing.kind == "argument" and argument_patterns.covers(rule.pattern, thing.value)
    return thing.kind == "command" and not thing.is_shell and patterns.covers_command(rule.pattern, thing.value)


def _fits_in_part(rule: Rule, thing: Thing) -> bool:
    if rule.condition == "path":
        return thing.kind == "tree" and patterns.may_cover_below(rule.pattern, thing.value)
    if rule.condition == "argument":
        return thing.kind == "argument" and argument_patterns.may_hold(rule.pattern, thing.value)
    if rule.condition == "command":
        return thing.kind == "command" and thing.is_shell and patterns.covers_command(rule.pattern, thing.value)
    return False
