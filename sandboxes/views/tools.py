"""The pages of an agent's tools: what becomes of each call and why, the rules, the calls, and a way to try one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from asgiref.sync import async_to_sync
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from agents import agent_pages, permissions, strict_json
from agents.actions import ACTIONS
from agents.editing import Stale
from agents.errors import Conflict, Invalid, LogosError
from agents.models import Agent, User
from agents.numbers import whole
from agents.standing import reasons
from agents.views import listing
from agents.views.access import person, signed_in
from agents.views.listing import Choice, Filters
from sandboxes.tool_server import calls, catalogue, outside, overview, rules
from sandboxes.tool_server.models import CallState, Condition, Layer, ToolRule
from sandboxes.tool_server.records import Caller
from sandboxes.tool_server.tiers import Tier

LOOKS = {Tier.ALLOW: "ok", Tier.NOTIFY: "running", Tier.ASK: "waiting", Tier.BLOCK: "blocked"}
STATE_LOOKS = {
    CallState.DONE: "ok",
    CallState.RUNNING: "running",
    CallState.WAITING: "waiting",
    CallState.FAILED: "failed",
    CallState.REFUSED: "blocked",
    CallState.DENIED: "blocked",
    CallState.EXPIRED: "stopped",
    CallState.UNKNOWN: "unknown",
}
TYPED = ("tool", "tier", "condition", "pattern", "per_minute", "per_hour", "note", "layer", "version")


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def agent_tools(request: HttpRequest, agent_id: str) -> HttpResponse:
    """Every tool with its tier, the rules of this agent, and a form for one more."""
    user = person(request)
    agent = _agent(user, agent_id, "tool.view")
    return _rules(request, user, agent, reverse("sandboxes:agent-tools", args=[agent.pk]))


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def site_tools(request: HttpRequest) -> HttpResponse:
    """The same for every agent; for admins."""
    user = person(request)
    permissions.require(user, "tool.site")
    return _rules(request, user, None, reverse("sandboxes:site-tools"))


def _rules(request: HttpRequest, user: User, agent: Agent | None, here: str) -> HttpResponse:
    if request.method != "POST":
        return _page(request, user, agent, _to_change(user, agent, request.GET.get("rule", "")[:40]))
    typed = {name: request.POST.get(name, "").strip() for name in TYPED}
    try:
        said = _change(user, agent, request.POST, typed)
    except LogosError as error:
        if error.reason in ("not_found", "forbidden"):
            raise
        more: dict[str, Any] = {"error": error, "status": 409 if isinstance(error, Conflict) else 400}
        if isinstance(error, Stale):  # the draft stays; saved again it is written over what stands now
            more |= {"stands": [_shown(error.row)]}
            typed |= {"version": str(error.row.version)}
        elif isinstance(error, Conflict):
            typed |= {"version": "0"}
        return _page(request, user, agent, typed, **more)
    messages.success(request, said)
    return redirect(here)


def _change(user: User, agent: Agent | None, given: Mapping[str, str], typed: dict[str, str]) -> str:
    if agent is not None:
        permissions.require(user, "tool.rules", agent)
    if "remove" in given:
        rule_id, _, version = given["remove"].partition(" ")
        rules.remove(user, overview.rule_for(user, agent, rule_id[:40]), whole(version))
        return "The rule is gone. It stopped to hold at once."
    layer = Layer.SITE if agent is None else typed["layer"] or Layer.AGENT
    if layer not in Layer.values:
        raise Invalid("Choose whose rule it is.", field="layer")
    made = rules.put(
        user, agent, tool=typed["tool"], tier=typed["tier"], condition=typed["condition"], pattern=typed["pattern"],
        per_minute=_number(typed, "per_minute"), per_hour=_number(typed, "per_hour"), note=typed["note"], layer=layer,
        version=whole(typed["version"]) or 0,
    )  # fmt: skip
    return f"The rule holds: {made}."


def _to_change(user: User, agent: Agent | None, rule_id: str) -> dict[str, str]:
    """The form's fields as a rule fills them that somebody wants to change; nothing for a rule there is not."""
    if not rule_id:
        return {}
    row = overview.rule_for(user, agent, rule_id)
    return {name: "" if getattr(row, name) is None else str(getattr(row, name)) for name in TYPED}


def _number(typed: dict[str, str], name: str) -> int | None:
    text = typed[name].replace(",", "")
    if not text:
        return None
    if (number := whole(text)) is None:
        raise Invalid("A rate is a whole number.", field=name)
    return number


def _page(
    request: HttpRequest, user: User, agent: Agent | None, typed: dict[str, str], *, status: int = 200, **more: Any
) -> HttpResponse:
    frame = agent_pages.frame(user, agent, "tools") if agent is not None else {}
    own = list(rules.rows_of(agent)) if agent is not None else []
    everywhere = list(rules.for_all())
    standings = overview.standings(agent)
    names = ["*", *(f"{family}.*" for family in catalogue.FAMILIES), *catalogue.BY_NAME, *outside.families(user)]
    if typed.get("tool") and typed["tool"] not in names:
        names.append(typed["tool"])
    context = {
        **frame,
        "families": [
            (name, [_with_look(each) for each in standings if each.tool.family == name]) for name in catalogue.FAMILIES
        ],
        "own": [_shown(rule) for rule in own],
        "everywhere": [_shown(rule) for rule in everywhere],
        "may_change": agent is None or bool(reasons(ACTIONS["tool.rules"], frame["standing"])),
        "may_call": agent is not None and bool(reasons(ACTIONS["tool.call"], frame["standing"])),
        "may_site": permissions.may(user, "tool.site"),
        "names": names,
        "tiers": Tier.choices,
        "conditions": Condition.choices,
        "typed": typed,
        "wrong": getattr(more.get("error"), "field", ""),
        **more,
    }
    return render(request, "tools/agent.html" if agent is not None else "tools/site.html", context, status=status)


def _with_look(standing: overview.Standing) -> dict[str, Any]:
    return {"standing": standing, "look": LOOKS[Tier(standing.tier)], "label": Tier(standing.tier).label}


def _shown(rule: ToolRule) -> dict[str, Any]:
    return {"rule": rule, "look": LOOKS[Tier(rule.tier)]}


@require_safe
@signed_in
def tool_calls(request: HttpRequest, agent_id: str) -> HttpResponse:
    """Every call of this agent's tools, the newest first."""
    user = person(request)
    agent = _agent(user, agent_id, "tool.view")
    state = Choice("state", "State", CallState.choices)
    tool = Choice("tool", "Tool", [(name, name) for name in catalogue.BY_NAME])
    tier = Choice("tier", "Tier", Tier.choices)
    run = Choice("run", "Run", (), is_text=True)
    filters = Filters(request.GET, state, tool, tier, run, hint="Error or reason")
    rows = filters.search(overview.calls_of(user, agent), "error", "reason")
    for name, value in (("state", state.value), ("tool", tool.value), ("tier", tier.value), ("run_id", run.value)):
        if value:
            rows = rows.filter(**{name: value})
    page = listing.page(rows, filters)
    found = [{"call": row, "look": STATE_LOOKS[CallState(row.state)], "arguments": _line(row.arguments)}
             for row in page.items]  # fmt: skip
    context = {**agent_pages.frame(user, agent, "tools"), "filters": filters, "page": page, "found": found}
    return render(request, "tools/calls.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def tool_try(request: HttpRequest, agent_id: str) -> HttpResponse:
    """Ask what would become of a call, or make it."""
    user = person(request)
    agent = _agent(user, agent_id, "tool.call")
    name = (request.POST or request.GET).get("tool", "")
    tool = catalogue.BY_NAME.get(name, catalogue.TOOLS[0])
    written = request.POST.get("arguments", "").strip() or _example(tool)
    context: dict[str, Any] = {
        **agent_pages.frame(user, agent, "tools"),
        "tool": tool,
        "names": list(catalogue.BY_NAME),
        "written": written,
        "schema": json.dumps(tool.schema["properties"], indent=1, ensure_ascii=False),
    }
    if request.method != "POST":
        return render(request, "tools/try.html", context)
    try:
        given = _read(written)
        if request.POST.get("do") == "call":
            caller = Caller("page", person_id=user.pk, purpose="Tried on the page of the agent's tools.")
            context["answer"] = async_to_sync(calls.call)(agent.pk, tool.name, given, caller)
            context["look"] = STATE_LOOKS[CallState(context["answer"].state)]
        else:
            _, context["verdict"], context["rates"] = calls.explained(agent.pk, tool.name, given)
            context["look"] = LOOKS[context["verdict"].tier]
    except LogosError as error:
        if error.reason == "not_found":
            raise
        return render(request, "tools/try.html", {**context, "error": error}, status=400)
    return render(request, "tools/try.html", context)


def _agent(user: User, agent_id: str, action: str) -> Agent:
    return permissions.fetch(user, action, agent_pages.rows(), pk=agent_id)


def _read(written: str) -> dict[str, Any]:
    try:
        found = strict_json.loads(written.encode())
    except (LogosError, ValueError, UnicodeEncodeError, RecursionError) as error:
        raise Invalid(
            "The arguments are not JSON.", field="arguments", action='For instance {"path": "a.md"}'
        ) from error
    if not isinstance(found, dict):
        raise Invalid("Arguments are a table of names and values.", field="arguments")
    return found


def _example(tool: catalogue.Tool) -> str:
    words = {"path": "notes/today.md", "to": "notes/old.md", "url": "https://example.org/", "host": "example.org"}
    return json.dumps({name: words.get(name, "") for name in tool.schema["required"]})


def _line(arguments: dict[str, Any]) -> str:
    return json.dumps(arguments, ensure_ascii=False)[:300] if arguments else ""
