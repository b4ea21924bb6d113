"""Policies: named sets of rules about what an agent may reach, recorded in every run and asked at every connection."""

from __future__ import annotations

from django.db import models

from agents import ids
from agents.models.history import Changes
from agents.models.presets import Preset
from agents.models.shared import Shareable, levels
from agents.rule_lines import hosts_of


class Policy(Shareable):
    """A named set of rules, as ``agents.reach`` reads them. What no policy or capability of an agent allows is refused.

    ``agents.policies`` writes them, each part said, so that two that mean the same are the same JSON."""

    id = models.CharField(primary_key=True, max_length=40, default=ids.policy_id, editable=False)
    name = models.CharField(max_length=80, unique=True)
    description = models.CharField(max_length=300, blank=True)
    rules = models.JSONField(default=list, blank=True, help_text="One line a rule, for instance pypi.org : 443.")
    presets = models.ManyToManyField(
        Preset, blank=True, related_name="policies", help_text="Rules of the library, as they are at each connection."
    )

    history = Changes(m2m_fields=[presets])

    class Meta:
        ordering = ["name"]
        verbose_name_plural = "policies"
        permissions = levels("policy")

    def __str__(self) -> str:
        return self.name

    @property
    def hosts(self) -> list[str]:
        """The hosts its rules and presets name for allowing. One query, none when ``presets`` is prefetched."""
        parts = [self.rules, *(preset.rules for preset in self.presets.all())]
        return list(dict.fromkeys(host for rules in parts for host in hosts_of(rules)))
