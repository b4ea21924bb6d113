"""The pages of the reviewer: how it did, what it said, where it was wrong, and its switches."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from agents import permissions
from agents.editing import Stale
from agents.errors import LogosError
from agents.models import Agent, ModelRoute, User
from agents.numbers import whole
from agents.views import conflicts, listing
from agents.views.access import person, signed_in
from agents.views.forms import complain
from agents.views.listing import Choice, Filters
from runs.models import Most, ReviewerSettings, ReviewOutcome
from runs.reviewing import limits, lists, reversing, setting

WINDOWS = [(1, "the last day"), (7, "7 days"), (30, "30 days"), (90, "90 days")]
DAYS = 30
SHOWN_REVERSALS = 20
PAGE_SIZE = 20


class SettingsForm(forms.Form):
    """What holds everywhere."""

    is_on = forms.BooleanField(label="The reviewer is on", required=False)
    route = forms.ModelChoiceField(
        ModelRoute.objects.none(), label="The model that reviews", required=False, empty_label="None",
        help_text="It reads commands, what they were asked for, and the message they answer, secrets masked.",
    )  # fmt: skip
    most = forms.ChoiceField(
        label="Asked up to this severity", choices=Most.choices, help_text="What is more severe is a person's, always."
    )
    version = forms.IntegerField(widget=forms.HiddenInput, min_value=1)

    use_required_attribute = False

    def __init__(self, user: User, *args: Any, row: ReviewerSettings, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        kept = ModelRoute.objects.filter(pk=row.route_id).select_related("provider")
        self.fields["route"].queryset = (setting.routes_for(user) | kept).order_by("model")  # type: ignore[attr-defined]


@require_safe
@signed_in
def reviewer(request: HttpRequest) -> HttpResponse:
    """Figures, what it said, and what it is not asked about any more, as far as one may see the requests."""
    user = person(request)
    agents = permissions.visible(user, Agent.objects.all()).order_by("name").values_list("pk", "name")[:200]
    filters = Filters(
        request.GET, Choice("outcome", "Outcome", ReviewOutcome.choices), Choice("agent", "Agent", agents),
        Choice("why", "Left because", [(why, label) for why, (label, _) in limits.WHY.items()]),
        hint="Words of its reason", keep=("days",),
    )  # fmt: skip
    days = whole(request.GET.get("days", ""), 3) or DAYS
    days = days if days in dict(WINDOWS) else DAYS
    here = filters.query + "&" if filters.query else ""
    windows = [(number, word, f"?{here}days={number}") for number, word in WINDOWS]
    filters.kept = {"days": str(days)} if days != DAYS else {}
    total, per_agent = lists.figures(user, days)
    since = timezone.now() - timedelta(days=days)
    rows = filters.search(lists.detailed(lists.seen_by(user)).filter(created_at__gte=since), "reason")
    chosen = {
        "outcome": filters.chosen("outcome"),
        "approval__agent": filters.chosen("agent"),
        "why": filters.chosen("why"),
    }
    rows = rows.filter(**{name: value for name, value in chosen.items() if value})
    page = listing.page(rows, filters, order="-created_at", size=PAGE_SIZE)
    managed = _managed(user, [row.approval.agent_id for row in page.items])
    reversals = list(reversing.living(reversing.seen_by(user)).select_related("agent", "made_by")[:SHOWN_REVERSALS])
    undoable = _managed(user, [row.agent_id for row in reversals])
    context = {
        "filters": filters,
        "page": page,
        "opinions": [_line(user, row, managed) for row in page.items],
        "total": total,
        "per_agent": per_agent,
        "days": days,
        "windows": windows,
        "reversals": [
            {"row": row, "may_undo": row.made_by_id == user.pk or row.agent_id in undoable} for row in reversals
        ],
        "tab": "reviewer",
        "site": setting.site() if permissions.may(user, "reviewer.switch") else None,
        "may_edit": permissions.may(user, "reviewer.edit"),
    }
    return render(request, "approvals/reviewer.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def settings_page(request: HttpRequest) -> HttpResponse:
    """Which model reviews and up to which severity, for admins."""
    user = person(request)
    permissions.require(user, "reviewer.edit")
    row = setting.site()
    if request.method != "POST":
        return _settings(request, SettingsForm(user, row=row, initial=_texts(row) | {"is_on": row.is_on}))
    form = SettingsForm(user, request.POST, row=row)
    if not form.is_valid():
        return _settings(request, form, status=400)
    fields = dict(form.cleaned_data)
    try:
        setting.change(user, fields.pop("version"), **fields)
    except Stale as stale:
        first = conflicts.for_form(stale, form, user, _texts)
        return _settings(request, SettingsForm(user, first.data, row=stale.row), status=409, conflict=first)
    except LogosError as error:
        if error.reason == "not_found":
            raise
        complain(form, error)
        return _settings(request, form, status=400)
    messages.success(request, "Saved. What is asked from now on keeps to it.")
    return redirect("runs:reviewer")


@require_POST
@signed_in
def switch(request: HttpRequest, agent_id: str) -> HttpResponse:
    """Put what an agent asks to the reviewer first, or no longer."""
    user = person(request)
    agent = permissions.fetch(user, "reviewer.switch", Agent.objects.alive(), pk=agent_id)
    on = request.POST.get("reviewer") == "on"
    setting.switch(user, agent, on, whole(request.POST.get("version", "")))
    done = (
        "The reviewer looks at what it asks, from its next message on." if on else "People alone are asked from now on."
    )
    messages.success(request, done)
    return redirect("agents:agent-detail", agent.pk)


@require_POST
@signed_in
def reverse(request: HttpRequest, approval_id: str) -> HttpResponse:
    """The reviewer was wrong: people alone are asked about the like."""
    reversing.reverse(person(request), approval_id, request.POST.get("note", ""))
    messages.success(request, "Noted. From now on people alone are asked about the like of it.")
    return redirect("runs:approval", approval_id)


@require_POST
@signed_in
def undo(request: HttpRequest, number: int) -> HttpResponse:
    """The reviewer may be asked about the like again."""
    reversing.undo(person(request), number)
    messages.success(request, "Undone. The reviewer may be asked about the like again.")
    return redirect("runs:reviewer")


def _managed(user: User, keys: list[Any]) -> set[Any]:
    wanted = {key for key in keys if key}
    rows = permissions.visible(user, Agent.objects.filter(pk__in=wanted), "reviewer.switch")
    return set(rows.order_by().values_list("pk", flat=True)) if wanted else set()


def _line(user: User, row: Any, managed: set[Any]) -> dict[str, Any]:
    """A row of the list, and whether this person may say that it was wrong."""
    decided = row.outcome in reversing.DECIDED and row.reversed_at is None
    own = row.approval.asked_for_id == user.pk and permissions.may(user, "run.approve")
    return {
        "row": row,
        "asked": row.approval,
        "sentence": limits.sentence(row.why),
        "label": limits.WHY.get(row.why, ("",))[0],
        "may_reverse": decided and (own or row.approval.agent_id in managed),
    }


def _texts(row: Any) -> dict[str, str]:
    """The settings, or a record of them, as their form posts them."""
    return {
        "is_on": "on" if row.is_on else "",
        "route": row.route_id or "",
        "most": row.most,
        "version": str(row.version),
    }


def _settings(request: HttpRequest, form: SettingsForm, status: int = 200, **extra: Any) -> HttpResponse:
    return render(
        request, "approvals/reviewer_settings.html", {"form": form, "tab": "reviewer", **extra}, status=status
    )
