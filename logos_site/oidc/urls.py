"""Where a provider sends people back to, and where they leave; allauth looks both up by these names."""

from __future__ import annotations

from django.urls import path

from logos_site.oidc import views

urlpatterns = [
    path("<slug:provider_id>/login/", views.begin, name="openid_connect_login"),
    path("<slug:provider_id>/login/callback/", views.callback, name="openid_connect_callback"),
]
