"""Who was given what, as rows below the object itself."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.models import Permission
from django.db.models import ForeignKey, Model
from django.http import HttpRequest
from unfold.admin import TabularInline

from agents import permissions, sharing
from agents.admin_base import NarrowChoices
from agents.errors import Invalid
from agents.models import (
    AgentGroupGrant,
    AgentUserGrant,
    ModelRouteGroupGrant,
    ModelRouteUserGrant,
    PolicyGroupGrant,
    PolicyUserGrant,
    SoulGroupGrant,
    SoulUserGrant,
)


class LevelField(forms.ModelChoiceField):
    """One of the four levels, by its sentence."""

    def label_from_instance(self, obj: Any) -> str:
        return obj.name


class GrantForm(forms.ModelForm):
    """One grant, with the rules of ``agents.sharing``."""

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        person, permission = cleaned.get("user"), cleaned.get("permission")
        if self.has_changed() and person is not None and permission is not None:
            level = permission.codename.partition("_")[0]
            try:
                sharing.check_effect(person, level, self.instance.content_object)
            except Invalid as error:
                raise forms.ValidationError(f"{error.message} {error.action}".strip()) from error
        return cleaned


class GrantInline(NarrowChoices, TabularInline):
    """Grants on one object; only those who manage the object see or change them."""

    form = GrantForm
    extra = 0
    manage_action = ""

    def formfield_for_foreignkey(self, db_field: ForeignKey, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name != "permission":
            return super().formfield_for_foreignkey(db_field, request, **kwargs)
        noun = self.parent_model._meta.model_name
        levels = Permission.objects.filter(
            content_type__app_label=self.parent_model._meta.app_label,
            content_type__model=noun,
            codename__in=[f"{level}_{noun}" for level in permissions.LEVELS],
        ).order_by("pk")
        return LevelField(levels, label="Level")

    def _manages(self, request: HttpRequest, obj: Model | None) -> bool:
        # Without a row Django asks in general; which inlines a page has is asked with its row.
        if obj is None:
            return permissions.may(request.user, self.manage_action)
        return bool(permissions.allows(request.user, self.manage_action, obj))

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._manages(request, obj)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._manages(request, obj)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._manages(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._manages(request, obj)


def grant_inlines(by_person: type[Model], by_group: type[Model], action: str) -> tuple[type[GrantInline], ...]:
    """The two inlines of a root object, for those who may do ``action`` to it."""
    people: dict[str, Any] = {
        "model": by_person,
        "manage_action": action,
        "fields": ("user", "permission"),
        "raw_id_fields": ("user",),
        "verbose_name": "person with access",
        "verbose_name_plural": "people with access",
    }
    groups: dict[str, Any] = {
        "model": by_group,
        "manage_action": action,
        "fields": ("group", "permission"),
        "verbose_name": "group with access",
        "verbose_name_plural": "groups with access",
    }
    return (
        type(f"{by_person.__name__}Inline", (GrantInline,), people),
        type(f"{by_group.__name__}Inline", (GrantInline,), groups),
    )


AGENT_GRANTS = grant_inlines(AgentUserGrant, AgentGroupGrant, "agent.manage")
SOUL_GRANTS = grant_inlines(SoulUserGrant, SoulGroupGrant, "soul.manage")
ROUTE_GRANTS = grant_inlines(ModelRouteUserGrant, ModelRouteGroupGrant, "route.manage")
POLICY_GRANTS = grant_inlines(PolicyUserGrant, PolicyGroupGrant, "policy.manage")
