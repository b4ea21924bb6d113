"""The browsers of a person that are pushed to: switched on, switched off, forgotten when they are gone."""

from __future__ import annotations

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from agents import audit
from agents.errors import Conflict, Invalid, NotFound
from agents.models import User
from channels_app.models import PushDevice
from channels_app.webpush import endpoints, sealing

MOST = 10


def of(person: User) -> QuerySet[PushDevice]:
    """The browsers of ``person``, the newest first."""
    return PushDevice.objects.filter(user=person).order_by("-pk")


def add(person: User, endpoint: str, p256dh: str, auth: str, name: str) -> PushDevice:
    """Push to this browser from now on. A browser that somebody else signed in with before is theirs no more."""
    if not endpoints.is_known(endpoint, settings.LOGOS_PUSH_SERVICES):
        raise Invalid(
            "This browser uses a push service that Logos does not send to.",
            field="endpoint",
            action="An admin can add its host to LOGOS_PUSH_SERVICES.",
        )
    try:
        sealing.check_keys(p256dh, auth)
    except ValueError as error:
        raise Invalid("These are not the keys of a push subscription.", field="p256dh") from error
    values = {"user": person, "endpoint": endpoint, "p256dh": p256dh, "auth": auth, "name": name[:120], "failures": 0}
    digest = PushDevice.digest_of(endpoint)
    with transaction.atomic():
        if of(person).exclude(digest=digest).count() >= MOST:
            raise Conflict(f"At most {MOST} browsers can be switched on.", action="Remove one of the list first.")
        device, is_new = PushDevice.objects.update_or_create(digest=digest, defaults=values)
        if is_new:
            audit.note("push_on", person=person, device=name)
    return device


def remove(person: User, device_id: int) -> str:
    """Push to this browser no longer; its name. NotFound for one that is somebody else's."""
    device = of(person).filter(pk=device_id).first()
    if device is None:
        raise NotFound("This browser")
    device.delete()
    audit.note("push_off", person=person, device=device.name)
    return device.name
