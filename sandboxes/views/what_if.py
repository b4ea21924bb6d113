"""The page that tries a draft of a policy on what was recorded, and keeps the draft to be saved or changed further."""

from __future__ import annotations

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_POST

from agents import permissions
from agents.models import Policy, Preset
from agents.views.access import person, signed_in
from agents.views.policies import PolicyForm
from agents.views.presets import PresetForm
from sandboxes import what_if


class Span(forms.Form):
    """How far back to look."""

    days = forms.IntegerField(min_value=1, max_value=what_if.MOST_DAYS, required=False)

    use_required_attribute = False


@require_POST
@signed_in
def policy_what_if(request: HttpRequest, policy_id: str) -> HttpResponse:
    """Decide recorded connections anew with the rules of the form; nothing is saved."""
    user = person(request)
    policy = permissions.fetch(user, "policy.edit", Policy.objects.all(), pk=policy_id)
    form, span = PolicyForm(request.POST), Span(request.POST)
    outcome = None
    if form.is_valid() and span.is_valid():
        draft = what_if.drafted(policy, form.cleaned_data["rules"], form.cleaned_data["presets"])
        outcome = what_if.replay(user, policy, draft, span.cleaned_data["days"] or what_if.DEFAULT_DAYS)
    context = {"policy": policy, "form": form, "span": span, "outcome": outcome, "most_days": what_if.MOST_DAYS}
    return render(request, "policies/what_if.html", context, status=400 if outcome is None else 200)


@require_POST
@signed_in
def preset_what_if(request: HttpRequest, preset_id: str) -> HttpResponse:
    """The same with a draft of a preset, for every agent that has it."""
    user = person(request)
    preset = permissions.fetch(user, "preset.edit", Preset.objects.all(), pk=preset_id)
    form, span = PresetForm(request.POST), Span(request.POST)
    outcome = None
    if form.is_valid() and span.is_valid():
        draft = what_if.drafted_preset(preset, form.cleaned_data["rules"])
        outcome = what_if.replay(user, preset, draft, span.cleaned_data["days"] or what_if.DEFAULT_DAYS)
    context = {"preset": preset, "form": form, "span": span, "outcome": outcome, "may": {"edit": True}}
    return render(request, "presets/what_if.html", context, status=400 if outcome is None else 200)
