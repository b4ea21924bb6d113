"""The pages that show a policy's rules, or all of an agent's, as OpenShell's policy document, and hand out the file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.text import slugify
from django.views.decorators.http import require_safe

from agents import agent_pages, permissions
from agents.errors import LogosError
from agents.models import Policy
from agents.views.access import person, signed_in
from sandboxes.openshell.of_rows import of_agent, of_policy
from sandboxes.openshell.policy import Compiled

# A page stays light; the file has all of it.
SHOWN_CHARS = 16_000
SHOWN_NOTES = 40


@require_safe
@signed_in
def policy_openshell(request: HttpRequest, policy_id: str) -> HttpResponse:
    """One policy, alone."""
    policy = permissions.fetch(person(request), "policy.view", Policy.objects.all(), pk=policy_id)
    here = {
        "what": "An agent with this policy alone",
        "back": reverse("agents:policy-detail", args=[policy.pk]),
        "file": reverse("sandboxes:policy-openshell-file", args=[policy.pk]),
    }
    return _page(request, policy.name, here, lambda: of_policy(policy))


@require_safe
@signed_in
def policy_openshell_file(request: HttpRequest, policy_id: str) -> HttpResponse:
    """The same as a file."""
    policy = permissions.fetch(person(request), "policy.view", Policy.objects.all(), pk=policy_id)
    return _file(policy.name, policy.pk, of_policy(policy))


@require_safe
@signed_in
def agent_openshell(request: HttpRequest, agent_id: str) -> HttpResponse:
    """All policies and capabilities of an agent together."""
    user = person(request)
    agent = permissions.fetch(user, "agent.view", agent_pages.rows(), pk=agent_id)
    here = {
        "what": "The agent with all its policies and capabilities",
        "back": reverse("agents:agent-detail", args=[agent.pk]),
        "file": reverse("sandboxes:agent-openshell-file", args=[agent.pk]),
    }
    return _page(request, agent.name, here, lambda: of_agent(user, agent))


@require_safe
@signed_in
def agent_openshell_file(request: HttpRequest, agent_id: str) -> HttpResponse:
    """The same as a file."""
    user = person(request)
    agent = permissions.fetch(user, "agent.view", agent_pages.rows(), pk=agent_id)
    return _file(agent.name, agent.pk, of_agent(user, agent))


def _page(request: HttpRequest, name: str, here: dict[str, str], make: Callable[[], Compiled]) -> HttpResponse:
    context: dict[str, Any] = {"name": name, **here}
    try:
        made = make()
        text = made.as_yaml(f"{name}:")
    except LogosError as error:
        return render(request, "policies/openshell.html", {**context, "error": error})  # the page is there; it says why
    context |= {
        "made": made,
        "text": text.partition("\n\n")[2][:SHOWN_CHARS],
        "is_cut": len(text.partition("\n\n")[2]) > SHOWN_CHARS,
        "left_out": [note for note in made.notes if note.kind == "left out"][:SHOWN_NOTES],
        "more_left_out": max(0, sum(note.kind == "left out" for note in made.notes) - SHOWN_NOTES),
        "differs": [note for note in made.notes if note.kind == "differs"],
        "elsewhere": [note for note in made.notes if note.kind == "elsewhere"],
        "total": len(made.document["network_policies"]),
    }
    return render(request, "policies/openshell.html", context)


def _file(name: str, pk: str, made: Compiled) -> HttpResponse:
    answer = HttpResponse(made.as_yaml(f"{name}:"), content_type="application/yaml; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{slugify(name)[:60] or pk}.openshell.yaml"'
    answer["X-Content-Type-Options"] = "nosniff"
    return answer
