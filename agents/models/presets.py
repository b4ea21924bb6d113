"""Presets: a library of named rules that policies include, so that one edit reaches every agent that needs it."""

from __future__ import annotations

from django.core.validators import RegexValidator
from django.db import models

from agents.models.history import Changes
from agents.models.shared import Versioned
from agents.rule_lines import hosts_of

SLUG = r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?"


class PresetCategory(models.TextChoices):
    """What a preset is for."""

    CODE = "code", "Code hosts"
    PACKAGES = "packages", "Package indexes"
    MESSAGING = "messaging", "Messaging"
    SEARCH = "search", "Search"
    MODELS = "models", "Model hubs"
    OTHER = "other", "Other"


class Preset(Versioned):
    """Rules under a name, written as a policy's are. ``agents.preset_library`` writes them.

    The id is a word people can read, because records name it beside the policy it was reached through."""

    id = models.CharField(primary_key=True, max_length=40, editable=False, validators=[RegexValidator(rf"^{SLUG}\Z")])
    name = models.CharField(max_length=80, unique=True)
    category = models.CharField(max_length=10, choices=PresetCategory.choices, default=PresetCategory.OTHER)
    description = models.CharField(max_length=300, blank=True)
    rules = models.JSONField(default=list, blank=True, help_text="One line a rule, for instance pypi.org : 443.")
    # The digest of what came with Logos when this row last said the same; "" for one that people wrote.
    shipped = models.CharField(max_length=64, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    history = Changes(quiet=("shipped",))

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def hosts(self) -> list[str]:
        """The hosts its rules name for allowing."""
        return hosts_of(self.rules)
