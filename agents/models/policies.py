"""Policies: what an agent may reach. Recorded in every run now, enforced per host when egress arrives."""

from __future__ import annotations

from django.db import models

from agents import ids
from agents.models.history import Changes
from agents.models.shared import Shareable, levels


class Policy(Shareable):
    """A named set of hosts. Until the egress proxy exists every host is refused, whatever is listed."""

    id = models.CharField(primary_key=True, max_length=40, default=ids.policy_id, editable=False)
    name = models.CharField(max_length=80, unique=True)
    description = models.CharField(max_length=300, blank=True)
    hosts = models.JSONField(default=list, blank=True, help_text='Host names, for instance ["pypi.org"].')

    history = Changes()

    class Meta:
        ordering = ["name"]
        verbose_name_plural = "policies"
        permissions = levels("policy")

    def __str__(self) -> str:
        return self.name
