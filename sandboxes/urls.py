"""Addresses of the pages about providers."""

from __future__ import annotations

from django.urls import path

from sandboxes.views import providers

app_name = "sandboxes"

urlpatterns = [
    path("providers/", providers.provider_list, name="provider-list"),
    path("providers/new/", providers.provider_new, name="provider-new"),
    path("providers/<str:provider_id>/", providers.provider_detail, name="provider-detail"),
    path("providers/<str:provider_id>/models/", providers.provider_models_page, name="provider-models"),
    path("providers/<str:provider_id>/delete/", providers.provider_delete, name="provider-delete"),
]
