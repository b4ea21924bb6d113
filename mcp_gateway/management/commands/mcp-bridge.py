"""MCP over standard input and output, for clients that know nothing else."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

from django.core.management.base import CommandParser

from agents.command_line import LogosCommand, one_sentence, plain
from agents.errors import Invalid
from mcp_gateway.bridging.bridge import Bridge
from mcp_gateway.bridging.pipes import Lines, Mouth
from mcp_gateway.bridging.wire import Denied, Unreachable, Wire

AUTHENTICATION, NETWORK = 10, 11
SILENCE_S = 60.0


class Command(LogosCommand):
    """``MCP_URL=… MCP_TOKEN=… mcp-bridge``; standard output carries messages of the protocol and nothing else."""

    help = (
        "Let a client that only starts programs use the MCP gateway. From the environment: MCP_URL (the gateway's "
        "address, or one server's), MCP_TOKEN (an agent's token, or MCP_TOKEN_FILE), MCP_AGENT (whose token it must be; "
        "may be left out)."
    )
    exits = (
        "exit codes: 0 the client closed its side; 1 refused (one sentence on standard error says why);\n"
        "            10 the token is not accepted; 11 the gateway cannot be reached or says nothing"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--silence",
            type=float,
            default=SILENCE_S,
            metavar="SECONDS",
            help="a gateway that says nothing for so long hangs; one that waits says so (%(default)g)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        # Whatever else prints, a stray library too, prints where people read.
        protocol = os.dup(1)
        os.dup2(2, 1)
        mouth = Mouth(protocol)
        code = asyncio.run(self._bridge(mouth, options["silence"]))
        mouth.close(5.0)
        sys.stderr.flush()
        # Not sys.exit: a thread that waits for the client's input would be waited for.
        os._exit(code)

    async def _bridge(self, mouth: Mouth, silence_s: float) -> int:
        try:
            async with Wire(os.environ.get("MCP_URL", ""), _token(), silence_s) as wire:
                agent = os.environ.get("MCP_AGENT", "").strip()
                await Bridge(wire, Lines(0), mouth, agent=agent, say=self.say).run()
        except Denied as error:
            self.say(f"Logos does not let this client in: {plain(str(error))}")
            return AUTHENTICATION
        except Unreachable as error:
            self.say(plain(str(error)))
            return NETWORK
        except Invalid as error:
            self.say(f"MCP_URL: {one_sentence(error)}")
            return 1
        return 0


def _token() -> str:
    """The token from the environment, or from a file the environment names. Raises Denied."""
    token = os.environ.get("MCP_TOKEN", "").strip()
    if not token and (path := os.environ.get("MCP_TOKEN_FILE", "").strip()):
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                token = file.read(1_000).strip()
        except OSError as error:
            raise Denied(f"MCP_TOKEN_FILE cannot be read: {error.strerror}.") from error
    if not token.isascii() or not token.isprintable() or not token:
        raise Denied("MCP_TOKEN must be the token of an agent.")
    return token
