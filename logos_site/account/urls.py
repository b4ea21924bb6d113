"""Addresses of one's own account; the second factor's pages are allauth's in our look."""

from __future__ import annotations

from django.urls import include, path

from agents.views import data
from logos_site.account import activity, notifications, profile, sessions, spending, tokens
from logos_site.oidc import views as oidc

urlpatterns = [
    path("", profile.profile, name="account"),
    path("second-factor/", include("allauth.mfa.urls")),
    path("sign-in/", oidc.ways_in, name="account-sign-in"),
    path("sign-in/<slug:provider_id>/add/", oidc.add, name="account-sign-in-add"),
    path("sign-in/<int:account_id>/remove/", oidc.remove, name="account-sign-in-remove"),
    path("sessions/", sessions.sessions, name="account-sessions"),
    path("sessions/end/", sessions.end_others, name="account-sessions-end"),
    path("sessions/<int:session_id>/end/", sessions.end_one, name="account-session-end"),
    path("notifications/", notifications.notifications, name="account-notifications"),
    path("notifications/try/", notifications.try_out, name="account-notifications-try"),
    path("notifications/address/", notifications.confirm, name="account-notifications-confirm"),
    path("notifications/devices/", notifications.device_add, name="account-device-add"),
    path("notifications/devices/<int:device_id>/remove/", notifications.device_remove, name="account-device-remove"),
    path("spending/", spending.spending, name="account-spending"),
    path("data/", data.own_data, name="account-data"),
    path("data/<str:export_id>/", data.archive, name="account-archive"),
    path("erase/", data.erase_self, name="account-erase"),
    path("activity/", activity.activity, name="account-activity"),
    path("tokens/", tokens.own_tokens, name="account-tokens"),
    path("tokens/<int:token_id>/rotate/", tokens.rotate, name="account-token-rotate"),
    path("tokens/<int:token_id>/revoke/", tokens.revoke, name="account-token-revoke"),
]
