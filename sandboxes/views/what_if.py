"""The pages that try a draft on what was recorded, and keep the draft to be saved or changed further."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from agents import agent_pages, permissions
from agents.errors import LogosError
from agents.models import Agent, Policy, Preset
from agents.views.access import person, signed_in
from agents.views.forms import complain
from agents.views.policies import PolicyForm
from agents.views.presets import PresetForm
from sandboxes import what_if
from sandboxes.tool_server import drafts, rules
from sandboxes.tool_server import what_if as tools_what_if


class Span(forms.Form):
    """How far back to look."""

    days = forms.IntegerField(min_value=1, max_value=what_if.MOST_DAYS, required=False)

    use_required_attribute = False


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def policy_what_if(request: HttpRequest, policy_id: str) -> HttpResponse:
    """Decide recorded connections anew with the rules of the form; nothing is saved. Without a form it leads to it."""
    user = person(request)
    policy = permissions.fetch(user, "policy.edit", Policy.objects.all(), pk=policy_id)
    if request.method != "POST":
        return redirect("agents:policy-detail", policy_id)
    form, span = PolicyForm(request.POST), Span(request.POST)
    outcome = None
    if form.is_valid() and span.is_valid():
        draft = what_if.drafted(policy, form.cleaned_data["rules"], form.cleaned_data["presets"])
        outcome = what_if.replay(user, policy, draft, span.cleaned_data["days"] or what_if.DEFAULT_DAYS)
    context = {"policy": policy, "form": form, "span": span, "outcome": outcome, "most_days": what_if.MOST_DAYS}
    return render(request, "policies/what_if.html", context, status=400 if outcome is None else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def preset_what_if(request: HttpRequest, preset_id: str) -> HttpResponse:
    """The same with a draft of a preset, for every agent that has it."""
    user = person(request)
    preset = permissions.fetch(user, "preset.edit", Preset.objects.all(), pk=preset_id)
    if request.method != "POST":
        return redirect("agents:preset-detail", preset_id)
    form, span = PresetForm(request.POST), Span(request.POST)
    outcome = None
    if form.is_valid() and span.is_valid():
        draft = what_if.drafted_preset(preset, form.cleaned_data["rules"])
        outcome = what_if.replay(user, preset, draft, span.cleaned_data["days"] or what_if.DEFAULT_DAYS)
    context = {"preset": preset, "form": form, "span": span, "outcome": outcome, "may": {"edit": True}}
    return render(request, "presets/what_if.html", context, status=400 if outcome is None else 200)


class ToolDraftForm(forms.Form):
    """A draft of tool rules, and how far back to look."""

    rules = forms.CharField(
        required=False,
        max_length=100_000,
        help_text="One rule a line: allow, notify, ask or block, then a tool, then path, host or command and a pattern if "
        "it is not about every call. Rules that are left out count no more.",
        widget=forms.Textarea(attrs={"rows": 8, "spellcheck": "false", "autocapitalize": "none", "class": "mono"}),
    )
    days = forms.IntegerField(min_value=1, max_value=tools_what_if.MOST_DAYS, required=False)

    use_required_attribute = False


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def agent_tools_what_if(request: HttpRequest, agent_id: str) -> HttpResponse:
    """Judge the recorded tool calls of an agent anew with a draft of its own rules."""
    user = person(request)
    agent = permissions.fetch(user, "tool.rules", agent_pages.rows(), pk=agent_id)
    frame = agent_pages.frame(user, agent, "tools")
    return _tools(request, agent, {**frame, "back": reverse("sandboxes:agent-tools", args=[agent.pk])})


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def site_tools_what_if(request: HttpRequest) -> HttpResponse:
    """The same with the rules the site has for every agent; for admins."""
    permissions.require(person(request), "tool.site")
    return _tools(request, None, {"back": reverse("sandboxes:site-tools")})


def _tools(request: HttpRequest, agent: Agent | None, context: dict[str, Any]) -> HttpResponse:
    user = person(request)
    held = rules.rows_of(agent).filter(layer="agent") if agent is not None else rules.for_all()
    form = (
        ToolDraftForm(request.POST)
        if request.method == "POST"
        else ToolDraftForm(initial={"rules": drafts.write(held)})
    )
    outcome = None
    if form.is_valid():
        try:
            draft = tools_what_if.drafted(user, agent, drafts.read(form.cleaned_data["rules"]))
            outcome = tools_what_if.replay(user, agent, draft, form.cleaned_data["days"] or tools_what_if.DEFAULT_DAYS)
        except LogosError as error:
            complain(form, error)
    context |= {"form": form, "outcome": outcome, "agent": agent, "most_days": tools_what_if.MOST_DAYS}
    return render(request, "tools/what_if.html", context, status=400 if form.is_bound and outcome is None else 200)
