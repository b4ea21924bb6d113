"""Agents: a soul, tools, a runtime, a model and permissions (STAMP) under one name and owner."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone

from agents import ids
from agents.catalogue import Capability, agreed
from agents.models.history import Changes
from agents.models.policies import Policy
from agents.models.providers import ModelRoute
from agents.models.shared import Shareable, levels
from agents.models.souls import Soul
from agents.toolsets import DEFAULT_TOOLSETS, toolsets_for


def default_toolsets() -> list[str]:
    return list(DEFAULT_TOOLSETS)


class AgentQuerySet(models.QuerySet["Agent"]):
    """Questions about many agents."""

    def alive(self) -> AgentQuerySet:
        """Those not deleted."""
        return self.filter(deleted_at=None)

    def in_use(self) -> AgentQuerySet:
        """Those neither deleted nor archived: who can be sent a message."""
        return self.filter(deleted_at=None, archived_at=None)


class Agent(Shareable):
    """One agent. Deleting marks the row, because its runs stay readable.

    ``agents.composition`` makes and changes it, ``agents.retiring`` archives and deletes it."""

    id = models.CharField(primary_key=True, max_length=40, default=ids.agent_id, editable=False)
    name = models.CharField(max_length=60)
    description = models.CharField(max_length=300, blank=True)
    soul = models.ForeignKey(Soul, models.PROTECT, related_name="agents")
    toolsets = models.JSONField(default=default_toolsets, blank=True)
    runtime = models.CharField(max_length=40, default="hermes", editable=False)
    route = models.ForeignKey(
        ModelRoute, models.PROTECT, null=True, blank=True, related_name="agents", help_text="Empty uses the default."
    )
    policies = models.ManyToManyField(Policy, blank=True, related_name="agents")
    # How it is drawn; empty leaves it to the agent's id (``agents.sprites``).
    sprite_shape = models.CharField(max_length=12, blank=True)
    sprite_palette = models.CharField(max_length=12, blank=True)
    # What its sandbox may use otherwise than the site says (``agents.sandbox_limits``).
    limits = models.JSONField(default=dict, blank=True)
    archived_at = models.DateTimeField(null=True, editable=False)
    deleted_at = models.DateTimeField(null=True, editable=False)

    # Noted by ``agents.composed.mark`` and ``agents.agent_pages.on_cards`` for the person who looks; without a default,
    # so that a page that forgot to ask fails rather than tells.
    hides_soul: bool
    hides_route: bool
    shown_model: str
    facts: dict[str, Any]

    objects = AgentQuerySet.as_manager()
    history = Changes(m2m_fields=[policies])

    class Meta:
        ordering = ["name"]
        permissions = levels("agent")
        indexes = [models.Index(Lower("name"), "id", name="agents_by_name")]
        constraints = [
            models.UniqueConstraint(
                "owner",
                Lower("name"),
                condition=models.Q(deleted_at=None),
                name="one_agent_per_owner_and_name",
                violation_error_message="You already have an agent of this name.",
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_deleted(self) -> bool:
        return self.deleted_at is not None

    def active_toolsets(self, agreed_to: Sequence[Capability] | None = None) -> tuple[str, ...]:
        """What the next run gets: the agent's choice and what its capabilities bring, within what its soul demands
        and forbids."""
        entries = self.agreed_capabilities() if agreed_to is None else agreed_to
        brought = [name for entry in entries for name in entry.toolsets]
        return toolsets_for(self.soul.toolsets, [*self.toolsets, *brought])

    def agreed_capabilities(self) -> list[Capability]:
        """What is on and was agreed to as it is worded now. One query, none when ``capabilities`` is prefetched."""
        return agreed({row.key: row.agreed_version for row in self.capabilities.all()})

    @property
    def is_archived(self) -> bool:
        return self.archived_at is not None

    @property
    def is_in_use(self) -> bool:
        return not (self.is_deleted or self.is_archived)

    def mark_deleted(self) -> None:
        """The row alone; ``agents.retiring.delete`` also ends what the agent does and removes its files."""
        self.deleted_at = timezone.now()
        self.save(update_fields=["deleted_at", "updated_at"])
