"""What a request may be before anybody has looked at it: not too long, and silent about where the site lies.

Daphne takes a whole body in, on disk or in memory, before any view can refuse it, whoever sends it.
"""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

from daphne.http_protocol import WebRequest
from django.conf import settings

# Twice what Django takes: up to there views refuse in their own words.
MAX_BODY_BYTES = 4 << 20
# Files for a workspace may be larger; the form around one is not large.
UPLOADS = re.compile(rb"/(?:api/)?agents/[a-z0-9_]{1,40}/files/(?:content)?")
FORM_BYTES = 64 << 10
LINGER_S = 2.0

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Too large</title></head>
<body><h1>Too large</h1><p>%s Go back in your browser; nothing else was changed.</p></body></html>
"""


class Bounded(WebRequest):
    """A request that is answered with 413, and not kept, as soon as its body is too long."""

    _size = 0
    _most = MAX_BODY_BYTES
    _is_refused = False

    def gotLength(self, length: int | None) -> None:
        self._most = _most(getattr(self.channel, "_path", b""), self.requestHeaders)
        is_too_long = bool(length and length > self._most)
        super().gotLength(0 if is_too_long else length)
        if is_too_long:
            self._refuse()

    def handleContentChunk(self, data: bytes) -> None:
        self._size += len(data)
        if not self._is_refused and self._size > self._most:
            self.content.truncate(0)
            self._refuse()
        if not self._is_refused:
            super().handleContentChunk(data)

    def process(self) -> Any:
        if self._is_refused:
            return None
        # Daphne believes this header, from anybody: it would become the beginning of every address we answer with.
        self.requestHeaders.removeHeader(b"daphne-root-path")
        return super().process()

    def _refuse(self) -> None:
        self._is_refused = True
        transport: Any = self.channel.transport
        transport.write(refusal(getattr(self.channel, "_path", b""), self._most > MAX_BODY_BYTES))
        # Closed at once, the answer would be lost to whoever is still sending.
        transport.loseWriteConnection()
        asyncio.get_running_loop().call_later(LINGER_S, transport.abortConnection)


def refusal(path: bytes, is_upload: bool) -> bytes:
    """The whole answer, for a program or for a person; an upload is told how large it may be."""
    sentence = "The request is too large."
    if is_upload:
        sentence = f"A file may have {settings.LOGOS_UPLOAD_MB} MB here. Nothing of it was kept."
    kind, body = "text/html; charset=utf-8", _PAGE % sentence
    if path.startswith(b"/api/"):
        error = {"reason": "too_large", "message": sentence, "action": "", "field": "file" if is_upload else ""}
        kind, body = "application/json", json.dumps({"error": error})
    return (
        f"HTTP/1.1 413 Content Too Large\r\nContent-Type: {kind}\r\nX-Content-Type-Options: nosniff\r\n"
        f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


def _most(path: bytes, headers: Any) -> int:
    """What the body of a request to this address may have; a stranger's never more than any other's."""
    knows_somebody = headers.hasHeader(b"authorization") or headers.hasHeader(b"cookie")
    if knows_somebody and UPLOADS.fullmatch(path.partition(b"?")[0]):
        return max(MAX_BODY_BYTES, settings.LOGOS_UPLOAD_MB * 1024**2 + FORM_BYTES)
    return MAX_BODY_BYTES


def guard(factory: Any) -> None:
    """From now on this HTTP factory of Daphne's makes bounded requests."""
    plain = factory.buildProtocol

    def build(address: Any) -> Any:
        protocol = plain(address)
        protocol.requestFactory = Bounded
        return protocol

    factory.buildProtocol = build
