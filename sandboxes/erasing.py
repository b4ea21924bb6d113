"""Erase the sandboxes of a person's agents: stopped, their files removed, what routed calls said of failures gone."""

from __future__ import annotations

import shutil

from asgiref.sync import async_to_sync

from agents.models import User
from sandboxes import lifecycle
from sandboxes.models import InferenceCall, Sandbox


def erase(person: User) -> None:
    """All of them. Raises OSError when a file cannot be removed: then it is asked for again."""
    for box in Sandbox.objects.filter(agent__owner=person):
        async_to_sync(lifecycle.stop)(box.agent_id, now=True)
        root = lifecycle.root_of(box.pk)
        if root.exists():
            shutil.rmtree(root)
        Sandbox.objects.filter(pk=box.pk).update(sealed_api_key="", reason="", driver_state={})
    InferenceCall.objects.filter(sandbox__agent__owner=person).update(error_message="")
