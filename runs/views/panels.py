"""The pages of who decides what agents ask: the panels, one of them, a new one."""

from __future__ import annotations

from functools import partial
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.models import Group
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from agents import permissions
from agents.editing import Stale
from agents.errors import LogosError
from agents.models import Policy, User
from agents.views import conflicts, listing
from agents.views.access import person, signed_in
from agents.views.confirming import confirmed
from agents.views.forms import complain
from agents.views.listing import Filters
from runs.approvals import panels
from runs.models import Panel
from runs.models.panels import KINDS, MOST_MINUTES, MOST_NEEDED, SEVERITIES


class PanelForm(forms.Form):
    """What a panel says."""

    policy = forms.ModelChoiceField(
        Policy.objects.none(), label="Asked by agents with the policy", required=False, empty_label="Every agent"
    )
    kind = forms.ChoiceField(label="What is asked", required=False, choices=[("", "Everything"), *KINDS])
    severity = forms.ChoiceField(
        label="At least so severe", required=False, choices=[("", "However severe"), *SEVERITIES]
    )
    needed = forms.IntegerField(
        label="How many people must allow it", min_value=1, max_value=MOST_NEEDED, initial=1,
        help_text="One who refuses refuses.",
    )  # fmt: skip
    team = forms.ModelChoiceField(
        Group.objects.none(), label="Members of", required=False, empty_label="Whoever decides it anyway",
        help_text="Only their leave counts. The person whose run asks never allows it alone, also as a member.",
    )  # fmt: skip
    escalate_min = forms.IntegerField(
        label="Others after (minutes)", required=False, min_value=0, max_value=MOST_MINUTES,
        help_text="0 is never; empty as the site says.",
    )  # fmt: skip
    escalate_to = forms.ModelChoiceField(
        Group.objects.none(), label="Then also members of", required=False, empty_label="Operators who manage the agent"
    )
    note = forms.CharField(label="Why", required=False, max_length=200)
    is_active = forms.BooleanField(label="It is on", required=False, initial=True)
    version = forms.IntegerField(widget=forms.HiddenInput, min_value=1)

    use_required_attribute = False

    def __init__(self, user: User, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["policy"].queryset = panels.policies(user)  # type: ignore[attr-defined]
        for name in ("team", "escalate_to"):
            self.fields[name].queryset = Group.objects.order_by("name")  # type: ignore[attr-defined]


class NewPanel(PanelForm):
    """A panel that is not there yet."""

    version = None  # type: ignore[assignment]  # how Django is told to leave a field out


@require_safe
@signed_in
def panel_list(request: HttpRequest) -> HttpResponse:
    """Every panel with what it says, and what holds where none fits."""
    user = person(request)
    permissions.require(user, "panel.set")
    filters = Filters(request.GET, hint="Group, policy or why")
    rows = filters.search(panels.seen_by(user), "team__name", "escalate_to__name", "policy__name", "note")
    page = listing.page(rows, filters)
    context = {
        "tab": "panels",
        "filters": filters,
        "page": page,
        "panels": [(row, panels.says(row)) for row in page.items],
        "approvers": settings.LOGOS_APPROVERS,
        "escalate_min": settings.LOGOS_ESCALATE_AFTER_S // 60,
    }
    return render(request, "panels/list.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def panel_new(request: HttpRequest) -> HttpResponse:
    """Say who decides."""
    user = person(request)
    permissions.require(user, "panel.set")
    form = NewPanel(user, request.POST or None)
    if form.is_valid():
        try:
            row = panels.create(user, **form.cleaned_data)
        except LogosError as error:
            complain(form, error)
        else:
            messages.success(request, "It holds for what is asked from now on.")
            return redirect("runs:panel", row.pk)
    context = {"form": form, "tab": "panels"}
    return render(request, "panels/new.html", context, status=400 if form.is_bound else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def panel_detail(request: HttpRequest, panel_id: str) -> HttpResponse:
    """One panel, to change it."""
    user = person(request)
    permissions.require(user, "panel.set")
    row = panels.fetch(user, panel_id)
    if request.method != "POST":
        return _detail(request, row, PanelForm(user, initial=_initial(row)))
    form = PanelForm(user, request.POST)
    if not form.is_valid():
        return _detail(request, row, form, status=400)
    fields = dict(form.cleaned_data)
    try:
        panels.change(user, panel_id, fields.pop("version"), **fields)
    except Stale as stale:
        first = conflicts.for_form(stale, form, user, _texts)
        return _detail(request, stale.row, PanelForm(user, first.data), status=409, conflict=first)
    except LogosError as error:
        if error.reason == "not_found":
            raise
        complain(form, error)
        return _detail(request, row, form, status=400)
    messages.success(
        request, "Saved. It holds for what is asked from now on; what waits already stays as it was asked."
    )
    return redirect("runs:panel", panel_id)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def panel_delete(request: HttpRequest, panel_id: str) -> HttpResponse:
    """Asks, then deletes."""
    user = person(request)
    permissions.require(user, "panel.set")
    row = panels.fetch(user, panel_id)
    context = {
        "question": f"Delete the panel {row}?",
        "words": "What is asked from now on is decided as if it had never been. What waits already stays as it was asked.",
        "button": "Delete the panel",
        "back": reverse("runs:panel", args=[panel_id]),
    }
    act = partial(panels.remove, user, panel_id)
    return confirmed(request, context, act, done="The panel is deleted.", to=reverse("runs:panels"))


def _detail(request: HttpRequest, row: Panel, form: PanelForm, status: int = 200, **more: Any) -> HttpResponse:
    context = {"panel": row, "says": panels.says(row), "form": form, "tab": "panels", **more}
    return render(request, "panels/detail.html", context, status=status)


def _initial(row: Panel) -> dict[str, Any]:
    return {name: getattr(row, name) for name in (*panels.FIELDS, "version")}


def _texts(row: Any) -> dict[str, str]:
    """A panel, or the record of one, as its form posts it."""
    keys = {"policy": row.policy_id, "team": row.team_id, "escalate_to": row.escalate_to_id}
    plain = {name: getattr(row, name) for name in ("kind", "severity", "needed", "escalate_min", "note", "version")}
    texts = {name: "" if value is None else str(value) for name, value in {**keys, **plain}.items()}
    return {**texts, "is_active": "on" if row.is_active else ""}
