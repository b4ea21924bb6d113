"""Who was given what, as rows below the object itself."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.models import Permission
from django.db import transaction
from django.db.models import ForeignKey, Model
from django.http import HttpRequest
from unfold.admin import TabularInline
from unfold.forms import PaginationInlineFormSet

from agents import permissions, sharing
from agents.admin_base import NarrowChoices
from agents.errors import Invalid, LogosError
from agents.models import (
    AgentGroupGrant,
    AgentUserGrant,
    ModelRouteGroupGrant,
    ModelRouteUserGrant,
    PolicyGroupGrant,
    PolicyUserGrant,
    SoulGroupGrant,
    SoulUserGrant,
    User,
)
from agents.standing import LEVELS


class LevelField(forms.ModelChoiceField):
    """One of the four levels, by its sentence."""

    def label_from_instance(self, obj: Any) -> str:
        return obj.name


class GrantForm(forms.ModelForm):
    """One grant, with the rules of ``agents.sharing``."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # In the table the label is the column's heading, which no screen reader ties to the field.
        for field in self.fields.values():
            widget: Any = getattr(field.widget, "widget", field.widget)
            widget.attrs.setdefault("aria-label", str(field.label))

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


class GrantFormSet(PaginationInlineFormSet):
    """Grants are given and taken back by ``agents.sharing``, which keeps people from locking themselves out and notes
    what they did; a first time on trial, so that a refusal is a message of the form."""

    # Set per request by the inline.
    asker: User

    def clean(self) -> None:
        super().clean()
        if any(self.errors) or self.instance._state.adding:
            return
        try:
            with transaction.atomic():
                self.apply()
                transaction.set_rollback(True)
        except LogosError as error:
            raise forms.ValidationError(f"{error.message} {error.action}".strip()) from error

    def apply(self) -> None:
        """Do what the form says."""
        for form in self.forms:
            if not form.has_changed():
                continue
            before = self.model._default_manager.filter(pk=form.instance.pk).first() if form.instance.pk else None
            goes = form in self.deleted_forms
            subject = None if goes else form.cleaned_data.get(self._subject)
            if before is not None and getattr(before, self._subject) != subject:
                sharing.revoke(self.asker, getattr(before, self._subject), self.instance)
            if subject is not None:
                level = form.cleaned_data["permission"].codename.partition("_")[0]
                sharing.grant(self.asker, subject, level, self.instance)

    @property
    def _subject(self) -> str:
        return "user" if "user" in {field.name for field in self.model._meta.fields} else "group"

    def save(self, commit: bool = True) -> list[Any]:
        """Everything at once; what the console's own log would say about it is a security event instead."""
        self.new_objects: list[Any] = []
        self.changed_objects: list[Any] = []
        self.deleted_objects: list[Any] = []
        self.apply()
        return []


class GrantInline(NarrowChoices, TabularInline):
    """Grants on one object; only those who manage the object see or change them."""

    form = GrantForm
    formset = GrantFormSet
    extra = 0
    manage_action = ""

    def formfield_for_foreignkey(self, db_field: ForeignKey, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name != "permission":
            return super().formfield_for_foreignkey(db_field, request, **kwargs)
        noun = self.parent_model._meta.model_name
        levels = Permission.objects.filter(
            content_type__app_label=self.parent_model._meta.app_label,
            content_type__model=noun,
            codename__in=[f"{level}_{noun}" for level in LEVELS],
        ).order_by("pk")
        return LevelField(levels, label="Level")

    def get_formset(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        formset = super().get_formset(request, obj, **kwargs)
        formset.asker = request.user
        return formset

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
