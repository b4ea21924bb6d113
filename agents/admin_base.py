"""The console's ground: row-level permissions in every admin page, people named rather than listed, read-only records.

Django's own permissions are not asked: ``agents.permissions`` decides here as everywhere else, so an operator
finds the rows they may see and nothing that names another.
"""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.filters import RelatedFieldListFilter
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME, ActionForm
from django.contrib.auth.models import Group
from django.db.models import ForeignKey, ManyToManyField, Model, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from unfold.admin import ModelAdmin

from agents import permissions, sharing
from agents.admin_paging import CappedPaginator
from agents.models import Agent, ModelRoute, Policy, Provider, Soul, User

GUARDED = (Agent, Soul, ModelRoute, Policy, Provider)


class UsernameField(forms.ModelChoiceField):
    """A person, typed by name: a list to choose from would tell who else is here."""

    widget = forms.TextInput

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # The model field offers its own way of naming a row; ours is the username.
        kwargs = {"required": kwargs.get("required", True), "label": kwargs.get("label"), "help_text": "Username."}
        super().__init__(User.objects.all(), to_field_name="username", **kwargs)
        self.error_messages["invalid_choice"] = "There is no person of this name."

    def prepare_value(self, value: Any) -> Any:
        if isinstance(value, int):
            return User.objects.filter(pk=value).values_list("username", flat=True).first()
        return super().prepare_value(value)


class VisibleRelatedFilter(RelatedFieldListFilter):
    """A filter that offers only the related rows this person may see."""

    def field_choices(self, field: Any, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, Any]]:
        seen = permissions.visible(request.user, field.remote_field.model._default_manager.all())
        return field.get_choices(include_blank=False, limit_choices_to={"pk__in": seen.values("pk")})


def choices_for(request: HttpRequest, field: ForeignKey | ManyToManyField, row: Model | None) -> QuerySet | None:
    """What this person may choose for ``field``: what they may see and what ``row`` has already; None to leave
    the field alone."""
    model: Any = field.remote_field.model
    if model is Group:
        return Group.objects.all() if permissions.may(request.user, "user.manage") else request.user.groups.all()
    if model not in GUARDED:
        return None
    seen = permissions.visible(request.user, model._default_manager.all())
    if row is None:
        return seen
    value = getattr(row, field.name)
    kept = value.values("pk") if isinstance(field, ManyToManyField) else [value.pk] if value else []
    return (seen | model._default_manager.filter(pk__in=kept)).distinct()


class NarrowChoices:
    """Form fields that offer what this person may see, and take people by name. Mixed into admins and inlines;
    fields that name a person belong in ``raw_id_fields``, or Django wraps them in links to a list of people."""

    def formfield_for_foreignkey(self, db_field: ForeignKey, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.remote_field.model is User:
            return db_field.formfield(form_class=UsernameField)
        if (choices := choices_for(request, db_field, getattr(request, "console_row", None))) is not None:
            kwargs["queryset"] = choices
        return super().formfield_for_foreignkey(db_field, request, **kwargs)  # type: ignore[misc]

    def formfield_for_manytomany(self, db_field: ManyToManyField, request: HttpRequest, **kwargs: Any) -> Any:
        if (choices := choices_for(request, db_field, getattr(request, "console_row", None))) is not None:
            kwargs["queryset"] = choices
        return super().formfield_for_manytomany(db_field, request, **kwargs)  # type: ignore[misc]


class ConsoleAdmin(ModelAdmin):
    """How every list of the console behaves: short pages, no count of everything, plain ticks."""

    list_per_page = 25
    list_max_show_all = 0
    show_full_result_count = False
    paginator = CappedPaginator
    action_form = ActionForm

    @admin.display(description=mark_safe('<input type="checkbox" data-pick-all aria-label="Choose all on this page">'))
    def action_checkbox(self, obj: Model) -> SafeString:
        return format_html(
            '<input type="checkbox" name="{}" value="{}" data-pick aria-label="Choose {}">',
            ACTION_CHECKBOX_NAME,
            obj.pk,
            obj,
        )


class RowAdmin(NarrowChoices, ConsoleAdmin):
    """Guards a model's pages by the actions named here ("" means nobody), row by row."""

    view_action = ""
    add_action = ""
    change_action = ""
    delete_action = ""

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return permissions.visible(request.user, super().get_queryset(request), self.view_action)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return permissions.may(request.user, self.view_action)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self._allows(request, self.view_action, obj)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self._allows(request, self.add_action)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self._allows(request, self.change_action, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self._allows(request, self.delete_action, obj)

    def _allows(self, request: HttpRequest, action: str, obj: Model | None = None) -> bool:
        if not action or not permissions.may(request.user, action):
            return False
        return obj is None or bool(permissions.allows(request.user, action, obj))

    def get_form(self, request: HttpRequest, obj: Model | None = None, change: bool = False, **kwargs: Any) -> Any:
        request.console_row = obj  # type: ignore[attr-defined]
        return super().get_form(request, obj, change, **kwargs)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """What goes with the rows. Rows this person sees but may not delete stop a deletion of several."""
        listed, counts, needed, protected = super().get_deleted_objects(objs, request)
        if not all(self.has_delete_permission(request, row) for row in objs):
            needed.add(str(self.opts.verbose_name))
        return listed, counts, needed, protected


class SharedAdmin(RowAdmin):
    """A root object that people share: its owner is who made it, and only admins give it to another."""

    raw_id_fields = ("owner",)

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        fixed = (*super().get_readonly_fields(request, obj), *(self._pages(request, obj) if obj else ()))
        return fixed if permissions.may(request.user, "user.manage") else (*fixed, "owner")

    def get_fieldsets(self, request: HttpRequest, obj: Model | None = None) -> Any:
        """The fields, and below them the ways to the pages that say who has access and why."""
        pages = self._pages(request, obj) if obj else ()
        shown = [
            (name, {**options, "fields": [field for field in options["fields"] if field not in pages]})
            for name, options in super().get_fieldsets(request, obj)
        ]
        return [*shown, ("Access", {"fields": pages})] if pages else shown

    def _pages(self, request: HttpRequest, obj: Model) -> tuple[str, ...]:
        is_gone = getattr(obj, "is_deleted", False)
        action = f"{permissions.noun(type(obj))}.manage"
        return ("why",) if is_gone or not permissions.allows(request.user, action, obj) else ("sharing", "why")

    @admin.display(description="Sharing")
    def sharing(self, obj: Model) -> SafeString:
        return link("runs:share", "Who has access", permissions.noun(type(obj)), obj.pk)

    @admin.display(description="Permissions")
    def why(self, obj: Model) -> SafeString:
        return link("runs:explain", "Who may do what, and why", permissions.noun(type(obj)), obj.pk)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if not change and obj.owner is None:
            obj.owner = request.user
        super().save_model(request, obj, form, change)

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        """Grants given and taken back here are security events, as they are on the object's own page."""
        super().save_formset(request, form, formset, change)
        for grant in (*formset.new_objects, *(each for each, _ in formset.changed_objects)):
            sharing.note_grant("granted", *_given(grant))
        for grant in formset.deleted_objects:
            sharing.note_grant("revoked", *_given(grant))


def _given(grant: Any) -> tuple[Any, str, Model]:
    """To whom, which level, on what."""
    subject = grant.user if hasattr(grant, "user") else grant.group
    return subject, grant.permission.codename.partition("_")[0], grant.content_object


class RecordAdmin(RowAdmin):
    """A record of what happened: it can be read and nothing else."""

    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


def link(url_name: str, text: str, *args: str) -> SafeString:
    """A link to a page of ours."""
    return format_html('<a href="{}">{}</a>', reverse(url_name, args=args), text)


def pretty(value: Any) -> SafeString:
    """A JSON value for reading."""
    return format_html("<pre>{}</pre>", json.dumps(value, indent=2, ensure_ascii=False))
