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
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString

from agents import groups, people, permissions, tokens
from agents.admin_acting import bulk, who
from agents.admin_base import ConsoleAdmin, RecordAdmin, link
from agents.admin_filters import VisibleRelatedFilter
from agents.admin_panels import SHOWN, Panel, row_link
from agents.admin_words import ago, state
from agents.errors import Conflict
from agents.lookalikes import mixes_alphabets
from agents.models import ApiToken, Role, User
from agents.models.people import LastAdmin, active_admins
from agents.person_forms import NameRules

LAST_ADMIN = LastAdmin().message
INSTEAD = "Suspend the account instead."


def leaves_no_admin(persons: Iterable[User]) -> bool:
    """Would nobody be an active admin without these?"""
    admins = active_admins()
    return admins.exists() and not admins.exclude(pk__in=[person.pk for person in persons]).exists()


class AccountRules(NameRules):
    """The rule of ``agents.lookalikes`` too, for forms with a user name."""

    def clean_username(self) -> str:
        inherited: Any = super()
        name: str = getattr(inherited, "clean_username", lambda: self.cleaned_data["username"])()
        if name != getattr(self, "initial", {}).get("username") and mixes_alphabets(name):
            raise ValidationError("A user name has letters of one alphabet, so that none passes for another.")
        return name


class PersonForm(AccountRules, UserChangeForm):
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


class NewPersonForm(AccountRules, AdminUserCreationForm):
    """A new person has a role from the start."""

    class Meta(AdminUserCreationForm.Meta):
        model = User
        fields = ("username", "email", "role")


# Second factors hold keys and sessions hold what opens them; people manage their own under "Your account".
# Providers to sign in with come from settings, and what they connect belongs to the person.
admin.site.unregister((Authenticator, UserSession, SocialAccount, SocialApp, SocialToken))


@admin.register(User)
class PersonAdmin(ConsoleAdmin, UserAdmin):  # type: ignore[misc]
    """Who may sign in, and as what. Whoever has chats or runs is suspended rather than deleted."""

    page_name = "agents:person"
    actions = ("suspend", "restore", "sign_out")
    form = PersonForm
    add_form = NewPersonForm
    fieldsets = (
        (None, {"fields": ("username", "new_password")}),
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
    readonly_fields = ("new_password", "last_login", "date_joined")
    list_display = ("username", "display_name", "email", "role", "standing", "seen", "joined")
    list_filter = (
        "role",
        "kind",
        "is_active",
        ("groups", VisibleRelatedFilter),
        ("last_login", admin.DateFieldListFilter),
    )
    search_fields = ("username", "first_name", "last_name", "email")
    search_help_text = "A user name, a name or an address"
    ordering = ("username", "pk")
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
        """The last admin stays, and so does whoever has chats or runs: records stay. Nothing of theirs is listed."""
        kept = [person for person in objs if person.conversations.exists() or person.runs.exists()]
        if kept:
            return [], {}, set(), [f"{person.username}: has chats or runs, which stay. {INSTEAD}" for person in kept]
        listed, counts, needed, protected = super().get_deleted_objects(objs, request)
        return listed, counts, needed, [*protected, *([LAST_ADMIN] if leaves_no_admin(objs) else [])]

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        with groups.noting_members(form.instance):
            super().save_related(request, form, formsets, change)

    @bulk(
        "Suspend", needs="user.manage", done="Suspended", of=lambda person: None,
        confirm="They are signed out everywhere and cannot sign in, and their tokens stop working, until restored.",
    )  # fmt: skip
    def suspend(self, request: HttpRequest, person: User) -> None:
        people.suspend(who(request), person)

    @bulk("Restore", needs="user.manage", done="Restored", of=lambda person: None)
    def restore(self, request: HttpRequest, person: User) -> None:
        people.restore(who(request), person)

    @bulk(
        "Sign out everywhere", needs="user.manage", done="Signed out", of=lambda person: None,
        confirm="They have to sign in again in every browser. Tokens stay.",
    )  # fmt: skip
    def sign_out(self, request: HttpRequest, person: User) -> None:
        people.sign_out(who(request), person)

    @admin.display(description="password")
    def new_password(self, person: User) -> SafeString:
        return link("admin:auth_user_password_change", "Set another one", str(person.pk))

    @admin.display(description="account", ordering="is_active")
    def standing(self, person: User) -> SafeString:
        return state(person.state, "ok" if person.is_active else "failed")

    @admin.display(description="last sign-in", ordering="last_login")
    def seen(self, person: User) -> SafeString | str:
        return ago(person.last_login)

    @admin.display(description="joined", ordering="date_joined")
    def joined(self, person: User) -> SafeString | str:
        return ago(person.date_joined)


admin.site.unregister(Group)


@admin.register(Group)
class GroupAdmin(RecordAdmin):
    """Groups to be read; their own page changes them, with what that means for those in them."""

    view_action = "user.manage"
    page_name = "agents:group"
    fields = ("name",)
    list_display = ("name", "size")
    search_fields = ("name",)
    ordering = ("name", "pk")
    panels = (
        Panel(
            "Members", User, "groups__id__exact", ("Person", "Role", "Account"),
            lambda request, group: [
                (row_link(person), person.get_role_display(), person.state)
                for person in group.user_set.order_by("username")[:SHOWN]
            ],
            "user.manage",
        ),
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        rows: QuerySet = admin.ModelAdmin.get_queryset(self, request).annotate(people=Count("user"))
        return rows if permissions.may(request.user, self.view_action) else rows.none()

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return permissions.may(request.user, self.view_action)

    @admin.display(description="people", ordering="people")
    def size(self, group: Any) -> int:
        return group.people


@admin.register(ApiToken)
class ApiTokenAdmin(RecordAdmin):
    """Tokens can be read about and revoked; making one is for its owner, who sees the secret once."""

    view_action = "token.create"
    fields = ("name", "user", "scopes", "hint", "created_at", "last_used_at", "expires_at", "revoked_at")
    list_display = ("name", "user", "scopes", "hint", "standing", "made", "used", "until")
    list_select_related = ("user",)
    list_filter = (("revoked_at", admin.EmptyFieldListFilter), ("user", VisibleRelatedFilter))
    search_fields = ("name", "=user__username", "=hint")
    search_help_text = "A name, a user name or the beginning of the token"
    ordering = ("-pk",)
    actions = ("revoke",)

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        rows: QuerySet = admin.ModelAdmin.get_queryset(self, request)
        return rows if permissions.may(request.user, "user.manage") else rows.filter(user=request.user)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        own = obj is None or obj.user == request.user or permissions.may(request.user, "user.manage")
        return own and permissions.may(request.user, self.view_action)

    @bulk(
        "Revoke", needs="token.create", done="Revoked", related=("user",), of=lambda token: None,
        confirm="Programs that use them are refused from now on.",
    )  # fmt: skip
    def revoke(self, request: HttpRequest, token: ApiToken) -> None:
        # The list holds one's own, and everybody's for admins.
        if not tokens.revoke_all(ApiToken.objects.filter(pk=token.pk)):
            raise Conflict("It was revoked already.", reason="already_revoked")

    @admin.display(description="state")
    def standing(self, token: ApiToken) -> SafeString:
        if token.revoked_at:
            return state("revoked", "failed")
        is_over = token.expires_at is not None and token.expires_at <= timezone.now()
        return state("expired", "unknown") if is_over else state("works", "ok")

    @admin.display(description="made", ordering="created_at")
    def made(self, token: ApiToken) -> SafeString | str:
        return ago(token.created_at)

    @admin.display(description="last used", ordering="last_used_at")
    def used(self, token: ApiToken) -> SafeString | str:
        return ago(token.last_used_at)

    @admin.display(description="until", ordering="expires_at")
    def until(self, token: ApiToken) -> SafeString | str:
        return ago(token.expires_at)
