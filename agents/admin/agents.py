"""Agents in the console: how each is composed, who has access, and a way into the chat."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.safestring import SafeString

from agents import choosing, composition, limits, retiring
from agents.admin.agent_limits import NAMES, LimitedForm, may_limit, with_limits
from agents.admin.agent_parts import AGENT_PARTS
from agents.admin.grants import AGENT_GRANTS
from agents.admin_acting import bulk, who
from agents.admin_base import SharedAdmin, VisibleRelatedFilter, link
from agents.errors import Conflict, Invalid, LogosError
from agents.models import Agent
from agents.toolsets import TOOLSETS, check_choice


class AgentForm(LimitedForm):
    """The rules of ``agents.composition`` as messages beside the fields."""

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

    def clean_description(self) -> str:
        try:
            return composition.clean_description(self.cleaned_data["description"])
        except Invalid as error:
            raise ValidationError(error.message) from error

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        self._check_soul(cleaned)
        # The owner may not be among the fields, and then Django does not check the constraint for us.
        owner = cleaned.get("owner") or self.instance.owner or self.asker
        others = Agent.objects.alive().filter(owner=owner).exclude(pk=self.instance.pk).values_list("name", flat=True)
        if cleaned.get("name", "").casefold() in {name.casefold() for name in others}:
            self.add_error("name", f"{owner.username} already has an agent of this name.")
        if self.instance.pk is None or self.instance._state.adding or self.initial.get("owner") not in (None, owner.pk):
            try:
                limits.require_room(owner)
            except Conflict as error:
                self.add_error(None, f"{error.message} {error.action}")
        return cleaned

    def _check_soul(self, cleaned: dict[str, Any]) -> None:
        """A soul that may be given, and no toolset that it forbids."""
        soul = cleaned.get("soul")
        if soul is None:
            return
        try:
            if self.instance._state.adding or soul.pk != self.initial.get("soul"):
                choosing.require_soul(self.asker, soul)
        except LogosError as error:
            self.add_error("soul", f"{error.message} {error.action}")
        try:
            if "toolsets" in cleaned:
                cleaned["toolsets"] = list(check_choice(soul.toolsets, cleaned["toolsets"]))
        except Invalid as error:
            self.add_error("toolsets", f"{error.message} {error.action}")


@admin.register(Agent)
class AgentAdmin(SharedAdmin):
    """Deleting marks the row: its runs stay readable."""

    view_action = "agent.view"
    add_action = "agent.create"
    change_action = "agent.edit"
    delete_action = "agent.manage"

    page_name = "agents:agent-detail"
    form = AgentForm
    inlines = AGENT_GRANTS
    panels = AGENT_PARTS
    list_display = ("name", "owner", "soul", "model_name", "seen_by", "is_alive", "chat")
    list_select_related = ("owner", "soul", "route__provider")
    list_filter = (
        "visibility",
        ("archived_at", admin.EmptyFieldListFilter),
        ("deleted_at", admin.EmptyFieldListFilter),
        ("soul", VisibleRelatedFilter),
    )
    search_fields = ("name", "description", "owner__username", "id")
    ordering = ("name", "pk")
    filter_horizontal = ("policies",)
    actions = ("archive", "unarchive", "delete_agents")

    @admin.display(description="model")
    def model_name(self, agent: Agent) -> str:
        return str(agent.route) if agent.route else "default"

    @admin.display(boolean=True, description="in use")
    def is_alive(self, agent: Agent) -> bool:
        return agent.is_in_use

    @admin.display(description="")
    def chat(self, agent: Agent) -> SafeString | str:
        return link("runs:chat-new", "Chat", agent.pk) if agent.is_in_use else ""

    @bulk(
        "Archive", needs="agent.manage", done="Archived",
        confirm="Nobody can use them until they are taken out of the archive; nothing of theirs is lost.",
    )  # fmt: skip
    def archive(self, request: HttpRequest, agent: Agent) -> None:
        retiring.archive(who(request), agent.pk)

    @bulk("Take out of the archive", needs="agent.manage", done="In use again")
    def unarchive(self, request: HttpRequest, agent: Agent) -> None:
        retiring.unarchive(who(request), agent.pk)

    @bulk(
        "Delete", needs="agent.manage", done="Deleted",
        confirm="Their sandboxes are stopped and their files are removed; conversations and runs stay readable.",
    )  # fmt: skip
    def delete_agents(self, request: HttpRequest, agent: Agent) -> None:
        retiring.delete(who(request), agent.pk)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return [name for name in super().get_fields(request, obj) if name not in NAMES]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        shown = list(super().get_fieldsets(request, obj))
        is_offered = self.has_change_permission(request, obj) and may_limit(who(request), obj)
        return with_limits(shown) if is_offered else shown

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        found = super().get_actions(request)
        found.pop("delete_selected", None)
        return found

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and (obj is None or not obj.is_deleted)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_delete_permission(request, obj) and (obj is None or not obj.is_deleted)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        lacking = set() if all(self.has_delete_permission(request, row) for row in objs) else {"agent"}
        listed = [
            f"{row}: its sandbox is stopped and its files are removed; its conversations and runs stay readable"
            for row in objs
        ]
        return listed, {"agents": len(listed)}, lacking, []

    def delete_model(self, request: HttpRequest, obj: Agent) -> None:
        retiring.delete(who(request), obj.pk)
