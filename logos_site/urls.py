"""The map of the site."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path, re_path
from django.views.generic import RedirectView

from logos_site import first_run, health, palette, views
from logos_site.account.notifications import worker
from logos_site.api import api

urlpatterns = [
    path("", views.home, name="home"),
    path("start/<str:token>/", first_run.start, name="first-run"),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("search/", palette.search, name="search"),
    path("palette/", palette.part, name="palette"),
    path("push-worker.js", worker, name="push-worker"),
    path("account/", include("logos_site.account.urls")),
    path("accounts/email/", RedirectView.as_view(pattern_name="account")),
    # Logos mails nothing about accounts, so what would need it is not there.
    re_path(r"^accounts/password/reset/", views.nothing),
    re_path(r"^accounts/confirm-email/", views.nothing),
    path("accounts/", include("allauth.account.urls")),
    path("accounts/oidc/", include("logos_site.oidc.urls")),
    path("admin/", admin.site.urls),
    path("api/", api.urls),
    path("", include("agents.urls")),
    path("", include("sandboxes.urls")),
    path("", include("runs.urls")),
    path("", include("mcp_gateway.urls")),
]

handler404 = "logos_site.views.not_found"
