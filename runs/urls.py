"""Addresses of chats and runs."""

from __future__ import annotations

from django.urls import path

app_name = "runs"
urlpatterns: list = []
