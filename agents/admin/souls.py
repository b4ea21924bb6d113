"""Souls in the console: every change of a text is a revision, and none is lost to another."""

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from agents import permissions, soul_library, souls
from agents.admin.grants import SOUL_GRANTS
from agents.admin_base import RecordAdmin, SharedAdmin, VisibleRelatedFilter
from agents.errors import Invalid, LogosError
from agents.models import Soul, SoulRevision, User
from agents.toolsets import LISTS, TOOLSETS, ToolsetLists

LIST_FIELDS = tuple(f"{kind}_toolsets" for kind in LISTS)
FIELDS: tuple[str, ...] = (
    *("name", "description", "owner", "visibility", "category", "tags", "status", "text", *LIST_FIELDS),
    *("slug", "revision", "origin", "written_from"),
)
PARTS = ("name", "description", "category", "tags", "status", "text")


class ToolsetsField(forms.MultipleChoiceField):
    """One of a soul's four lists."""

    def __init__(self, kind: str) -> None:
        names = [(name, name) for name in TOOLSETS]
        super().__init__(choices=names, required=False, help_text=LISTS[kind], widget=forms.CheckboxSelectMultiple)


class SoulForm(forms.ModelForm):
    """Refuses what cannot be a soul, and what was written from an older version than the stored one."""

    # Set per request by the admin.
    asker: User

    written_from = forms.IntegerField(widget=forms.HiddenInput, required=False)
    enforced_toolsets = ToolsetsField("enforced")
    default_toolsets = ToolsetsField("default")
    optional_toolsets = ToolsetsField("optional")
    forbidden_toolsets = ToolsetsField("forbidden")

    class Meta:
        model = Soul
        fields = ("name", "description", "owner", "visibility", "category", "tags", "status", "text", *LIST_FIELDS)
        widgets = {"text": forms.Textarea(attrs={"rows": 24, "cols": 100})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "text" in self.fields:
            # Blanks around the text are the author's; Django would cut them.
            self.fields["text"].strip = False  # type: ignore[attr-defined]
        if self.instance.pk and not self.instance._state.adding:
            self.fields["written_from"].initial = self.instance.version

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        for name, value in self.parts().items():
            try:
                souls.cleaned(**{name: value})
            except Invalid as error:
                self.add_error(name if name in self.fields else None, error.message)
        if not self.instance._state.adding and "status" in cleaned:
            try:
                soul_library.check_status(self.asker, self.instance, cleaned["status"])
            except LogosError as error:
                self.add_error("status", f"{error.message} {error.action}")
        if not self.instance._state.adding and cleaned.get("written_from") not in (None, self.instance.version):
            self.add_error(
                "text", f"Somebody saved it in the meantime, at revision {self.instance.revision}. Load it first."
            )
        return cleaned

    def parts(self) -> dict[str, Any]:
        """What was filled in, as ``agents.souls`` takes it."""
        given = self.cleaned_data
        parts = {name: given[name] for name in PARTS if name in given}
        if given.keys() >= set(LIST_FIELDS):
            parts["toolsets"] = ToolsetLists(**{kind: tuple(given[f"{kind}_toolsets"]) for kind in LISTS})
        return parts


@admin.register(Soul)
class SoulAdmin(SharedAdmin):
    """Saves through ``agents.souls``."""

    view_action = "soul.view"
    add_action = "soul.create"
    change_action = "soul.edit"
    delete_action = "soul.manage"

    form = SoulForm
    inlines = SOUL_GRANTS
    fields = FIELDS
    readonly_fields = ("slug", "revision", "origin")
    list_display = ("name", "owner", "category", "stage", "revision", "seen_by", "updated_at")
    list_select_related = ("owner",)
    list_filter = ("status", "visibility", ("category", admin.AllValuesFieldListFilter))
    search_fields = ("name", "slug", "description", "tags", "owner__username")
    ordering = ("name", "pk")

    @admin.display(description="status", ordering="status")
    def stage(self, soul: Soul) -> str:
        return soul.status

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        rows = super().get_queryset(request)
        return rows.defer("text") if request.resolver_match and request.resolver_match.url_name == _LIST else rows

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        hidden = () if self.has_change_permission(request, obj) else ("written_from",)
        return tuple(name for name in FIELDS if name not in hidden)

    def save_model(self, request: HttpRequest, obj: Soul, form: Any, change: bool) -> None:
        author, parts = cast(User, request.user), form.parts()
        if change:
            if names := [name for name in form.changed_data if name in {"owner", "visibility"}]:
                obj.save(update_fields=[*names, "updated_at"])
            souls.change(obj, author, **parts)
            return
        made = souls.create(**parts, author=author, visibility=obj.visibility)
        if obj.owner is not None:
            made.owner = obj.owner
            made.save(update_fields=["owner"])
        obj.__dict__.update(made.__dict__)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """A soul's revisions go with it, though nobody may delete one alone."""
        listed, counts, needed, protected = super().get_deleted_objects(objs, request)
        needed.discard(str(SoulRevision._meta.verbose_name))
        return listed, counts, needed, protected


_LIST = "agents_soul_changelist"


@admin.register(SoulRevision)
class SoulRevisionAdmin(RecordAdmin):
    """Every text a soul ever had."""

    view_action = "soul.view"
    fields = ("soul", "number", "note", "text", "sha256", "author", "created_at")
    list_display = ("soul", "number", "note", "author", "created_at", "sha256")
    list_select_related = ("soul", "author")
    list_filter = (("soul", VisibleRelatedFilter),)
    search_fields = ("soul__name", "soul__slug", "sha256")
    ordering = ("-pk",)

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        seen = permissions.visible(request.user, Soul.objects.all())
        return admin.ModelAdmin.get_queryset(self, request).filter(soul__in=seen.values("pk"))

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._allows(request, "soul.view", obj.soul if obj else None)
