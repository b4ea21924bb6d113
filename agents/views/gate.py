"""The pages of the command gate: try a command, read the rules, and write those of one's own."""

from __future__ import annotations

from functools import partial
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from agents import gate_rules, permissions
from agents.editing import Stale
from agents.errors import LogosError
from agents.gate import drafts
from agents.gate.rules import shipped
from agents.models import Agent, GateAnswer, GateRule, GateSeverity, Policy, User
from agents.numbers import whole
from agents.views import conflicts
from agents.views.access import person, signed_in
from agents.views.confirming import confirmed
from agents.views.forms import complain

LONGEST = 65_536
MOST_CHOICES = 200


class CommandForm(forms.Form):
    """The command to try, and for which agent."""

    command = forms.CharField(
        max_length=LONGEST,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 4, "class": "mono", "spellcheck": "false", "autocapitalize": "off"}),
        error_messages={"required": "Write a command to try.", "max_length": "A command may have 65,536 characters."},
    )
    agent = forms.CharField(max_length=40, required=False)

    use_required_attribute = False


class RuleForm(forms.Form):
    """One rule of an operator."""

    name = forms.CharField(max_length=60, help_text="Small letters, digits and dashes; findings name it.")
    sentence = forms.CharField(
        required=False,
        max_length=200,
        help_text="What it is about, for whoever decides: “Changes what runs in the cloud.”",
    )
    severity = forms.ChoiceField(choices=GateSeverity.choices, initial=GateSeverity.HIGH)
    answer = forms.ChoiceField(label="Who may allow it", choices=GateAnswer.choices, initial=GateAnswer.OPERATORS)
    when = forms.CharField(
        label="What it looks for",
        max_length=20_000,
        help_text="Program, first word, switches, paths: “program: [terraform]” and below it “first: [apply, destroy]”. "
        "Or “rule: [force-push]” or “at_least: critical” to raise rules that come with Logos.",
        widget=forms.Textarea(attrs={"rows": 5, "class": "mono", "spellcheck": "false", "autocapitalize": "none"}),
    )
    version = forms.IntegerField(widget=forms.HiddenInput, min_value=1, required=False)

    use_required_attribute = False

    def told(self) -> dict[str, Any]:
        """What was filled in, as ``agents.gate_rules`` takes it. Raises Invalid."""
        given = {name: self.cleaned_data[name] for name in ("name", "sentence", "severity", "answer")}
        return {**given, "when": drafts.read_when(self.cleaned_data["when"])}

    @classmethod
    def of(cls, rule: GateRule) -> RuleForm:
        """The form with what is stored."""
        return cls(initial=_texts(rule) | {"version": rule.version})


@signed_in
def gate_check(request: HttpRequest) -> HttpResponse:
    """Try a command, and read the rules."""
    user = person(request)
    form = CommandForm(request.POST if request.method == "POST" else None)
    said = None
    if form.is_bound and form.is_valid():
        try:
            said = gate_rules.tried(user, form.cleaned_data["command"], form.cleaned_data["agent"])
        except LogosError as error:
            complain(form, error)
    rows = list(gate_rules.seen_by(user).order_by("name"))
    context = {
        "form": form,
        "said": said,
        "rules": shipped().all,
        "own": rows,
        "mine": gate_rules.may_change(user, rows),
        "may_site": permissions.may(user, "gate.site"),
        "first": (editable := _policies(user)) and editable[0].pk,
        "may_add": permissions.may(user, "gate.site") or bool(editable),
        "agents": permissions.visible(user, Agent.objects.alive()).order_by("name")[:MOST_CHOICES],
        "tab": "gate",
    }
    return render(request, "gate/check.html", context, status=400 if form.is_bound and said is None else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def gate_rule_new(request: HttpRequest) -> HttpResponse:
    """Write a rule, for every agent or for those with a policy."""
    user = person(request)
    permissions.require(user, "gate.edit")
    form = RuleForm(request.POST or None)
    wanted = (request.POST or request.GET).get("policy", "")[:40]
    if form.is_valid():
        try:
            policy = permissions.fetch(user, "gate.edit", Policy.objects.all(), pk=wanted) if wanted else None
            made = gate_rules.create(user, policy, **form.told())
        except LogosError as error:
            if error.reason in ("not_found", "forbidden"):
                raise
            complain(form, error)
        else:
            messages.success(request, f"{made.name} holds from now on.")
            return redirect("agents:gate-check")
    context = {
        "form": form,
        "policies": _policies(user),
        "wanted": wanted,
        "may_site": permissions.may(user, "gate.site"),
    }
    return render(request, "gate/rule_new.html", context, status=400 if form.is_bound else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def gate_rule(request: HttpRequest, gate_rule_id: str) -> HttpResponse:
    """One rule, changed by who may."""
    user = person(request)
    rule = gate_rules.find(user, gate_rule_id)
    if request.method != "POST":
        return _detail(request, user, rule, RuleForm.of(rule))
    form = RuleForm(request.POST)
    if not form.is_valid():
        gate_rules.find(user, gate_rule_id, "gate.edit")
        return _detail(request, user, rule, form, status=400)
    try:
        gate_rules.change(user, rule.pk, form.cleaned_data["version"], **form.told())
    except Stale as stale:
        labels = {name: str(form[name].label) for name in ("name", "sentence", "severity", "answer", "when")}
        first = conflicts.saved_first(stale, form.data.dict(), labels, user, _texts)  # type: ignore[attr-defined]
        return _detail(request, user, stale.row, RuleForm(first.data), status=409, conflict=first)
    except LogosError as error:
        if error.reason == "not_found":
            raise
        complain(form, error)
        return _detail(request, user, rule, form, status=400)
    messages.success(request, f"{form.cleaned_data['name']} is saved, and holds from now on.")
    return redirect("agents:gate-check")


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def gate_rule_delete(request: HttpRequest, gate_rule_id: str) -> HttpResponse:
    """Asks, then removes it."""
    user = person(request)
    rule = gate_rules.find(user, gate_rule_id, "gate.edit")
    context = {
        "question": f"Remove the gate rule {rule.name}?",
        "words": "It stops to hold at once. Rules that come with Logos stay.",
        "button": f"Remove {rule.name}",
        "back": reverse("agents:gate-rule", args=[rule.pk]),
    }
    version = whole(request.POST.get("version", ""))
    return confirmed(
        request, context, partial(gate_rules.remove, user, rule.pk, version),
        done=f"{rule.name} is gone.", to=reverse("agents:gate-check"),
    )  # fmt: skip


def _detail(
    request: HttpRequest, user: User, rule: GateRule, form: RuleForm, status: int = 200, **extra: Any
) -> HttpResponse:
    context = {
        "rule": rule,
        "form": form,
        "when": drafts.write_when(rule.when),
        "may_edit": bool(gate_rules.may_change(user, [rule])),
        **extra,
    }
    return render(request, "gate/rule.html", context, status=status)


def _texts(rule: Any) -> dict[str, str]:
    told = {name: getattr(rule, name) for name in ("name", "sentence", "severity", "answer")}
    return {**told, "when": drafts.write_when(rule.when)}


def _policies(user: User) -> list[Policy]:
    return list(permissions.visible(user, Policy.objects.all(), "gate.edit").order_by("name")[:MOST_CHOICES])
