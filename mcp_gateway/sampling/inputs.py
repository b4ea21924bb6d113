"""Input that a server of the newer era wants before it goes on with a call: Logos gives it, or it goes to the caller.

Logos answers as the host that it is: models within the server's bounds, no folders, and no for a person.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from mcp_gateway import eras
from mcp_gateway.asked import Asked
from mcp_gateway.book import Served
from mcp_gateway.jsonrpc import Message
from mcp_gateway.sampling import asking
from mcp_gateway.sampling.answering import Sampler
from mcp_gateway.sampling.bounds import ROUNDS, Refused
from mcp_gateway.sampling.rows import About

CAPABILITY = {asking.METHOD: "sampling", "elicitation/create": "elicitation", "roots/list": "roots"}
# What we answer ourselves, whoever calls.
OURS: dict[str, Any] = {"elicitation": {}, "roots": {}}
LENT: dict[str, Any] = {"sampling": {"tools": {}}}
MOST_REQUESTS = 32
# When it asks for nothing but to be asked again.
AGAIN_S = 0.5


def introduced(asked: Asked, served: Served, params: Mapping[str, Any]) -> dict[str, Any]:
    """The params for a server of the newer era, with what it may ask for."""
    lent = LENT if served.sampling is not None else {}
    if not asked.modern:
        return eras.for_modern_server(params, OURS | lent)
    if served.asks_caller and not lent:
        return dict(params)
    meta = params.get("_meta") or {}
    own = meta.get(eras.CAPABILITIES) or {}
    able = own if served.asks_caller else {name: own[name] for name in own if name not in CAPABILITY.values()} | OURS
    return {**params, "_meta": {**meta, eras.CAPABILITIES: able | lent}}


def wanted(asked: Asked, served: Served, found: Message) -> dict[str, Any] | None:
    """What is to be given before the server goes on; None when this is the answer, or is the caller's to give."""
    result = found.get("result")
    if not isinstance(result, dict) or result.get("resultType") != "input_required":
        return None
    requests = result.get("inputRequests")
    requests = requests if isinstance(requests, dict) else {}
    return None if _is_for_caller(asked, served, requests) else requests


def _is_for_caller(asked: Asked, served: Served, requests: Mapping[str, Any]) -> bool:
    if not served.asks_caller or not asked.modern:
        return False
    methods = {str(each.get("method")) for each in requests.values() if isinstance(each, dict)}
    if served.sampling is not None and methods == {asking.METHOD}:
        return False
    # Where the caller could not answer all of it, nothing of it is the caller's.
    own = (asked.params.get("_meta") or {}).get(eras.CAPABILITIES) or {}
    return all(CAPABILITY.get(method) in own for method in methods)


async def given(
    sampler: Sampler, served: Served, requests: Mapping[str, Any], about: About, round: int
) -> dict[str, Any]:
    """The answers, by the keys of the requests. Raises Refused: the protocol has no way to tell the server no."""
    rounds = served.sampling.rounds if served.sampling is not None else ROUNDS
    if round > rounds:
        raise Refused("rounds", f"It asked for more input after {rounds} rounds, and Logos does not go on.")
    if len(requests) > MOST_REQUESTS:
        raise Refused("invalid", f"It asked for more than {MOST_REQUESTS} things at once.")
    if not requests:
        await asyncio.sleep(AGAIN_S)
    answers: dict[str, Any] = {}
    for key, request in requests.items():
        request = request if isinstance(request, dict) else {}
        match request.get("method"):
            case asking.METHOD:
                answers[key] = await sampler.answer(served, request.get("params"), about, round)
            case "roots/list":
                answers[key] = {"roots": []}
            case "elicitation/create":
                answers[key] = {"action": "decline"}
            case method:
                raise Refused("invalid", f"It asked for something Logos does not know: {str(method)[:60]}")
    return answers


def again(params: Mapping[str, Any], found: Message, answers: Mapping[str, Any]) -> dict[str, Any]:
    """The params of the call once more, with what was asked for."""
    rest = {name: value for name, value in params.items() if name not in ("inputResponses", "requestState")}
    result = found["result"]
    state = {"requestState": result["requestState"]} if "requestState" in result else {}
    return {**rest, **state, **({"inputResponses": dict(answers)} if answers else {})}
