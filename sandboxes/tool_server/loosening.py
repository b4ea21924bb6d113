"""Could a change of tool rules let a call through that was asked for or refused before? Pure, and said rather too often."""

from __future__ import annotations

from collections.abc import Iterable

from sandboxes.tool_server import catalogue, outside
from sandboxes.tool_server.catalogue import Tool
from sandboxes.tool_server.deciding import SITE, Rule, is_about
from sandboxes.tool_server.tiers import Tier, strictness


def loosens(others: Iterable[Rule], gone: Rule | None, made: Rule | None) -> bool:
    """``gone`` is what held (None: nothing), ``made`` what will (None: nothing), beside ``others`` that stay."""
    change = made or gone
    if change is None:
        return False
    about = [tool for tool in catalogue.TOOLS if is_about(change, tool)]
    # What decides where the rule does not: others of its layer, and the tools' own tiers beneath the site's. Tools outside
    # the sandbox may have any tier of their own.
    beside = [strictness(rule.tier) for rule in others if rule.layer == change.layer and _meet(rule, change, about)]
    if change.layer == SITE:
        beside += [strictness(tool.tier) for tool in about]
        beside += [strictness(Tier.ALLOW), strictness(Tier.BLOCK)] if outside.is_outside(change.tool) else []
    else:
        beside.append(strictness(Tier.ALLOW))
    if made is None:
        return gone is not None and (strictness(gone.tier) > min(beside) or bool(gone.per_minute or gone.per_hour))
    held = [strictness(gone.tier)] if gone else []
    return strictness(made.tier) < max([*beside, *held]) or _is_quicker(made, gone, about)


def _meet(rule: Rule, change: Rule, about: list[Tool]) -> bool:
    """May both be about one tool?"""
    if outside.is_outside(rule.tool) or outside.is_outside(change.tool):
        return "*" in (rule.tool, change.tool) or (outside.is_outside(rule.tool) and outside.is_outside(change.tool))
    return any(is_about(rule, tool) for tool in about)


def _is_quicker(made: Rule, gone: Rule | None, about: list[Tool]) -> bool:
    """May a tool be called more often?"""
    own = min((tool.rates.minute for tool in about), default=outside.UNLIMITED.minute)
    minutes = made.per_minute, gone.per_minute if gone else None, own
    own = min((tool.rates.hour for tool in about), default=outside.UNLIMITED.hour)
    hours = made.per_hour, gone.per_hour if gone else None, own
    return any(_is_more(*each, is_site=made.layer == SITE) for each in (minutes, hours))


def _is_more(now: int | None, before: int | None, own: int, *, is_site: bool) -> bool:
    if before is not None:
        return now is None or now > before
    return is_site and now is not None and now > own
