"""People and their API tokens in the console; the last admin stays one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from allauth.usersessions.models import UserSession
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.forms import AdminUserCreationForm, UserChangeForm
from django.db.models import QuerySet
from django.http import HttpRequest

from agents import permissions, tokens
from agents.admin_base import RecordAdmin
from agents.models import ApiToken, Role, User
from agents.models.people import LastAdmin, active_admins

LAST_ADMIN = LastAdmin().message


def leaves_no_admin(persons: Iterable[User]) -> bool:
    """Would nobody be an active admin without these?"""
    admins = active_admins()
    return admins.exists() and not admins.exclude(pk__in=[person.pk for person in persons]).exists()


class PersonForm(UserChangeForm):
    """Keeps the last admin active and an admin, and everybody from changing their own role."""

    # Set per request by the admin.
    asker: User

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        for field, keeps in (("role", cleaned.get("role") == Role.ADMIN), ("is_active", cleaned.get("is_active"))):
            if field in self.fields and not keeps and leaves_no_admin([self.instance]):
                self.add_error(field, LAST_ADMIN)
            elif field in self.fields and self.instance == self.asker and field in self.changed_data:
                self.add_error(field, "You cannot change this of yourself: ask another admin.")
        return cleaned


class NewPersonForm(AdminUserCreationForm):
    """A new person has a role from the start."""

    class Meta(AdminUserCreationForm.Meta):
        model = User
        fields = ("username", "email", "role")


# Second factors hold keys and sessions hold what opens them; people manage their own under "Your account".
# Providers to sign in with come from settings, and what they connect belongs to the person.
admin.site.unregister((Authenticator, UserSession, SocialAccount, SocialApp, SocialToken))


@admin.register(User)
class PersonAdmin(UserAdmin):
    """Who may sign in, and as what."""

    form = PersonForm
    add_form = NewPersonForm
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        ("Person", {"fields": ("first_name", "last_name", "email")}),
        ("Rights", {"fields": ("role", "is_active", "max_agents", "groups")}),
        ("Dates", {"fields": ("last_login", "date_joined")}),
    )
    add_fieldsets = (
        (
            None,
            {
                "classes": ("wide",),
                "fields": ("username", "email", "role", "usable_password", "password1", "password2"),
            },
        ),
    )
    readonly_fields = ("last_login", "date_joined")
    list_display = ("username", "display_name", "email", "role", "is_active", "last_login")
    list_filter = ("role", "is_active", "groups")
    filter_horizontal = ("groups",)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form: Any = super().get_form(request, obj, change=change, **kwargs)
        form.asker = request.user
        return form

    def _manages(self, request: HttpRequest) -> bool:
        return permissions.may(request.user, "user.manage")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self._manages(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._manages(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self._manages(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._manages(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._manages(request)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """The last admin stays; somebody with runs is suspended rather than deleted, because records stay."""
        listed, counts, needed, protected = super().get_deleted_objects(objs, request)
        return listed, counts, needed, [*protected, *([LAST_ADMIN] if leaves_no_admin(objs) else [])]


@admin.register(ApiToken)
class ApiTokenAdmin(RecordAdmin):
    """Tokens can be read about and revoked; making one is for its owner, who sees the secret once."""

    view_action = "token.create"
    fields = ("name", "user", "hint", "created_at", "last_used_at", "expires_at", "revoked_at")
    list_display = ("name", "user", "hint", "created_at", "last_used_at", "expires_at", "revoked_at")
    list_select_related = ("user",)
    list_filter = (("revoked_at", admin.EmptyFieldListFilter),)
    search_fields = ("name", "user__username", "hint")
    ordering = ("-pk",)
    actions = ("revoke",)

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        rows: QuerySet = admin.ModelAdmin.get_queryset(self, request)
        return rows if permissions.may(request.user, "user.manage") else rows.filter(user=request.user)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        own = obj is None or obj.user == request.user or permissions.may(request.user, "user.manage")
        return own and permissions.may(request.user, self.view_action)

    @admin.action(description="Revoke", permissions=["view"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiToken]) -> None:
        self.message_user(request, f"Revoked: {tokens.revoke_all(queryset)}.")
