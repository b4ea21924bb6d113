"""Souls: who an agent is, as one text with every revision kept."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from agents import ids
from agents.models.history import Changes
from agents.models.shared import Shareable, levels
from agents.toolsets import LISTS as TOOLSET_LISTS
from agents.toolsets import ToolsetLists


class SoulStatus(models.TextChoices):
    """How far a soul is: who is offered it for a new agent. Agents that have it already keep it whatever it says."""

    DRAFT = "draft", "Draft: offered to those who may edit it"
    ACTIVE = "active", "Active: offered to everyone who may see it"
    ARCHIVED = "archived", "Archived: offered to nobody; agents that have it keep it"


class Soul(Shareable):
    """A persona: the text that becomes SOUL.md. Change it through ``agents.souls.change``."""

    id = models.CharField(primary_key=True, max_length=40, default=ids.soul_id, editable=False)
    name = models.CharField(max_length=80)
    slug = models.SlugField(max_length=80, unique=True)
    description = models.CharField(max_length=300, blank=True)
    category = models.CharField(max_length=40, blank=True, help_text="One word or two, such as operations.")
    # Words in one line, so that every database can search them alike.
    tags = models.CharField(max_length=400, blank=True, help_text="Words with blanks between them.")
    status = models.CharField(max_length=10, choices=SoulStatus.choices, default=SoulStatus.ACTIVE)
    text = models.TextField()
    enforced_toolsets = models.JSONField(default=list, blank=True)
    default_toolsets = models.JSONField(default=list, blank=True)
    optional_toolsets = models.JSONField(default=list, blank=True)
    forbidden_toolsets = models.JSONField(default=list, blank=True)
    origin = models.CharField(max_length=200, blank=True, editable=False, help_text="What it was made from.")
    revision = models.PositiveIntegerField(default=1, editable=False)

    history = Changes()

    class Meta:
        ordering = ["name"]
        permissions = levels("soul")

    def __str__(self) -> str:
        return self.name

    @property
    def tag_list(self) -> list[str]:
        return self.tags.split()

    @property
    def toolsets(self) -> ToolsetLists:
        """The four lists as one value."""
        return ToolsetLists(**{kind: tuple(getattr(self, f"{kind}_toolsets")) for kind in TOOLSET_LISTS})


class SoulRevision(models.Model):
    """One saved text of a soul; never changed, never deleted while the soul lives."""

    soul = models.ForeignKey(Soul, models.CASCADE, related_name="revisions")
    number = models.PositiveIntegerField()
    text = models.TextField()
    sha256 = models.CharField(max_length=64)
    note = models.CharField(max_length=200, blank=True)
    author = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-number"]
        constraints = [models.UniqueConstraint(fields=["soul", "number"], name="one_revision_per_number")]

    def __str__(self) -> str:
        return f"{self.soul_id} r{self.number}"
