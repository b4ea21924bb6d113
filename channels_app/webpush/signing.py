"""Say to a push service who sends, as RFC 8292 says (VAPID): a short token signed with the key of this Logos (pure)."""

from __future__ import annotations

import json
from collections.abc import Mapping

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from channels_app.webpush.encoding import encoded, public_point

# Services take at most 24 hours; clocks differ.
VALID_S = 12 * 3600


def authorization(key: ec.EllipticCurvePrivateKey, audience: str, contact: str, now_s: float) -> str:
    """The header for a push service at the origin ``audience``; ``contact`` is where its people may turn."""
    head = {"typ": "JWT", "alg": "ES256"}
    claims = {"aud": audience, "exp": int(now_s) + VALID_S, "sub": contact}
    signed = f"{_part(head)}.{_part(claims)}"
    r, s = decode_dss_signature(key.sign(signed.encode(), ec.ECDSA(SHA256())))
    signature = encoded(r.to_bytes(32) + s.to_bytes(32))
    return f"vapid t={signed}.{signature}, k={encoded(public_point(key.public_key()))}"


def _part(value: Mapping[str, object]) -> str:
    return encoded(json.dumps(value, separators=(",", ":")).encode())
