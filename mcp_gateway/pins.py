"""Pin the tools, prompts and instructions of servers: agents get what somebody accepted, and what a server changes waits until somebody does.

The first time a server is seen all it offers is accepted, by whoever enabled it; from then on nothing is, unless somebody
said that its new tools need nobody.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from agents import audit, permissions
from agents.errors import Conflict, NotFound
from agents.models import User
from mcp_gateway import pinning
from mcp_gateway.models import McpPin, McpServer, PinState


@transaction.atomic
def compare(server_id: str, tools: Sequence[dict[str, Any]]) -> bool:
    """Take note of what a server offers now; whether anything of it is another than before."""
    server = McpServer.objects.select_for_update().filter(pk=server_id).first()
    if server is None:
        return False
    known = {pin.tool: pin for pin in McpPin.objects.filter(server=server)}
    # What a server says of itself is pinned even when that is nothing: until then nothing but its tools was.
    is_first, others_are_first = not known, pinning.INSTRUCTIONS not in known
    moved = False
    for tool in tools:
        definition, digest = pinning.definition(tool), pinning.digest(tool)
        pin = known.get(tool["name"])
        if pin is None:
            is_tool = pinning.is_tool(tool["name"])
            is_taken = (is_first or server.allows_new) if is_tool else others_are_first
            state = PinState.ACCEPTED if is_taken else PinState.NEW
            kept: dict[str, Any] = {"definition": definition, "digest": digest} if is_taken else {}
            waits = {} if is_taken else {"offered": definition, "offered_digest": digest}
            at = timezone.now() if is_taken else None
            McpPin.objects.create(server=server, tool=tool["name"], state=state, accepted_at=at, **kept, **waits)
            known[tool["name"]] = McpPin.objects.get(server=server, tool=tool["name"])
            moved = True
        else:
            moved |= _seen(pin, definition, digest)
    return moved


def _seen(pin: McpPin, definition: dict[str, Any], digest: str) -> bool:
    """A known tool is offered like this; whether that is news."""
    if digest == pin.digest:
        state, offered, offered_digest = PinState.ACCEPTED, {}, ""
    else:
        state = PinState.CHANGED if pin.digest else PinState.NEW
        offered, offered_digest = definition, digest
    if (pin.state, pin.offered_digest) == (state, offered_digest):
        return False
    pin.state, pin.offered, pin.offered_digest, pin.updated_at = state, offered, offered_digest, timezone.now()
    pin.save()
    return True


def of(user: User, server_id: str) -> QuerySet[McpPin]:
    """The tools of a server that ``user`` may see, also those that wait."""
    server = permissions.fetch(user, "server.view", McpServer.objects.all(), pk=server_id)
    return McpPin.objects.filter(server=server).select_related("accepted_by")


@transaction.atomic
def accept(user: User, server_id: str, tool: str, digest: str) -> McpPin:
    """Agents get the tool as it is offered now. ``digest`` is that of what was looked at: Conflict when the server
    offers another by now; twice is once."""
    server = permissions.fetch(user, "server.edit", McpServer.objects.all(), pk=server_id)
    pin = McpPin.objects.select_for_update().filter(server=server, tool=tool).first()
    if pin is None:
        raise NotFound("This change of a tool")
    if not pin.offered_digest and pin.digest == digest:
        return pin  # somebody did so a moment ago
    if pin.offered_digest != digest:
        raise Conflict("The server offers another definition by now.", reason="stale", action="Look at it again.")
    pin.definition, pin.digest, pin.state = pin.offered, pin.offered_digest, PinState.ACCEPTED
    pin.offered, pin.offered_digest = {}, ""
    pin.accepted_by, pin.accepted_at = user, timezone.now()
    pin.updated_at = timezone.now()
    pin.save()
    audit.note("mcp_tool_accepted", actor=user, about=server, tool=tool[:80])
    return pin


def waiting(pins: QuerySet[McpPin]) -> QuerySet[McpPin]:
    """Those that wait for somebody to look."""
    return pins.exclude(state=PinState.ACCEPTED)


def tools(pins: QuerySet[McpPin]) -> QuerySet[McpPin]:
    """Those of tools: not what else is pinned of a server."""
    return pins.exclude(tool=pinning.INSTRUCTIONS).exclude(tool__startswith=pinning.PROMPT)
