"""Providers and model routes in the console; a provider's key goes in and never comes out."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from agents import acting, routes
from agents.addresses import AddressField
from agents.admin.grants import ROUTE_GRANTS
from agents.admin_base import RowAdmin, SharedAdmin, VisibleRelatedFilter
from agents.admin_versions import VersionedForm
from agents.errors import Conflict, Invalid
from agents.models import ModelRoute, Provider, ProviderKind


class ProviderForm(forms.ModelForm):
    """Takes a key and never shows one."""

    key = forms.CharField(
        widget=forms.PasswordInput(render_value=False, attrs={"autocomplete": "new-password", "size": 60}),
        required=False,
        help_text="Leave it empty to keep the stored key.",
    )
    forget_key = forms.BooleanField(required=False, help_text="Remove the stored key.")

    class Meta:
        model = Provider
        fields = ("name", "kind", "base_url")
        field_classes = {"base_url": AddressField}

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        kind = cleaned.get("kind")
        if kind and kind != ProviderKind.REHEARSAL and not cleaned.get("base_url"):
            self.add_error("base_url", "This kind of provider needs an address.")
        if cleaned.get("kind") == ProviderKind.REHEARSAL and (cleaned.get("base_url") or cleaned.get("key")):
            self.add_error("kind", "The rehearsal model is built in: it has neither an address nor a key.")
        return cleaned


@admin.register(Provider)
class ProviderAdmin(RowAdmin):
    """Operators look, admins change."""

    view_action = "provider.view"
    add_action = "provider.edit"
    change_action = "provider.edit"
    delete_action = "provider.edit"

    form = ProviderForm
    list_display = ("name", "kind", "base_url", "has_key", "updated_at")
    list_filter = ("kind",)
    search_fields = ("name", "base_url")
    ordering = ("name", "pk")
    readonly_fields = ("has_key",)

    @admin.display(boolean=True, description="key stored")
    def has_key(self, provider: Provider) -> bool:
        return provider.has_key

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        may_change = self.has_change_permission(request, obj)
        return ("name", "kind", "base_url", "has_key", *(("key", "forget_key") if may_change else ()))

    def save_model(self, request: HttpRequest, obj: Provider, form: Any, change: bool) -> None:
        if form.cleaned_data["key"]:
            obj.set_key(form.cleaned_data["key"])
        elif form.cleaned_data["forget_key"]:
            obj.sealed_key = ""
        super().save_model(request, obj, form, change)


def reason_to_stay(route: ModelRoute) -> str:
    """Why this route cannot be deleted, by trying it and taking it back; "" if it can."""
    try:
        with transaction.atomic():
            routes.remove_route(route)
            transaction.set_rollback(True)
    except Conflict as error:
        return error.message
    return ""


class RouteForm(VersionedForm):
    """Refuses a fallback that could not stand in, by the rule of the pages."""

    def clean_fallback(self) -> ModelRoute | None:
        wanted: ModelRoute | None = self.cleaned_data.get("fallback")
        if wanted is None or wanted.pk == self.instance.fallback_id:
            return wanted
        try:
            routes.check_fallback(self.instance, wanted)
        except Invalid as error:
            raise forms.ValidationError(error.message) from error
        return wanted

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        trial = ModelRoute(price_input=cleaned.get("price_input"), price_cached=cleaned.get("price_cached"))
        try:
            routes.check_cached(trial)
        except Invalid as error:
            self.add_error("price_cached" if "price_cached" in self.fields else None, error.message)
        return cleaned


@admin.register(ModelRoute)
class ModelRouteAdmin(SharedAdmin):
    """There is always one default; the last route stays."""

    view_action = "route.view"
    add_action = "route.create"
    change_action = "route.edit"
    delete_action = "route.manage"

    form = RouteForm
    inlines = ROUTE_GRANTS
    fields = (
        "provider",
        "model",
        "is_default",
        "context_length",
        "price_input",
        "price_output",
        "price_cached",
        "price_list",
        "fallback",
        "owner",
        "visibility",
    )
    readonly_fields = ("is_default", "price_list")
    list_display = ("model", "provider", "is_default", "context_length", "price_input", "price_output", "seen_by")
    list_select_related = ("provider", "owner")
    list_filter = ("is_default", "visibility", ("provider", VisibleRelatedFilter))
    search_fields = ("model", "provider__name")
    ordering = ("provider__name", "model", "pk")
    actions = ("make_default",)

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        # Another provider or model is another route: runs already name this one.
        fixed = super().get_readonly_fields(request, obj)
        return (*fixed, "fallback") if obj is None else (*fixed, "provider", "model")

    def save_model(self, request: HttpRequest, obj: ModelRoute, form: Any, change: bool) -> None:
        by_hand = set(routes.PRICES) & set(form.changed_data)
        with acting.because(routes.by_hand(obj) if by_hand else acting.reason()):
            super().save_model(request, obj, form, change)
        if routes.default_route() is None:
            routes.make_default(obj)

    @admin.action(description="Make the default of agents that name none", permissions=["change"])
    def make_default(self, request: HttpRequest, queryset: QuerySet[ModelRoute]) -> None:
        chosen = list(queryset[:2])
        if len(chosen) != 1:
            self.message_user(request, "Choose exactly one route.", messages.ERROR)
        elif not self._allows(request, "route.manage", chosen[0]):
            self.message_user(request, "You may not make this route the default.", messages.ERROR)
        else:
            routes.make_default(chosen[0])
            self.message_user(request, f"{chosen[0]} is the default now.")

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """The reasons why a route must stay are shown where Django lists what protects a row."""
        lacking = set() if all(self.has_delete_permission(request, row) for row in objs) else {"model route"}
        chosen = list(objs)
        reasons = [f"{route}: {reason}" for route in chosen if (reason := reason_to_stay(route))]
        if not reasons and len(chosen) >= ModelRoute.objects.count():
            reasons = ["The last model route cannot be deleted."]
        return [str(route) for route in chosen], {"model routes": len(chosen)}, lacking, reasons

    def delete_model(self, request: HttpRequest, obj: ModelRoute) -> None:
        routes.remove_route(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[ModelRoute]) -> None:
        for route in queryset:
            try:
                routes.remove_route(route)
            except Conflict as error:
                self.message_user(request, f"{route}: {error.message}", messages.ERROR)
