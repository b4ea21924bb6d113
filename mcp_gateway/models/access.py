"""What agents were given: access to a server with an end, and the tokens by which clients outside show who they are."""

from __future__ import annotations

import secrets

from django.conf import settings
from django.db import models
from django.utils import timezone

from agents.guarding import Rows
from agents.models import Agent
from mcp_gateway import ids
from mcp_gateway.book import digest
from mcp_gateway.models.servers import McpServer


class McpAccess(models.Model):
    """An agent may use a server: who gave it, why, and until when. Never changed but for its end."""

    permission = Rows(root="agent")

    id = models.CharField(primary_key=True, max_length=40, default=ids.access_id, editable=False)
    agent = models.ForeignKey(Agent, models.CASCADE, related_name="mcp_access")
    server = models.ForeignKey(McpServer, models.CASCADE, related_name="accesses")
    given_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    reason = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    revoked_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")

    class Meta:
        ordering = ["-id"]
        verbose_name = "access to an MCP server"
        verbose_name_plural = "access to MCP servers"

    def __str__(self) -> str:
        return f"{self.agent_id} may use {self.server_id}"

    @property
    def is_live(self) -> bool:
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > timezone.now())


class McpToken(models.Model):
    """A bearer token of one agent for clients outside its sandbox. Only its SHA-256 is kept."""

    permission = Rows(root="agent")

    agent = models.ForeignKey(Agent, models.CASCADE, related_name="mcp_tokens")
    name = models.CharField(max_length=80)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    hint = models.CharField(max_length=16, editable=False)
    made_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["-created_at"]
        verbose_name = "MCP token of an agent"
        verbose_name_plural = "MCP tokens of agents"

    def __str__(self) -> str:
        return f"{self.name} ({self.hint}…)"

    @classmethod
    def secret(cls) -> str:
        """A new secret, shaped like our other tokens so that it is redacted wherever it turns up."""
        return f"logos_mcp_{secrets.token_urlsafe(32)}"

    def keep(self, secret: str) -> None:
        """Remember this secret; save it yourself."""
        self.digest, self.hint = digest(secret), secret[:14]


class McpCall(models.Model):
    """One call an agent made: never its arguments, only what tells whether two were the same."""

    permission = Rows(root="agent")

    id = models.CharField(primary_key=True, max_length=40, default=ids.call_id, editable=False)
    agent = models.ForeignKey(Agent, models.CASCADE, related_name="+")
    server = models.ForeignKey(McpServer, models.SET_NULL, null=True, related_name="+")
    server_name = models.CharField(max_length=80)
    method = models.CharField(max_length=40)
    tool = models.CharField(max_length=128, blank=True)
    outcome = models.CharField(max_length=12)
    reason = models.CharField(max_length=300, blank=True)
    duration_ms = models.FloatField(default=0)
    arguments_digest = models.CharField(max_length=64, blank=True)
    decision = models.CharField(max_length=6, blank=True)
    argument_bytes = models.PositiveIntegerField(default=0)
    result_bytes = models.PositiveIntegerField(default=0)
    via = models.CharField(max_length=10)
    run_id = models.CharField(max_length=40, blank=True, db_index=True)
    at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]
        verbose_name = "MCP call"
        indexes = [
            models.Index(fields=["agent", "-id"]),
            models.Index(fields=["server", "-id"], name="mcp_calls_of_a_server"),
            # Those that go on: few, and looked for whenever a gateway starts.
            models.Index(fields=["outcome"], condition=models.Q(outcome="started"), name="mcp_calls_that_go_on"),
        ]

    def __str__(self) -> str:
        return f"{self.server_name} {self.tool}: {self.outcome}"


class McpLease(models.Model):
    """Which process runs the MCP servers, until when."""

    name = models.CharField(primary_key=True, max_length=20)
    owner = models.CharField(max_length=60)
    until = models.DateTimeField()

    class Meta:
        verbose_name = "lease of the MCP gateway"
        verbose_name_plural = "leases of the MCP gateway"

    def __str__(self) -> str:
        return self.owner
