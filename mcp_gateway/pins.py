"""Pin the tools, prompts, resources and instructions of servers: agents get what somebody accepted, and what a server changes waits until somebody does.

The first time a server is seen all it offers is accepted, by whoever enabled it; from then on nothing is, unless somebody
said that its new tools need nobody.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from agents import audit, permissions
from agents.errors import Conflict, NotFound
from agents.models import User
from mcp_gateway import pinning, resources
from mcp_gateway.models import McpHealth, McpPin, McpServer, PinState

# What is kept of one server, so that one which invents new names all day fills no disk.
MAX_PINS = 10_000


@transaction.atomic
def compare(server_id: str, offered: Sequence[dict[str, Any]], kinds: Collection[str] = ()) -> bool:
    """Take note of what a server offers now; whether anything of it is another than before. ``kinds``: which lists of
    resources were looked at; what was pinned of others is forgotten, and looked at for the first time if it is again."""
    server = McpServer.objects.select_for_update().select_related("health").filter(pk=server_id).first()
    if server is None:
        return False
    known = {pin.tool: pin for pin in McpPin.objects.filter(server=server)}
    # What a server says of itself is pinned even when that is nothing: until then nothing but its tools was.
    is_first, others_are_first = not known, pinning.INSTRUCTIONS not in known
    first_kinds = set(kinds) - set(server.health.lists_seen)
    if set(server.health.lists_seen) != set(kinds):
        McpHealth.objects.filter(server=server).update(lists_seen=sorted(kinds))
    fresh: dict[str, McpPin] = {}
    moved = False
    for each in offered:
        definition, digest = pinning.definition(each), pinning.digest(each)
        name = each["name"]
        kind = resources.kind_of(name)
        if (pin := known.get(name)) is not None:
            if _seen(pin, definition, digest):
                pin.save()
                moved = True
        elif name in fresh:
            _seen(fresh[name], definition, digest)
        elif len(known) + len(fresh) < MAX_PINS:
            is_tool = pinning.is_tool(name)
            is_taken = kind in first_kinds if kind else (is_first or server.allows_new) if is_tool else others_are_first
            fresh[name] = _new(server, name, definition, digest, is_taken=is_taken)
    McpPin.objects.bulk_create(fresh.values())
    names = {each["name"] for each in offered}
    over = [pin.pk for pin in known.values() if _is_over(pin, kinds, names)]
    McpPin.objects.filter(pk__in=over).delete()
    return moved or bool(fresh or over)


def _new(server: McpServer, name: str, definition: dict[str, Any], digest: str, *, is_taken: bool) -> McpPin:
    if is_taken:
        at = timezone.now()
        kept: dict[str, Any] = {
            "state": PinState.ACCEPTED,
            "definition": definition,
            "digest": digest,
            "accepted_at": at,
        }
    else:
        kept = {"state": PinState.NEW, "offered": definition, "offered_digest": digest}
    return McpPin(server=server, tool=name, **kept)


def _is_over(pin: McpPin, kinds: Collection[str], names: set[str]) -> bool:
    """Is nothing left to look at of a resource: it is not pinned any more, or went before anybody accepted it?"""
    kind = resources.kind_of(pin.tool)
    return bool(kind) and (kind not in kinds or (not pin.digest and pin.tool not in names))


def _seen(pin: McpPin, definition: dict[str, Any], digest: str) -> bool:
    """What is known is offered like this; whether that is news."""
    if digest == pin.digest:
        state, offered, offered_digest = PinState.ACCEPTED, {}, ""
    else:
        state = PinState.CHANGED if pin.digest else PinState.NEW
        offered, offered_digest = definition, digest
    if (pin.state, pin.offered_digest) == (state, offered_digest):
        return False
    pin.state, pin.offered, pin.offered_digest, pin.updated_at = state, offered, offered_digest, timezone.now()
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
    return pins.exclude(others())


def others(path: str = "tool") -> Q:
    """What is pinned beside tools; ``path`` leads to a pin's name."""
    found = Q(**{path: pinning.INSTRUCTIONS})
    for prefix in (pinning.PROMPT, pinning.RESOURCE, pinning.TEMPLATE):
        found |= Q(**{f"{path}__startswith": prefix})
    return found
