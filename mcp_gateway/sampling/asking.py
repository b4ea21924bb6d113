"""A server's question for a model, checked and written as a provider reads it (pure)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mcp_gateway.sampling.bounds import Refused, Sampling

METHOD = "sampling/createMessage"
# Of a question as it goes out, pictures included: what is sent is paid for too, and no cap on the answer bounds it.
MOST_BYTES = 1024 * 1024
MOST_MESSAGES, MOST_TOOLS, MOST_STOPS = 200, 64, 16
ROLES = ("user", "assistant")
CHOICES = {"auto": "auto", "required": "any", "none": "none"}

Block = Mapping[str, Any]


def written(params: Mapping[str, Any], bounds: Sampling, wire: str, model: str) -> bytes:
    """The request of a model call, in the wire its provider speaks. The model is ours, whatever the server would like,
    and so is the cap on tokens; of other servers it hears nothing, whatever it asks to be included. Raises Refused."""
    try:
        document = _anthropic(params) if wire == "anthropic" else _openai(params)
        document |= {"model": model, "max_tokens": cap(params, bounds), "stream": False}
        body = json.dumps(document, ensure_ascii=False).encode("utf-8", "replace")
    except RecursionError as error:
        raise _wrong("It is nested too deeply.") from error
    if len(body) > MOST_BYTES:
        raise Refused("too_large", f"A question may have {MOST_BYTES // 1024 // 1024} MB.")
    return body


def check(params: Mapping[str, Any], bounds: Sampling) -> None:
    """Raises Refused for what no model would be asked."""
    messages = params.get("messages")
    if not isinstance(messages, list) or not messages or len(messages) > MOST_MESSAGES:
        raise _wrong(f"A question has 1 to {MOST_MESSAGES} messages.")
    for message in messages:
        if not isinstance(message, dict) or message.get("role") not in ROLES or not blocks(message):
            raise _wrong("A message has a role, user or assistant, and content.")
    if params.get("tools"):
        if not bounds.tool_rounds:
            raise Refused("tools", "This server may not give the model tools.")
        if not isinstance(params["tools"], list) or len(params["tools"]) > MOST_TOOLS:
            raise _wrong(f"A question has {MOST_TOOLS} tools at most.")
    if used(messages) > bounds.tool_rounds:
        raise Refused("tools", f"The model may use tools of this server in {bounds.tool_rounds} rounds of a question.")
    cap(params, bounds)


def used(messages: list[Any]) -> int:
    """In how many turns the model has used tools."""
    return sum(
        any(each.get("type") == "tool_use" for each in blocks(message))
        for message in messages
        if isinstance(message, dict)
    )


def cap(params: Mapping[str, Any], bounds: Sampling) -> int:
    """The most tokens of an answer: what was asked for, or what the server may have where that is less."""
    asked = params.get("maxTokens", bounds.max_tokens)
    if isinstance(asked, bool) or not isinstance(asked, int) or asked < 1:
        raise _wrong("maxTokens is a whole number above 0.")
    return min(asked, bounds.max_tokens)


# So many of its wishes are looked at.
MOST_HINTS = 20


def hints(params: Mapping[str, Any]) -> list[str]:
    """Which models the server would like, the dearest wish first."""
    preferences = params.get("modelPreferences")
    given = preferences.get("hints") if isinstance(preferences, dict) else None
    names = [
        each.get("name") if isinstance(each, dict) else None for each in (given if isinstance(given, list) else ())
    ]
    return [name[:200] for name in names[:MOST_HINTS] if isinstance(name, str) and name.strip()]


def hint(params: Mapping[str, Any], bounds: Sampling) -> str:
    """The one of them that is kept with the question: which decided what is asked, or the first where none did."""
    return _decided(params, bounds)[0] or next(iter(hints(params)), "")


def chosen(params: Mapping[str, Any], bounds: Sampling) -> str:
    """The route that is asked: the first one the server may choose whose model has a wish of its in the name, else the
    one it has anyway."""
    return _decided(params, bounds)[1]


def _decided(params: Mapping[str, Any], bounds: Sampling) -> tuple[str, str]:
    for wish in hints(params):
        for route_id, model in bounds.among:
            if fits(wish, model):
                return wish, route_id
    return "", bounds.route_id


def fits(wish: str, model: str) -> bool:
    """Is this model one that the wish may mean?"""
    return wish.strip().casefold() in model.casefold()


def blocks(message: Block) -> list[Block]:
    """The content of a message, one block or several."""
    content = message.get("content")
    found = content if isinstance(content, list) else [content]
    return [each for each in found if isinstance(each, dict)] if all(isinstance(each, dict) for each in found) else []


def _openai(params: Mapping[str, Any]) -> dict[str, Any]:
    messages: list[dict[str, Any]] = []
    if (system := _text(params.get("systemPrompt"), "systemPrompt")) is not None:
        messages.append({"role": "system", "content": system})
    for message in params["messages"]:
        messages += _openai_turns(message["role"], blocks(message))
    document = {"messages": messages, **_shared(params, "stop", 2.0)}
    if tools := _tools(params):
        document["tools"] = [
            {
                "type": "function",
                "function": {"name": name, "description": description, "parameters": schema},
            }
            for name, description, schema in tools
        ]
        document["tool_choice"] = _choice(params)
    return document


def _openai_turns(role: str, content: list[Block]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"role": "tool", "tool_call_id": str(each.get("toolUseId", "")), "content": _result_text(each)}
        for each in content
        if each.get("type") == "tool_result"
    ]
    calls = [
        {
            "id": str(each.get("id", "")),
            "type": "function",
            "function": {"name": str(each.get("name", "")), "arguments": json.dumps(each.get("input") or {})},
        }
        for each in content
        if each.get("type") == "tool_use"
    ]
    parts = [_openai_part(each) for each in content if each.get("type") not in ("tool_result", "tool_use")]
    if parts or calls:
        plain = all(part["type"] == "text" for part in parts)
        said: Any = "\n".join(part["text"] for part in parts) if plain else parts
        found.append({"role": role, "content": said, **({"tool_calls": calls} if calls else {})})
    return found


def _openai_part(block: Block) -> dict[str, Any]:
    if block.get("type") == "image":
        kind, data = _image(block)
        return {"type": "image_url", "image_url": {"url": f"data:{kind};base64,{data}"}}
    return {"type": "text", "text": _said(block)}


def _anthropic(params: Mapping[str, Any]) -> dict[str, Any]:
    messages = [
        {"role": message["role"], "content": [_anthropic_part(each) for each in blocks(message)]}
        for message in params["messages"]
    ]
    document = {"messages": messages, **_shared(params, "stop_sequences", 1.0)}
    if (system := _text(params.get("systemPrompt"), "systemPrompt")) is not None:
        document["system"] = system
    if tools := _tools(params):
        document["tools"] = [
            {"name": name, "description": description, "input_schema": schema} for name, description, schema in tools
        ]
        document["tool_choice"] = {"type": CHOICES[_choice(params)]}
    return document


def _anthropic_part(block: Block) -> dict[str, Any]:
    match block.get("type"):
        case "image":
            kind, data = _image(block)
            return {"type": "image", "source": {"type": "base64", "media_type": kind, "data": data}}
        case "tool_use":
            return {
                "type": "tool_use",
                "id": str(block.get("id", "")),
                "name": str(block.get("name", "")),
                "input": block.get("input") or {},
            }
        case "tool_result":
            found = {
                "type": "tool_result",
                "tool_use_id": str(block.get("toolUseId", "")),
                "content": _result_text(block),
            }
            return found | ({"is_error": True} if block.get("isError") is True else {})
    return {"type": "text", "text": _said(block)}


def _shared(params: Mapping[str, Any], stops_name: str, hottest: float) -> dict[str, Any]:
    found: dict[str, Any] = {}
    heat = params.get("temperature")
    if heat is not None:
        if isinstance(heat, bool) or not isinstance(heat, int | float) or heat < 0:
            raise _wrong("The temperature is a number from 0.")
        found["temperature"] = min(float(heat), hottest)
    stops = params.get("stopSequences")
    if stops:
        if not isinstance(stops, list) or len(stops) > MOST_STOPS or not all(isinstance(each, str) for each in stops):
            raise _wrong(f"There are at most {MOST_STOPS} stopSequences, each a text.")
        found[stops_name] = stops
    return found


def _tools(params: Mapping[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    found = []
    for tool in params.get("tools") or ():
        schema = tool.get("inputSchema") if isinstance(tool, dict) else None
        if not isinstance(schema, dict) or not isinstance(tool.get("name"), str):
            raise _wrong("A tool has a name and an inputSchema.")
        found.append((tool["name"], str(tool.get("description") or ""), schema))
    return found


def _choice(params: Mapping[str, Any]) -> str:
    choice = params.get("toolChoice")
    mode = choice.get("mode", "auto") if isinstance(choice, dict) else "auto"
    if not isinstance(mode, str) or mode not in CHOICES:
        raise _wrong("The mode of toolChoice is auto, required or none.")
    return str(mode)


def _said(block: Block) -> str:
    if block.get("type") != "text":
        raise Refused("kind", f"Of a server's questions only text and pictures are passed on, no {_kind(block)}.")
    text = _text(block.get("text"), "text")
    if text is None:
        raise _wrong("A block of text has a text.")
    return text


def _image(block: Block) -> tuple[str, str]:
    kind, data = block.get("mimeType"), block.get("data")
    if not isinstance(kind, str) or not kind.startswith("image/") or not isinstance(data, str):
        raise _wrong("A picture has data and a mimeType.")
    return kind[:60], data


def _result_text(block: Block) -> str:
    content = block.get("content")
    if not isinstance(content, list):
        return _text(content, "content") or ""
    return "\n".join(_said(each) for each in content if isinstance(each, dict))


def _text(value: Any, name: str) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise _wrong(f"{name} is a text.")


def _kind(block: Block) -> str:
    return str(block.get("type") or "block without a type")[:40]


def _wrong(sentence: str) -> Refused:
    return Refused("invalid", sentence)
