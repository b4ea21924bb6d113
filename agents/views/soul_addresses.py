"""Addresses of the pages about souls; part of ``agents.urls``."""

from __future__ import annotations

from django.urls import URLPattern, path

from agents.views import soul_revisions, soul_writing, souls

urlpatterns: list[URLPattern] = [
    path("souls/", souls.soul_list, name="soul-list"),
    path("souls/new/", soul_writing.soul_new, name="soul-new"),
    path("souls/new/write/", soul_writing.soul_write, name="soul-write"),
    path("souls/import/", soul_writing.soul_import, name="soul-import"),
    path("souls/check/", soul_writing.soul_check, name="soul-check"),
    path("souls/<str:soul_id>/", souls.soul_detail, name="soul-detail"),
    path("souls/<str:soul_id>/edit/", soul_writing.soul_edit, name="soul-edit"),
    path("souls/<str:soul_id>/revisions/", soul_revisions.soul_revisions, name="soul-revisions"),
    path("souls/<str:soul_id>/diff/", soul_revisions.soul_diff, name="soul-diff"),
    path("souls/<str:soul_id>/restore/", soul_revisions.soul_restore, name="soul-restore"),
    path("souls/<str:soul_id>/SOUL.md", souls.soul_export, name="soul-export"),
    path("souls/<str:soul_id>/copy/", souls.soul_copy, name="soul-copy"),
    path("souls/<str:soul_id>/status/", souls.soul_status, name="soul-status"),
    path("souls/<str:soul_id>/delete/", souls.soul_delete, name="soul-delete"),
]
