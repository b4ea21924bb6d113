"""A small MCP server over stdio for benchmarks: two tools, no library, nothing in the way of what is measured."""

from __future__ import annotations

import json
import sys
from typing import Any

SCHEMA = {"type": "object", "properties": {"text": {"type": "string"}}}
TOOLS = [
    {"name": "echo", "description": "Say it again.", "inputSchema": SCHEMA, "annotations": {"readOnlyHint": True}},
    {"name": "note", "description": "The same, as if it did something.", "inputSchema": SCHEMA},
]


def answer(message: dict[str, Any]) -> dict[str, Any]:
    """What it says to one request, in the handshake era."""
    method, params = message["method"], message.get("params", {})
    if method == "initialize":
        info = {"name": "echo", "version": "1"}
        return {"result": {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": info}}
    if method == "tools/list":
        return {"result": {"tools": TOOLS}}
    if method == "tools/call":
        return {"result": {"content": [{"type": "text", "text": params["arguments"].get("text", "")}]}}
    return {"error": {"code": -32601, "message": "Method not found"}}


def main() -> None:
    """Answer line by line."""
    for line in sys.stdin.buffer:
        message = json.loads(line)
        if "id" in message and "method" in message:
            found = {"jsonrpc": "2.0", "id": message["id"], **answer(message)}
            sys.stdout.buffer.write(json.dumps(found, separators=(",", ":")).encode() + b"\n")
            sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
