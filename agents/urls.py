"""Addresses of the pages about people, souls and agents."""

from __future__ import annotations

from django.urls import URLPattern, path

from agents.views import agent_edit, agents, groups, links, people

app_name = "agents"

urlpatterns: list[URLPattern] = [
    path("agents/", agents.agent_list, name="agent-list"),
    path("agents/new/", agent_edit.agent_new, name="agent-new"),
    path("agents/<str:agent_id>/", agents.agent_detail, name="agent-detail"),
    path("agents/<str:agent_id>/edit/", agent_edit.agent_edit, name="agent-edit"),
    path("agents/<str:agent_id>/sprite.svg", agents.agent_sprite, name="agent-sprite"),
    path("people/", people.people_list, name="people"),
    path("people/new/", people.invite, name="invite"),
    path("people/<int:person_id>/", people.person_detail, name="person"),
    path("groups/", groups.group_list, name="group-list"),
    path("groups/<int:group_id>/", groups.group_detail, name="group"),
    path("invited/<str:token>/", links.join, name="join"),
    path("set-password/<str:token>/", links.set_password, name="set-password"),
]
