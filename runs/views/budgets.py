"""The pages of budgets: what may be spent and how much of it is, one budget, a new one."""

from __future__ import annotations

from functools import partial
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from agents import permissions
from agents.editing import Stale
from agents.errors import LogosError
from agents.models import Agent, ModelRoute, User
from agents.views import conflicts, listing
from agents.views.access import person, signed_in
from agents.views.confirming import confirmed
from agents.views.forms import complain
from agents.views.listing import Choice, Filters
from runs.budgets import setting, showing
from runs.models import Budget, BudgetScope, BudgetWarning, OnLimit, UnknownPrice, Window

SHOWN_WARNINGS = 10


class BudgetForm(forms.Form):
    """What a budget says."""

    name = forms.CharField(required=False, max_length=setting.MAX_NAME, help_text="Empty: called after what it limits.")
    scope = forms.ChoiceField(label="What it limits", choices=BudgetScope.choices)
    person = forms.CharField(
        required=False,
        max_length=150,
        help_text="Username, for a person's budget; empty means each person by themselves.",
    )
    agent = forms.ModelChoiceField(
        Agent.objects.none(), required=False, empty_label="None, or each one",
        help_text="The agent, or whose schedules, chats or runs; empty means each one by itself.",
    )  # fmt: skip
    only = forms.CharField(
        label="Only this one", required=False, max_length=40,
        help_text="The id of one schedule, chat or run; empty means each one by itself.",
    )  # fmt: skip
    amount = forms.DecimalField(min_value=0, max_value=setting.MOST, decimal_places=6, help_text="USD.")
    window = forms.ChoiceField(label="Over", choices=Window.choices)
    zone = forms.CharField(
        label="Time zone", max_length=40, initial="UTC", help_text="In which months begin, such as Europe/Zurich."
    )
    unknown_price = forms.ChoiceField(label="A model whose price is unknown", choices=UnknownPrice.choices)
    assumed_input = forms.DecimalField(
        label="Assumed input price", required=False, min_value=0, max_value=setting.MOST, decimal_places=6,
        help_text="USD per million tokens.",
    )  # fmt: skip
    assumed_output = forms.DecimalField(
        label="Assumed output price", required=False, min_value=0, max_value=setting.MOST, decimal_places=6,
        help_text="USD per million tokens.",
    )  # fmt: skip
    on_limit = forms.ChoiceField(label="When it is used up, the next message", choices=OnLimit.choices)
    fallback = forms.ModelChoiceField(
        ModelRoute.objects.none(), label="The local model", required=False, empty_label="None",
        help_text="One whose prices are 0. The chat says so when it answers, and it stops by itself.",
    )  # fmt: skip
    is_active = forms.BooleanField(label="It is on", required=False, initial=True)
    version = forms.IntegerField(widget=forms.HiddenInput, min_value=1)

    use_required_attribute = False

    def __init__(self, user: User, *args: Any, row: Budget | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        agents = permissions.visible(user, Agent.objects.alive(), "agent.limit").order_by("name")
        self.fields["agent"].queryset = agents  # type: ignore[attr-defined]
        self.fields["fallback"].queryset = setting.free_routes(user)  # type: ignore[attr-defined]
        if row is not None and row.fallback is not None:  # it may stay though this person cannot see it
            kept = setting.free_routes(user) | type(row.fallback).objects.filter(pk=row.fallback_id)
            self.fields["fallback"].queryset = kept.order_by()  # type: ignore[attr-defined]
        if row is not None and row.agent is not None:
            self.fields["agent"].queryset = Agent.objects.filter(pk=row.agent_id)  # type: ignore[attr-defined]
        if not permissions.may(user, "budget.set"):
            self.fields["scope"].choices = [  # type: ignore[attr-defined]
                choice for choice in BudgetScope.choices if choice[0] in setting.OF_AGENTS
            ]
            del self.fields["person"]
        for field in self.fields.values():
            if isinstance(field, forms.DecimalField):
                field.widget.attrs.update({"step": "any", "inputmode": "decimal"})

    def clean_person(self) -> User | None:
        name = self.cleaned_data["person"].strip()
        if not name:
            return None
        found = User.objects.filter(username=name).first()
        if found is None:
            raise forms.ValidationError("There is no person of this name.")
        return found

    def told(self) -> dict[str, Any]:
        """What was filled in, as ``runs.budgets.setting`` takes it."""
        given = dict(self.cleaned_data)
        given["subject"] = given.pop("only")
        return given

    @classmethod
    def of(cls, user: User, row: Budget) -> BudgetForm:
        """The form with what is stored."""
        return cls(user, row=row, initial=_texts(row) | {"is_active": row.is_active})


class NewBudget(BudgetForm):
    """A budget that is not there yet."""

    version = None  # type: ignore[assignment]  # how Django is told to leave a field out


@require_safe
@signed_in
def budget_list(request: HttpRequest) -> HttpResponse:
    """The budgets that concern one, with what is used of each."""
    user = person(request)
    scope = Choice("scope", "Limits", BudgetScope.choices)
    agent = Choice("agent", "Agent", (), is_text=True)
    filters = Filters(request.GET, scope, agent, hint="Name, agent or person")
    rows = setting.seen_by(user)
    if chosen := filters.chosen("scope"):
        rows = rows.filter(scope=chosen)
    if chosen := filters.chosen("agent"):
        rows = rows.filter(agent_id=chosen)
    page = listing.page(filters.search(rows, "name", "agent__name", "person__username"), filters)
    context = {
        "filters": filters,
        "page": page,
        "budgets": showing.shown(user, page.items),
        "may_add": permissions.may(user, "agent.limit"),
        "tabs": tabs("budgets"),
    }
    return render(request, "budgets/list.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def budget_detail(request: HttpRequest, budget_id: str) -> HttpResponse:
    """One budget; who may set it changes it here."""
    user = person(request)
    row = setting.fetch(user, budget_id)
    if request.method != "POST":
        return _detail(request, row, BudgetForm.of(user, row))
    form = BudgetForm(user, request.POST, row=row)
    if not form.is_valid():
        return _detail(request, row, form, status=400)
    fields = form.told()
    try:
        setting.change(user, budget_id, fields.pop("version"), **fields)
    except Stale as stale:
        first = conflicts.for_form(stale, form, user, _texts)
        return _detail(request, stale.row, BudgetForm(user, first.data, row=stale.row), status=409, conflict=first)
    except LogosError as error:
        if error.reason == "not_found":
            raise
        complain(form, error, subject="only")
        return _detail(request, row, form, status=400)
    messages.success(request, "The budget is saved. It holds from the next call on.")
    return redirect("runs:budget-detail", budget_id)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def budget_new(request: HttpRequest) -> HttpResponse:
    """Set a budget."""
    user = person(request)
    permissions.require(user, "agent.limit")
    initial = {name: request.GET[name] for name in ("scope", "agent", "person") if name in request.GET}
    form = NewBudget(user, request.POST or None, initial=initial)
    if form.is_valid():
        try:
            row = setting.create(user, **form.told())
        except LogosError as error:
            if error.reason == "not_found":
                raise
            complain(form, error, subject="only")
        else:
            messages.success(request, "The budget is set. It counts what was spent before it, too.")
            return redirect("runs:budget-detail", row.pk)
    return render(request, "budgets/new.html", {"form": form}, status=400 if form.is_bound else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def budget_delete(request: HttpRequest, budget_id: str) -> HttpResponse:
    """Asks, then deletes."""
    user = person(request)
    row = setting.fetch(user, budget_id)
    if not setting.may_set(user, row.scope, row.agent):
        return redirect("runs:budget-detail", budget_id)
    context = {
        "question": f"Delete the budget {row}?",
        "words": "Nothing keeps to it from the next call on. What was spent stays in the ledger.",
        "button": "Delete the budget",
        "back": reverse("runs:budget-detail", args=[budget_id]),
    }
    return confirmed(
        request, context, partial(setting.remove, user, budget_id),
        done="The budget is deleted.", to=reverse("runs:budget-list"),
    )  # fmt: skip


def tabs(current: str) -> list[dict[str, Any]]:
    """What may be spent, and what was."""
    pages = (("budgets", "Budgets", "runs:budget-list"), ("costs", "Costs", "runs:costs"))
    return [{"url": reverse(url), "label": label, "current": name == current} for name, label, url in pages]


def _texts(row: Any) -> dict[str, str]:
    """A budget, or the record of one, as its form posts it."""
    prices = ("amount", "assumed_input", "assumed_output")
    return {
        **{name: getattr(row, name) for name in ("name", "scope", "window", "zone", "unknown_price", "on_limit")},
        **{name: "" if getattr(row, name) is None else f"{getattr(row, name).normalize():f}" for name in prices},
        "only": row.subject,
        "person": row.person.username if row.person else "",
        "agent": row.agent_id or "",
        "fallback": row.fallback_id or "",
        "is_active": "on" if row.is_active else "",
        "version": str(row.version),
    }


def _detail(request: HttpRequest, row: Budget, form: BudgetForm, status: int = 200, **extra: Any) -> HttpResponse:
    user = person(request)
    told = BudgetWarning.objects.filter(budget=row)
    if row.person_id is None and row.agent_id is None and not permissions.may(user, "budget.set"):
        told = told.filter(bucket=f"person_id:{user.pk}")
    one = showing.shown(user, [row])[0]
    context = {
        "one": one,
        "budget": row,
        "frees_at": one.frees_at(),
        "warnings": told[:SHOWN_WARNINGS],
        "may_set": setting.may_set(user, row.scope, row.agent),
        "form": form,
        **extra,
    }
    return render(request, "budgets/detail.html", context, status=status)
