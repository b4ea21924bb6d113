"""The parts of agents in the console: capabilities that are on, secrets that go in and never come out, documents.

Everything is written through the same functions as on the pages, so the same rules and records hold here.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from agents import agent_secrets, capabilities, documents, permissions
from agents.admin_base import RowAdmin
from agents.admin_filters import VisibleRelatedFilter
from agents.admin_panels import SHOWN, Panel, row_link
from agents.admin_words import ago
from agents.catalogue import CATALOGUE
from agents.errors import LogosError
from agents.models import Agent, AgentCapability, AgentDocument, AgentSecret, User


class PartForm(forms.ModelForm):
    """A form about a part of an agent, which its person must be allowed to change on that agent."""

    asker: User
    action = ""

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        agent = self.instance.agent if self.instance.pk and self.instance.agent_id else cleaned.get("agent")
        if agent is not None and not permissions.allows(self.asker, self.action, agent):
            raise ValidationError("You may not change this agent.")
        try:
            self.check(cleaned)
        except LogosError as error:
            field = getattr(error, "field", "")
            words = f"{error.message} {error.action}".strip()
            self.add_error(field if field in self.fields else None, words)
        return cleaned

    def check(self, cleaned: dict[str, Any]) -> None:
        """Raise LogosError for what the rules refuse."""


class PartAdmin(RowAdmin):
    """A part of an agent: which agent it is of is chosen once."""

    fixed: tuple[str, ...] = ("agent",)
    list_select_related: tuple[str, ...] = ("agent",)
    list_filter: tuple[Any, ...] = (("agent", VisibleRelatedFilter),)

    def get_form(self, request: HttpRequest, obj: Model | None = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        form.asker = request.user
        return form

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        shown = tuple(super().get_readonly_fields(request, obj))
        return shown if obj is None else (*shown, *self.fixed)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet) -> None:
        for row in queryset.select_related("agent"):
            self.delete_model(request, row)


@admin.register(AgentCapability)
class AgentCapabilityAdmin(PartAdmin):
    """What is on; turned on where it is explained, on the agent's page, and off here as well."""

    view_action = "capability.view"
    delete_action = "capability.switch"

    list_display = ("name", "agent", "trust", "agreed_version", "consented_by", "consented_at")
    list_select_related = ("agent", "consented_by")
    list_filter = ("key", ("agent", VisibleRelatedFilter))
    search_fields = ("key", "agent__name")
    fields = ("agent", "key", "agreed_version", "consented_by", "consented_at")

    @admin.display(description="capability", ordering="key")
    def name(self, row: AgentCapability) -> str:
        entry = CATALOGUE.get(row.key)
        return entry.name if entry else row.key

    @admin.display(description="trust")
    def trust(self, row: AgentCapability) -> str:
        entry = CATALOGUE.get(row.key)
        return entry.trust if entry else "no longer offered"

    def delete_model(self, request: HttpRequest, obj: AgentCapability) -> None:
        assert isinstance(request.user, User)  # noqa: S101 (narrows the type)
        capabilities.switch_off(request.user, obj.agent, obj.key)


class SecretForm(PartForm):
    """Takes a value and never shows one."""

    action = "secret.edit"

    value = forms.CharField(
        widget=forms.PasswordInput(render_value=False, attrs={"autocomplete": "new-password", "size": 60}),
        required=False,
        strip=False,
        help_text="Leave it empty to keep the stored value.",
    )

    class Meta:
        model = AgentSecret
        fields = ("agent", "name", "always_given")

    def check(self, cleaned: dict[str, Any]) -> None:
        if "name" in cleaned:
            cleaned["name"] = agent_secrets.check_name(cleaned["name"])
        if cleaned.get("value") or not self.instance.pk or self.instance._state.adding:
            cleaned["value"] = agent_secrets.check_value(cleaned.get("value") or "")


@admin.register(AgentSecret)
class AgentSecretAdmin(PartAdmin):
    """Names, and when each was set and last given to a sandbox; the value is write-only."""

    view_action = "secret.view"
    add_action = "secret.edit"
    change_action = "secret.edit"
    delete_action = "secret.edit"

    form = SecretForm
    fixed = ("agent", "name")
    list_display = ("name", "agent", "always_given", "set_by", "set_at", "delivered_at")
    list_select_related = ("agent", "set_by")
    search_fields = ("name", "agent__name")
    readonly_fields = ("set_by", "set_at", "delivered_at")

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        may_change = obj is None or self.has_change_permission(request, obj)
        told = ("set_by", "set_at", "delivered_at") if obj is not None else ()
        return ("agent", "name", *(("value",) if may_change else ()), "always_given", *told)

    def save_model(self, request: HttpRequest, obj: AgentSecret, form: Any, change: bool) -> None:
        assert isinstance(request.user, User)  # noqa: S101 (narrows the type)
        always, value = form.cleaned_data["always_given"], form.cleaned_data["value"]
        if value:
            obj.pk = agent_secrets.put(request.user, obj.agent, obj.name, value, always_given=always).pk
        else:
            agent_secrets.give(request.user, obj.agent, obj.name, always=always)

    def delete_model(self, request: HttpRequest, obj: AgentSecret) -> None:
        assert isinstance(request.user, User)  # noqa: S101 (narrows the type)
        agent_secrets.remove(request.user, obj.agent, obj.name)


class DocumentForm(PartForm):
    """One text file, by the rules of ``agents.documents``."""

    action = "document.edit"

    class Meta:
        model = AgentDocument
        fields = ("agent", "path", "text", "is_restored")
        widgets = {"text": forms.Textarea(attrs={"rows": 24, "cols": 100, "class": "vLargeTextField"})}

    def check(self, cleaned: dict[str, Any]) -> None:
        path = cleaned.get("path", self.instance.path)
        if path:
            path = documents.check_path(path)
            cleaned["text"] = documents.check_text(path, cleaned.get("text", ""))
        if "path" in cleaned:
            cleaned["path"] = path


@admin.register(AgentDocument)
class AgentDocumentAdmin(PartAdmin):
    """What is installed into agents' workspaces."""

    view_action = "document.view"
    add_action = "document.edit"
    change_action = "document.edit"
    delete_action = "document.edit"

    form = DocumentForm
    fixed = ("agent", "path")
    list_display = ("path", "agent", "is_restored", "updated_by", "updated_at")
    list_select_related = ("agent", "updated_by")
    search_fields = ("path", "agent__name")
    readonly_fields = ("sha256",)

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        found = super().get_queryset(request)
        is_list = getattr(request.resolver_match, "url_name", "").endswith("_changelist")
        return found.defer("text") if is_list else found

    def save_model(self, request: HttpRequest, obj: AgentDocument, form: Any, change: bool) -> None:
        assert isinstance(request.user, User)  # noqa: S101 (narrows the type)
        kept = documents.put(
            request.user, obj.agent, obj.path, obj.text, is_restored=obj.is_restored, version=None if change else 0
        )
        obj.pk = kept.pk

    def delete_model(self, request: HttpRequest, obj: AgentDocument) -> None:
        assert isinstance(request.user, User)  # noqa: S101 (narrows the type)
        documents.remove(request.user, obj.agent, obj.path)


def _panel(title: str, model: type[Model], columns: tuple[str, ...], cells: Any, needs: str) -> Panel:
    """The parts of one agent at a glance; each has a page with all of it."""

    def rows(request: HttpRequest, agent: Agent) -> list[Any]:
        seen = permissions.visible(request.user, model._default_manager.filter(agent=agent), needs)
        return [cells(part) for part in seen[:SHOWN]]

    return Panel(title, model, "agent__id__exact", columns, rows, needs)


AGENT_PARTS = (
    _panel(
        "Capabilities", AgentCapability, ("Capability", "Agreed"),
        lambda part: (row_link(part, part.key), ago(part.consented_at)), "capability.view",
    ),
    _panel(
        "Secrets", AgentSecret, ("Name", "Always given"),
        lambda part: (row_link(part, part.name), "yes" if part.always_given else "no"), "secret.view",
    ),
    _panel(
        "Documents", AgentDocument, ("Path", "Changed"),
        lambda part: (row_link(part, part.path), ago(part.updated_at)), "document.view",
    ),
)  # fmt: skip
