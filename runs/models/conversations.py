"""Conversations between one person and one agent, and the messages in them."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from agents import ids
from agents.guarding import Rows
from agents.models import Agent


class Speaker(models.TextChoices):
    """Who said it."""

    PERSON = "person", "Person"
    AGENT = "agent", "Agent"


class Conversation(models.Model):
    """A talk with one agent. Deleted agents keep theirs, read-only."""

    permission = Rows(owner="owner", root="agent")

    id = models.CharField(primary_key=True, max_length=40, default=ids.conversation_id, editable=False)
    agent = models.ForeignKey(Agent, models.PROTECT, related_name="conversations")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="conversations")
    title = models.CharField(max_length=120, blank=True)
    origin = models.CharField(max_length=20, default="web")
    opening_key = models.CharField(max_length=100, null=True, editable=False)  # noqa: DJ001 (NULLs do not collide)
    is_unread = models.BooleanField(
        default=False, editable=False, help_text="The agent wrote unasked since its owner looked last."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    last_at = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        ordering = ["-last_at"]
        indexes = [
            models.Index(fields=["owner", "-last_at"]),
            models.Index(fields=["owner"], condition=models.Q(is_unread=True), name="conversation_unread"),
        ]
        constraints = [
            # Two clicks on "send" in a new chat make one conversation.
            models.UniqueConstraint(fields=["owner", "opening_key"], name="one_conversation_per_opening_key")
        ]

    def __str__(self) -> str:
        return self.title or self.id


class Message(models.Model):
    """What the person or the agent said. An agent's message is written when its run ends."""

    permission = Rows(owner="conversation__owner", root="conversation__agent")

    id = models.CharField(primary_key=True, max_length=40, default=ids.message_id, editable=False)
    conversation = models.ForeignKey(Conversation, models.CASCADE, related_name="messages")
    speaker = models.CharField(max_length=10, choices=Speaker.choices)
    text = models.TextField()
    idempotency_key = models.CharField(max_length=100, null=True, blank=True)  # noqa: DJ001 (NULLs do not collide)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["conversation", "idempotency_key"], name="one_message_per_idempotency_key")
        ]

    def __str__(self) -> str:
        return self.text[:60]
