"""The background work of channels that comes again by itself: one row of django-q, made by every migrate."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.db import connections


def make(using: str = "default", **rest: Any) -> None:
    """Make or mend the row. Before django-q's own migrations have run there is nowhere to put it."""
    if "django_q_schedule" not in connections[using].introspection.table_names():
        return
    apps.get_model("django_q", "Schedule").objects.using(using).update_or_create(
        name="send notices that waited",
        defaults={
            "func": "channels_app.tasks.settle_mails",
            "schedule_type": "I",
            "minutes": 1,
            "repeats": -1,
            "kwargs": "q_options={'save': False}",
        },
    )
