"""The background work of sandboxes that comes again by itself: one row of django-q for each, made by every migrate."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.db import connections

EVERY_MINUTE = {
    "reconcile sandboxes": "sandboxes.tasks.reconcile",
    "look at sandboxes": "sandboxes.tasks.probe",
    "look after archives of people's data": "agents.exporting.revive",
    "look after calls of tools": "sandboxes.tool_server.sweeping.sweep",
}


def make(using: str = "default", **rest: Any) -> None:
    """Make or mend the rows. Called after migrations; before django-q's own have run there is nowhere to put them."""
    if "django_q_schedule" not in connections[using].introspection.table_names():
        return
    schedules = apps.get_model("django_q", "Schedule").objects.using(using)
    for name, function in EVERY_MINUTE.items():
        # Its result is in the log and in the rows it changed; a minute's record of it would crowd out others.
        values = {
            "func": function,
            "schedule_type": "I",
            "minutes": 1,
            "repeats": -1,
            "kwargs": "q_options={'save': False}",
        }
        schedules.update_or_create(name=name, defaults=values)
