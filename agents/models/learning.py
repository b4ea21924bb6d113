"""When an agent learned: for that time it was let through to what no rule named, so that rules could be written."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from agents import ids
from agents.models.agents import Agent
from agents.models.policies import Policy


class Learning(models.Model):
    """One such time, ``agents.learning`` begins and ends it. It is over at ``until`` whether or not anybody writes so."""

    id = models.CharField(primary_key=True, max_length=40, default=ids.learning_id, editable=False)
    agent = models.ForeignKey(Agent, models.CASCADE, related_name="learnings")
    policy = models.ForeignKey(Policy, models.CASCADE, related_name="learnings")
    started_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    started_at = models.DateTimeField()
    until = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    ended_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")

    class Meta:
        ordering = ["-id"]
        verbose_name = "time of learning"
        verbose_name_plural = "times of learning"
        constraints = [
            models.UniqueConstraint(
                fields=["agent"], condition=models.Q(ended_at=None), name="an_agent_learns_once_at_a_time"
            )
        ]

    def __str__(self) -> str:
        return f"{self.agent} until {self.until:%Y-%m-%d %H:%M}"
