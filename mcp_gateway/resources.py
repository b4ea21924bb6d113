"""Resources of a server, and templates of them, as they are pinned and as agents are shown them (pure).

Templates are pinned as tools are, resources too unless the server is set to have them passed on as they are. What
agents read of either way is cut and holds no character that nobody sees.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from agents import invisible
from mcp_gateway import jsonrpc, pinning
from mcp_gateway.jsonrpc import Message

if TYPE_CHECKING:
    from mcp_gateway.book import Served
    from mcp_gateway.introducing import Known

METHODS = frozenset(
    {"resources/list", "resources/templates/list", "resources/read", "resources/subscribe", "resources/unsubscribe"}
)
# What is done with these is about one resource.
OF_ONE = frozenset({"resources/read", "resources/subscribe"})
# The list of each, how it is asked for, and what a thing in it is known by.
RESOURCES, TEMPLATES = "resources", "resourceTemplates"
LISTS = {"resources/list": RESOURCES, "resources/templates/list": TEMPLATES}
_ADDRESS = {RESOURCES: "uri", TEMPLATES: "uriTemplate"}
_PREFIX = {RESOURCES: pinning.RESOURCE, TEMPLATES: pinning.TEMPLATE}
LONGEST_ADDRESS = 2_000
_LONGEST = {"name": 200, "title": 200, "description": 2_000, "mimeType": 200}


def pinned_name(kind: str, shown: Mapping[str, Any]) -> str:
    """The name it is pinned under."""
    return pinning.name_of_resource(_PREFIX[kind], shown[_ADDRESS[kind]])


def kind_of(name: str) -> str:
    """The list that what is pinned under this name stands in; "" for what is no resource."""
    return next((kind for kind, prefix in _PREFIX.items() if name.startswith(prefix)), "")


def pinned(kind: str, shown: Mapping[str, Any]) -> dict[str, Any]:
    """It, as it is pinned."""
    return pinning.of_resource(_PREFIX[kind], shown)


def shaped(kind: str, offered: Any) -> dict[str, Any] | None:
    """What is kept of one that a server offers; None for one without an address that all can see."""
    if not isinstance(offered, dict) or not jsonrpc.is_storable(offered):
        return None
    address = offered.get(_ADDRESS[kind])
    if not isinstance(address, str) or not 0 < len(address) <= LONGEST_ADDRESS or _is_hidden(address):
        return None
    texts = {name: text[:most] for name, most in _LONGEST.items() if isinstance(text := offered.get(name), str)}
    found: dict[str, Any] = {_ADDRESS[kind]: address, "name": address, **texts}
    if isinstance(size := offered.get("size"), int) and not isinstance(size, bool):
        found["size"] = size
    if notes := _notes(offered.get("annotations")):
        found["annotations"] = notes
    if isinstance(given := offered.get("_meta"), dict):
        found["_meta"] = given
    return found


def shown(kept: Mapping[str, Any]) -> dict[str, Any]:
    """One that was kept, as agents are shown it."""
    return {name: _seen(value) if name in _LONGEST else value for name, value in kept.items()}


def accepted(served: Served, known: Known, kind: str) -> list[dict[str, Any]]:
    """Those of a list that agents are shown: what was accepted and is so still."""
    return [shown(each) for each in known.others.get(kind, ()) if served.passes(pinned_name(kind, each), known.marks)]


def waits(served: Served, known: Known, address: Any) -> bool:
    """Is this a resource that the server lists, and nobody has accepted as it is now?"""
    listed = [each for each in known.others.get(RESOURCES, ()) if each["uri"] == address]
    return any(not served.passes(pinned_name(RESOURCES, each), known.marks) for each in listed)


def is_about(method: str, params: Mapping[str, Any]) -> bool:
    """Is a request about resources?"""
    given = params.get("ref")
    return method in METHODS or (isinstance(given, dict) and given.get("type") == "ref/resource")


def as_they_are(reply: Message | None) -> Message | None:
    """A server's answer to ``resources/list``, with nothing in it but what identifies and describes each."""
    result = reply.get("result") if reply is not None else None
    if reply is None or not isinstance(result, dict):
        return reply
    given = result.get(RESOURCES)
    kept = (shaped(RESOURCES, each) for each in (given if isinstance(given, list) else ()))
    found = [{name: value for name, value in shown(each).items() if name != "_meta"} for each in kept if each]
    rest = {name: value for name, value in result.items() if name in ("resultType", "ttlMs", "cacheScope")}
    if isinstance(cursor := result.get("nextCursor"), str) and len(cursor) <= LONGEST_ADDRESS:
        rest["nextCursor"] = cursor
    return {**reply, "result": {**rest, RESOURCES: found}}


def _notes(given: Any) -> dict[str, Any]:
    """For whom it is and how important, and no words of the server's own. When it last changed is no definition: it would
    be another one all day."""
    found: dict[str, Any] = {}
    if isinstance(given, dict):
        if isinstance(audience := given.get("audience"), list):
            found["audience"] = [each for each in ("user", "assistant") if each in audience]
        if isinstance(priority := given.get("priority"), int | float) and not isinstance(priority, bool):
            found["priority"] = priority
    return found


def _is_hidden(text: str) -> bool:
    return invisible.first_hidden(text) is not None


def _seen(text: str) -> str:
    hidden = set(invisible.all_hidden(text))
    return "".join(character for index, character in enumerate(text) if index not in hidden) if hidden else text
