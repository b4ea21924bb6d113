"""What happened to accounts and access: sign-ins, tokens, grants, refusals; configuration has its own history."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from agents import ids


class SecurityEvent(models.Model):
    """One event, written by ``agents.audit.note`` and never changed. The sentences are in ``agents.audit.EVENTS``."""

    id = models.CharField(primary_key=True, max_length=40, default=ids.event_id, editable=False)
    at = models.DateTimeField(auto_now_add=True, db_index=True)
    kind = models.CharField(max_length=40)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    # The person it happened to, when that is somebody else or the actor is unknown.
    person = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    object_kind = models.CharField(max_length=40, blank=True)
    object_id = models.CharField(max_length=60, blank=True)
    object_name = models.CharField(max_length=200, blank=True)
    via = models.CharField(max_length=10, blank=True)
    address = models.CharField(max_length=45, blank=True)
    detail = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ["-id"]
        # The audit narrows by one of these and reads from the newest on.
        indexes = [
            models.Index(fields=["kind", "at"], name="events_of_a_kind"),
            models.Index(fields=["object_kind", "at"], name="events_of_objects_of_a_kind"),
            models.Index(fields=["object_id", "at"], name="events_of_an_object"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.at:%Y-%m-%d %H:%M}"
