"""What in the room below tells that an agent's rules may have changed."""

from __future__ import annotations

from django.db.models.signals import m2m_changed, post_delete, post_save

from agents.models import Agent, AgentCapability, AgentSecret, HostGrant, Learning, Policy, Preset
from sandboxes.egress import reaches


def connect() -> None:
    """Listen; called once, when the app is ready."""
    for model in (Policy, Preset, Learning, HostGrant, AgentCapability, AgentSecret):
        post_save.connect(reaches.changed, sender=model)
        post_delete.connect(reaches.changed, sender=model)
    for through in (Agent.policies.through, Policy.presets.through):
        m2m_changed.connect(reaches.changed, sender=through)
