"""The list of agents, the page of one, and its picture."""

from __future__ import annotations

from django.db.models import QuerySet
from django.db.models.functions import Lower
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from agents import agent_pages, composed, permissions, sprites
from agents.models import Agent, User
from agents.views import listing
from agents.views.access import person, signed_in
from agents.views.listing import Choice, Filters

PAGE_SIZE = 24
# Of more owners than this one searches.
MAX_OWNERS = 100
SHOWN = (("mine", "Mine"), ("others", "Of others"), ("archived", "Archived"))


@require_safe
@signed_in
def agent_list(request: HttpRequest) -> HttpResponse:
    """The agents one may see, by name, with what they are composed of and what they last did."""
    user = person(request)
    visible = permissions.visible(user, Agent.objects.alive())
    owners = User.objects.filter(pk__in=visible.values("owner")).order_by("username")[:MAX_OWNERS]
    filters = Filters(
        request.GET,
        Choice("show", "Agents", SHOWN),
        Choice("owner", "Owner", [(each.username, each.display_name) for each in owners]),
        hint="Name or description",
    )
    found = filters.search(_narrowed(visible, user, filters), "name", "description")
    listed = listing.page(
        found.select_related("owner", "soul", "route").annotate(folded=Lower("name")), filters, "folded", PAGE_SIZE
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


def _narrowed(agents: QuerySet[Agent], user: User, filters: Filters) -> QuerySet[Agent]:
    show, owner = filters.chosen("show"), filters.chosen("owner")
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
    """The agent's picture, for whoever may see the agent. With ``v`` in the address it may be kept for long,
    because another look has another address."""
    agent = permissions.fetch(person(request), "agent.view", Agent.objects.alive(), pk=agent_id)
    picture = sprites.svg(sprites.look(agent.pk, agent.sprite_shape, agent.sprite_palette), agent.name, 128)
    key = sprites.key(picture)
    is_known = request.headers.get("If-None-Match") == f'"{key}"'
    response = HttpResponse(status=304) if is_known else HttpResponse(picture, content_type="image/svg+xml")
    response["ETag"] = f'"{key}"'
    is_fixed = request.GET.get("v") == key
    response["Cache-Control"] = "private, max-age=31536000, immutable" if is_fixed else "private, no-cache"
    response["Content-Security-Policy"] = "default-src 'none'"
    response["X-Content-Type-Options"] = "nosniff"
    return response
