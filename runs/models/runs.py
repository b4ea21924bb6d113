"""Runs and their events: every message becomes one run, every run an append-only, chained list of events."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from agents import ids
from agents.guarding import Rows
from agents.models import Agent
from runs.models.conversations import Conversation, Message


class Status(models.TextChoices):
    """Where a run stands. Shown to people as the words of ``runs.words``."""

    QUEUED = "queued", "Queued"
    PROVISIONING = "provisioning", "Preparing"
    RUNNING = "running", "Running"
    WAITING = "waiting", "Waiting for you"
    COMPLETED = "completed", "Done"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Stopped"
    INTERRUPTED = "interrupted", "Interrupted"


ACTIVE = (Status.QUEUED, Status.PROVISIONING, Status.RUNNING, Status.WAITING)


class RunQuerySet(models.QuerySet["Run"]):
    """Questions about many runs."""

    def active(self) -> RunQuerySet:
        """Those not yet ended."""
        return self.filter(status__in=ACTIVE)


class Run(models.Model):
    """One message carried out. ``runs.dispatch`` starts it, ``runs.engine`` claims it with a lease and ends it."""

    permission = Rows(owner="conversation__owner", root="agent")

    id = models.CharField(primary_key=True, max_length=40, default=ids.run_id, editable=False)
    conversation = models.ForeignKey(Conversation, models.CASCADE, related_name="runs")
    agent = models.ForeignKey(Agent, models.PROTECT, related_name="runs")
    message = models.OneToOneField(Message, models.CASCADE, related_name="run")
    reply = models.OneToOneField(Message, models.SET_NULL, null=True, related_name="answered_run")
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="runs")
    status = models.CharField(max_length=12, choices=Status.choices, default=Status.QUEUED)

    stamp = models.JSONField(default=dict, editable=False)
    fingerprint = models.CharField(max_length=64, blank=True, editable=False)

    lease_owner = models.CharField(max_length=60, blank=True, editable=False)
    lease_until = models.DateTimeField(null=True, editable=False)
    attempt = models.PositiveSmallIntegerField(default=0, editable=False)
    runtime_run_id = models.CharField(max_length=60, blank=True, editable=False)
    runtime_session_id = models.CharField(max_length=60, blank=True, editable=False)
    lane = models.PositiveSmallIntegerField(null=True, editable=False)
    cancel_requested_at = models.DateTimeField(null=True, editable=False)
    cancelled_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+", editable=False
    )

    error_code = models.CharField(max_length=40, blank=True)
    error_message = models.CharField(max_length=500, blank=True)
    error_action = models.CharField(max_length=300, blank=True)
    model_calls = models.PositiveIntegerField(default=0)
    tool_calls = models.PositiveIntegerField(default=0)
    input_tokens = models.PositiveIntegerField(default=0)
    output_tokens = models.PositiveIntegerField(default=0)
    cost = models.DecimalField(max_digits=14, decimal_places=8, null=True, help_text="USD; empty when unknown.")
    cost_is_partial = models.BooleanField(default=False, help_text="Some calls had no known price: read 'at least'.")
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    objects = RunQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["status", "lease_until"]),
            models.Index(fields=["agent", "-created_at"]),
            models.Index(fields=["conversation", "created_at"]),
            # What goes on now, without reading what ended; and lists of one state, the newest first.
            models.Index(fields=["status", "-created_at"]),
        ]
        constraints = [
            # Two tabs that send at once: the second insert fails, whoever is first.
            models.UniqueConstraint(
                fields=["conversation"], condition=models.Q(status__in=ACTIVE), name="one_active_run_per_conversation"
            )
        ]

    def __str__(self) -> str:
        return self.id

    @property
    def has_finished(self) -> bool:
        return self.status not in ACTIVE

    @property
    def duration_ms(self) -> float | None:
        """From the message to the end; None while it goes on."""
        return (self.finished_at - self.created_at).total_seconds() * 1000 if self.finished_at else None


class RunEvent(models.Model):
    """One thing that happened, in order. ``digest`` covers the event and the digest before it, so that a
    changed, missing or inserted row shows (``runs.events.verify``). An erased event keeps its digest, kind and time."""

    run = models.ForeignKey(Run, models.CASCADE, related_name="events")
    seq = models.PositiveIntegerField()
    kind = models.CharField(max_length=30)
    data = models.JSONField()
    at = models.DateTimeField()
    previous = models.CharField(max_length=64)
    digest = models.CharField(max_length=64)
    # Set when the content was erased: covers what is left (``events.erased_digest_of``).
    erased = models.CharField(max_length=64, blank=True, default="")

    class Meta:
        ordering = ["run", "seq"]
        constraints = [models.UniqueConstraint(fields=["run", "seq"], name="one_event_per_seq")]

    def __str__(self) -> str:
        return f"{self.run_id} #{self.seq} {self.kind}"
