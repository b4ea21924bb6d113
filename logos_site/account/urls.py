"""Addresses of one's own account; the second factor's pages are allauth's in our look."""

from __future__ import annotations

from django.urls import include, path

from logos_site.account import profile, sessions, tokens

urlpatterns = [
    path("", profile.profile, name="account"),
    path("second-factor/", include("allauth.mfa.urls")),
    path("sessions/", sessions.sessions, name="account-sessions"),
    path("sessions/end/", sessions.end_others, name="account-sessions-end"),
    path("sessions/<int:session_id>/end/", sessions.end_one, name="account-session-end"),
    path("tokens/", tokens.own_tokens, name="account-tokens"),
    path("tokens/<int:token_id>/revoke/", tokens.revoke, name="account-token-revoke"),
]
