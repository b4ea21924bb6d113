"""What an HTTP server's headers, refusals and lists say to us (pure)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mcp_gateway import jsonrpc
from mcp_gateway.jsonrpc import Message
from mcp_gateway.peers import Gone

_SESSION = re.compile(r"[\x21-\x7e]{1,1024}")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
_PARAMETER = re.compile(r'([a-z_]{1,40})\s*=\s*(?:"([^"\\]{0,1000})"|([^\s,"]{1,1000}))', re.IGNORECASE)


def session_id(said: str) -> str:
    """The id of a session, "" for none. Raises Gone for one that no header can hold."""
    if said and not _SESSION.fullmatch(said):
        raise Gone("It names a session in a way no header can hold.")
    return said


def error_in(body: bytes) -> Message | None:
    """The JSON-RPC error in the body of a refusal."""
    try:
        found = jsonrpc.loads(body)
    except (ValueError, RecursionError):
        return None
    told = found.get("error") if isinstance(found, dict) and found.get("jsonrpc") == "2.0" else None
    if not isinstance(told, dict) or not isinstance(told.get("code"), int):
        return None
    return {"jsonrpc": "2.0", "id": None, "error": {**told, "message": str(told.get("message", ""))[:2000]}}


def refusal(status: int, headers: Mapping[str, str], body: bytes) -> str:
    """A sentence about a status."""
    if 300 <= status < 400:
        return f"It sends us elsewhere ({status}), where we do not follow: give the address it leads to."
    if status == 403:
        scope = challenge(headers).get("scope", "")
        wants = f" It wants the scope {scope[:200]}." if scope and scope.isprintable() else ""
        return f"The account may not do this (403).{wants}"
    if status == 429 or status == 503:
        return f"It is too busy just now ({status})."
    if status == 413:
        return "The request is too large for it (413)."
    return f"It answered with status {status}."


def challenge(headers: Mapping[str, str]) -> dict[str, str]:
    """The parameters of a ``WWW-Authenticate: Bearer`` header."""
    said = headers.get("WWW-Authenticate", "")[:8000]
    if not said.lower().startswith("bearer"):
        return {}
    return {name.lower(): quoted or plain for name, quoted, plain in _PARAMETER.findall(said[6:])}


def mirrored(tools: Any) -> dict[str, dict[str, str]]:
    """By tool, which arguments are repeated in which ``Mcp-Param-`` header."""
    found: dict[str, dict[str, str]] = {}
    for tool in tools if isinstance(tools, list) else ():
        schema = tool.get("inputSchema") if isinstance(tool, dict) else None
        properties = schema.get("properties") if isinstance(schema, dict) else None
        words = {
            key: rule["x-mcp-header"]
            for key, rule in (properties.items() if isinstance(properties, dict) else ())
            if isinstance(rule, dict)
            and isinstance(rule.get("x-mcp-header"), str)
            and _HEADER.fullmatch(rule["x-mcp-header"])
        }
        if words and isinstance(tool.get("name"), str):
            found[tool["name"]] = words
    return found
