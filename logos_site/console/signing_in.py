"""Sessions and second factors in the console: who is signed in where and with what, never what opens it."""

from __future__ import annotations

from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.contrib import admin
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from agents import audit, permissions
from agents.admin_acting import bulk
from agents.admin_base import RecordAdmin
from agents.admin_filters import VisibleRelatedFilter
from agents.admin_words import ago
from agents.errors import NotFound
from logos_site.account.devices import device

# Logos mails nothing about accounts; a person's address is on their own page.
admin.site.unregister(EmailAddress)


class OfPeopleAdmin(RecordAdmin):
    """Rows of somebody's account: admins see all of them, nobody else any."""

    view_action = "user.manage"

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        rows: QuerySet = admin.ModelAdmin.get_queryset(self, request)
        return rows if permissions.may(request.user, self.view_action) else rows.none()

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return permissions.may(request.user, self.view_action)


@admin.register(UserSession)
class SessionAdmin(OfPeopleAdmin):
    """Where people are signed in. The key of a session opens it, so it is not here."""

    fields = ("user", "device", "ip", "created_at", "last_seen_at")
    list_display = ("user", "device", "ip", "began", "seen")
    list_select_related = ("user",)
    list_filter = (("user", VisibleRelatedFilter), ("last_seen_at", admin.DateFieldListFilter))
    search_fields = ("=user__username", "=ip")
    search_help_text = "A user name or an address"
    ordering = ("-last_seen_at", "pk")
    actions = ("end",)

    @bulk(
        "End", needs="user.manage", done="Ended", confirm="Whoever uses them has to sign in again.",
        of=lambda session: session.user, related=("user",),
    )  # fmt: skip
    def end(self, request: HttpRequest, session: UserSession) -> None:
        with transaction.atomic():
            found = UserSession.objects.select_for_update().filter(pk=session.pk).first()
            if found is None:
                raise NotFound("Session")
            found.end()
            audit.note("session_ended", person=session.user, count=1)

    @admin.display(description="device", ordering="user_agent")
    def device(self, session: UserSession) -> str:
        return device(session.user_agent)

    @admin.display(description="since", ordering="created_at")
    def began(self, session: UserSession) -> SafeString | str:
        return ago(session.created_at)

    @admin.display(description="last seen", ordering="last_seen_at")
    def seen(self, session: UserSession) -> SafeString | str:
        return ago(session.last_seen_at)

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        return super().get_object(request, object_id, None)


@admin.register(Authenticator)
class FactorAdmin(OfPeopleAdmin):
    """Which second factors people have; the keys in them are not here."""

    fields = ("user", "type", "created_at", "last_used_at")
    list_display = ("user", "type", "made", "used")
    list_select_related = ("user",)
    list_filter = ("type", ("user", VisibleRelatedFilter))
    search_fields = ("=user__username",)
    search_help_text = "A user name"
    ordering = ("user__username", "pk")

    @admin.display(description="made", ordering="created_at")
    def made(self, factor: Authenticator) -> SafeString | str:
        return ago(factor.created_at)

    @admin.display(description="last used", ordering="last_used_at")
    def used(self, factor: Authenticator) -> SafeString | str:
        return ago(factor.last_used_at)
