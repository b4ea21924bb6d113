"""What is stopped: everything, an agent, a person or a server, since when, by whom, and how far it is resumed."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from agents import ids
from agents.models.agents import Agent


class HaltScope(models.TextChoices):
    """What a halt is about."""

    EVERYTHING = "everything", "Everything"
    AGENT = "agent", "An agent"
    PERSON = "person", "A person"
    SERVER = "server", "A server"


class Stage(models.TextChoices):
    """How far a halt is taken back. Each is a decision, and each lets more happen than the one before."""

    STOPPED = "stopped", "Stopped"
    DECIDING = "deciding", "Requests can be decided"
    CHOSEN = "chosen", "Chosen agents work"
    LIFTED = "lifted", "Resumed"


class Halt(models.Model):
    """One halt; ``agents.halting`` begins it and takes it back. ``name`` is what is stopped, in the words of that moment."""

    id = models.CharField(primary_key=True, max_length=40, default=ids.halt_id, editable=False)
    scope = models.CharField(max_length=10, choices=HaltScope.choices)
    # The agent's id, the person's number, the server's name; "" for everything.
    subject = models.CharField(max_length=120, blank=True)
    name = models.CharField(max_length=200, blank=True)
    agent = models.ForeignKey(Agent, models.CASCADE, null=True, related_name="halts")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, null=True, related_name="halts")
    reason = models.CharField(max_length=300, blank=True)
    stage = models.CharField(max_length=10, choices=Stage.choices, default=Stage.STOPPED)
    chosen = models.JSONField(default=list, blank=True, help_text="Ids of the agents that may work again.")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    at = models.DateTimeField()
    lifted_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    lifted_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["scope", "subject"], condition=models.Q(lifted_at=None), name="one_halt_of_one_thing_at_a_time"
            )
        ]

    def __str__(self) -> str:
        return f"{self.name or self.get_scope_display()} stopped {self.at:%Y-%m-%d %H:%M}"

    @property
    def is_on(self) -> bool:
        return self.lifted_at is None


class StopKind(models.TextChoices):
    """What a halt asks to stop."""

    ENGINE = "engine", "Engine"
    RUN = "run", "Run"
    SANDBOX = "sandbox", "Sandbox"
    TERMINAL = "terminal", "Terminal"


class HaltStop(models.Model):
    """One thing a halt asked to stop, and when it had: "requested" and "confirmed" are two facts."""

    halt = models.ForeignKey(Halt, models.CASCADE, related_name="stops")
    kind = models.CharField(max_length=10, choices=StopKind.choices)
    subject = models.CharField(max_length=80)
    agent = models.ForeignKey(Agent, models.CASCADE, null=True, related_name="+")
    requested_at = models.DateTimeField()
    confirmed_at = models.DateTimeField(null=True)
    note = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["kind", "pk"]
        constraints = [models.UniqueConstraint(fields=["halt", "kind", "subject"], name="a_halt_asks_once")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.subject}: {'confirmed' if self.confirmed_at else 'requested'}"
