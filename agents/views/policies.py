"""The pages of policies: the list, one with its rules, who has it and what it would let through, a new one."""

from __future__ import annotations

from functools import partial
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from agents import four_eyes, permissions, policies, rule_lines
from agents.editing import Stale
from agents.errors import LogosError
from agents.models import Agent, Policy, Preset, PresetCategory, User, Visibility
from agents.views import conflicts, deciding, listing
from agents.views.access import person, signed_in
from agents.views.confirming import confirmed
from agents.views.forms import complain
from agents.views.listing import Choice, Filters
from agents.views.presets import tabs

SHOWN_AGENTS = 12


def preset_choices() -> list[tuple[str, list[tuple[str, str]]]]:
    """The library by category."""
    found: dict[str, list[tuple[str, str]]] = {each: [] for each in PresetCategory.values}
    for pk, name, category in Preset.objects.order_by("name").values_list("pk", "name", "category"):
        found.setdefault(category, []).append((pk, name))
    return [(str(dict(PresetCategory.choices).get(each, each)), options) for each, options in found.items() if options]


class PolicyForm(forms.Form):
    """What may change of a policy."""

    name = forms.CharField(max_length=80)
    description = forms.CharField(required=False, max_length=300)
    rules = policies.RuleLines(
        required=False,
        help_text="One rule a line: hosts, then ports after a colon (443 when none), then who may after “by”. "
        "A line that begins with “deny” wins over all others. Addresses are refused.",
        widget=forms.Textarea(attrs={"rows": 8, "spellcheck": "false", "autocapitalize": "none", "class": "mono"}),
    )
    presets = forms.MultipleChoiceField(
        required=False, choices=preset_choices, widget=forms.CheckboxSelectMultiple, help_text=""
    )
    version = forms.IntegerField(widget=forms.HiddenInput, min_value=1)

    use_required_attribute = False

    @property
    def preset_groups(self) -> list[dict[str, Any]]:
        """The library by category, each with whether it is included."""
        chosen = set(self["presets"].value() or ())
        return [
            {"label": label, "rows": rows, "chosen": sum(row["is_chosen"] for row in rows)}
            for label, options in preset_choices()
            if (rows := [{"id": pk, "name": name, "is_chosen": pk in chosen} for pk, name in options])
        ]

    def told(self) -> dict[str, Any]:
        """What was filled in, as ``agents.policies`` takes it."""
        given = dict(self.cleaned_data)
        given["preset_ids"] = given.pop("presets")
        return given

    @classmethod
    def of(cls, policy: Policy, added: str = "") -> PolicyForm:
        """The form with what is stored, and a line that somebody proposes."""
        stored = {name: getattr(policy, name) for name in ("name", "description", "rules", "version")}
        stored["presets"] = list(policy.presets.order_by("name").values_list("pk", flat=True))
        rules = "\n".join(filter(None, (rule_lines.write(policy.rules), added)))
        return cls(initial=stored | ({"rules": rules} if added else {}))


class NewPolicy(PolicyForm):
    """A policy that is not there yet."""

    version = None  # type: ignore[assignment]  # how Django is told to leave a field out
    visibility = forms.ChoiceField(label="Who may use it", choices=Visibility.choices)


class Attempt(forms.Form):
    """Where an agent would connect to."""

    host = forms.CharField(max_length=300)
    port = forms.IntegerField(min_value=1, max_value=65_535, initial=443, required=False)
    binary = forms.CharField(required=False, max_length=300)

    use_required_attribute = False

    def clean_port(self) -> int:
        """A link may leave out the port everybody uses."""
        port = self.cleaned_data["port"]
        return 443 if port is None else int(port)


@require_safe
@signed_in
def policy_list(request: HttpRequest) -> HttpResponse:
    """The policies one may see."""
    user = person(request)
    shared = Choice("visibility", "Access", (("private", "private"), ("shared", "shared")))
    filters = Filters(request.GET, shared, hint="Name or description")
    rows = permissions.visible(user, Policy.objects.select_related("owner").prefetch_related("presets"))
    if visibility := filters.chosen("visibility"):
        rows = rows.filter(visibility=visibility)
    page = listing.page(filters.search(rows, "name", "description"), filters, order="name")
    may_add = permissions.may(user, "policy.create")
    context = {"filters": filters, "page": page, "tabs": tabs(user, "policies"), "may_add": may_add}
    if permissions.may(user, "user.manage"):
        context |= {"may_switch": True, "four_eyes": four_eyes.is_on()}
    return render(request, "policies/list.html", context)


@require_POST
@signed_in
def policy_four_eyes(request: HttpRequest) -> HttpResponse:
    """Whether a change that allows more waits for a second person."""
    on = request.POST.get("on") == "yes"
    if four_eyes.switch(person(request), on):
        said = "wait for a second person from now on" if on else "are saved at once again"
        messages.success(request, f"Changes of policies that allow more {said}.")
    return redirect("agents:policy-list")


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def policy_detail(request: HttpRequest, policy_id: str) -> HttpResponse:
    """One policy; who may edit it does so here, and whoever sees it tries a host on it."""
    user = person(request)
    policy = permissions.fetch(user, "policy.view", Policy.objects.select_related("owner"), pk=policy_id)
    if request.method != "POST":
        return _detail(request, policy, PolicyForm.of(policy, _added(request)))
    form = PolicyForm(request.POST)
    if not form.is_valid():
        permissions.require(user, "policy.edit", policy)
        return _detail(request, policy, form, status=400)
    fields = form.told()
    try:
        policies.change(user, policy_id, fields.pop("version"), **fields)
    except Stale as stale:
        first, data = _saved_first(stale, form, user)
        return _detail(request, stale.row, PolicyForm(data), status=409, conflict=first)
    except LogosError as error:
        if error.reason == "not_found":
            raise
        complain(form, error)
        return _detail(request, policy, form, status=400)
    messages.success(request, f"{fields['name']} is saved.")
    return redirect("agents:policy-detail", policy_id)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def policy_new(request: HttpRequest) -> HttpResponse:
    """Write a policy."""
    user = person(request)
    permissions.require(user, "policy.create")
    form = NewPolicy(request.POST or None, initial={"rules": _added(request)})
    if form.is_valid():
        given = form.told()
        try:
            policy = policies.create(user, given.pop("name"), given.pop("rules"), **given)
        except LogosError as error:
            complain(form, error)
        else:
            messages.success(request, f"{policy.name} is written. It does nothing until an agent has it.")
            return redirect("agents:policy-detail", policy.pk)
    return render(request, "policies/new.html", {"form": form}, status=400 if form.is_bound else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def policy_delete(request: HttpRequest, policy_id: str) -> HttpResponse:
    """Asks, then deletes; says whose it is when it has to stay."""
    user = person(request)
    policy = permissions.fetch(user, "policy.manage", Policy.objects.all(), pk=policy_id)
    context = {
        "question": f"Delete policy {policy.name}?",
        "words": "Nobody can give it to an agent any more. Runs keep a copy of what was allowed to them.",
        "button": f"Delete policy {policy.name}",
        "back": reverse("agents:policy-detail", args=[policy_id]),
    }
    return confirmed(
        request, context, partial(policies.remove, user, policy_id),
        done=f"{policy.name} is deleted.", to=reverse("agents:policy-list"),
    )  # fmt: skip


def _saved_first(stale: Stale, form: PolicyForm, user: User) -> tuple[conflicts.SavedFirst, QueryDict]:
    """What the other changed, and the data to draw the form with: presets are lines here, to be compared as a text."""
    data: Any = form.data.copy()  # type: ignore[attr-defined]
    names = dict(option for _, options in preset_choices() for option in options)
    mine = "\n".join(sorted(names.get(pk, pk) for pk in data.getlist("presets")))

    def read(each: Any) -> dict[str, str]:
        held = each.presets.values_list("pk" if isinstance(each, Policy) else "preset_id", flat=True)
        return {
            "name": each.name,
            "description": each.description,
            "rules": rule_lines.write(each.rules),
            "presets": "\n".join(sorted(names.get(pk, pk) for pk in held)),
        }

    labels = {name: str(form[name].label) for name in ("name", "description", "rules", "presets")}
    first = conflicts.saved_first(stale, {**data.dict(), "presets": mine}, labels, user, read)
    for name in ("name", "description", "rules", "version"):
        data[name] = first.data.get(name, "")
    if (now := str(first.data.get("presets", ""))) != mine:
        by_name = {name: pk for pk, name in names.items()}
        data.setlist("presets", [by_name.get(line, line) for line in now.split("\n") if line])
    return first, data


def _added(request: HttpRequest) -> str:
    """The line that a proposal brings in its address, ready to be saved or thrown away."""
    return " ".join(request.GET.get("add", "").replace("\x00", "").split())[:500]


def _detail(request: HttpRequest, policy: Policy, form: PolicyForm, status: int = 200, **extra: Any) -> HttpResponse:
    user = person(request)
    using = permissions.visible(user, Agent.objects.alive().filter(policies=policy)).order_by("name")
    attempt = Attempt(request.GET) if request.GET.get("host") else Attempt()
    verdict = policies.would_reach(policy, **attempt.cleaned_data) if attempt.is_valid() else None
    context = {
        "policy": policy,
        "lines": rule_lines.write(policy.rules).splitlines(),
        "included": policy.presets.order_by("name"),
        "form": form,
        "may": deciding.offers(user, policy),
        "agents": using[: SHOWN_AGENTS + 1],
        "shown": SHOWN_AGENTS,
        "attempt": attempt,
        "added": _added(request),
        "verdict": verdict,
        **extra,
    }
    return render(request, "policies/detail.html", context, status=status)
