"""Addresses of the pages about people, souls and agents."""

from __future__ import annotations

from django.urls import URLPattern

app_name = "agents"

urlpatterns: list[URLPattern] = []
