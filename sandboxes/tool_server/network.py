"""The network tools: one request through the sandbox's own proxy, and the addresses of a host its policy lets it reach."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from asgiref.sync import sync_to_async

from agents import ids, reaching
from agents.errors import Invalid
from agents.models import Agent
from agents.reach import Reach
from sandboxes.egress import addresses
from sandboxes.egress.addresses import NotPublic
from sandboxes.egress.proxy import Decision
from sandboxes.egress.rows import Noted, store
from sandboxes.tool_server import subjects
from sandboxes.tool_server.results import Outcome, done
from sandboxes.tool_server.room import PROXY, Room, ToolRefusal

# What the proxy and the connection say themselves; a client that may set them could speak for another.
_OURS = frozenset({"host", "connection", "content-length", "transfer-encoding", "proxy-authorization", "upgrade"})
_NAME = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_ABOUT_S = 20.0  # for the program to begin, on top of what the request may take


async def fetch(room: Room, given: dict[str, Any]) -> Outcome:
    """network.fetch"""
    subjects.address_of(given["url"])
    body = given.get("body")
    if body is not None and given["method"] in ("GET", "HEAD"):
        raise Invalid(f"A {given['method']} sends no body.", field="body", reason="invalid_arguments")
    found = await room.ask(
        "fetch", timeout_s=given["timeout_s"] + _ABOUT_S, proxy=list(PROXY), url=given["url"],
        method=given["method"], headers=_headers(given.get("headers") or {}), body=body, length=given["length"],
        seconds=given["timeout_s"],
    )  # fmt: skip
    text = found.get("text")
    shown = text if isinstance(text, str) else f"{found.get('bytes', 0)} bytes that are no text, as base64 in the data."
    headers = found.get("headers")
    location = headers.get("Location") or headers.get("location") if isinstance(headers, dict) else None
    lines = [f"Status {found.get('status')}."]
    lines += [f"It points to {location}; that was not followed."] if isinstance(location, str) else []
    lines += ["Only the beginning is shown."] if found.get("is_cut") else []
    return done(found, "\n".join([" ".join(lines), shown]))


async def resolve(room: Room, given: dict[str, Any]) -> Outcome:
    """network.resolve. The sandbox itself has no names: the host looks them up, for hosts the policy allows."""
    host = subjects.host_of(given["host"], "host")
    decision = await sync_to_async(_decide, thread_sensitive=True)(room.agent_id, host, given["port"])
    found: list[str] = []
    if decision.allowed:
        try:
            found = await addresses.resolve(host, given["port"])
        except NotPublic as problem:
            decision = _but(decision, str(problem))
    noted = Noted(room.agent_id, room.run_id, decision, datetime.now(UTC))
    await sync_to_async(store, thread_sensitive=True)([noted])
    if not found:
        raise ToolRefusal(decision.reason, reason="policy_denied" if not decision.allowed else "not_found")
    return done({"host": host, "addresses": found}, "\n".join(found))


def _decide(agent_id: str, host: str, port: int) -> Decision:
    agent = Agent.objects.filter(pk=agent_id).prefetch_related(*reaching.PARTS).first()
    reach = reaching.reach_of(agent) if agent else Reach(())
    verdict = reach.decide(host, port, "", datetime.now(UTC))
    return Decision(
        ids.connection_id(),
        host,
        port,
        "",
        verdict.allowed,
        verdict.rule,
        verdict.reason,
        method="LOOKUP",
        is_over=True,
    )


def _but(decision: Decision, reason: str) -> Decision:
    return Decision(
        decision.id, decision.host, decision.port, "", False, decision.rule, reason, method="LOOKUP", is_over=True
    )


def _headers(given: dict[str, str]) -> dict[str, str]:
    for name, value in given.items():
        if not name or not set(name) <= _NAME or any(char in "\r\n\x00" for char in value):
            raise Invalid(f"{name[:60]!r} cannot be a header.", field="headers", reason="invalid_arguments")
        if name.lower() in _OURS:
            raise Invalid(f"{name} is set by Logos.", field="headers", reason="invalid_arguments")
    return given
