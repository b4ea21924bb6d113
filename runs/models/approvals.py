"""What a run asked a person for; decided once, or expired. The inbox, tiers and rules come with their own issue."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from agents import ids
from agents.permissions import Rows
from runs.models.runs import Run


class ApprovalState(models.TextChoices):
    """What became of the question."""

    PENDING = "pending", "Waiting for you"
    ALLOWED = "allowed", "Allowed once"
    DENIED = "denied", "Denied"
    EXPIRED = "expired", "Expired"


class Approval(models.Model):
    """One dangerous command the runtime will not run unasked. ``subject_hash`` binds the decision to what was shown."""

    permission = Rows(owner="run__conversation__owner", root="run__agent")

    id = models.CharField(primary_key=True, max_length=40, default=ids.approval_id, editable=False)
    run = models.ForeignKey(Run, models.CASCADE, related_name="approvals")
    command = models.TextField()
    description = models.CharField(max_length=500, blank=True)
    subject_hash = models.CharField(max_length=64)
    state = models.CharField(max_length=10, choices=ApprovalState.choices, default=ApprovalState.PENDING)
    expires_at = models.DateTimeField()
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    decided_at = models.DateTimeField(null=True)
    answered_at = models.DateTimeField(null=True, help_text="When the runtime was told.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["created_at"]
        indexes = [models.Index(fields=["-created_at"]), models.Index(fields=["state", "expires_at"])]

    def __str__(self) -> str:
        return f"{self.command[:60]} ({self.get_state_display()})"
