"""The page that tries a draft of gate rules on the commands that were recorded."""

from __future__ import annotations

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_http_methods

from agents import gate_rules, permissions
from agents.errors import LogosError
from agents.gate import drafts
from agents.models import GateRule, Policy
from agents.views.access import person, signed_in
from agents.views.forms import complain
from runs.time_machine import commands


class GateDraftForm(forms.Form):
    """A draft of gate rules, and how far back to look."""

    rules = forms.CharField(
        required=False,
        max_length=drafts.LONGEST,
        help_text="All of the rules there would be, as YAML. Rules that are left out hold no more.",
        widget=forms.Textarea(attrs={"rows": 12, "spellcheck": "false", "autocapitalize": "none", "class": "mono"}),
    )
    days = forms.IntegerField(min_value=1, max_value=commands.MOST_DAYS, required=False)

    use_required_attribute = False


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def gate_what_if(request: HttpRequest) -> HttpResponse:
    """Judge recorded commands anew; ``policy`` in the address says whose rules the draft replaces."""
    user = person(request)
    permissions.require(user, "gate.edit")
    wanted = request.GET.get("policy", "")[:40]
    policy = permissions.fetch(user, "gate.edit", Policy.objects.all(), pk=wanted) if wanted else None
    if policy is None:
        permissions.require(user, "gate.site")
    held = GateRule.objects.filter(policy=policy).order_by("name")
    form = GateDraftForm(request.POST if request.method == "POST" else None, initial={"rules": drafts.write(held)})
    outcome = None
    if form.is_valid():
        try:
            draft = commands.drafted(user, policy, drafts.read(form.cleaned_data["rules"]))
            outcome = commands.replay(user, policy, draft, form.cleaned_data["days"] or commands.DEFAULT_DAYS)
        except LogosError as error:
            complain(form, error)
    context = {
        "form": form,
        "outcome": outcome,
        "policy": policy,
        "policies": permissions.visible(user, Policy.objects.all(), "gate.edit").order_by("name")[:50],
        "may_site": permissions.may(user, "gate.site"),
        "held": gate_rules.with_policy(policy),
    }
    return render(request, "gate/what_if.html", context, status=400 if form.is_bound and outcome is None else 200)
