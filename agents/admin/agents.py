"""Agents in the console: how each is composed, who has access, and a way into the chat."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from agents import composition
from agents.admin.grants import AGENT_GRANTS
from agents.admin_base import SharedAdmin, VisibleRelatedFilter, link
from agents.errors import Invalid
from agents.models import Agent, User
from agents.toolsets import TOOLSETS


class AgentForm(forms.ModelForm):
    """The rules of ``agents.composition`` as messages beside the fields."""

    # Set per request by the admin.
    asker: User

    toolsets = forms.MultipleChoiceField(
        choices=[(name, f"{name}: {sentence}") for name, sentence in TOOLSETS.items()],
        widget=forms.CheckboxSelectMultiple,
        required=False,
    )

    class Meta:
        model = Agent
        fields = ("name", "description", "owner", "visibility", "soul", "toolsets", "route", "policies")

    def clean_name(self) -> str:
        try:
            return composition.clean_name(self.cleaned_data["name"])
        except Invalid as error:
            raise ValidationError(error.message) from error

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        # The owner may not be among the fields, and then Django does not check the constraint for us.
        owner = cleaned.get("owner") or self.instance.owner or self.asker
        others = Agent.objects.alive().filter(owner=owner).exclude(pk=self.instance.pk).values_list("name", flat=True)
        if cleaned.get("name", "").casefold() in {name.casefold() for name in others}:
            self.add_error("name", f"{owner.username} already has an agent of this name.")
        return cleaned


@admin.register(Agent)
class AgentAdmin(SharedAdmin):
    """Deleting marks the row: its runs stay readable."""

    view_action = "agent.view"
    add_action = "agent.create"
    change_action = "agent.edit"
    delete_action = "agent.manage"

    form = AgentForm
    inlines = AGENT_GRANTS
    list_display = ("name", "owner", "soul", "model_name", "visibility", "is_alive", "chat")
    list_select_related = ("owner", "soul", "route__provider")
    list_filter = ("visibility", ("deleted_at", admin.EmptyFieldListFilter), ("soul", VisibleRelatedFilter))
    search_fields = ("name", "description", "owner__username", "id")
    ordering = ("name", "pk")
    filter_horizontal = ("policies",)

    @admin.display(description="model")
    def model_name(self, agent: Agent) -> str:
        return str(agent.route) if agent.route else "default"

    @admin.display(boolean=True, description="in use")
    def is_alive(self, agent: Agent) -> bool:
        return not agent.is_deleted

    @admin.display(description="")
    def chat(self, agent: Agent) -> SafeString | str:
        return "" if agent.is_deleted else link("runs:chat-new", "Chat", agent.pk)

    def get_form(self, request: HttpRequest, obj: Model | None = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        form.asker = request.user
        return form

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and (obj is None or not obj.is_deleted)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_delete_permission(request, obj) and (obj is None or not obj.is_deleted)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        lacking = set() if all(self.has_delete_permission(request, row) for row in objs) else {"agent"}
        listed = [f"{row}: can no longer be used; its conversations and runs stay readable" for row in objs]
        return listed, {"agents": len(listed)}, lacking, []

    def delete_model(self, request: HttpRequest, obj: Agent) -> None:
        obj.mark_deleted()

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Agent]) -> None:
        for agent in queryset:
            agent.mark_deleted()
