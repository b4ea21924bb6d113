"""Addresses of the pages about people, souls and agents."""

from __future__ import annotations

from django.urls import URLPattern, path

from agents.views import agents

app_name = "agents"

urlpatterns: list[URLPattern] = [
    path("agents/", agents.agent_list, name="agent-list"),
    path("agents/<str:agent_id>/", agents.agent_detail, name="agent-detail"),
    path("agents/<str:agent_id>/sprite.svg", agents.agent_sprite, name="agent-sprite"),
]
