"""Erase the sandboxes of a person's agents: stopped, their files removed, what calls of models and tools said gone."""

from __future__ import annotations

import shutil

from asgiref.sync import async_to_sync
from django.db.models import Q

from agents.models import User
from sandboxes import lifecycle
from sandboxes.models import InferenceCall, Sandbox, ToolCall


def erase(person: User) -> None:
    """All of them. Raises OSError when a file cannot be removed: then it is asked for again."""
    for box in Sandbox.objects.filter(agent__owner=person):
        async_to_sync(lifecycle.stop)(box.agent_id, now=True)
        root = lifecycle.root_of(box.pk)
        if root.exists():
            shutil.rmtree(root)
        Sandbox.objects.filter(pk=box.pk).update(sealed_api_key="", reason="", driver_state={})
    InferenceCall.objects.filter(sandbox__agent__owner=person).update(error_message="")
    made = ToolCall.objects.filter(Q(agent__owner=person) | Q(caller=person))
    made.update(arguments={}, error="", reason="", caller=None)
