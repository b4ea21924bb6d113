"""The list of agents, the page of one, and its picture."""

from __future__ import annotations

from django.db.models import QuerySet
from django.db.models.functions import Lower
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from agents import agent_pages, composed, permissions
from agents.models import Agent, Soul, User
from agents.views import listing
from agents.views.access import person, signed_in
from agents.views.listing import Choice, Filters
from agents.views.pictures import sprite_response

PAGE_SIZE = 24
SHOWN = (("mine", "Mine"), ("others", "Of others"), ("archived", "Archived"))


@require_safe
@signed_in
def agent_list(request: HttpRequest) -> HttpResponse:
    """The agents one may see, by name, with what they are composed of and what they last did."""
    user = person(request)
    visible = permissions.visible(user, Agent.objects.alive())
    owner = request.GET.get("owner", "").replace("\x00", "")[:150]
    soul = request.GET.get("soul", "").replace("\x00", "")[:40]
    named = (*_owner(visible, owner), *_soul(user, soul))
    filters = Filters(request.GET, Choice("show", "Agents", SHOWN), *named, hint="Name or description")
    found = filters.search(_narrowed(visible, user, filters), "name", "description")
    listed = listing.page(
        found.select_related("owner", "soul", "route").defer("soul__text").annotate(folded=Lower("name")),
        filters,
        "folded",
        PAGE_SIZE,
    )
    composed.mark(user, listed.items)
    agent_pages.on_cards(user, listed.items)
    context = {
        "filters": filters,
        "page": listed,
        "may_create": permissions.may(user, "agent.create"),
        "may_chat": permissions.may(user, "agent.chat"),
    }
    return render(request, "agents/list.html", context)


def _owner(visible: QuerySet[Agent], username: str) -> list[Choice]:
    """A filter by one owner, when the address names one; a list of all would be long and tell who is here."""
    if not username:
        return []
    owner = User.objects.filter(username=username, pk__in=visible.values("owner")).first()
    return [Choice("owner", "Owner", [(username, owner.display_name)] if owner else [])]


def _soul(user: User, soul_id: str) -> list[Choice]:
    """A filter by one soul they may see, when the address names one, as a soul's own page does."""
    if not soul_id:
        return []
    soul = permissions.visible(user, Soul.objects.filter(pk=soul_id)).only("pk", "name").first()
    return [Choice("soul", "Soul", [(soul.pk, soul.name)] if soul else [])]


def _narrowed(agents: QuerySet[Agent], user: User, filters: Filters) -> QuerySet[Agent]:
    show = filters.chosen("show")
    chosen = {choice.name: choice.value for choice in filters.choices}
    if soul := chosen.get("soul"):
        agents = agents.filter(soul=soul)
    owner = chosen.get("owner")
    agents = agents.filter(archived_at__isnull=show != "archived")
    if show == "mine":
        agents = agents.filter(owner=user)
    elif show == "others":
        agents = agents.exclude(owner=user)
    return agents.filter(owner__username=owner) if owner else agents


@require_safe
@signed_in
def agent_detail(request: HttpRequest, agent_id: str) -> HttpResponse:
    """How an agent is composed, and what others know of it."""
    user = person(request)
    agent = fetch(user, agent_id)
    context = {
        **agent_pages.frame(user, agent),
        "dimensions": composed.dimensions(user, agent),
        "sections": agent_pages.sections(user, agent),
    }
    return render(request, "agents/detail.html", context)


def fetch(user: User, agent_id: str, action: str = "agent.view") -> Agent:
    """The living agent of this id, archived ones included; NotFound unless ``user`` may do ``action`` to it."""
    return permissions.fetch(user, action, agent_pages.rows(), pk=agent_id)


@require_safe
@signed_in
def agent_sprite(request: HttpRequest, agent_id: str) -> HttpResponse:
    """The agent's picture, for whoever may see the agent."""
    agent = permissions.fetch(person(request), "agent.view", Agent.objects.alive(), pk=agent_id)
    return sprite_response(request, agent)
