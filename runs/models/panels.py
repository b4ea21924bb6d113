"""Who decides what agents ask: how many people, of which team, and who else after a while."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.models import Group
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from agents import guarding, ids
from agents.guarding import Rows
from agents.models import Policy
from agents.models.history import Changes
from agents.models.shared import Versioned

# What can be put to a panel: accounts and changes of policies have deciders of their own.
KINDS = (
    ("command", "Commands"),
    ("egress", "Hosts"),
    ("tool_call", "Tool calls"),
    ("mcp_access", "MCP servers"),
    ("question", "Questions"),
)
SEVERITIES = (("low", "Low"), ("medium", "Medium"), ("high", "High"), ("critical", "Critical"))
MOST_NEEDED, MOST_MINUTES = 9, 60 * 24 * 14


class Panel(Versioned):
    """How requests are decided that fit it; of several that fit the most specific one. What it says is copied into the
    request when that is asked: later changes of the panel are for later requests."""

    permission = Rows(root="policy", root_model=Policy)

    id = models.CharField(primary_key=True, max_length=40, default=ids.panel_id, editable=False)
    policy = models.ForeignKey(
        Policy, models.CASCADE, null=True, blank=True, related_name="panels",
        help_text="Only what agents with this policy ask; empty means every agent.",
    )  # fmt: skip
    kind = models.CharField(max_length=20, choices=KINDS, blank=True, help_text="Empty means every kind.")
    severity = models.CharField(
        max_length=10, choices=SEVERITIES, blank=True, help_text="Only what is at least so severe; empty means all."
    )
    needed = models.PositiveSmallIntegerField(
        default=1, validators=[MinValueValidator(1), MaxValueValidator(MOST_NEEDED)],
        help_text="How many people must allow it. A question needs one.",
    )  # fmt: skip
    team = models.ForeignKey(
        Group, models.PROTECT, null=True, blank=True, related_name="panels",
        help_text="Only the leave of members of this group counts; empty means whoever decides it anyway.",
    )  # fmt: skip
    escalate_min = models.PositiveIntegerField(
        null=True, blank=True, validators=[MaxValueValidator(MOST_MINUTES)],
        help_text="After so many minutes others may decide it too; 0 is never, empty as the site says.",
    )  # fmt: skip
    escalate_to = models.ForeignKey(
        Group, models.PROTECT, null=True, blank=True, related_name="called_by",
        help_text="The group that may then; empty means operators who manage the agent.",
    )  # fmt: skip
    note = models.CharField(max_length=200, blank=True, help_text="Why; shown with it.")
    is_active = models.BooleanField(default=True)
    made_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+", editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    history = Changes()

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        what = self.get_kind_display() or "Every request"
        whose = f" of agents with {self.policy}" if self.policy else ""
        return f"{what}{whose}{f', {self.severity} and worse' if self.severity else ''}"


guarding.call_it(Panel, "panel", family="policy")
