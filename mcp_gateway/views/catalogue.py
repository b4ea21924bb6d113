"""The page of the catalogue: known MCP servers, each of which fills the form of a new one."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from agents.views.access import person, signed_in
from mcp_gateway import catalogue, server_pages


@require_safe
@signed_in
def catalogue_list(request: HttpRequest) -> HttpResponse:
    """The catalogue, with what is there already."""
    user = person(request)
    found = [{"known": known, "here": here, "may_add": may} for known, here, may in catalogue.offered(user)]
    return render(request, "mcp/catalogue.html", {"tabs": server_pages.places(user, "catalogue"), "found": found})
