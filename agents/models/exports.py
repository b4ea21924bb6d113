"""Archives of a person's data: asked for, made in the background, fetched, and removed again."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from agents import ids


class ExportState(models.TextChoices):
    """Where an archive stands."""

    QUEUED = "queued", "Queued"
    RUNNING = "running", "Being made"
    READY = "ready", "Ready"
    FAILED = "failed", "Failed"


class DataExport(models.Model):
    """One archive; its file lies below the state directory under the row's id until ``expires_at``."""

    id = models.CharField(primary_key=True, max_length=40, default=ids.export_id, editable=False)
    person = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="exports")
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    # False: an admin asked while chats are private.
    with_contents = models.BooleanField(default=True)
    state = models.CharField(max_length=10, choices=ExportState.choices, default=ExportState.QUEUED)
    problem = models.CharField(max_length=300, blank=True)
    # Raised before the work; who holds an older number has been given up and finishes nothing.
    attempts = models.PositiveSmallIntegerField(default=0, editable=False)
    beat_at = models.DateTimeField(null=True, editable=False)
    size = models.BigIntegerField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    ready_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True)
    fetched_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-pk"]
        constraints = [
            # Two clicks at once make one archive.
            models.UniqueConstraint(
                fields=["person", "asked_by"],
                condition=models.Q(state__in=("queued", "running")),
                name="one_export_at_a_time",
            )
        ]

    def __str__(self) -> str:
        return f"{self.id} ({self.get_state_display()})"
