"""What channels keep about a person: in the archive of their data, and erased with them."""

from __future__ import annotations

from agents.exporting import Part, Rows, values
from agents.models import User
from channels_app.models import Notices, PushDevice


def erase(person: User) -> None:
    """Forget their browsers and what they chose."""
    PushDevice.objects.filter(user=person).delete()
    Notices.objects.filter(user=person).delete()


def _devices(person: User) -> Rows:
    return values(PushDevice.objects.filter(user=person), "name", "endpoint", "created_at", "reached_at")


def _notices(person: User) -> Rows:
    return values(Notices.objects.filter(user=person), "by_push", "by_mail", "pushed_at", "mailed_at")


PARTS: list[Part] = [
    ("push_devices.json", "The browsers that are told when something waits for you.", False, _devices),
    ("notices.json", "How you want to be told, and when you last were.", False, _notices),
]
