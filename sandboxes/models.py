"""The rows of sandboxes: one per agent with its state, and every model call that passed the router."""

from __future__ import annotations

from django.db import models

from agents import ids
from agents.guarding import Rows
from agents.models import Agent
from sandboxes.tool_server.models import ToolCall, ToolRule

__all__ = [
    "Connection",
    "Desired",
    "EgressDecision",
    "HealthSample",
    "InferenceCall",
    "Sandbox",
    "State",
    "ToolCall",
    "ToolRule",
]


class State(models.TextChoices):
    """What we last knew of a sandbox."""

    STOPPED = "stopped", "Stopped"
    STARTING = "starting", "Preparing"
    RUNNING = "running", "Running"
    FAILED = "failed", "Failed"


class Desired(models.TextChoices):
    """What a sandbox should be; ``sandboxes.reconciling`` makes it so."""

    RUNNING = "running", "Running"
    STOPPED = "stopped", "Stopped"


class Sandbox(models.Model):
    """Where one agent lives. ``sandboxes.lifecycle`` is the only writer of its state."""

    permission = Rows(root="agent")

    id = models.CharField(primary_key=True, max_length=40, default=ids.sandbox_id, editable=False)
    agent = models.OneToOneField(Agent, models.CASCADE, related_name="sandbox")
    number = models.PositiveIntegerField(unique=True, editable=False, help_text="Decides the host user it runs as.")
    driver = models.CharField(max_length=20, default="local")
    state = models.CharField(max_length=10, choices=State.choices, default=State.STOPPED)
    reason = models.CharField(max_length=500, blank=True)
    claimed_until = models.DateTimeField(null=True, editable=False, help_text="Somebody is starting or stopping it.")
    claimed_by = models.CharField(max_length=60, blank=True, editable=False)
    driver_state = models.JSONField(default=dict, editable=False)
    layers = models.JSONField(default=list, editable=False)
    sealed_api_key = models.TextField(blank=True, editable=False)
    configuration_hash = models.CharField(max_length=64, blank=True, editable=False)
    starts = models.PositiveIntegerField(default=0, editable=False)
    started_at = models.DateTimeField(null=True, editable=False)
    probed_at = models.DateTimeField(null=True, editable=False)
    progress = models.CharField(max_length=120, blank=True, editable=False, help_text="What is being done right now.")
    asked_at = models.DateTimeField(null=True, editable=False, help_text="When somebody asked to prepare it.")
    desired = models.CharField(
        max_length=10, choices=Desired.choices, default=Desired.STOPPED, editable=False, help_text="What it should be."
    )
    keep_running = models.BooleanField(
        default=False, help_text="It is not stopped when nobody uses it, and started again whenever it ended."
    )
    used_at = models.DateTimeField(null=True, editable=False, help_text="When somebody last wanted it to run.")
    boot_id = models.CharField(max_length=40, blank=True, editable=False, help_text="The machine's start it began in.")
    attempts = models.PositiveSmallIntegerField(
        default=0, editable=False, help_text="How often Logos tried to start it again by itself, in a row."
    )
    next_attempt_at = models.DateTimeField(null=True, editable=False)
    crashes = models.PositiveIntegerField(
        default=0, editable=False, help_text="How often it ended without being asked."
    )
    silences = models.PositiveSmallIntegerField(
        default=0, editable=False, help_text="Looks in a row at which the agent runtime in it did not answer."
    )
    versions = models.JSONField(default=dict, editable=False, help_text="What it was started with.")
    files_removed_at = models.DateTimeField(null=True, editable=False, help_text="Its agent was deleted.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at"]
        verbose_name_plural = "sandboxes"

    def __str__(self) -> str:
        return f"{self.agent.name} ({self.get_state_display()})"


class HealthSample(models.Model):
    """What one sandbox used at one moment; a day of them is kept."""

    permission = Rows(root="sandbox__agent")

    sandbox = models.ForeignKey(Sandbox, models.CASCADE, related_name="samples")
    at = models.DateTimeField(db_index=True)
    start = models.PositiveIntegerField(help_text="Which start of the sandbox it belongs to.")
    cpu_s = models.FloatField(help_text="Processor seconds since that start.")
    memory_mb = models.FloatField()
    processes = models.PositiveIntegerField()
    disk_mb = models.FloatField(null=True, help_text="Measured every ten minutes.")
    latency_ms = models.FloatField(null=True, help_text="Empty: the agent runtime did not answer.")

    class Meta:
        ordering = ["-at"]
        indexes = [models.Index(fields=["sandbox", "at"])]

    def __str__(self) -> str:
        return f"{self.sandbox_id} at {self.at:%H:%M}"


class InferenceCall(models.Model):
    """One model call, as the router measured it. ``run_id`` is no foreign key: runs lie above this app."""

    permission = Rows(root="sandbox__agent")

    id = models.CharField(primary_key=True, max_length=40, editable=False)
    sandbox = models.ForeignKey(Sandbox, models.SET_NULL, null=True, related_name="calls")
    run_id = models.CharField(max_length=40, db_index=True)
    route_id = models.CharField(max_length=40)
    model = models.CharField(max_length=200)
    status = models.PositiveSmallIntegerField()
    error_code = models.CharField(max_length=40, blank=True)
    error_message = models.CharField(max_length=500, blank=True)
    streamed = models.BooleanField()
    late = models.BooleanField(default=False)
    ttft_ms = models.FloatField(null=True)
    duration_ms = models.FloatField()
    input_tokens = models.PositiveIntegerField(null=True)
    output_tokens = models.PositiveIntegerField(null=True)
    cached_tokens = models.PositiveIntegerField(null=True)
    reasoning_tokens = models.PositiveIntegerField(null=True)
    cost = models.DecimalField(max_digits=14, decimal_places=8, null=True)
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.model} {self.status} ({self.run_id})"


class Connection(models.Model):
    """One connection that was asked for from inside a sandbox, and what became of it. ``duration_ms`` is None while it
    goes on."""

    id = models.CharField(primary_key=True, max_length=40, editable=False)
    binary = models.CharField(max_length=300, blank=True)
    sha256 = models.CharField(max_length=64, blank=True)
    method = models.CharField(max_length=20, blank=True)
    host = models.CharField(max_length=253, blank=True)
    port = models.PositiveIntegerField()
    address = models.CharField(max_length=45, blank=True)
    allowed = models.BooleanField()
    rule = models.CharField(max_length=200, blank=True)
    reason = models.CharField(max_length=400, blank=True)
    sent = models.PositiveBigIntegerField(default=0)
    received = models.PositiveBigIntegerField(default=0)
    duration_ms = models.FloatField(null=True)
    at = models.DateTimeField(db_index=True)

    class Meta:
        abstract = True
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.host}:{self.port} {'allowed' if self.allowed else 'denied'}"


class EgressDecision(Connection):
    """One connection of an agent's sandbox. ``run_id`` is "" when several runs went on at once, or none: a connection
    names no run."""

    permission = Rows(root="agent")

    agent = models.ForeignKey(Agent, models.CASCADE, related_name="egress_decisions")
    run_id = models.CharField(max_length=40, blank=True)

    class Meta(Connection.Meta):
        indexes = [
            models.Index(fields=["agent", "id"], name="egress_of_agent"),
            models.Index(fields=["run_id", "id"], name="egress_of_run"),
            models.Index(fields=["rule", "at"], name="egress_by_rule"),
        ]
