"""The two eras of the protocol: revisions with a handshake, and 2026-07-28 where every request says all (pure)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mcp_gateway import jsonrpc
from mcp_gateway.jsonrpc import Message

HANDSHAKE = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
MODERN = "2026-07-28"
# What we take from callers of the modern era, and say so in server/discover and in refusals.
SUPPORTED = (MODERN,)

META = "io.modelcontextprotocol/"
VERSION, CAPABILITIES, CLIENT, SERVER, LOG_LEVEL, SUBSCRIPTION = (
    f"{META}{name}"
    for name in ("protocolVersion", "clientCapabilities", "clientInfo", "serverInfo", "logLevel", "subscriptionId")
)
# In the ``_meta`` of what the hub says of itself: whose token it was.
AGENT = "logos/agent"
OURSELVES = {"name": "logos", "title": "Logos", "version": "1"}

# What callers may ask of a server. Everything else is refused here: a method nobody has thought of is no way round
# a rule. Those of one era only are told apart, because the other one has removed or not yet known them.
PASSED = frozenset(
    {
        *("tools/list", "tools/call", "resources/list", "resources/templates/list", "resources/read"),
        *("prompts/list", "prompts/get", "completion/complete"),
    }
)
PASSED_HANDSHAKE = PASSED | {"logging/setLevel", "resources/subscribe", "resources/unsubscribe"}
# What a caller may ask to be told of, in the handshake era.
LEVELS = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")
CACHED = frozenset({"tools/list", "prompts/list", "resources/list", "resources/templates/list", "resources/read"})
NAMED = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
# How long a modern caller may keep a list, in milliseconds: access may be taken back at any moment.
TTL_MS = 0

Headers = Mapping[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Refusal:
    """An HTTP status and the JSON-RPC error that goes with it."""

    status: int
    code: int
    sentence: str
    data: Any = None

    def message(self, id: Any) -> Message:
        return jsonrpc.error(id, self.code, self.sentence, self.data)


def is_modern(headers: Headers, message: Message) -> bool:
    """Does this caller speak the era without a handshake? By the header; a body that says so counts too, so that a
    header that is missing is noticed."""
    version = headers.get(b"mcp-protocol-version", b"").strip().decode("latin-1")
    if version:
        return version not in HANDSHAKE
    meta = message.get("params", {}).get("_meta") if "method" in message else None
    return isinstance(meta, dict) and VERSION in meta


def check_envelope(headers: Headers, message: Message) -> Refusal | None:
    """What is wrong with what a modern request says of itself, in the headers and in ``_meta``."""
    header = headers.get(b"mcp-protocol-version", b"").strip().decode("latin-1")
    meta = message.get("params", {}).get("_meta")
    if not isinstance(meta, dict):
        return Refusal(400, jsonrpc.INVALID_PARAMS, "Every request carries _meta in this revision.")
    said = meta.get(VERSION)
    if not isinstance(said, str):
        return Refusal(400, jsonrpc.INVALID_PARAMS, f"_meta lacks {VERSION}.")
    if header != said:
        return Refusal(400, jsonrpc.HEADER_MISMATCH, "The header MCP-Protocol-Version and _meta do not say the same.")
    if said not in SUPPORTED:
        data = {"supported": list(SUPPORTED), "requested": said}
        return Refusal(400, jsonrpc.UNSUPPORTED_VERSION, "This revision of the protocol is not spoken here.", data)
    if not isinstance(meta.get(CAPABILITIES), dict):
        return Refusal(400, jsonrpc.INVALID_PARAMS, f"_meta lacks {CAPABILITIES}.")
    return check_headers(headers, message)


def check_headers(headers: Headers, message: Message) -> Refusal | None:
    """``Mcp-Method`` and ``Mcp-Name`` must say what the body says: whoever decides by headers decides about the body."""
    method, params = message["method"], message.get("params", {})
    if headers.get(b"mcp-method", b"").strip().decode("latin-1") != method:
        return Refusal(400, jsonrpc.HEADER_MISMATCH, "The header Mcp-Method does not say what the body says.")
    if (key := NAMED.get(method)) is not None and isinstance(params.get(key), str):
        said = decoded(headers.get(b"mcp-name"))
        if said != params[key]:
            return Refusal(400, jsonrpc.HEADER_MISMATCH, "The header Mcp-Name does not say what the body says.")
    return None


def check_arguments(headers: Headers, params: Mapping[str, Any], schema: Any) -> Refusal | None:
    """The same for arguments that a tool's schema mirrors into headers with ``x-mcp-header``."""
    properties = schema.get("properties") if isinstance(schema, dict) else None
    arguments = params.get("arguments", {})
    for name, rule in (properties or {}).items() if isinstance(properties, dict) else ():
        word = rule.get("x-mcp-header") if isinstance(rule, dict) else None
        if not isinstance(word, str) or not isinstance(arguments, dict):
            continue
        raw = headers.get(f"mcp-param-{word}".lower().encode("latin-1", "replace"))
        value = arguments.get(name)
        if value is None and raw is None:
            continue
        if value is None or raw is None or decoded(raw) != written(value):
            return Refusal(400, jsonrpc.HEADER_MISMATCH, f"The header Mcp-Param-{word} does not say what {name} says.")
    return None


def decoded(raw: bytes | None) -> str | None:
    """A header's value: as it stands, or what ``=?base64?…?=`` wraps; None for none and for base64 that is none."""
    if raw is None:
        return None
    text = raw.strip().decode("latin-1")
    if not (text.startswith("=?base64?") and text.endswith("?=") and len(text) >= 11):
        return text
    try:
        return base64.b64decode(text[9:-2], validate=True).decode()
    except (binascii.Error, ValueError):
        return None


def encoded(text: str) -> str:
    """``text`` as a header's value: wrapped when it could not stand there as it is."""
    plain = text.isascii() and text.isprintable() and text == text.strip() and not text.startswith("=?base64?")
    return text if plain else f"=?base64?{base64.b64encode(text.encode()).decode()}?="


def mirrored(params: Mapping[str, Any], schema: Any) -> dict[str, str]:
    """The headers that a caller sends with these arguments, as ``check_arguments`` wants them."""
    properties = schema.get("properties") if isinstance(schema, dict) else None
    arguments = params.get("arguments")
    found: dict[str, str] = {}
    if isinstance(properties, dict) and isinstance(arguments, dict):
        for name, rule in properties.items():
            word = rule.get("x-mcp-header") if isinstance(rule, dict) else None
            said = written(arguments.get(name))
            if isinstance(word, str) and word.replace("-", "").isalnum() and word.isascii() and said is not None:
                found[f"Mcp-Param-{word}"] = encoded(said)
    return found


def written(value: Any) -> str | None:
    """How an argument stands in a header."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else None


def for_handshake_server(params: Mapping[str, Any]) -> dict[str, Any]:
    """Params of a modern caller for a server that does not know the envelope."""
    meta = params.get("_meta")
    if not isinstance(meta, dict):
        return dict(params)
    kept = {name: value for name, value in meta.items() if not name.startswith(META)}
    rest = {name: value for name, value in params.items() if name != "_meta"}
    return {**rest, "_meta": kept} if kept else rest


def for_modern_server(params: Mapping[str, Any], capabilities: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Params of a handshake caller, or of our own, for a server that wants the envelope."""
    meta = params.get("_meta")
    envelope = {VERSION: MODERN, CAPABILITIES: dict(capabilities or {}), CLIENT: OURSELVES}
    return {**params, "_meta": {**(meta if isinstance(meta, dict) else {}), **envelope}}


def for_modern_caller(method: str, result: Any) -> Any:
    """A result with what a modern caller must find, where the server does not know it."""
    if not isinstance(result, dict):
        return result
    added: dict[str, Any] = {} if "resultType" in result else {"resultType": "complete"}
    if method in CACHED:
        # A server's own idea of how long holds only as far as ours: grants end.
        added |= {"ttlMs": TTL_MS, "cacheScope": "private"}
    return {**result, **added}


def reaching(capabilities: Mapping[str, Any]) -> dict[str, Any]:
    """What a server can do, as far as it reaches callers through us: without sessions nobody is told of changes of one
    resource."""
    found = dict(capabilities)
    if isinstance(resources := found.get("resources"), dict):
        found["resources"] = {name: value for name, value in resources.items() if name != "subscribe"}
    return found


def agreed(requested: Any) -> str:
    """The handshake revision to answer an ``initialize`` with."""
    return requested if requested in HANDSHAKE else HANDSHAKE[0]


def status_of(message: Message) -> int:
    """The HTTP status a modern caller expects with this answer."""
    code = message.get("error", {}).get("code") if isinstance(message.get("error"), dict) else None
    if code == jsonrpc.METHOD_NOT_FOUND:
        return 404
    if code in (jsonrpc.HEADER_MISMATCH, jsonrpc.MISSING_CAPABILITY, jsonrpc.UNSUPPORTED_VERSION):
        return 400
    return 200


def discovered(capabilities: Mapping[str, Any], instructions: str = "", info: Mapping[str, Any] = OURSELVES) -> Message:
    """The answer to ``server/discover``."""
    found: dict[str, Any] = {
        "supportedVersions": list(SUPPORTED),
        "capabilities": dict(capabilities),
        "_meta": {SERVER: dict(info)},
        "resultType": "complete",
        "ttlMs": TTL_MS,
        "cacheScope": "private",
    }
    return found | ({"instructions": instructions} if instructions else {})
