"""Hand one message to a push service, and say what it answered."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import httpx
from cryptography.hazmat.primitives.asymmetric import ec

from channels_app.webpush import endpoints, sealing, signing

TIMEOUT_S = 10.0


class Answer(StrEnum):
    """What became of a message."""

    TAKEN = "taken"
    GONE = "gone"  # the browser unsubscribed: never again
    LATER = "later"  # the service is busy or not there
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Target:
    """Where a message goes and the keys it is sealed with."""

    endpoint: str
    p256dh: str
    auth: str


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sends: the key of this Logos, and where the people of a push service may turn."""

    key: ec.EllipticCurvePrivateKey
    contact: str


def send(sender: Sender, target: Target, message: Mapping[str, object], *, ttl_s: int, topic: str = "") -> Answer:
    """Post ``message`` for at most ``ttl_s`` seconds of waiting at the service; one of the same ``topic`` replaces
    another that waits there. Redirects are not followed. Never raises for what the service does."""
    body = sealing.seal(json.dumps(message).encode(), target.p256dh, target.auth)
    audience = endpoints.origin(target.endpoint)
    headers = {
        "Authorization": signing.authorization(sender.key, audience, sender.contact, time.time()),
        "Content-Encoding": "aes128gcm",
        "Content-Type": "application/octet-stream",
        "TTL": str(ttl_s),
        "Urgency": "high",
        **({"Topic": topic} if topic else {}),
    }
    try:
        status = httpx.post(target.endpoint, content=body, headers=headers, timeout=TIMEOUT_S).status_code
    except (httpx.HTTPError, httpx.InvalidURL):
        return Answer.LATER
    return meaning(status)


def meaning(status: int) -> Answer:
    """What a push service means by its status (RFC 8030)."""
    if 200 <= status < 300:
        return Answer.TAKEN
    if status in (404, 410):
        return Answer.GONE
    return Answer.LATER if status == 429 or status >= 500 else Answer.REFUSED
