"""Seal a payload for one browser as RFC 8291 says: the push service carries it and cannot read it (pure)."""

from __future__ import annotations

import os

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from channels_app.webpush.encoding import CURVE, decoded, public_point

RECORD = 4096
# One record, less its header of 86 bytes, the tag of the cipher and the byte that ends a record.
MAX_PLAIN = RECORD - 86 - 16 - 1
POINT_BYTES, AUTH_BYTES = 65, 16


def check_keys(p256dh: str, auth: str) -> None:
    """ValueError unless these are a point of the curve and a secret, as a browser gives them."""
    point, secret = decoded(p256dh), decoded(auth)
    if len(point) != POINT_BYTES or len(secret) != AUTH_BYTES:
        raise ValueError("not the keys of a subscription")
    ec.EllipticCurvePublicKey.from_encoded_point(CURVE, point)


def seal(
    plain: bytes,
    p256dh: str,
    auth: str,
    *,
    salt: bytes | None = None,
    sender: ec.EllipticCurvePrivateKey | None = None,
) -> bytes:
    """The body of a push message; ``salt`` and ``sender`` are drawn anew for every message but in tests."""
    if len(plain) > MAX_PLAIN:
        raise ValueError(f"a payload has at most {MAX_PLAIN} bytes")
    salt, sender = salt or os.urandom(16), sender or ec.generate_private_key(CURVE)
    receiver = ec.EllipticCurvePublicKey.from_encoded_point(CURVE, decoded(p256dh))
    ours, theirs = public_point(sender.public_key()), public_point(receiver)
    shared = sender.exchange(ec.ECDH(), receiver)
    secret = _derived(shared, decoded(auth), b"WebPush: info\x00" + theirs + ours, 32)
    key = _derived(secret, salt, b"Content-Encoding: aes128gcm\x00", 16)
    nonce = _derived(secret, salt, b"Content-Encoding: nonce\x00", 12)
    # The byte 2 says that this record is the last.
    sealed = AESGCM(key).encrypt(nonce, plain + b"\x02", None)
    return salt + RECORD.to_bytes(4) + len(ours).to_bytes(1) + ours + sealed


def _derived(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    return HKDF(SHA256(), length, salt, info).derive(secret)
