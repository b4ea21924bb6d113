"""Addresses of the pages of agents."""

from __future__ import annotations

from django.urls import URLPattern, path

from agents.views import agent_copy, agent_edit, agent_ends, agents

urlpatterns: list[URLPattern] = [
    path("agents/", agents.agent_list, name="agent-list"),
    path("agents/new/", agent_edit.agent_new, name="agent-new"),
    path("agents/<str:agent_id>/", agents.agent_detail, name="agent-detail"),
    path("agents/<str:agent_id>/edit/", agent_edit.agent_edit, name="agent-edit"),
    path("agents/<str:agent_id>/duplicate/", agent_copy.agent_duplicate, name="agent-duplicate"),
    path("agents/<str:agent_id>/archive/", agent_ends.agent_archive, name="agent-archive"),
    path("agents/<str:agent_id>/unarchive/", agent_ends.agent_unarchive, name="agent-unarchive"),
    path("agents/<str:agent_id>/delete/", agent_ends.agent_delete, name="agent-delete"),
    path("agents/<str:agent_id>/sprite.svg", agents.agent_sprite, name="agent-sprite"),
]
