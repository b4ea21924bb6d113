"""A push service and a browser behind it, as the standards describe them: it checks what is sent (RFC 8030, 8292) and
opens the payload (RFC 8291) with code of its own."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class BrowserKeys:
    """The keys a browser makes when it subscribes."""

    def __init__(self) -> None:
        self.private = ec.generate_private_key(ec.SECP256R1())
        self.public = self.private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        self.secret = os.urandom(16)
        self.p256dh, self.auth = encoded(self.public), encoded(self.secret)

    def open(self, body: bytes) -> bytes:
        """RFC 8291 §3.4 and RFC 8188, step by step."""
        salt, size, length = body[:16], int.from_bytes(body[16:20], "big"), body[20]
        sender, record = body[21 : 21 + length], body[21 + length :]
        assert length == 65
        assert len(record) <= size
        shared = self.private.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), sender))
        pseudo = hmac.digest(self.secret, shared, hashlib.sha256)
        secret = hmac.digest(pseudo, b"WebPush: info\x00" + self.public + sender + b"\x01", hashlib.sha256)
        pseudo = hmac.digest(salt, secret, hashlib.sha256)
        key = hmac.digest(pseudo, b"Content-Encoding: aes128gcm\x00\x01", hashlib.sha256)[:16]
        nonce = hmac.digest(pseudo, b"Content-Encoding: nonce\x00\x01", hashlib.sha256)[:12]
        plain = AESGCM(key).decrypt(nonce, record, None).rstrip(b"\x00")
        assert plain[-1:] == b"\x02", "the last record ends with 2"
        return plain[:-1]


@dataclass
class Sent:
    """One message that came."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class PushService:
    """What came, and what is answered to the next ones."""

    origin: str
    status: int = 201
    sent: list[Sent] = field(default_factory=list)

    def endpoint(self, name: str = "one") -> str:
        return f"{self.origin}/push/{name}"


def check(origin: str, headers: dict[str, str]) -> int:
    """The status a real service answers to these headers; 0 when they are as they must be."""
    if headers.get("content-encoding") != "aes128gcm" or not headers.get("ttl", "").isdigit():
        return 400
    scheme, _, rest = headers.get("authorization", "").partition(" ")
    parts = dict(part.strip().split("=", 1) for part in rest.split(","))
    if scheme != "vapid" or set(parts) != {"t", "k"}:
        return 401
    public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), decoded(parts["k"]))
    try:
        claims = jwt.decode(parts["t"], public, algorithms=["ES256"], audience=origin)
    except jwt.InvalidTokenError:
        return 403
    is_contact = str(claims.get("sub", "")).startswith(("mailto:", "https:"))
    return 0 if is_contact and claims["exp"] <= time.time() + 24 * 3600 else 403


@contextmanager
def push_service() -> Iterator[PushService]:
    """One that listens on this machine."""
    service: PushService

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length", 0)))
            service.sent.append(Sent(self.path, headers, body))
            status = check(service.origin, headers) or service.status
            self.send_response(status)
            self.send_header("Location", f"{service.origin}/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *words: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    service = PushService(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join(120)


def told(keys: BrowserKeys, sent: Sent) -> dict[str, Any]:
    """What the browser reads in a message."""
    return json.loads(keys.open(sent.body))
