"""Meet an MCP server at its start: which era it speaks, what it can do, which tools it has."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from mcp_gateway import eras, jsonrpc, pinning, resources
from mcp_gateway.jsonrpc import Message
from mcp_gateway.peers import Gone, Peer

# How long a server may think about a question of the newer era before it is asked in the older way too.
DISCOVER_S = 5.0
MAX_PAGES, MAX_TOOLS, MAX_PROMPTS, MAX_RESOURCES, MAX_TEMPLATES = 50, 5_000, 1_000, 1_000, 200
# A server that does not list its prompts is not worth waiting for long.
PROMPTS_S = RESOURCES_S = 15.0

LISTS = {
    "notifications/tools/list_changed": "toolsListChanged",
    "notifications/prompts/list_changed": "promptsListChanged",
    "notifications/resources/list_changed": "resourcesListChanged",
}


class DiedOfTheQuestion(Gone):
    """It ended at the first question of the newer era: it is not to be asked so again."""


@dataclass(slots=True)
class Known:
    """What a running server says of itself."""

    era: str = ""
    protocol: str = ""
    capabilities: dict[str, Any] = field(default_factory=dict)
    info: dict[str, Any] = field(default_factory=dict)
    instructions: str = ""
    tools: list[dict[str, Any]] = field(default_factory=list)
    prompts: list[dict[str, Any]] = field(default_factory=list)
    # Resources and templates of them, those that are pinned: by ``resources.RESOURCES`` and ``resources.TEMPLATES``.
    others: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    marks: dict[str, str] = field(default_factory=dict)

    def offers(
        self,
        tools: list[dict[str, Any]],
        prompts: list[dict[str, Any]],
        others: dict[str, list[dict[str, Any]]] | None = None,
    ) -> None:
        """These are its tools and prompts now, and what else of it was looked at. Of two under one name the last one
        counts: what was accepted must not carry the other one past."""
        self.tools, self.prompts = (list({each["name"]: each for each in found}.values()) for found in (tools, prompts))
        self.others = {
            kind: list({resources.pinned_name(kind, each): each for each in found}.values())
            for kind, found in (others or {}).items()
        }
        self.marks = {each["name"]: pinning.digest(each) for each in self.pinned}

    @property
    def pinned(self) -> list[dict[str, Any]]:
        """All of it that a model reads, as it is pinned."""
        return [
            *self.tools, pinning.of_instructions(self.instructions, self.info), *(pinning.of_prompt(each) for each in self.prompts),
            *(resources.pinned(kind, each) for kind, found in self.others.items() for each in found),
        ]  # fmt: skip

    @property
    def is_modern(self) -> bool:
        return self.era == "modern"


async def introduce(child: Peer, *, is_old: bool = False, pins: Collection[str] = ()) -> Known:
    """Which era it speaks, what it can do, which tools it has. ``is_old``: it is asked in the older way only; ``pins``:
    what besides tools and prompts is pinned of it. Raises Gone."""
    known = await (_shake_hands(child) if is_old else _recognise(child))
    known.offers(await all_tools(child, known), await all_prompts(child, known), await all_others(child, known, pins))
    return known


async def _recognise(child: Peer) -> Known:
    """Ask in the way of the newer era first. A server that knows only the older one refuses, or says nothing: then
    both questions wait for it, and its first good answer counts. One that dies of it is not asked so again."""
    discover = child.ask("server/discover", eras.for_modern_server({}))
    await asyncio.wait({discover.answer}, timeout=DISCOVER_S)
    if not discover.answer.done():
        try:
            return await _shake_hands(child)
        except Gone:
            if not discover.answer.done() or discover.answer.exception() is not None:
                raise
    if (problem := discover.answer.exception()) is not None:
        if not child.may_die_of_questions:
            raise problem
        raise DiedOfTheQuestion("It ended at the first question.")
    return _modern(discover.answer.result()) or await _shake_hands(child)


async def _shake_hands(child: Peer) -> Known:
    params = {
        "protocolVersion": eras.HANDSHAKE[0],
        "capabilities": {"sampling": {"tools": {}}, "elicitation": {}, "roots": {}},
        "clientInfo": eras.OURSELVES,
    }
    found = await child.ask("initialize", params).answer
    result = found.get("result")
    if not isinstance(result, dict) or result.get("protocolVersion") not in eras.HANDSHAKE:
        said = _object(found.get("error")).get("message")
        raise Gone(f"It does not speak a revision of MCP that Logos knows. {str(said or '')[:200]}".strip())
    child.tell("notifications/initialized")
    version, info = result["protocolVersion"], _object(result.get("serverInfo"))
    return Known("handshake", version, _object(result.get("capabilities")), info, _text(result))


async def all_tools(child: Peer, known: Known) -> list[dict[str, Any]]:
    """The tools it offers now, of every page. Raises Gone."""
    return [each for each in await _all(child, known, "tools", MAX_TOOLS, _named) if pinning.is_tool(each["name"])]


async def all_prompts(child: Peer, known: Known) -> list[dict[str, Any]]:
    """The prompts it offers now; none when it does not say so in time. Raises Gone."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PROMPTS_S):
            return await _all(child, known, "prompts", MAX_PROMPTS, _named_prompt)
    return []


async def all_others(child: Peer, known: Known, kinds: Collection[str]) -> dict[str, list[dict[str, Any]]]:
    """Of these kinds, what it offers now; none of those that it does not list in time. Raises Gone."""
    found: dict[str, list[dict[str, Any]]] = {kind: [] for kind in kinds}
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(RESOURCES_S):
            for kind in kinds:
                most = MAX_TEMPLATES if kind == resources.TEMPLATES else MAX_RESOURCES
                found[kind] = await _all(child, known, kind, most, functools.partial(resources.shaped, kind))
    return found


# The capability a list belongs to, and how it is asked for.
_ASKED = {resources.TEMPLATES: ("resources", "resources/templates/list")}


async def _all(
    child: Peer, known: Known, what: str, most: int, kept: Callable[[Any], dict[str, Any] | None]
) -> list[dict[str, Any]]:
    capability, method = _ASKED.get(what, (what, f"{what}/list"))
    if capability not in known.capabilities:
        return []
    items: list[dict[str, Any]] = []
    cursor = None
    for _ in range(MAX_PAGES):
        params: dict[str, Any] = {} if cursor is None else {"cursor": cursor}
        call = child.ask(method, eras.for_modern_server(params) if known.is_modern else params)
        try:
            found = await call.answer
        except asyncio.CancelledError:
            # Nobody waits for it any more, so it is no call under way that others would be taken for.
            child.forget(call, cancel=True, why="It took too long.")
            raise
        result = _object(found.get("result"))
        items += [each for offered in _list(result.get(what)) if (each := kept(offered)) is not None]
        cursor = result.get("nextCursor")
        if not isinstance(cursor, str) or len(items) >= most:
            break
    return items[:most]


async def listen(child: Peer, known: Known) -> None:
    """Have a modern server tell of changed lists; a handshake one does so by itself."""
    wanted = {
        word: True
        for method, word in LISTS.items()
        if _object(known.capabilities.get(method.split("/")[1])).get("listChanged")
    }
    if wanted:
        with contextlib.suppress(Gone):
            call = child.ask("subscriptions/listen", eras.for_modern_server({"notifications": wanted}))
            # It is answered when the stream ends, and must not count as a call under way.
            child.calls.pop(call.id, None)
            call.answer.cancel()


def _modern(found: Message) -> Known | None:
    result = _object(found.get("result"))
    if eras.MODERN not in _list(result.get("supportedVersions")):
        return None
    info = _object(result.get("_meta")).get(eras.SERVER) or result.get("serverInfo")
    return Known("modern", eras.MODERN, _object(result.get("capabilities")), _object(info), _text(result))


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(result: Mapping[str, Any]) -> str:
    said = result.get("instructions")
    return said[:20_000] if isinstance(said, str) else ""


def _named(value: Any, longest: int = pinning.LONGEST) -> dict[str, Any] | None:
    if not (isinstance(value, dict) and isinstance(value.get("name"), str) and 0 < len(value["name"]) <= longest):
        return None
    return value if jsonrpc.is_storable(value) else None


def _named_prompt(value: Any) -> dict[str, Any] | None:
    return _named(value, pinning.LONGEST - len(pinning.PROMPT))
