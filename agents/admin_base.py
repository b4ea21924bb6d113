"""The console's ground: row-level permissions in every admin page, people named rather than listed, read-only records.

Django's own permissions are not asked: ``agents.permissions`` decides here as everywhere else, so an operator
finds the rows they may see and nothing that names another.
"""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME, ActionForm
from django.contrib.admin.utils import get_fields_from_path
from django.contrib.admin.widgets import AutocompleteSelect, AutocompleteSelectMultiple
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db.models import ForeignKey, ManyToManyField, Model, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from unfold.admin import ModelAdmin

from agents import guarding, permissions
from agents.admin_filters import VisibleRelatedFilter as VisibleRelatedFilter  # others import it from here
from agents.admin_paging import CappedPaginator
from agents.admin_panels import Panel
from agents.admin_times import RelativeTimes
from agents.admin_versions import WRITTEN_FROM, VersionedForm
from agents.models import Agent, ModelRoute, Policy, Preset, Provider, Soul, User
from agents.past.kinds import may_read

GUARDED = (Agent, Soul, ModelRoute, Policy, Preset, Provider)


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


class OwnerField(UsernameField):
    """Who owns an object: somebody whose role lets them manage it, or whoever has it already."""

    def __init__(self, *args: Any, action: str = "", kept: int | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.action, self.kept = action, kept

    def clean(self, value: Any) -> Any:
        owner = super().clean(value)
        if owner is not None and owner.pk != self.kept and not permissions.may(owner, self.action):
            raise ValidationError(f"{owner.username} could not manage it: choose somebody else.")
        return owner


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


# More than this is a search box rather than a list; a list works without JavaScript.
MOST_CHOICES = 40
LONGEST = 200


class NarrowChoices:
    """Form fields that offer what this person may see, and take people by name. Mixed into admins and inlines;
    fields that name a person belong in ``raw_id_fields``, or Django wraps them in links to a list of people."""

    def formfield_for_foreignkey(self, db_field: ForeignKey, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.remote_field.model is User:
            return db_field.formfield(form_class=UsernameField)
        if (choices := choices_for(request, db_field, getattr(request, "console_row", None))) is not None:
            kwargs["queryset"] = choices
            if self._are_many(choices):
                kwargs["widget"] = AutocompleteSelect(db_field, self.admin_site)  # type: ignore[attr-defined]
        return super().formfield_for_foreignkey(db_field, request, **kwargs)  # type: ignore[misc]

    def formfield_for_manytomany(self, db_field: ManyToManyField, request: HttpRequest, **kwargs: Any) -> Any:
        if (choices := choices_for(request, db_field, getattr(request, "console_row", None))) is not None:
            kwargs["queryset"] = choices
            if self._are_many(choices):
                kwargs["widget"] = AutocompleteSelectMultiple(db_field, self.admin_site)  # type: ignore[attr-defined]
        return super().formfield_for_manytomany(db_field, request, **kwargs)  # type: ignore[misc]

    def _are_many(self, choices: QuerySet) -> bool:
        # Groups are few, and their page is for admins alone.
        return choices.model is not Group and choices.order_by()[: MOST_CHOICES + 1].count() > MOST_CHOICES


class ConsoleAdmin(RelativeTimes, ModelAdmin):
    """How every list of the console behaves: short pages, no count of everything, plain ticks, and nothing asked of a
    field that the list does not show as a filter."""

    list_per_page = 25
    list_max_show_all = 0
    show_full_result_count = False
    paginator = CappedPaginator
    action_form = ActionForm
    change_form_outer_after_template = "admin/_panels.html"
    panels: tuple[Panel, ...] = ()
    # The name of the address of a row's page outside the console.
    page_name = ""
    # Fields that links from other pages may narrow the list by, besides those in list_filter.
    link_lookups: tuple[str, ...] = ()

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        # What an address asks for comes back in every link of the page.
        if any(len(value) > LONGEST for values in request.GET.lists() for value in values[1]):
            asked = request.GET.copy()
            for name, values in request.GET.lists():
                asked.setlist(name, [value[:LONGEST] for value in values])
            request.GET = asked  # type: ignore[assignment]
        return super().changelist_view(request, extra_context)

    @classmethod
    def also(cls, *, panels: tuple[Panel, ...] = (), actions: tuple[Any, ...] = ()) -> None:
        """Rooms above add what they know about a row here: what hangs off it, what may be done to many."""
        cls.panels = (*cls.panels, *panels)
        cls.actions = (*cls.actions, *actions)

    def view_on_site(self, obj: Model) -> str | None:
        return reverse(self.page_name, args=[obj.pk]) if self.page_name else None

    def lookup_allowed(self, lookup: str, value: str, request: Any = None) -> bool:
        """Django lets an address ask for any field of the model, a sealed key letter by letter included."""
        named = [each[0] if isinstance(each, (tuple, list)) else each for each in self.get_list_filter(request)]
        if lookup in self.link_lookups or lookup in [getattr(each, "parameter_name", None) for each in named]:
            return True
        paths = [path for path in (*named, self.date_hierarchy) if isinstance(path, str)]
        return any(self._asks(path, lookup) for path in paths)

    def _asks(self, path: str, lookup: str) -> bool:
        field: Any = get_fields_from_path(self.model, path)[-1]
        if field.is_relation:
            return lookup in (f"{path}__named", f"{path}__isnull", f"{path}__{field.target_field.name}__exact")
        return lookup == path or lookup.startswith(f"{path}__")

    def get_search_results(self, request: HttpRequest, queryset: QuerySet, search_term: str) -> tuple[QuerySet, bool]:
        # A database gives up on an expression of a thousand words.
        return super().get_search_results(request, queryset, " ".join(search_term[:200].split()[:8]))

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

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Bulk actions (``agents.admin_acting``) are offered to those whose role includes what they need."""
        found = super().get_actions(request).items()
        return {
            name: each
            for name, each in found
            if permissions.may(request.user, getattr(each[0], "needs", "") or self.view_action)
        }

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

    form: type[forms.ModelForm] = VersionedForm
    raw_id_fields = ("owner",)

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        """Which version a form was filled from, for whoever may save it."""
        shown = [name for name in super().get_fields(request, obj) if name != WRITTEN_FROM]
        return [*shown, WRITTEN_FROM] if self.has_change_permission(request, obj) else shown

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        fixed = (*super().get_readonly_fields(request, obj), *(self._pages(request, obj) if obj else ()))
        if obj is not None and not permissions.allows(request.user, f"{guarding.noun(self.model)}.manage", obj):
            fixed = (*fixed, "visibility")  # who may edit it does not share it
        return fixed if permissions.may(request.user, "user.manage") else (*fixed, "owner")

    def formfield_for_foreignkey(self, db_field: ForeignKey, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name != "owner":
            return super().formfield_for_foreignkey(db_field, request, **kwargs)
        row: Any = getattr(request, "console_row", None)
        action = f"{guarding.noun(self.model)}.manage"
        return db_field.formfield(form_class=OwnerField, action=action, kept=row.owner_id if row else None)

    def get_form(self, request: HttpRequest, obj: Model | None = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        form.asker = request.user
        return form

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
        action = f"{guarding.noun(type(obj))}.manage"
        past = ("past",) if may_read(request.user, obj) else ()
        shares = not is_gone and permissions.allows(request.user, action, obj)
        return ("sharing", "why", *past) if shares else ("why", *past)

    # The lists show the word alone; the choice's whole sentence is for the form.
    @admin.display(description="visibility", ordering="visibility")
    def seen_by(self, obj: Any) -> str:
        return str(obj.visibility)

    @admin.display(description="Sharing")
    def sharing(self, obj: Model) -> SafeString:
        return link("runs:share", "Who has access", guarding.noun(type(obj)), obj.pk)

    @admin.display(description="History")
    def past(self, obj: Model) -> SafeString:
        return link("agents:history", "What it was, and who changed it", guarding.noun(type(obj)), obj.pk)

    @admin.display(description="Permissions")
    def why(self, obj: Model) -> SafeString:
        return link("runs:explain", "Who may do what, and why", guarding.noun(type(obj)), obj.pk)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if not change and obj.owner is None:
            obj.owner = request.user
        super().save_model(request, obj, form, change)


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
