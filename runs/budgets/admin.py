"""Budgets, charges and warnings in the console: read there, changed on their own pages."""

from __future__ import annotations

from django.contrib import admin
from django.utils.safestring import SafeString

from agents.admin_base import RecordAdmin
from agents.admin_filters import TypedFilter, VisibleRelatedFilter
from runs.budgets.nano import usd
from runs.budgets.words import dollars
from runs.models import Budget, BudgetWarning, Charge
from runs.templatetags.run_format import ago


@admin.register(Budget)
class BudgetAdmin(RecordAdmin):
    """What may be spent."""

    view_action = "budget.view"
    fields = (
        *("name", "scope", "person", "agent", "subject", "window", "zone", "amount"),
        *("unknown_price", "assumed_input", "assumed_output", "on_limit", "fallback", "is_active"),
        *("made_by", "created_at", "updated_at"),
    )
    list_display = ("__str__", "scope", "person", "agent", "window", "amount", "on_limit", "is_active")
    list_select_related = ("person", "agent")
    list_filter = ("scope", "window", "is_active", ("agent", VisibleRelatedFilter))
    search_fields = ("name", "=id", "=agent__name", "=person__username", "=subject")
    search_help_text = "A name, an id, an agent or a person"
    ordering = ("-pk",)


@admin.register(Charge)
class ChargeAdmin(RecordAdmin):
    """What each model call cost, or is reserved for it."""

    view_action = "charge.view"
    fields = (
        *("run_id", "conversation_id", "schedule_id", "agent", "person", "model", "route_id"),
        *("state", "price", "is_priced", "basis", "input_tokens", "output_tokens", "cached_tokens"),
        *("holder", "opened_at", "settled_at"),
    )
    list_display = ("id", "model", "agent", "person", "price", "state", "basis", "began")
    list_select_related = ("agent", "person")
    list_filter = ("state", "basis", "is_priced", ("agent", VisibleRelatedFilter), ("model", TypedFilter))
    link_lookups = ("run_id__exact",)
    search_fields = ("=id", "=run_id", "=conversation_id")
    search_help_text = "The id of a call, a run or a conversation"
    ordering = ("-opened_at", "pk")

    @admin.display(description="cost", ordering="amount")
    def price(self, charge: Charge) -> str:
        return dollars(usd(charge.amount)) if charge.is_priced else "unknown"

    @admin.display(description="began", ordering="opened_at")
    def began(self, charge: Charge) -> SafeString | str:
        return ago(charge.opened_at)


@admin.register(BudgetWarning)
class BudgetWarningAdmin(RecordAdmin):
    """When how much of a budget was used."""

    view_action = "budget.view"
    fields = ("budget", "bucket", "threshold", "amount", "run_id", "at")
    list_display = ("budget", "threshold", "amount", "when")
    list_select_related = ("budget",)
    list_filter = ("threshold",)
    ordering = ("-pk",)

    @admin.display(description="used", ordering="used")
    def amount(self, warning: BudgetWarning) -> str:
        return dollars(usd(warning.used))

    @admin.display(description="at", ordering="at")
    def when(self, warning: BudgetWarning) -> SafeString | str:
        return ago(warning.at)
