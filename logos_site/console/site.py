"""The site of the console: its name, its sidebar and its front page; unfold draws the rest."""

from __future__ import annotations

from typing import Any, cast

from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, reverse
from unfold.settings import CONFIG_DEFAULTS
from unfold.sites import UnfoldAdminSite

from agents.models import User
from logos_site import navigation
from logos_site.console.overview import overview
from logos_site.console.sidebar import sidebar


class ConsoleSite(UnfoldAdminSite):
    """Unfold's site without what Logos has elsewhere: its sign-in, its passwords, its search over applications."""

    site_header = "Logos console"
    site_title = "Logos console"
    index_title = "Overview"

    def get_urls(self) -> list[URLPattern]:
        return [url for url in super().get_urls() if getattr(url, "name", "") != "search"]

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        # Unfold's own reads some forty settings here, and looks each text up as the name of a module, for every page.
        context = AdminSite.each_context(self, request)
        return {
            **context,
            "form_classes": CONFIG_DEFAULTS["FORMS"]["classes"],
            "show_history": True,
            "show_view_on_site": True,
            "tab_list": [],
            "admin_index": reverse("admin:index"),
            "halted": navigation.halted_in_console(request),
            "sidebar": sidebar(request, context["available_apps"]) if context["has_permission"] else [],
        }

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        return AdminSite.index(self, request, {"sections": overview(cast(User, request.user)), **(extra_context or {})})

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return HttpResponseRedirect(reverse("account_change_password"))
