"""The page of an agent for clients outside: tokens by which they speak as it, and what to write into which file."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods

from agents import agent_pages, permissions
from agents.errors import Invalid, LogosError, NotFound
from agents.models import Agent, User
from agents.numbers import whole
from agents.views.access import person, signed_in
from mcp_gateway import access, clients, where
from mcp_gateway.models import McpAccess

DAYS = ((7, "a week"), (30, "30 days"), (90, "90 days"), (180, "half a year"), (365, "a year"))


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
@sensitive_variables("secret")
def agent_outside(request: HttpRequest, agent_id: str) -> HttpResponse:
    """The tokens, the form for one more, and ready configuration; a new token is in the answer to the form only."""
    user = person(request)
    agent = permissions.fetch(user, "access.give", agent_pages.rows(), pk=agent_id)
    if request.method != "POST":
        return _page(request, user, agent)
    try:
        if request.POST.get("do") == "revoke":
            return _revoke(request, user, agent)
        days = whole(request.POST.get("days", "").strip() or str(access.DEFAULT_DAYS))
        if days is None:
            raise Invalid("Days are a whole number.", field="days")
        made, secret = access.make_token(user, agent.pk, request.POST.get("name", ""), days)
    except LogosError as error:
        if error.reason in ("not_found", "forbidden"):
            raise
        field, name, typed = getattr(error, "field", ""), request.POST.get("name", ""), request.POST.get("days", "")
        return _page(request, user, agent, status=400, error=error, field=field, name=name, chosen_days=typed)
    return _page(request, user, agent, made=made, secret=secret)


def _revoke(request: HttpRequest, user: User, agent: Agent) -> HttpResponse:
    number = whole(request.POST.get("token", "").strip())
    if number is None:
        raise NotFound("Token")
    access.revoke_token(user, agent.pk, number)
    messages.success(request, "The token is revoked. Whoever uses it is refused within a second.")
    return redirect("mcp:agent-outside", agent.pk)


@sensitive_variables("secret")
def _page(
    request: HttpRequest, user: User, agent: Agent, *, secret: str = "", status: int = 200, **more: Any
) -> HttpResponse:
    context = {
        **agent_pages.frame(user, agent, "outside"),
        "tokens": access.tokens_of(agent),
        "servers": access.living(McpAccess.objects.filter(agent=agent)).values("server_id").distinct().count(),
        "address": where.address(request),
        "configurations": clients.configurations(where.address(request), agent.name, secret or clients.PLACEHOLDER),
        "placeholder": clients.PLACEHOLDER,
        "secret": secret,
        "days": DAYS,
        "chosen_days": str(access.DEFAULT_DAYS),
        "most": access.MAX_TOKENS,
        "now": timezone.now(),
        **more,
    }
    return render(request, "mcp/outside.html", context, status=status)
