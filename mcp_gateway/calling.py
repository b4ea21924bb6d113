"""Call one tool at an MCP address, as any client would; for the command line."""

from __future__ import annotations

import json
from typing import Any

import httpx

from agents.errors import Invalid, LogosError
from mcp_gateway import eras

TIMEOUT_S = 300.0


def arguments(text: str) -> dict[str, Any]:
    """The arguments as typed. Raises Invalid."""
    try:
        found = json.loads(text)
    except ValueError as error:
        raise Invalid("The arguments are not JSON.", field="arguments") from error
    if not isinstance(found, dict):
        raise Invalid("The arguments are a JSON object.", field="arguments")
    return found


def call(url: str, token: str, tool: str, given: dict[str, Any]) -> dict[str, Any]:
    """The tool's result. Raises LogosError for a refusal, and when nothing answers there."""
    meta = {eras.VERSION: eras.MODERN, eras.CAPABILITIES: {}, eras.CLIENT: eras.OURSELVES}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call"}
    headers = {
        "Authorization": f"Bearer {token}",
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": eras.MODERN,
        "Mcp-Method": "tools/call",
        "Mcp-Name": eras.encoded(tool),
    }
    body = {**message, "params": {"name": tool, "arguments": given, "_meta": meta}}
    try:
        answer = httpx.post(url, json=body, headers=headers, timeout=TIMEOUT_S, trust_env=False)
    except httpx.HTTPError as error:
        raise LogosError(
            f"Nothing answers at {url}.", reason="unreachable", action="Is Logos running? Give --url."
        ) from error
    found = _last(answer)
    if "error" in found:
        raise LogosError(f"Refused: {found['error'].get('message', '')}", reason="refused")
    return found["result"]


def _last(answer: httpx.Response) -> dict[str, Any]:
    """The answer in a body of JSON, or the last event of a stream."""
    text = answer.text
    if "text/event-stream" in answer.headers.get("content-type", ""):
        lines = [line[6:] for line in text.splitlines() if line.startswith("data: ")]
        text = lines[-1] if lines else ""
    try:
        found = json.loads(text)
    except ValueError as error:
        raise LogosError(
            f"What answers there is no MCP gateway (status {answer.status_code}).", reason="unreachable"
        ) from error
    return found if isinstance(found, dict) else {}
