"""The rules as rows: read for a call, made, changed and removed by people who may."""

from __future__ import annotations

from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet

from agents import audit, four_eyes, permissions
from agents.editing import check_version
from agents.errors import Conflict, Invalid
from agents.models import Agent, User
from sandboxes.tool_server import argument_patterns, catalogue, deciding, loosening, outside, patterns
from sandboxes.tool_server.models import Condition, Layer, ToolRule
from sandboxes.tool_server.tiers import Tier

MOST_RATE = 100_000
MOST_RULES = 200
_CONDITIONS = {
    "path": lambda tool: bool(tool.paths or tool.trees),
    "host": lambda tool: tool.name in ("network.fetch", "network.resolve", "git.clone", "git.fetch", "git.push"),
    "command": lambda tool: tool.name == "process.run",
}


def of(agent_id: str) -> list[deciding.Rule]:
    """Every rule that may be about a call of this agent."""
    rows = ToolRule.objects.filter(Q(agent=None) | Q(agent=agent_id)).order_by("pk")
    return [as_rule(row) for row in rows]


def as_rule(row: ToolRule) -> deciding.Rule:
    """The row as what decides."""
    return deciding.Rule(
        row.pk, row.layer, row.tool, row.tier, row.condition, row.pattern, row.per_minute, row.per_hour,
        row.agent_id is not None, row.version,
    )  # fmt: skip


def rows_of(agent: Agent) -> QuerySet[ToolRule]:
    """The rules of one agent, those the site has for it too."""
    return ToolRule.objects.filter(agent=agent).select_related("made_by")


def for_all() -> QuerySet[ToolRule]:
    """The rules the site has for every agent."""
    return ToolRule.objects.filter(agent=None).select_related("made_by")


@four_eyes.proposes
def put(
    user: User,
    agent: Agent | None,
    *,
    tool: str,
    tier: str,
    condition: str = "",
    pattern: str = "",
    per_minute: int | None = None,
    per_hour: int | None = None,
    note: str = "",
    layer: str = Layer.AGENT,
    version: int | None = None,
) -> ToolRule:
    """The rule of this tool and condition, made or changed. ``version`` is what was read of it, 0 for a new one, None for
    whatever is stored. NotFound, Invalid with the field, or Stale when somebody saved first."""
    _require(user, agent, layer)
    values = {
        "tier": _tier(tier),
        "per_minute": _rate(per_minute, "per_minute"),
        "per_hour": _rate(per_hour, "per_hour"),
        "note": _note(note),
    }
    named = {"layer": layer, "agent": agent, "tool": _tool(tool), **_condition(tool, condition, pattern)}
    try:
        with transaction.atomic():
            row = ToolRule.objects.select_for_update().filter(**named).first()
            _check_version(row, version)
            _ask_if_looser(agent, row, {**named, **values})
            if row is None:
                _check_room(agent)
                made = ToolRule.objects.create(**named, **values, made_by=user)
                _tell("tool_rule_made", user, made)
                return made
            before = str(row)
            for name, value in values.items():
                setattr(row, name, value)
            row.version += 1
            row.save()
            _tell("tool_rule_changed", user, row, before=before)
            return row
    except IntegrityError as error:
        raise Conflict("Somebody made the same rule in the same moment.", action="Look at it again.") from error


def checked(
    *, tool: str, tier: str, condition: str = "", pattern: str = "", per_minute: int | None = None,
    per_hour: int | None = None,
) -> deciding.Rule:  # fmt: skip
    """The rule these words make, without storing it. Invalid with the field."""
    about = _condition(_tool(tool), condition, pattern)
    rates = _rate(per_minute, "per_minute"), _rate(per_hour, "per_hour")
    return deciding.Rule("", Layer.AGENT, tool, _tier(tier), about["condition"], about["pattern"], *rates)


@four_eyes.proposes
def remove(user: User, rule: ToolRule, version: int | None = None) -> None:
    """Take a rule away. NotFound for who may not, Stale when it is another by now than the ``version`` that was read."""
    _require(user, rule.agent, rule.layer)
    with transaction.atomic():
        row = ToolRule.objects.select_for_update().filter(pk=rule.pk).first()
        _check_version(row, version)
        if row is not None:
            _ask_if_looser(row.agent, row, None)
            _tell("tool_rule_removed", user, row)
            row.delete()


def _ask_if_looser(agent: Agent | None, row: ToolRule | None, wanted: dict[str, Any] | None) -> None:
    """What could let a call through that was asked for or refused before waits while it takes two."""
    if not four_eyes.waits():
        return
    made = ToolRule(**wanted) if wanted else None
    rows = ToolRule.objects.all() if agent is None else ToolRule.objects.filter(Q(agent=None) | Q(agent=agent))
    held = [as_rule(each) for each in rows if row is None or each.pk != row.pk]
    if not loosening.loosens(held, as_rule(row) if row else None, as_rule(made) if made else None):
        return
    subject: dict[str, Any] = {
        "of": agent.name if agent else "every agent",
        "layer": made.layer if made else row.layer if row else "",
        "before": _told(row),
        "after": _told(made),
        "agent_id": agent.pk if agent else "",
        "rule_id": row.pk if row else "",
        "version": row.version if row else 0,
    }
    if wanted:
        subject["fields"] = {name: value for name, value in wanted.items() if name not in ("agent", "layer")}
    title = f"{'Change' if wanted else 'Remove'} a tool rule of {subject['of']}"
    raise four_eyes.SecondPerson(wish=four_eyes.Wish("tool_rule", title, subject, agent))


def _told(row: ToolRule | None) -> str:
    if row is None:
        return "none"
    rates = [f"{row.per_minute} a minute" if row.per_minute else "", f"{row.per_hour} an hour" if row.per_hour else ""]
    return ", ".join([str(row), *filter(None, rates)])


def _carry(user: User, subject: dict[str, Any]) -> None:
    agent = (
        permissions.fetch(user, "tool.rules", Agent.objects.alive(), pk=subject["agent_id"])
        if subject["agent_id"]
        else None
    )
    if "fields" in subject:
        put(user, agent, layer=subject["layer"], version=int(subject["version"]), **subject["fields"])
        return
    row = ToolRule.objects.filter(pk=subject["rule_id"]).first()
    if row is None:
        raise Conflict("This rule is gone already.", action="Deny it.")
    remove(user, row, int(subject["version"]))


four_eyes.CARRY["tool_rule"] = _carry


def _check_version(row: ToolRule | None, version: int | None) -> None:
    if row is not None:
        check_version(row, version)
    elif version:
        raise Conflict(
            "There is no rule of this tool and condition to change.",
            reason="stale",
            action="Somebody removed it, or you named another: save again to make it.",
        )


def _tell(kind: str, user: User, row: ToolRule, **more: Any) -> None:
    whose = "every agent" if row.agent is None else f"the {row.layer}"
    audit.note(kind, actor=user, about=row.agent, rule=str(row), whose=whose, **more)


def _require(user: User, agent: Agent | None, layer: str) -> None:
    if layer == Layer.SITE:
        permissions.require(user, "tool.site")
    elif agent is not None:
        permissions.require(user, "tool.rules", agent)
    else:
        raise Invalid("A rule of an agent needs an agent.", field="agent")


def _tier(tier: str) -> str:
    if tier not in Tier.values:
        raise Invalid(f"Choose one of {', '.join(Tier.values)}.", field="tier")
    return tier


def _tool(tool: str) -> str:
    known = {"*", *catalogue.BY_NAME, *(f"{family}.*" for family in catalogue.FAMILIES)}
    if tool not in known and not outside.is_name(tool):
        raise Invalid(
            "There is no such tool.",
            field="tool",
            action="Name a tool, a family as in git.*, mcp:SERVER.TOOL, mcp:SERVER.*, or * for every tool.",
        )
    return tool


def _condition(tool: str, condition: str, pattern: str) -> dict[str, str]:
    if condition not in Condition.values:
        raise Invalid("Choose path, host, command or argument, or none.", field="condition")
    if not condition:
        if pattern.strip():
            raise Invalid("Say what the pattern is about: path, host, command or argument.", field="condition")
        return {"condition": "", "pattern": ""}
    if outside.is_outside(tool) != (condition == Condition.ARGUMENT):
        raise Invalid("Arguments are looked at in calls of MCP servers' tools, and nothing else is.", field="condition")
    if condition == Condition.ARGUMENT:
        return {"condition": condition, "pattern": argument_patterns.spelled(pattern)}
    about = [each for each in catalogue.TOOLS if tool in ("*", each.name, f"{each.family}.*")]
    if not any(_CONDITIONS[condition](each) for each in about):
        raise Invalid(f"{tool} is about no {condition}, so this rule would never hold.", field="condition")
    return {"condition": condition, "pattern": patterns.READERS[condition](pattern)}


def _rate(number: int | None, field: str) -> int | None:
    if number is not None and not 1 <= number <= MOST_RATE:
        raise Invalid(
            f"A rate lies between 1 and {MOST_RATE:,}.", field=field, action="Block the tool for none at all."
        )
    return number


def _note(note: str) -> str:
    plain = note.strip()
    if len(plain) > 200 or not plain.isprintable():
        raise Invalid("A note is one line of up to 200 characters.", field="note")
    return plain


def _check_room(agent: Agent | None) -> None:
    if ToolRule.objects.filter(agent=agent).count() >= MOST_RULES:
        raise Invalid(f"There are {MOST_RULES} rules already.", action="Remove one first.")
