"""A port for a server that a test starts in another process."""

from __future__ import annotations

import secrets
import socket

# Below those the kernel gives to whoever asks for any port (32768 and up on Linux): between our looking and the server's
# binding, no other test can be given it by chance.
LOWEST, HIGHEST = 20_000, 32_000


def free_port() -> int:
    """A port of this machine that nobody listens on now."""
    while True:
        port = LOWEST + secrets.randbelow(HIGHEST - LOWEST)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
