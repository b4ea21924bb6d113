"""Accounts at MCP servers elsewhere: what Logos is known as there, and the tokens it was given, sealed."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from agents import secrets
from mcp_gateway import ids
from mcp_gateway.models.servers import McpServer


class ClientOrigin(models.TextChoices):
    """How Logos came to be known at a sign-in."""

    DOCUMENT = "document", "By the document at its own address"
    REGISTERED = "registered", "Registered by itself"
    GIVEN = "given", "Given by whoever runs it"


class McpClient(models.Model):
    """What the sign-in (issuer) of one server knows Logos as. Never used with another issuer."""

    id = models.CharField(primary_key=True, max_length=40, default=ids.client_id, editable=False)
    server = models.ForeignKey(McpServer, models.CASCADE, related_name="clients")
    issuer = models.CharField(max_length=500)
    redirect_uri = models.CharField(max_length=500)
    client_id = models.CharField(max_length=1000)
    sealed_secret = models.TextField(blank=True, editable=False)
    auth_method = models.CharField(max_length=30, default="none")
    origin = models.CharField(max_length=10, choices=ClientOrigin.choices)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]
        verbose_name = "client at a sign-in"
        verbose_name_plural = "clients at sign-ins"
        constraints = [
            models.UniqueConstraint(fields=["server", "issuer", "redirect_uri"], name="one_mcp_client_per_issuer")
        ]

    def __str__(self) -> str:
        return self.issuer

    @property
    def secret(self) -> str:
        return secrets.unseal(self.sealed_secret)


class McpAccount(models.Model):
    """Tokens for one server: everybody's (no person) or one person's. Without tokens it waits to be connected anew.

    ``version`` counts the times the tokens changed; ``claim`` and ``claimed_until`` are of whoever refreshes them."""

    id = models.CharField(primary_key=True, max_length=40, default=ids.account_id, editable=False)
    server = models.ForeignKey(McpServer, models.CASCADE, related_name="accounts")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, null=True, blank=True, related_name="+")
    client = models.ForeignKey(McpClient, models.CASCADE, related_name="accounts")
    resource = models.CharField(max_length=500)
    token_endpoint = models.CharField(max_length=500)
    revocation_endpoint = models.CharField(max_length=500, blank=True)
    sealed_access = models.TextField(blank=True, editable=False)
    sealed_refresh = models.TextField(blank=True, editable=False)
    scopes = models.CharField(max_length=1000, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    connected_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    connected_at = models.DateTimeField(default=timezone.now)
    refreshed_at = models.DateTimeField(null=True, blank=True)
    lost_at = models.DateTimeField(null=True, blank=True)
    reason = models.CharField(max_length=300, blank=True)
    version = models.PositiveIntegerField(default=1, editable=False)
    claim = models.CharField(max_length=40, blank=True, editable=False)
    claimed_until = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["connected_at"]
        verbose_name = "account at an MCP server"
        verbose_name_plural = "accounts at MCP servers"
        constraints = [
            models.UniqueConstraint(fields=["server", "person"], name="one_mcp_account_per_person"),
            models.UniqueConstraint(fields=["server"], condition=Q(person=None), name="one_shared_mcp_account"),
        ]

    def __str__(self) -> str:
        return f"{self.server_id} {self.person_id or 'everybody'}"

    @property
    def is_connected(self) -> bool:
        return bool(self.sealed_access) and self.lost_at is None
