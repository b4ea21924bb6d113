"""Make an agent, from a template or like another one, and change how one is composed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from agents import (
    agent_pages,
    agent_templates,
    choosing,
    composed,
    composition,
    permissions,
    preparing,
    sharing,
    starters,
)
from agents.agent_forms import KEPT, STARTER, AgentForm, initial_of
from agents.editing import Stale, editing
from agents.errors import LogosError, NotFound
from agents.models import Agent, ModelRoute, Policy, Soul, User
from agents.views import conflicts
from agents.views.access import person, signed_in
from agents.views.agents import fetch


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def agent_new(request: HttpRequest) -> HttpResponse:
    """The form for a new agent, filled from a template (``?template=``) or from another agent (``?like=``)."""
    user = person(request)
    permissions.require(user, "agent.create")
    if request.method != "POST":
        filled = {"prepare": settings.LOGOS_PREPARE_AGENTS, **_filled(user, request)}
        form = AgentForm(user, initial=filled)
        return render(request, "agents/new.html", _new_page(form, request))
    form = AgentForm(user, request.POST)
    if form.is_valid():
        try:
            agent = _make(user, form.cleaned_data)
        except LogosError as error:
            _complain(form, error)
        else:
            return redirect("agents:agent-detail", agent.pk)
    return render(request, "agents/new.html", _new_page(form, request), status=400)


@transaction.atomic
def _make(user: User, data: Mapping[str, Any]) -> Agent:
    agent = composition.create(
        user,
        data["name"],
        _soul(user, data["soul"]),
        toolsets=None if data["tools"] == "soul" else data["toolsets"],
        route=choosing.route(user, data["route"]),
        description=data["description"],
        visibility=data["visibility"],
        policies=_policies(user, data.get("policies", [])),
        sprite=(data["sprite_shape"], data["sprite_palette"]),
    )
    preparing.ask(agent, data["prepare"])
    return agent


def _filled(user: User, request: HttpRequest) -> dict[str, Any]:
    if slug := request.GET.get("template", ""):
        template = agent_templates.get(slug)
        filled = {
            "name": template.name,
            "description": template.description,
            "soul": _offered(user, template.soul),
            "sprite_shape": template.shape,
            "sprite_palette": template.palette,
        }
        return filled if template.toolsets is None else {**filled, "tools": "own", "toolsets": template.toolsets}
    if like := request.GET.get("like", ""):
        agent = fetch(user, like)
        composed.mark(user, [agent])
        policies = permissions.visible(user, Policy.objects.filter(agents=agent))
        filled = {name: value for name, value in initial_of(agent, policies).items() if value != KEPT}
        return {**filled, "name": "", "tools": "own", "visibility": "private"}
    return {"soul": _offered(user, starters.DEFAULT)}


def _offered(user: User, slug: str) -> str:
    """What stands for a starter soul in the list: one's own copy of it, if there is one."""
    own = choosing.souls_for(user).filter(origin__startswith=f"{STARTER}{slug}@").order_by("-pk").first()
    return own.pk if own else f"{STARTER}{slug}"


def _new_page(form: AgentForm, request: HttpRequest) -> dict[str, Any]:
    return {"form": form, "templates": agent_templates.every(), "chosen": request.GET.get("template", "")}


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def agent_edit(request: HttpRequest, agent_id: str) -> HttpResponse:
    """How an agent is composed, to change; somebody who saved first is shown, and the draft kept."""
    user = person(request)
    agent = fetch(user, agent_id, "agent.edit")
    composed.mark(user, [agent])
    manages = bool(permissions.allows(user, "agent.manage", agent))
    policies = permissions.visible(user, Policy.objects.filter(agents=agent))
    if request.method != "POST":
        form = AgentForm(user, agent=agent, manages=manages, initial=initial_of(agent, policies))
        return _edit_page(request, agent, form)
    form = AgentForm(user, request.POST, agent=agent, manages=manages)
    if form.is_valid():
        try:
            _change(user, agent, form.cleaned_data)
            return redirect("agents:agent-detail", agent.pk)
        except Stale as stale:
            return _saved_first(request, stale, form, manages)
        except LogosError as error:
            _complain(form, error)
    return _edit_page(request, agent, form, status=400)


def _change(user: User, agent: Agent, data: Mapping[str, Any]) -> None:
    with editing(user, "agent.edit", agent_pages.rows(), agent.pk, data["version"]) as now:
        composition.change(
            user,
            now,
            name=data["name"],
            description=data["description"],
            soul=None if data["soul"] == KEPT else _kept_soul(user, now, data["soul"]),
            toolsets=data["toolsets"],
            route=composition.KEEP if data["route"] == KEPT else _kept_route(user, now, data["route"]),
            policies=_policies(user, data["policies"]) if "policies" in data else None,
            sprite=(data["sprite_shape"], data["sprite_palette"]),
        )
        if data.get("visibility", now.visibility) != now.visibility:
            sharing.set_visibility(user, now, data["visibility"])


def _saved_first(request: HttpRequest, stale: Stale, form: AgentForm, manages: bool) -> HttpResponse:
    """The form again: what the other changed, what one typed, and theirs where one had not touched it."""
    user, agent, data = person(request), stale.row, request.POST.copy()
    composed.mark(user, [agent])
    fields: dict[str, Any] = {name: field for name, field in form.fields.items() if name not in ("version", "prepare")}
    policies = dict(fields["policies"].choices) if "policies" in fields else {}
    # What is a list in the form is lines here, so that it can be compared as a text.
    lines = {
        "toolsets": "\n".join(data.getlist("toolsets")),
        "policies": "\n".join(sorted(policies.get(pk, "") for pk in data.getlist("policies"))),
    }
    labels = {name: str(form[name].label) for name in fields}
    words: dict[str, Any] = {name: _flat(fields[name]) for name in ("soul", "route", "visibility") if name in fields}
    first = conflicts.saved_first(
        stale, {**data.dict(), **lines}, labels, user, lambda each: _texts(each, policies), words
    )
    by_word = {word: pk for pk, word in policies.items()}
    for name in fields:
        now = str(first.data.get(name, ""))
        if name not in lines:
            data[name] = now
        elif now != lines[name]:
            data.setlist(name, [by_word.get(line, line) for line in now.split("\n") if line])
    data["version"] = str(first.version)
    anew = AgentForm(user, data, agent=agent, manages=manages)
    return _edit_page(request, agent, anew, status=409, conflict=first)


def _flat(field: Any) -> list[tuple[str, str]]:
    """The choices of a field without their groups."""
    found: list[tuple[str, str]] = []
    for value, word in getattr(field, "choices", ()):
        found += word if isinstance(word, (list, tuple)) else [(value, word)]
    return found


def _texts(each: Any, policies: Mapping[str, str]) -> dict[str, str]:
    """An agent, or the record of one in its history, as the texts its form posts."""
    is_row = isinstance(each, Agent)
    held = each.policies.values_list("pk" if is_row else "policy_id", flat=True)
    return {
        "name": each.name,
        "description": each.description,
        "soul": KEPT if is_row and each.hides_soul else each.soul_id,
        "route": KEPT if is_row and each.hides_route else each.route_id or "",
        "toolsets": "\n".join(each.toolsets),
        "policies": "\n".join(sorted(policies[pk] for pk in held if pk in policies)),
        "visibility": each.visibility,
        "sprite_shape": each.sprite_shape,
        "sprite_palette": each.sprite_palette,
    }


def _edit_page(request: HttpRequest, agent: Agent, form: AgentForm, status: int = 200, **more: Any) -> HttpResponse:
    context = {**agent_pages.frame(person(request), agent, "edit"), "form": form, **more}
    return render(request, "agents/edit.html", context, status=status)


def _soul(user: User, named: str) -> Soul:
    if named.startswith(STARTER):
        return agent_templates.soul_from(starters.get(named.removeprefix(STARTER)), user)
    return choosing.soul(user, named)


def _kept_soul(user: User, agent: Agent, named: str) -> Soul:
    """What was chosen; the soul the agent has stays choosable though it is archived by now."""
    return agent.soul if named in (agent.soul_id, agent.soul.slug) else _soul(user, named)


def _kept_route(user: User, agent: Agent, named: str) -> ModelRoute | None:
    return agent.route if named and named == agent.route_id else choosing.route(user, named)


def _policies(user: User, ids: list[str]) -> list[Policy]:
    found = list(permissions.visible(user, Policy.objects.filter(pk__in=ids)))
    if len(found) != len(set(ids)):
        raise NotFound("A policy")
    return found


# Which field of the form says what a rule complains about.
_FIELDS = {"soul_id": "soul", "route_id": "route", "name_taken": "name"}


def _complain(form: AgentForm, error: LogosError) -> None:
    field = getattr(error, "field", "") or error.reason
    named = _FIELDS.get(field, field)
    form.add_error(named if named in form.fields else None, f"{error.message} {error.action}".strip())
