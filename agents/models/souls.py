"""Souls: who an agent is, as one text with every revision kept."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from agents import ids
from agents.models.history import Changes
from agents.models.shared import Shareable, levels


class Soul(Shareable):
    """A persona: the text that becomes SOUL.md. Change it through ``agents.souls.revise``."""

    id = models.CharField(primary_key=True, max_length=40, default=ids.soul_id, editable=False)
    name = models.CharField(max_length=80)
    slug = models.SlugField(max_length=80, unique=True)
    description = models.CharField(max_length=300, blank=True)
    text = models.TextField()
    revision = models.PositiveIntegerField(default=1, editable=False)

    history = Changes()

    class Meta:
        ordering = ["name"]
        permissions = levels("soul")

    def __str__(self) -> str:
        return self.name


class SoulRevision(models.Model):
    """One saved text of a soul; never changed, never deleted while the soul lives."""

    soul = models.ForeignKey(Soul, models.CASCADE, related_name="revisions")
    number = models.PositiveIntegerField()
    text = models.TextField()
    sha256 = models.CharField(max_length=64)
    author = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-number"]
        constraints = [models.UniqueConstraint(fields=["soul", "number"], name="one_revision_per_number")]

    def __str__(self) -> str:
        return f"{self.soul_id} r{self.number}"
