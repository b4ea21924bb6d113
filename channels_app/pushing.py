"""Push to the browsers of a person, and forget those that are gone."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from django.conf import settings
from django.utils import timezone

from agents.models import User
from channels_app import devices
from channels_app.models import PushDevice
from channels_app.webpush.encoding import encoded, private_key, public_point
from channels_app.webpush.sending import Answer, Sender, Target, send

logger = logging.getLogger(__name__)

# A browser that cannot be reached so often in a row has been thrown away without a word.
GIVEN_UP = 20


def public_key() -> str:
    """What a browser needs to take messages from this Logos and from nobody else."""
    return encoded(public_point(private_key(settings.LOGOS_PUSH_KEY).public_key()))


def sender() -> Sender:
    """Who sends."""
    contact = settings.LOGOS_PUSH_CONTACT or (
        settings.LOGOS_URL if settings.LOGOS_URL.startswith("https://") else "mailto:logos@localhost.localdomain"
    )
    return Sender(private_key(settings.LOGOS_PUSH_KEY), contact)


def push(person: User, message: Mapping[str, object], *, ttl_s: int, topic: str = "") -> int:
    """Send to every browser of ``person``; how many push services took it."""
    us = sender()
    return sum(_push(us, device, message, ttl_s, topic) for device in devices.of(person))


def _push(us: Sender, device: PushDevice, message: Mapping[str, object], ttl_s: int, topic: str) -> bool:
    answer = send(us, Target(device.endpoint, device.p256dh, device.auth), message, ttl_s=ttl_s, topic=topic)
    if answer == Answer.TAKEN:
        PushDevice.objects.filter(pk=device.pk).update(failures=0, reached_at=timezone.now())
    elif answer == Answer.GONE or device.failures + 1 >= GIVEN_UP:
        device.delete()
    else:
        logger.warning("A push service did not take a message: %s", answer)
        PushDevice.objects.filter(pk=device.pk).update(failures=device.failures + 1)
    return answer == Answer.TAKEN
